"""What each other realm and this one have of each other's parcels. Jobs and queries for the Database.

The marks tell, when a link comes up, what a realm that was restored from a backup has lost
(chatd.federation.standing).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import chain

import msgspec
import sqlalchemy as sa

from chatd.store.driver import execute
from chatd.store.engine import placeholder
from chatd.store.schema import peer_marks
from chatd.store.settings import (
    get_or_add_setting,
    get_setting,
    put_setting,
    remove_setting,
)

_SEAL_KEY = "seal key"
_DOUBTED = "settled at most"
SEAL_KEY_SIZE = 32  # bytes


class PeerMark(msgspec.Struct, frozen=True):
    """`received`: the other realm's parcels up to this number were kept or refused. `acknowledged`: the
    newest parcel of this realm that the other one has acknowledged. `settled`: the first number of the last
    start of this realm after which the other one has returned what this one lacked."""

    received: int = 0
    acknowledged: int = 0
    settled: int = 0

    def raised(self, other: PeerMark) -> PeerMark:
        """The higher of both marks, for each field."""
        ours, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return PeerMark(*map(max, ours, theirs))

    def lowered(self, settled: int) -> PeerMark:
        """The mark with `settled` at most as high as that."""
        return msgspec.structs.replace(self, settled=min(self.settled, settled))


class StoredMarks(msgspec.Struct, frozen=True):
    """The marks of all realms by their keys, and the key with which this realm seals what it sends."""

    seal_key: bytes
    by_realm: Mapping[str, PeerMark]


def read_marks(connection: sa.Connection, random_bytes: Callable[[int], bytes]) -> StoredMarks:
    """Return the marks and the key, which is made at the first start. First, marks that are in `doubt` are
    lowered."""
    key = get_or_add_setting(connection, _SEAL_KEY, random_bytes(SEAL_KEY_SIZE).hex())
    lower_marks(connection)
    return StoredMarks(bytes.fromhex(key), all_marks(connection))


_ALL = sa.select(
    peer_marks.c.realm, peer_marks.c.received, peer_marks.c.acknowledged, peer_marks.c.settled
)


def all_marks(connection: sa.Connection) -> dict[str, PeerMark]:
    """Return the marks of all realms, by their keys."""
    rows = connection.execute(_ALL)
    return {realm: PeerMark(*marks) for realm, *marks in rows}


def mark_of(connection: sa.Connection, realm: str) -> PeerMark:
    """Return the marks of one realm."""
    row = connection.execute(_ALL.where(peer_marks.c.realm == realm)).first()
    return PeerMark() if row is None else PeerMark(*row[1:])


def raise_mark(connection: sa.Connection, realm: str, mark: PeerMark) -> None:
    """Raise the marks of a realm. Only `lower_marks` lowers them."""
    values = msgspec.structs.asdict(mark)
    raised = [(name, value) for name, value in values.items() if value]
    if not raised:
        return
    put = placeholder(connection)
    # A text, because building the statement takes longer than the rest.
    columns = [
        f"{name} = CASE WHEN {name} < {put} THEN {put} ELSE {name} END" for name, _ in raised
    ]
    update = f"UPDATE peer_marks SET {', '.join(columns)} WHERE realm = {put}"  # noqa: S608
    higher = chain.from_iterable((value, value) for _, value in raised)
    if not execute(connection, update, (*higher, realm)).rowcount:
        connection.execute(sa.insert(peer_marks).values(realm=realm, **values))


def raise_marks(connection: sa.Connection, marks: dict[str, PeerMark]) -> None:
    """As `raise_mark`, for several realms."""
    for realm, mark in marks.items():
        raise_mark(connection, realm, mark)


def doubt(connection: sa.Connection, start: int) -> None:
    """Note that other realms have not returned everything since the start with the first number `start`, even
    if their marks say so, or will say so in a moment. `lower_marks`, now or at the next start, lets them
    return it."""
    known = get_setting(connection, _DOUBTED)
    put_setting(connection, _DOUBTED, str(start if known is None else min(int(known), start)))


def lower_marks(connection: sa.Connection) -> None:
    """Lower the marks that are in doubt, which ends the doubt."""
    settled = get_setting(connection, _DOUBTED)
    if settled is None:
        return
    higher = sa.update(peer_marks).where(peer_marks.c.settled > int(settled))
    connection.execute(higher.values(settled=int(settled)))
    remove_setting(connection, _DOUBTED)


def forget(connection: sa.Connection, realms: Collection[str]) -> None:
    """Forget the marks of realms that are forgotten themselves."""
    connection.execute(sa.delete(peer_marks).where(peer_marks.c.realm.in_(realms)))
