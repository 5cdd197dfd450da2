"""Where this realm stands with each other realm: what both have of each other's parcels.

Each end of a link tells it in Hello. So both know, also if the whole state of one was restored from a backup,
what the other has lost (chatd.federation.restores).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from chatd.base.background import in_background
from chatd.base.timers import Timer
from chatd.federation.parcel_fields import MAX_NUMBER, Number
from chatd.service.context import Context
from chatd.store import peer_marks as store
from chatd.store.losses import tails
from chatd.store.parcel_numbers import TERM_BITS
from chatd.store.pasts import note_loss
from chatd.store.peer_marks import PeerMark
from chatd.store.starts import KEPT, gaps_since

STORE_AFTER = 1.0  # seconds; what is told twice because of that is recognised


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """What a realm tells another. `received`: the other's parcels up to this number were kept or refused.
    `first`: the numbers of this start are higher. `settled`: the `first` of the last start after which the
    other has returned what this realm had lost. `gaps`: the numbers since then that this realm does not know,
    and may have given before it was restored from a backup."""

    received: Number
    first: Number
    settled: Number
    gaps: Annotated[tuple[tuple[Number, Number], ...], msgspec.Meta(max_length=KEPT)] = ()

    @property
    def is_settled(self) -> bool:
        """Whether the other realm has returned everything since the start of the realm."""
        return self.settled == self.first


_decoder = msgspec.msgpack.Decoder(Standing)
encode = msgspec.msgpack.Encoder().encode


def decode_standing(data: bytes | None) -> Standing | None:
    """Decode what a realm tells; None if it tells nothing, or nothing that can be read."""
    try:
        return None if data is None else _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


class Standings:
    """The marks of all realms, by their keys. `stored` are those in the database. Marks of parcels that were
    received are stored a moment later; after a crash a realm tells less than it has, and gets it again."""

    def __init__(self, context: Context, stored: Mapping[str, PeerMark]) -> None:
        self._database = context.database
        self._numbers = context.writers.parcels
        self._marks = dict(stored)
        self._told: dict[str, Standing] = {}  # what the realms were told last
        self._doubted: set[str] = set()  # realms to tell more than they were told
        self._given = 0  # the highest number that this realm is proved to have given
        self._raised: set[str] = set()  # realms whose marks are not stored yet
        self._stopped = False
        self._storing = Timer(context.clock, self.store)

    async def reload(self, realm: str) -> None:
        """Read the marks of a realm again, because another node was linked with it. Raises StorageFailed."""
        self._marks[realm] = await self._database.run(store.mark_of, realm)

    def of(self, realm: str) -> PeerMark:
        return self._marks.get(realm, PeerMark())

    def is_settled(self, realm: str) -> bool:
        """Whether that realm has returned everything since the start which it was told of last."""
        told = self._told.get(realm)
        return told is not None and self.of(realm).settled == told.first

    async def may_have_lost(self, realm: str, number: int) -> bool:
        """Whether this realm has told that one that it may have given that number, and lost its entry."""
        if realm not in self._told or self.is_settled(realm):
            return False
        gaps = await self._database.read(gaps_since, self.of(realm).settled)
        if any(first <= number <= last for first, last in gaps):
            return True
        _, last = await self._database.run(self._numbers.span)
        return number > last

    def is_doubted(self, realm: str) -> bool:
        """Whether the realm is to return everything again, and is not told yet."""
        return realm in self._doubted

    async def tell(self, realm: str) -> Standing:
        """What to tell the realm with that key."""
        first, last = await self._database.run(self._numbers.span)
        all_gaps = await self._database.read(gaps_since, 0)
        mark = self.of(realm)  # only now, because `lower` may have changed it
        gaps = [gap for gap in all_gaps if gap[1] > mark.settled]
        if mark.settled != first:
            # If the clock was behind at the start, lost entries have higher numbers than this start.
            gaps = [*gaps[1 - KEPT :], (last + 1, MAX_NUMBER)]
        self._doubted.discard(realm)
        told = self._told[realm] = Standing(mark.received, first, mark.settled, tuple(gaps))
        return told

    def received(self, realm: str, number: int) -> None:
        """Note that the realm's parcels up to this number are on disk, or refused."""
        if number > self.of(realm).received:
            self._raise(realm, PeerMark(received=number))
            self._raised.add(realm)
            if not self._stopped:
                self._storing.start(STORE_AFTER)

    def acknowledged(self, realm: str, numbers: Collection[int]) -> None:
        """Note that the realm has acknowledged these parcels, or has returned them. It is stored with their
        removal from the outbox, or when everything is returned."""
        newest = max(numbers)
        if newest > self.of(realm).acknowledged:
            self._raise(realm, PeerMark(acknowledged=newest))

    async def given(self, number: int) -> None:
        """Note that this realm is proved to have given that number."""
        if number > self._given:
            await self._database.run(self._numbers.given, number)
            self._given = number

    async def settle(self, realm: str, received: int) -> None:
        """Note that the realm has returned everything that this one had lost, and has nothing else to send
        with a number up to `received`."""
        told = self._told.get(realm)
        if told is None:
            return  # it was forgotten while it returned that
        settled = PeerMark(received, self.of(realm).acknowledged, told.first)
        has_lost = told.received < received

        def job(connection: Connection) -> None:
            if has_lost:
                note_loss(connection, realm)
            store.raise_mark(connection, realm, settled)

        await self._database.run(job)
        if realm in self._told:
            self._raise(realm, settled)

    def lower(self, start: int) -> None:
        """Let all realms return everything again since the start with the first number `start`, which was
        noted as in doubt (chatd.store.peer_marks). What they return over the present links does not count
        any more."""
        self._doubted.update(self._told)
        self._told.clear()
        self._marks = {realm: mark.lowered(start) for realm, mark in self._marks.items()}
        # It comes after all that notes what was returned before. If it fails, the next start does it.
        in_background("marks were not lowered", self._database.run(store.lower_marks))

    async def tails(self, realm: str, groups: Collection[int]) -> dict[int, int]:
        """The numbers of the last entries which groups of this realm had when the other one had returned all
        that this one had lost: for groups with members of that realm."""
        term = self.of(realm).settled >> TERM_BITS
        return await self._database.read(tails, realm, groups, term)

    def forget(self, realms: Collection[str]) -> None:
        """Forget realms whose marks are no longer in the database."""
        for realm in realms:
            self._marks.pop(realm, None)
            self._told.pop(realm, None)
            self._doubted.discard(realm)
            self._raised.discard(realm)

    def _raise(self, realm: str, mark: PeerMark) -> None:
        self._marks[realm] = self.of(realm).raised(mark)

    def stop(self) -> Deferred[None]:
        """As `store`, for the last time."""
        self._stopped = True
        return self.store()

    def store(self) -> Deferred[None]:
        """Store the marks of what was received."""
        self._storing.cancel()
        raised, self._raised = self._raised, set()
        marks = {realm: PeerMark(received=self.of(realm).received) for realm in raised}
        # If it fails, later marks say the same and more. Until then more is sent again.
        storing = self._database.run(store.raise_marks, marks)
        return in_background("marks of other realms were not stored", storing)
