"""The parcels that go next over a link, in order: from memory, or else from the outbox on disk.

While the other realm keeps up, a parcel is never read from the disk: once it is committed it is added here
and goes with the next batch. The disk is read when a link comes up, and when more parcels wait than may be
in memory.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec
from twisted.python.failure import Failure

from chatd.base.background import log_unexpected
from chatd.federation.outbox import Outbox
from chatd.store.outbox import QueuedParcel
from chatd.store.outcomes import SentEntry

MAX_READY = 5000  # parcels in memory; more are read from the disk when it is their turn
PAGE = 1000  # parcels that are read at a time


class Item(msgspec.Struct):
    """A parcel to be sent. `file` is the id of the attachment that it announces. `sender_id` is the account
    to tell the outcome, and `entry` its message, if it is known."""

    number: int
    parcel: bytes
    file: int | None = None
    sender_id: int | None = None
    entry: SentEntry | None = None

    def empty(self, parcel: bytes) -> None:
        """The content is deleted: send this in its place."""
        self.parcel, self.file = parcel, None


def _number_of(item: Item) -> int:
    return item.number


class SendQueue:
    """The queue of one link. It begins with everything that is on disk.

    `ready` holds the next parcels, in the order of their numbers. `filled` is called when more were read,
    `failed` when the disk can't be read.
    """

    def __init__(
        self, realm: str, outbox: Outbox, filled: Callable[[], None], failed: Callable[[], None]
    ) -> None:
        self.ready: deque[Item] = deque()
        self._realm = realm
        self._outbox = outbox
        self._filled = filled
        self._failed = failed
        self._closed = False
        self._behind = True  # whether there may be parcels on disk that are not in memory
        self._reading = False
        self._cursor = 0  # the number of the last parcel that was in `ready`
        # What was committed since the disk began to be read, by number; None if it was too much.
        self._fresh: dict[int, Item] | None = {}
        # The lowest number that was committed since the last page was read. What is sent again after a
        # restore has lower numbers than what was sent before.
        self._lowest: float = math.inf
        # What was blanked since then, by number
        self._blanked: dict[int, bytes] = {}

    def close(self) -> None:
        """Ignore what is still being read."""
        self._closed = True

    def add(self, item: Item) -> None:
        """Add a parcel that was committed."""
        if self._behind:
            self._lowest = min(self._lowest, item.number)
            if self._fresh is not None:
                self._fresh[item.number] = item
                if len(self._fresh) > MAX_READY:
                    self._fresh = None
        elif len(self.ready) < MAX_READY and item.number > self._cursor:
            self._cursor = item.number
            self.ready.append(item)
        else:
            self._behind = True
            self._cursor = min(self._cursor, item.number - 1)
            self._fresh = {}

    def look(self, number: int | None) -> None:
        """Another node has stored the parcel with that number, or may have stored some."""
        self._behind = True

    def blanked(self, number: int, parcel: bytes) -> None:
        """A parcel has lost its content. What is being read from the disk may still have it."""
        place = bisect_left(self.ready, number, key=_number_of)
        if place < len(self.ready) and self.ready[place].number == number:
            self.ready[place].empty(parcel)
        if self._fresh and (item := self._fresh.get(number)) is not None:
            item.empty(parcel)
        if self._reading:
            self._blanked[number] = parcel

    def fill(self) -> None:
        """Read from the disk if nothing in memory is ready and the disk may hold more."""
        if self._behind and not self.ready and not self._reading:
            self._reading = True
            self._fresh = {}
            self._look_back()
            self._outbox.tidy()
            reading = self._outbox.waiting(self._realm, self._cursor, PAGE)
            reading.addCallback(self._have_read)
            reading.addErrback(self._not_read)

    def _have_read(self, page: Sequence[QueuedParcel]) -> None:
        if self._closed:
            return
        self._reading = False
        self._take(page)
        if self._fresh is None:
            self._look_back()
        else:
            self._add_fresh(self._fresh, whole=len(page) < PAGE)
            self._fresh = {}
            self._lowest = math.inf
        self._filled()

    def _take(self, page: Sequence[QueuedParcel]) -> None:
        """Add what was read."""
        for each in page:
            item = Item(each.id, each.parcel, each.attachment_id, each.sender_id)
            if (parcel := self._blanked.get(each.id)) is not None:
                item.empty(parcel)
            self.ready.append(item)
        self._blanked.clear()
        if page:
            self._cursor = page[-1].id

    def _add_fresh(self, fresh: Mapping[int, Item], *, whole: bool) -> None:
        """Add what was committed while a page was read. If that was not the `whole` rest, the next one has
        what comes after it."""
        known = {item.number for item in self.ready}
        added = [
            item
            for number, item in fresh.items()
            if number not in known and (whole or number <= self._cursor)
        ]
        if added:
            self.ready = deque(sorted((*self.ready, *added), key=_number_of))
        if whole:
            self._behind = False
            self._cursor = max((self._cursor, *fresh))

    def _look_back(self) -> None:
        """Let the next page begin before what was committed since the last one."""
        if self._lowest <= self._cursor:
            self._cursor = int(self._lowest) - 1
        self._lowest = math.inf

    def _not_read(self, failure: Failure) -> None:
        log_unexpected("the outbox can't be read", failure)
        self._failed()


class SharedSendQueue(SendQueue):
    """The queue of a realm that several nodes serve. They all store parcels, so all are read from the disk:
    only there their order is known. Nodes number parcels in turns, so whatever has a lower number than one
    that was read was committed before, and was read too.
    """

    def __init__(
        self, realm: str, outbox: Outbox, filled: Callable[[], None], failed: Callable[[], None]
    ) -> None:
        super().__init__(realm, outbox, filled, failed)
        # The numbers that were read last. This node may be told of them later.
        self._known: dict[int, None] = {}
        # The numbers of which it was told while a page was read; None: there may be any
        self._told: set[int] | None = set()

    def add(self, item: Item) -> None:
        self.look(item.number)

    def look(self, number: int | None) -> None:
        if number is not None and number in self._known:
            return
        if not self._reading:
            self._behind = True
            if number is not None:
                self._lowest = min(self._lowest, number)
        elif number is None:
            self._told = None
        elif self._told is not None:
            self._told.add(number)
            if len(self._told) > MAX_READY:
                self._lowest = min(self._lowest, *self._told)
                self._told = None

    def _have_read(self, page: Sequence[QueuedParcel]) -> None:
        if self._closed:
            return
        for each in page:
            self._known[each.id] = None
        while len(self._known) > MAX_READY:
            del self._known[next(iter(self._known))]
        self._reading = False
        told, self._told = self._told, set()
        lowest = self._lowest
        self._behind = len(page) >= PAGE
        self._take(page)
        self._lowest = math.inf if told is not None else lowest
        for number in told or ():
            self.look(number)
        if told is None:
            self._behind = True
        self._filled()
