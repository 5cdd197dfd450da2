"""The blocks of accounts: of people by the keys of their addresses, and of realms by `@` and their keys. Jobs
and queries for the Database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.errors import NotBlocked, TooManyBlocks
from chatd.base.model import Account
from chatd.base.replies import BlockInfo
from chatd.store.conversations import find_direct
from chatd.store.functions import Position
from chatd.store.prepared import prepared
from chatd.store.reputation import note_block
from chatd.store.schema import accounts, blocks
from chatd.store.versions import Kind, Subject, VersionWriter

REALM_MARK = "@"


class AddedBlock(msgspec.Struct, frozen=True):
    """A block that was made. `paused`: the key of the realm that it pauses (chatd.store.reputation)."""

    paused: str | None


def keys_covering(key: str) -> tuple[str, ...]:
    """The keys of the blocks that cover the person with that key: their own, and that of their realm."""
    at = key.find("@")
    return (key,) if at < 0 else (key, key[at:])


def has_blocked(
    account_id: sa.ColumnElement[int] | int, key: sa.ColumnElement[str] | str
) -> sa.ColumnElement[bool]:
    """A condition: the account has blocked the person with that key, or their realm."""
    mine = blocks.alias()
    if isinstance(key, str):
        covers: sa.ColumnElement[bool] = mine.c.key.in_(keys_covering(key))
    else:
        # As keys_covering: what begins with the first `@`. Without one this is the key itself.
        of_realm = sa.func.substr(key, Position(key, sa.literal(REALM_MARK)))
        covers = mine.c.key.in_((key, of_realm))
    return sa.exists().where(mine.c.account_id == account_id, covers).correlate_except(mine)


def is_separated(
    account_id: sa.ColumnElement[int], key: sa.ColumnElement[str] | str
) -> sa.ColumnElement[bool]:
    """A condition: the account has blocked the person with that key, or is blocked by them."""
    other, account = accounts.alias(), accounts.alias()
    theirs = blocks.alias()
    blocked_by_them = (
        sa.exists()
        .select_from(
            theirs.join(other, other.c.id == theirs.c.account_id).join(
                account, account.c.key == theirs.c.key
            )
        )
        .where(other.c.key == key, account.c.id == account_id)
        .correlate_except(theirs, other, account)
    )
    return has_blocked(account_id, key) | blocked_by_them


_ALL = sa.select(blocks.c.account_id, blocks.c.key)


def all_blocks(connection: sa.Connection) -> list[tuple[int, str]]:
    """The accounts that block, each with the key of what it blocks."""
    rows = connection.execute(_ALL)
    return [(account_id, key) for account_id, key in rows]


def stored(connection: sa.Connection, wanted: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those of the blocks `wanted` that exist, as `all_blocks` returns them."""
    return [each for each in wanted if connection.scalar(*_block(*each)) is not None]


@prepared
def _block(account_id: Any, key: Any) -> sa.Select[Any]:
    return _ALL.where(blocks.c.account_id == account_id, blocks.c.key == key)


class BlocksElsewhere(msgspec.Struct, frozen=True):
    """What an account has blocked of other realms: the keys of `realms`, and the keys of the names of
    `people` by the keys of their realms."""

    realms: frozenset[str] = frozenset()
    people: Mapping[str, Sequence[str]] = {}


NO_BLOCKS = BlocksElsewhere()


def blocks_elsewhere(
    connection: sa.Connection, account_ids: Collection[int], realm: str | None = None
) -> dict[int, BlocksElsewhere]:
    """What accounts have blocked of other realms, or of one. Accounts that have blocked nothing there are
    left out."""
    # The only wildcard that the name of a realm may contain is _.
    pattern = f"%{REALM_MARK}%" if realm is None else f"%{REALM_MARK}{realm.replace('_', '/_')}"
    rows = connection.execute(*_elsewhere(list(account_ids), pattern))
    keys: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for account_id, key in rows:
        name, _, where = key.partition(REALM_MARK)
        keys[account_id].append((name, where))
    found = {}
    for account_id, blocked in keys.items():
        people: defaultdict[str, list[str]] = defaultdict(list)
        for name, where in blocked:
            if name:
                people[where].append(name)
        realms = frozenset(where for name, where in blocked if not name)
        found[account_id] = BlocksElsewhere(realms, people)
    return found


@prepared
def _elsewhere(account_ids: Any, pattern: Any) -> sa.Select[Any]:
    found = sa.select(blocks.c.account_id, blocks.c.key)
    like = blocks.c.key.like(pattern, escape="/")
    return found.where(blocks.c.account_id.in_(account_ids), like)


def blocks_of(connection: sa.Connection, account_id: int) -> Sequence[BlockInfo]:
    """What the account has blocked, by key."""
    rows = connection.execute(
        sa.select(blocks.c.address, blocks.c.at)
        .where(blocks.c.account_id == account_id)
        .order_by(blocks.c.key)
    )
    return [BlockInfo(address, at) for address, at in rows]


def is_blocked(connection: sa.Connection, account_id: int, key: str) -> bool:
    """Whether the account has blocked the person with that key, or their realm."""
    return bool(connection.scalar(*_blocked(account_id, list(keys_covering(key)))))


@prepared
def _blocked(account_id: Any, keys: Any) -> sa.Select[Any]:
    blocked = sa.exists().where(blocks.c.account_id == account_id, blocks.c.key.in_(keys))
    return sa.select(blocked)


def add_block(
    connection: sa.Connection,
    versions: VersionWriter,
    account: Account,
    key: str,
    block: BlockInfo,
    limit: int,
) -> AddedBlock | None:
    """Block an address or a realm. Returns None if it was blocked before. Raises TooManyBlocks."""
    mine = blocks.c.account_id == account.id
    if connection.scalar(sa.select(blocks.c.key).where(mine, blocks.c.key == key)) is not None:
        return None
    count = connection.scalar(sa.select(sa.func.count()).select_from(blocks).where(mine)) or 0
    if count >= limit:
        raise TooManyBlocks(limit=limit)
    connection.execute(
        sa.insert(blocks).values(account_id=account.id, key=key, address=block.address, at=block.at)
    )
    _note_marks(connection, versions, account, key)
    return AddedBlock(note_block(connection, account.id, key, block.at))


def delete_block(
    connection: sa.Connection, versions: VersionWriter, account: Account, key: str, shown: str
) -> BlockInfo:
    """Lift a block, and return it. Raises NotBlocked."""
    this = blocks.c.account_id == account.id, blocks.c.key == key
    found = connection.execute(sa.select(blocks.c.address, blocks.c.at).where(*this)).first()
    if found is None:
        raise NotBlocked(name=shown)
    connection.execute(sa.delete(blocks).where(*this))
    _note_marks(connection, versions, account, key)
    return BlockInfo(*found)


def _note_marks(
    connection: sa.Connection, versions: VersionWriter, account: Account, key: str
) -> None:
    """Other read marks are shown in the conversation of the two from now on, as `sync` tells."""
    place = find_direct(connection, account.id, key)
    if place is not None:
        names = account.key, key
        versions.note(connection, [Subject(place, Kind.MARK, name) for name in names])
