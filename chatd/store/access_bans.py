"""The bans of accounts, networks and realms. Jobs for the Database.

They are few, and all of them are in memory (chatd.service.access_bans), so nothing is looked up here.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from chatd.base.ban_targets import ACCOUNT, BanTarget
from chatd.base.errors import NotBannedHere, TooManyBans
from chatd.base.model import Account
from chatd.store.accounts import end_sessions
from chatd.store.managed_accounts import check_exists
from chatd.store.schema import access_bans

MAX_BANS = 10_000  # of a realm


class AccessBan(msgspec.Struct, frozen=True):
    """A ban by `actor`. Times are in ms since 1970 UTC; `until` is None for a ban without an end."""

    target: BanTarget
    at: int
    until: int | None
    reason: str
    actor: str

    def holds(self, now: int) -> bool:
        """Whether the ban has not expired."""
        return self.until is None or self.until > now


def all_bans(connection: Connection, now: int) -> list[AccessBan]:
    """The bans that have not expired, the oldest first."""
    table = access_bans.c
    rows = connection.execute(
        select(table.kind, table.name, table.at, table.until, table.reason, table.actor)
        .where(table.until.is_(None) | (table.until > now))
        .order_by(table.at, table.kind, table.key)
    )
    return [AccessBan(BanTarget(kind, name), *rest) for kind, name, *rest in rows]


def put_ban(connection: Connection, ban: AccessBan, account: Account | None, now: int) -> None:
    """Store a ban, in place of an earlier one of the same target, and remove expired ones. The sessions of a
    banned `account` end. Raises UnknownUser, TooManyBans."""
    if ban.target.kind == ACCOUNT and account is not None:
        check_exists(connection, account)
        end_sessions(connection, account.id)
    connection.execute(delete(access_bans).where(access_bans.c.until <= now))
    _remove(connection, ban.target)
    count = connection.execute(select(func.count()).select_from(access_bans)).scalar_one()
    if count >= MAX_BANS:
        raise TooManyBans(limit=MAX_BANS)
    values = {
        "kind": ban.target.kind,
        "key": ban.target.key,
        "name": ban.target.name,
        "at": ban.at,
        "until": ban.until,
        "reason": ban.reason,
        "actor": ban.actor,
    }
    connection.execute(insert(access_bans).values(values))


def remove_ban(connection: Connection, target: BanTarget) -> None:
    """Raises NotBannedHere."""
    if not _remove(connection, target):
        raise NotBannedHere(target=str(target))


def _remove(connection: Connection, target: BanTarget) -> bool:
    this = access_bans.c.kind == target.kind, access_bans.c.key == target.key
    return connection.execute(delete(access_bans).where(*this)).rowcount > 0
