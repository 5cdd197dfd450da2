"""The commands with which operators let people in: invitations, and links to reset a password."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.admin.common import ACCOUNT, LIMIT

ROWS: tuple[Row, ...] = (
    Row(
        "admin.invite.new",
        ask.InviteToRealm,
        "make an invitation, with whose code or link accounts are created; it is shown only once",
        (
            Arg("uses", types.COUNT, optional=True, named=True),
            Arg("expires", types.DURATION, optional=True, named=True),
            Arg("note", types.DISPLAY_NAME, optional=True, named=True),
        ),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator,),
    ),
    Row(
        "admin.invite.list",
        ask.ListRealmInvitations,
        "list the invitations to the realm, the newest first",
        (LIMIT, Arg("before", types.COUNT, optional=True, named=True)),
        role=OPERATOR,
        errors=(errors.NotOperator,),
    ),
    Row(
        "admin.invite.revoke",
        ask.RevokeRealmInvitation,
        "end an invitation; the accounts that were created with it stay",
        (Arg("invitation", types.COUNT),),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator, errors.InvitationNotFound),
    ),
    Row(
        "admin.user.reset",
        ask.ResetPassword,
        "make a link with which a person chooses another password in the browser, once and within an hour",
        (ACCOUNT,),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator, errors.UnknownUser, errors.NoWebDoor),
    ),
)
