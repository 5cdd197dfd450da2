"""The commands for bans of accounts, networks and realms."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.roles import MODERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.admin.common import EXPIRES, LIMIT, REASON

TARGET = Arg("target", types.BAN_TARGET)

ROWS: tuple[Row, ...] = (
    Row(
        "admin.ban.add",
        ask.AddAccessBan,
        "keep out an account, an address or network, or a realm; the last two are for operators",
        (TARGET, REASON, EXPIRES, Arg("force", types.FLAG, optional=True, named=True)),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=(
            errors.NotModerator,
            errors.NotOperator,
            errors.UnknownUser,
            errors.OwnRealm,
            errors.LocksYouOut,
            errors.OnlyOperator,
            errors.TooManyBans,
        ),
    ),
    Row(
        "admin.ban.list",
        ask.ListAccessBans,
        "list the bans, the newest first",
        (Arg("kind", types.BAN_KIND, optional=True), LIMIT),
        role=MODERATOR,
        errors=(errors.NotModerator,),
    ),
    Row(
        "admin.ban.remove",
        ask.RemoveAccessBan,
        "lift a ban",
        (TARGET,),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotModerator, errors.NotOperator, errors.NotBannedHere),
    ),
)
