"""Message authentication codes (MACs) of stored messages, other entries and files, and of posts and parcels
that wait for other realms. A row that was altered on disk is noticed when it is read.

The key is a setting in the same database. So a MAC finds damage and changes that were made beside the daemon.
It does not stop a person who can read and write the whole state folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa
from twisted.logger import Logger

from chatd.store.engine import placeholder
from chatd.store.schema import attachments, changes, file_macs, messages, outbox, pending
from chatd.store.settings import get_setting, put_setting

_KEY = "content key"
KEY_SIZE = 32  # bytes
SIZE = 8  # bytes of a MAC
PAGE = 10_000  # rows that get their MACs at a time

# A hash object with the key. Copies of it get the contents, because that is faster than hashing the key anew.
KeyedHash: TypeAlias = blake2b

encode_values = msgspec.msgpack.Encoder().encode

log = Logger()

# What a MAC covers of each message, and what it covers besides of those that have any of it. Values are
# encoded in this order.
_BASIC = (
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.at,
    messages.c.attachment_id,
    messages.c.sender,
    messages.c.text,
)
_RARE = (
    messages.c.reply,
    messages.c.forwarded,
    messages.c.mentions,
    messages.c.media,
    messages.c.body,
)
_NO_RARE = (None,) * len(_RARE)

# What a MAC covers of each entry that is no message.
CHANGE = (
    changes.c.conversation_id,
    changes.c.seq,
    changes.c.kind,
    changes.c.at,
    changes.c.author,
    changes.c.target,
    changes.c.data,
)

# What `is_intact` needs of a row.
GUARDED = (*_BASIC, *_RARE, messages.c.deleted_at, messages.c.mac)


class CheckedPage(msgspec.Struct, frozen=True):
    """Messages that were checked: the conversations and seqs of the altered ones, how many were checked, and
    the id of the last."""

    altered: list[tuple[int, int]]
    count: int
    last: int


def keyed_hash(connection: sa.Connection) -> KeyedHash | None:
    """The hash with the key of this database, or None if it has no key yet. The connection remembers it."""
    found: KeyedHash | None = connection.info.get(_KEY)
    if found is None:
        key = get_setting(connection, _KEY)
        if key is not None:
            found = blake2b(digest_size=SIZE, key=bytes.fromhex(key))
            connection.info[_KEY] = found
    return found


def mac_of(keyed: KeyedHash | None, values: tuple[Any, ...]) -> bytes | None:
    """The MAC of these values, or None without a key."""
    if keyed is None:
        return None
    mac = keyed.copy()
    mac.update(encode_values(values))
    return mac.digest()


def message_mac(
    keyed: KeyedHash | None, basic: tuple[Any, ...], rare: tuple[Any, ...] = _NO_RARE
) -> bytes | None:
    """The MAC of a message with these values."""
    return mac_of(keyed, basic if rare == _NO_RARE else basic + rare)


def is_whole(keyed: KeyedHash | None, values: tuple[Any, ...], mac: bytes | None) -> bool:
    """Whether these values have that MAC. Rows of an older version in `pending` and `outbox` have none."""
    return keyed is None or mac is None or mac_of(keyed, values) == mac


@lru_cache(maxsize=1000)
def report_altered(what: str) -> None:
    """Log once that something was altered on disk."""
    log.critical("altered on disk: {what}", what=what)


def is_intact(keyed: KeyedHash | None, row: tuple[Any, ...]) -> bool:
    """Whether a row of the columns GUARDED is as it was stored."""
    if keyed is None:
        return True
    basic, rare = row[: len(_BASIC)], row[len(_BASIC) : -2]
    if row[-2] is not None:
        return basic[-1] is None and rare == _NO_RARE
    mac: bytes | None = row[-1]
    return message_mac(keyed, basic, rare) == mac


_PAGE_OF_GUARDED = (
    sa.select(messages.c.id, *GUARDED)
    .where(messages.c.id > sa.bindparam("after"))
    .order_by(messages.c.id)
    .limit(PAGE)
)


def check_page(connection: sa.Connection, after: int) -> CheckedPage | None:
    """Check the first messages with ids above `after`. Returns None if there are none."""
    keyed = keyed_hash(connection)
    rows = connection.execute(_PAGE_OF_GUARDED, {"after": after}).all()
    if not rows:
        return None
    altered = [(row[1], row[2]) for row in rows if not is_intact(keyed, tuple(row[1:]))]
    return CheckedPage(altered, len(rows), rows[-1].id)


def protect(connection: sa.Connection, ident: int) -> None:
    """Give the message with this id the MAC of its present content."""
    keyed = keyed_hash(connection)
    if keyed is not None:
        _protect(connection, keyed, messages.c.id == ident)


def begin_macs(connection: sa.Connection, random_bytes: Callable[[int], bytes]) -> None:
    """Make the key if there is none, and protect what is stored already: a job for the start. Then the
    database is from an older version of chatd."""
    if get_setting(connection, _KEY) is not None:
        return
    put_setting(connection, _KEY, random_bytes(KEY_SIZE).hex())
    keyed = keyed_hash(connection)
    assert keyed is not None  # noqa: S101 - the key was just stored
    for waiting in (pending, outbox):
        connection.execute(sa.update(waiting).values(mac=None))  # of a key that was lost
    after: int | None = 0
    while after is not None:
        after = _protect(connection, keyed, messages.c.id > after)
    _protect_others(connection, keyed)


def _protect_others(connection: sa.Connection, keyed: KeyedHash) -> None:
    """Give all files and changes their MACs."""
    columns = attachments.c
    files = sa.select(columns.id, columns.code, columns.name, columns.size, columns.sha256)
    connection.execute(sa.delete(file_macs))
    for page in connection.execute(files).partitions(PAGE):
        protect_files(connection, page)
    mark = placeholder(connection)
    said = connection.execute(sa.select(*CHANGE)).all()
    found = [(mac_of(keyed, tuple(row)), row.conversation_id, row.seq) for row in said]
    if found:
        connection.exec_driver_sql(
            f"UPDATE changes SET mac = {mark} WHERE conversation_id = {mark} AND seq = {mark}",  # noqa: S608
            found,
        )


def protect_files(connection: sa.Connection, files: Sequence[Sequence[Any]]) -> None:
    """Store the MACs of files: of each its id, code, name, size and SHA-256."""
    keyed = keyed_hash(connection)
    if keyed is not None:
        rows = [
            {"attachment_id": ident, "mac": mac_of(keyed, tuple(said))} for ident, *said in files
        ]
        connection.execute(sa.insert(file_macs), rows)


def _protect(
    connection: sa.Connection, keyed: KeyedHash, which: sa.ColumnElement[bool]
) -> int | None:
    """Give the first PAGE of these messages their MACs. Returns the last id, or None if there was none."""
    rows = connection.execute(
        sa.select(messages.c.id, *_BASIC, *_RARE)
        .where(which, messages.c.deleted_at.is_(None))
        .order_by(messages.c.id)
        .limit(PAGE)
    ).all()
    if not rows:
        return None
    split = 1 + len(_BASIC)
    found = [(message_mac(keyed, tuple(row[1:split]), tuple(row[split:])), row[0]) for row in rows]
    mark = placeholder(connection)
    connection.exec_driver_sql(f"UPDATE messages SET mac = {mark} WHERE id = {mark}", found)  # noqa: S608
    return int(rows[-1].id)
