"""The rows of changes in the table of changes, and the parcels that carry changes to other realms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chatd.store.macs import CHANGE, KeyedHash, keyed_hash, mac_of
from chatd.store.message_rows import origin_of
from chatd.store.new_entries import NewChange
from chatd.store.outbox import NewParcel
from chatd.store.schema import changes

_INSERT = sa.insert(changes)


def insert_changes(
    connection: sa.Connection, items: Sequence[NewChange], places: Sequence[tuple[int, int]]
) -> None:
    """Insert changes with these numbers in their logs, and of their parcels, or 0."""
    keyed = keyed_hash(connection)
    rows = [_row(new, *place, keyed) for new, place in zip(items, places, strict=True)]
    connection.execute(_INSERT, rows if len(rows) > 1 else rows[0])


def _row(new: NewChange, seq: int, given: int, keyed: KeyedHash | None) -> dict[str, Any]:
    said = new.conversation, seq, new.kind, new.at, new.author, new.target, new.data
    origin_realm, origin_id, number = origin_of(new, given)
    return {
        **{column.name: value for column, value in zip(CHANGE, said, strict=True)},
        "mac": mac_of(keyed, said),
        "author_id": new.author_id,
        "origin_realm": origin_realm,
        "origin_id": origin_id,
        "number": number,
        "seal": new.seal or None,
    }


def parcels_of(new: NewChange, parcel: bytes, number: int) -> list[NewParcel]:
    """The parcels that carry a change, the entry `number` of this realm, to other realms."""
    copies = new.copies
    if copies is None:
        return []
    about = copies.sender_id, None, number
    return [NewParcel(realm, parcel, new.at, *about) for realm in copies.realms]
