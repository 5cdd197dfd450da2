"""Claims of people that they had another address, in a realm that is lost. Jobs and queries for the Database.

Nothing follows from a claim unless the person who is asked confirms it, and then only for that person.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from chatd.base.errors import UnknownClaim
from chatd.base.model import Account, Party
from chatd.base.names import ARCHIVE_SIGN, SYSTEM, Address
from chatd.base.replies import MoveInfo
from chatd.store.blocks import has_blocked, is_blocked
from chatd.store.conversations import find_direct
from chatd.store.requests import waits
from chatd.store.schema import account_moves, contacts, move_claims, participants

LIFE: Final = 30 * 24 * 3600 * 1000  # ms for which a claim, or its refusal, is kept
MAX_OPEN: Final = 20  # claims that wait for one account
MAX_OF_REALM: Final = 200  # claims of people of one realm that are kept
MAX_ASKED: Final = 500  # people who are asked because of one claim


class AskedPerson(NamedTuple):
    """Somebody who is asked about a claim, by their address. People of this realm have no `realm`."""

    address: str
    realm: str | None


def note_claim(
    connection: sa.Connection, account: Account, new: Party, old: Party, now: int
) -> bool:
    """Note that `new` says that they were `old`. Returns whether the account is to be told: only if it knows
    the old address, has blocked neither, and was not asked about either before."""
    connection.execute(sa.delete(move_claims).where(move_claims.c.at <= now - LIFE))
    if new.key == old.key or new.id == account.id or not _knows(connection, account, old):
        return False
    if any(is_blocked(connection, account.id, each.key) for each in (old, new)):
        return False
    moved = sa.select(account_moves.c.key).where(account_moves.c.key == old.key)
    if connection.scalar(moved) is not None:
        return False  # that realm has said itself where they have gone
    mine = move_claims.c.account_id == account.id
    asked = sa.or_(move_claims.c.key == new.key, move_claims.c.old_key == old.key)
    if _count(connection, mine, asked):
        return False
    realm = new.realm or ""
    if _count(connection, mine, move_claims.c.declined.is_(False)) >= MAX_OPEN:
        return False
    if _count(connection, move_claims.c.realm == realm) >= MAX_OF_REALM:
        return False
    connection.execute(
        sa.insert(move_claims).values(
            account_id=account.id,
            key=new.key,
            address=new.name,
            realm=realm,
            old_key=old.key,
            old_address=old.name,
            at=now,
        )
    )
    return True


def _knows(connection: sa.Connection, account: Account, old: Party) -> bool:
    listed = sa.select(contacts.c.key).where(
        contacts.c.account_id == account.id, contacts.c.key == old.key
    )
    if connection.scalar(listed) is not None:
        return True
    return find_direct(connection, account.id, old.key) is not None


def _count(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
    found: int | None = connection.scalar(
        sa.select(sa.func.count()).select_from(move_claims).where(*which)
    )
    return found or 0


def claims_of(connection: sa.Connection, account_id: int, now: int) -> list[MoveInfo]:
    """The claims that wait for an answer of the account, oldest first."""
    rows = connection.execute(
        sa.select(move_claims.c.address, move_claims.c.at, move_claims.c.old_address)
        .where(
            move_claims.c.account_id == account_id,
            move_claims.c.declined.is_(False),
            move_claims.c.at > now - LIFE,
        )
        .order_by(move_claims.c.at, move_claims.c.key)
    )
    return [MoveInfo("claims", address, at, old) for address, at, old in rows]


def _open(connection: sa.Connection, account_id: int, new: Address, now: int) -> Any:
    """Raises UnknownClaim."""
    row = connection.execute(
        sa.select(move_claims).where(
            move_claims.c.account_id == account_id,
            move_claims.c.key == new.key,
            move_claims.c.declined.is_(False),
            move_claims.c.at > now - LIFE,
        )
    ).first()
    if row is None:
        raise UnknownClaim(name=new)
    return row


def decline_claim(connection: sa.Connection, account_id: int, new: Address, now: int) -> str:
    """Decline a claim: for a while, it can't be made again, by others neither. Returns the old address.
    Raises UnknownClaim."""
    row = _open(connection, account_id, new, now)
    connection.execute(
        sa.update(move_claims)
        .where(move_claims.c.account_id == account_id, move_claims.c.key == row.key)
        .values(declined=True)
    )
    return str(row.old_address)


def take_claim(connection: sa.Connection, account_id: int, new: Address, now: int) -> Party:
    """Forget a claim that the account confirms. Returns the old address. Raises UnknownClaim."""
    row = _open(connection, account_id, new, now)
    connection.execute(
        sa.delete(move_claims).where(
            move_claims.c.account_id == account_id, move_claims.c.key == row.key
        )
    )
    return Party(row.old_key, row.old_address, realm=row.old_key.partition("@")[2])


def people_to_ask(connection: sa.Connection, account: Account, lost: str) -> list[AskedPerson]:
    """Whom an account has as contacts, and whom it talks with, but for people of the realm `lost`, those whom
    it has blocked, and those whose message requests it has not accepted."""
    talks = sa.select(
        participants.c.peer, participants.c.realm, participants.c.peer_key.label("key")
    ).where(
        participants.c.account_id == account.id,
        participants.c.peer_key != SYSTEM,
        ~participants.c.peer_key.startswith(ARCHIVE_SIGN),
    )
    listed = sa.select(contacts.c.address, contacts.c.realm, contacts.c.key).where(
        contacts.c.account_id == account.id
    )
    known = sa.union(listed, talks).subquery()
    address, realm, key = known.c
    rows = connection.execute(
        sa.select(sa.func.min(address), realm)
        .where(
            key != account.key,
            sa.or_(realm.is_(None), realm != lost),
            ~has_blocked(account.id, key),
            ~waits(account.id, key),
        )
        .group_by(key, realm)
        .order_by(key)
        .limit(MAX_ASKED)
    )
    return [AskedPerson(*row) for row in rows]
