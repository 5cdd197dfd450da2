"""Sends what waits for the former home of a group to its new home. Runs in the writer's thread.

An entry keeps its number and its signature, so a realm that has got it by way of the former home recognises
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from chatd.base.names import key_of
from chatd.federation import parcels
from chatd.federation.news import mark_parcel, news_of
from chatd.federation.parcel_fields import MAX_NUMBER
from chatd.federation.parcels import GroupMark, Left, Post
from chatd.store import outbox as store
from chatd.store.outbox import NewParcel, OutboxWriter, QueuedParcel

PAGE = 500  # parcels that are read at a time


class GroupPlace(NamedTuple):
    """A group in a realm: the key of the realm, the group's id there, and its name there."""

    realm: str
    home_id: int
    name: str


class WaitingParcel(NamedTuple):
    """A parcel for a group that waits in the outbox."""

    queued: QueuedParcel
    parcel: Post | Left | GroupMark


class MovedParcel(NamedTuple):
    """A parcel that waits for another realm now."""

    realm: str
    number: int
    parcel: bytes
    file: int | None


def _is_for(parcel: Post | Left | GroupMark, place: GroupPlace) -> bool:
    """Whether a parcel to the realm of a group is for that group."""
    if isinstance(parcel, GroupMark):
        return (parcel.home, parcel.group_id) == (place.realm, place.home_id)
    return key_of(parcel.group) == key_of(place.name)


def waiting_for(connection: Connection, place: GroupPlace) -> Iterator[WaitingParcel]:
    """What waits for the home of a group, in order. It may be removed while this is read."""
    after = 0
    while page := store.waiting(connection, place.realm, after, PAGE):
        after = page[-1].id
        for queued in page:
            parcel = parcels.try_decode(queued.parcel)
            if isinstance(parcel, Post | Left | GroupMark) and _is_for(parcel, place):
                yield WaitingParcel(queued, parcel)


def reroute(
    connection: Connection, writer: OutboxWriter, left: GroupPlace, to: GroupPlace, now: int
) -> list[MovedParcel]:
    """Let all that waits for the former home of a group wait for the new one. Read marks are told last: they
    have no numbers that others know."""
    found = list(waiting_for(connection, left))
    moved: list[NewParcel] = []
    for queued, parcel in found:
        store.remove(connection, left.realm, queued.id)
        if isinstance(parcel, GroupMark):
            mark = msgspec.structs.replace(parcel, home=to.realm, group_id=to.home_id)
            moved.append(mark_parcel(to.realm, news_of(mark), now))
            continue
        renamed = msgspec.structs.replace(parcel, group=to.name)
        moved.append(
            NewParcel(
                to.realm,
                parcels.encode(renamed),
                queued.created_at,
                queued.sender_id,
                queued.attachment_id,
                queued.id,
            )
        )
    moved.sort(key=lambda each: each.number or MAX_NUMBER)
    numbers = writer.store(connection, moved) if moved else []
    return [
        MovedParcel(each.realm, number, _encoded(each), each.attachment_id)
        for each, number in zip(moved, numbers, strict=True)
    ]


def _encoded(parcel: NewParcel) -> bytes:
    assert isinstance(parcel.parcel, bytes)  # noqa: S101 - as `reroute` has made it
    return parcel.parcel
