"""Rosters of groups, signed by their homes: who is in a group, so that it can be rescued if its home is lost.

A roster is a list of rows, encoded as one MessagePack array. The statement has its hash, and names those who
may found the group again: so a realm knows them before it has the rows. docs/federation.md specifies both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Annotated

import msgspec

from chatd.base.errors import BadSignature
from chatd.base.names import key_of
from chatd.federation.parcel_fields import AddressText, Number, Seq
from chatd.federation.signing.statements import Digest, Name, RealmKey, encode

MAX_FOUNDERS = 20
MAX_ROWS = 30_000  # members and bans
MAX_ROSTER = 8 << 20  # bytes of the rows
MAX_ROSTER_STATEMENT = 8192  # bytes

MEMBER, ADMIN, BANNED = range(3)


class RosterStatement(msgspec.Struct, frozen=True, array_like=True, tag="chatd roster 1"):
    """What the realm `home` states at `at` (ms since 1970 UTC) about its group `group` with the name `name`:
    `seq` was the last entry of the log, and the rows of the roster have `size` bytes and the SHA-256 `hash`.
    Later rosters have higher numbers.

    `founders` are people of other realms, longest-standing first: the first MAX_FOUNDERS admins, or if there
    is none, the member who has joined first.
    """

    home: RealmKey
    group: Number
    number: Number
    name: Name
    seq: Seq
    at: Number
    founders: Annotated[tuple[AddressText, ...], msgspec.Meta(max_length=MAX_FOUNDERS)]
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_ROSTER)]
    hash: Digest

    def place_of(self, founder: str) -> int | None:
        """The place among the founders of the person with that address, or None: they may not found it."""
        keys = [key_of(each) for each in self.founders]
        return keys.index(key_of(founder)) if key_of(founder) in keys else None


class RosterRow(msgspec.Struct, frozen=True, array_like=True):
    """A member or a banned person. `address` has a realm, `role` is MEMBER, ADMIN or BANNED. They are that
    `since` (ms since 1970 UTC), and see the entries from `first` on."""

    address: AddressText
    role: Annotated[int, msgspec.Meta(ge=MEMBER, le=BANNED)]
    since: Number
    first: Seq = 0


_statements = msgspec.msgpack.Decoder(RosterStatement)
_rows = msgspec.msgpack.Decoder(Annotated[tuple[RosterRow, ...], msgspec.Meta(max_length=MAX_ROWS)])


def decode_roster_statement(data: bytes) -> RosterStatement:
    """Raises BadSignature."""
    try:
        statement: RosterStatement = _statements.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="the roster can't be decoded") from None
    if len(data) > MAX_ROSTER_STATEMENT or not data.endswith(statement.hash):
        raise BadSignature(reason="the roster has other fields")
    return statement


def encode_rows(rows: Iterable[RosterRow]) -> bytes:
    """The rows in their order: by the keys of their addresses."""
    return encode(sorted(rows, key=lambda row: key_of(row.address)))


def decode_rows(data: bytes) -> tuple[RosterRow, ...]:
    """Raises BadSignature."""
    try:
        rows: tuple[RosterRow, ...] = _rows.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="the roster can't be decoded") from None
    return rows


def founders_in(rows: Iterable[RosterRow], home: str) -> tuple[str, ...]:
    """Those who may found a group again, by its rows: people of other realms than `home`."""
    others = [row for row in rows if row.role != BANNED and realm_in(row.address) not in ("", home)]
    others.sort(key=lambda row: (row.since, key_of(row.address)))
    admins = [row.address for row in others if row.role == ADMIN]
    return tuple(admins[:MAX_FOUNDERS]) or tuple(row.address for row in others[:1])


def realm_in(address: str) -> str:
    """The key of the realm in an address; empty if it has none."""
    return key_of(address.rpartition("@")[2]) if "@" in address else ""


class RosterPlace(msgspec.Struct, frozen=True):
    """The group of a roster: the key of its home, its id and name there, and the last entry of its log."""

    home: str
    group: int
    name: str
    seq: int


def state_roster(
    place: RosterPlace, rows: Sequence[RosterRow], number: int, at: int
) -> tuple[bytes, bytes]:
    """The encoded statement of a roster with that number, and its rows."""
    data = encode_rows(rows)
    statement = RosterStatement(
        place.home,
        place.group,
        number,
        place.name,
        place.seq,
        at,
        founders_in(rows, place.home),
        len(data),
        sha256(data).digest(),
    )
    return encode(statement), data


def check_rows(statement: RosterStatement, data: bytes) -> tuple[RosterRow, ...]:
    """The rows of a roster. Raises BadSignature unless they are those of the statement."""
    if len(data) != statement.size or sha256(data).digest() != statement.hash:
        raise BadSignature(reason="the roster has other rows")
    return decode_rows(data)
