"""The commands with which operators manage accounts."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import MODERATOR, OPERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.admin.common import ACCOUNT, LIMIT, REASON

PASSWORD = Arg("password", types.SECRET)

ROWS: tuple[Row, ...] = (
    Row(
        "admin.user.list",
        ask.ListAccounts,
        "list accounts, with the bytes of the files that each has sent",
        (
            Arg("name", types.SEARCH, optional=True, named=True),
            Arg("role", types.ROLE, optional=True, named=True),
            Arg("state", types.ACCOUNT_STATE, optional=True, named=True),
            LIMIT,
            Arg("after", types.NAME, optional=True, named=True),
        ),
        role=MODERATOR,
        errors=(errors.NotModerator,),
    ),
    Row(
        "admin.user.show",
        ask.InspectAccount,
        "show what the realm knows of an account",
        (ACCOUNT,),
        role=MODERATOR,
        errors=(errors.NotModerator, errors.UnknownUser),
    ),
    Row(
        "admin.user.add",
        ask.AddAccount,
        "create an account, also while registration is closed",
        (
            ACCOUNT,
            PASSWORD,
            Arg("role", types.ROLE, optional=True, named=True),
            Arg("name", types.DISPLAY_NAME, optional=True, named=True),
            Arg("country", types.DISPLAY_NAME, optional=True, named=True),
        ),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        offline=True,
        errors=(
            errors.NotOperator,
            errors.UserExists,
            errors.ReservedName,
            errors.WeakPassword,
            errors.Busy,
        ),
    ),
    Row(
        "admin.user.passwd",
        ask.SetPassword,
        "give an account another password; its sessions end",
        (ACCOUNT, PASSWORD),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        offline=True,
        errors=(errors.NotOperator, errors.UnknownUser, errors.WeakPassword, errors.Busy),
    ),
    Row(
        "admin.user.role",
        ask.SetRole,
        "make an account an operator, a moderator or a user",
        (ACCOUNT, Arg("role", types.ROLE)),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        offline=True,
        errors=(errors.NotOperator, errors.UnknownUser, errors.OnlyOperator),
    ),
    Row(
        "admin.user.disable",
        ask.DisableAccount,
        "end the sessions of an account and refuse its logins",
        (ACCOUNT, REASON),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator, errors.UnknownUser, errors.OnlyOperator),
    ),
    Row(
        "admin.user.enable",
        ask.EnableAccount,
        "accept the logins of an account again",
        (ACCOUNT,),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator, errors.UnknownUser),
    ),
    Row(
        "admin.user.sessions",
        ask.ListAccountSessions,
        "list the sessions of an account, with the client and address of each",
        (ACCOUNT,),
        role=OPERATOR,
        errors=(errors.NotOperator, errors.UnknownUser),
    ),
    Row(
        "admin.user.logout",
        ask.LogOutAccount,
        "end the sessions of an account, or one of them",
        (ACCOUNT, Arg("session", types.SIZE, optional=True, named=True)),
        role=OPERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotOperator, errors.UnknownUser, errors.SessionNotFound),
    ),
)
