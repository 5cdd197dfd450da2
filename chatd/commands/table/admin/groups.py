"""The commands with which operators and moderators manage groups."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import MODERATOR, OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.admin.common import LIMIT, REASON

GROUP = Arg("group", types.GROUP)
HERE = (errors.UnknownGroup, errors.GroupElsewhere)

ROWS: tuple[Row, ...] = (
    Row(
        "admin.group.list",
        ask.ListManagedGroups,
        "list groups by name; moderators see the public ones and their own",
        (
            Arg("text", types.SEARCH, optional=True, named=True),
            Arg("visibility", types.VISIBILITY, optional=True, named=True),
            Arg("home", types.GROUP_HOME, optional=True, named=True),
            Arg("members", types.COUNT, optional=True, named=True),
            Arg("state", types.GROUP_STATE, optional=True, named=True),
            LIMIT,
            Arg("after", types.GROUP, optional=True, named=True),
        ),
        role=MODERATOR,
        errors=(errors.NotModerator,),
    ),
    Row(
        "admin.group.show",
        ask.InspectGroup,
        "show what the realm knows of a group",
        (GROUP,),
        role=MODERATOR,
        errors=(errors.NotModerator, errors.UnknownGroup),
    ),
    Row(
        "admin.group.close",
        ask.ShutGroup,
        "close a group for everybody: its members can only read, leave, and delete what they wrote",
        (GROUP, REASON),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotModerator, *HERE, errors.GroupEnding),
    ),
    Row(
        "admin.group.open",
        ask.OpenShutGroup,
        "open a group that was closed for everybody",
        (GROUP,),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotModerator, *HERE, errors.GroupEnding, errors.GroupNotShut),
    ),
    Row(
        "admin.group.transfer",
        ask.PassOnGroup,
        "make a member, of any realm, the only admin of a group, or one of its admins",
        (
            GROUP,
            Arg("user", types.ADDRESS),
            Arg("keep_admins", types.FLAG, optional=True, named=True),
        ),
        role=OPERATOR,
        audited=Audited.IN_STEPS,
        errors=(
            errors.NotOperator,
            *HERE,
            errors.GroupEnding,
            errors.UnknownUser,
            errors.UnknownRealm,
            errors.NotTheirGroup,
        ),
    ),
    Row(
        "admin.group.delete",
        ask.DeleteGroup,
        "end a group for everybody, and erase its messages and files",
        (GROUP,),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator, *HERE, errors.GroupEnding),
    ),
)
