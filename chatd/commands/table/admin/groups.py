"""The commands with which operators and moderators manage groups."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import MODERATOR
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
        errors=(errors.NotModerator, *HERE),
    ),
    Row(
        "admin.group.open",
        ask.OpenShutGroup,
        "open a group that was closed for everybody",
        (GROUP,),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotModerator, *HERE, errors.GroupNotShut),
    ),
)
