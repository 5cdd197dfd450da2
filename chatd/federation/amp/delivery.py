"""From the outbox over a link, in order, until the other realm has it.

Where the two realms keep up with each other, a parcel never comes back from the disk: what was committed is
handed over here (`post`) and goes with the next batch. When a link comes up, or more is waiting than ought to
be in memory, the disk is read from its beginning on. Either way a parcel leaves the outbox only when the
other realm has said what became of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.errors import ChatError, PeerFailed, RealmDown
from chatd.base.names import printable
from chatd.federation import parcels
from chatd.federation.amp import wire
from chatd.federation.amp.file_sender import FileSender
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.verdict_waiters import VerdictWaiters
from chatd.federation.amp.wire import Refused
from chatd.federation.bounces import Bounces
from chatd.federation.outbox import Outbox
from chatd.federation.parcels import INCOMPLETE, Verdict
from chatd.federation.refusals import refusal, verdict_of
from chatd.service.remote import DELIVERED, QUEUED, DeliveryOutcome, OnOutcome
from chatd.store.outbox import Waiting

WINDOW = 16  # batches under way
MAX_READY = 5000  # parcels in memory; beyond that they are read from the disk when it is their turn
PAGE = 1000
MAX_HELD = 1000  # parcels that wait for a file that has to go first
FILE_PAUSE = 30.0  # seconds until a file is offered again that there was no room for
MAX_FAILURES = 3  # times that a parcel may make the other realm fail

log = Logger()


class Item(msgspec.Struct):
    """A parcel to be sent. `file` is the id of the attachment whose bytes have to go first; once they have,
    `lane` says what waits behind it."""

    number: int
    parcel: bytes
    file: int | None = None
    lane: tuple[str, str] | None = None


class Delivery:
    """To one realm. `name` gives its name for sentences; `failed` is called when the link is of no use."""

    def __init__(
        self,
        realm: str,
        clock: Any,
        outbox: Outbox,
        bounces: Bounces,
        transfers: FileSender,
        name: Callable[[], str],
    ) -> None:
        self._realm = realm
        self._clock = clock
        self._outbox = outbox
        self._bounces = bounces
        self._transfers = transfers
        self._name = name
        self._link: PeerLink | None = None
        self._waiters = VerdictWaiters(clock)
        # Parcels that failed, and how often; and how many are to be sent one by one, to find out which.
        self._failures: dict[int, int] = {}
        self._singly = 0
        self._start()

    def _start(self) -> None:
        """As if nothing had been sent."""
        self._ready: deque[Item] = deque()
        # What was committed since the disk began to be read; None if it was too much.
        self._fresh: deque[Item] | None = deque()
        self._behind = True
        self._reading = False
        self._cursor = 0
        self._flying = 0
        self._held: dict[tuple[str, str], deque[Item]] = {}
        # By file that is on its way: the parcels that wait for it, too.
        self._moving: dict[int, deque[tuple[tuple[str, str], Item]]] = {}
        self._holding = 0  # parcels in it, those that wait for their own file included
        self._waking = False

    # What is to be delivered

    def dispatch(self, number: int, parcel: bytes, file: int | None, on_outcome: OnOutcome) -> None:
        """Deliver a parcel. `on_outcome` is called with its outcome, or with QUEUED if there is none soon."""
        if self._link is None:
            on_outcome(QUEUED)
            return
        self._waiters.add(number, on_outcome)
        self.post(number, parcel, file)

    def post(self, number: int, parcel: bytes, file: int | None) -> None:
        """Deliver a parcel that is on disk."""
        if self._link is None:
            return  # when there is a link, all that is on disk goes
        item = Item(number, parcel, file)
        if self._behind:
            if self._fresh is not None:
                self._fresh.append(item)
                if len(self._fresh) > MAX_READY:
                    self._fresh = None
        elif len(self._ready) < MAX_READY and number > self._cursor:
            self._cursor = number
            self._ready.append(item)
        else:
            self._behind = True  # it is on disk, and its turn will come
            self._cursor = min(self._cursor, number - 1)
            self._fresh = deque()
        self._wake()

    def _wake(self) -> None:
        if not self._waking:
            # Whatever else this turn brings goes into the same batch.
            self._waking = True
            self._clock.callLater(0, self._woken)

    def _woken(self) -> None:
        self._waking = False
        self._pump()

    # The link

    def link_up(self, link: PeerLink) -> None:
        """Send all that waits over `link`."""
        self._start()
        self._link = link
        self._pump()

    def link_down(self) -> None:
        """Send what was under way over the next link, and tell senders not to wait for it."""
        self._link = None
        self._start()
        self._waiters.tell_all_unknown()

    # Sending

    def _pump(self) -> None:
        link = self._link
        while link is not None and link is self._link and self._flying < WINDOW:
            batch = self._next_batch(link)
            if batch:
                self._flying += 1
                sending = Deferred.fromCoroutine(self._send(link, batch))
                sending.addErrback(lambda failure: log.failure("a delivery failed", failure))
            else:
                break
        if link is not None and self._behind and not self._ready and not self._reading:
            self._read(link)

    def _next_batch(self, link: PeerLink) -> list[Item]:
        """What goes next; what has to wait for a file is set aside."""
        batch: list[Item] = []
        size = 0
        most = 1 if self._singly else wire.MAX_BATCH
        ready = self._ready
        while ready and len(batch) < most and self._holding < MAX_HELD:
            item = ready[0]
            size += len(item.parcel) + 16
            if batch and size > wire.MAX_BATCH_BYTES:
                break
            ready.popleft()
            if (item.file is not None or self._held) and self._hold(link, item):
                size -= len(item.parcel) + 16
                continue
            batch.append(item)
        if batch and self._singly:
            self._singly -= 1
        return batch

    def _hold(self, link: PeerLink, item: Item) -> bool:
        """Whether `item` has to wait: for its own file, or for one that goes before it."""
        if item.lane is not None:
            return False
        parcel = parcels.decode(item.parcel)
        lane = parcels.order_of(parcel)
        if lane in self._held:
            self._held[lane].append(item)
            self._holding += 1
            return True
        if item.file is None or _is_echo(parcel, self._realm):
            return False
        self._held[lane] = deque()
        self._holding += 1
        self._clock.callLater(0, self._transfer, link, lane, item)
        return True

    def _transfer(self, link: PeerLink, lane: tuple[str, str], item: Item) -> None:
        if link is not self._link or item.file is None:
            return
        waiting = self._moving.get(item.file)
        if waiting is not None:
            waiting.append((lane, item))  # its bytes are on their way to somebody else there
            return
        self._moving[item.file] = deque()
        self._move(link, lane, item)

    def _move(self, link: PeerLink, lane: tuple[str, str], item: Item) -> None:
        if link is not self._link or item.file is None:
            return
        sent = Deferred.fromCoroutine(
            self._transfers.send(link, item.number, item.parcel, item.file)
        )
        sent.addCallbacks(
            self._transferred, self._not_transferred, (link, lane, item), {}, (link, lane, item)
        )
        sent.addErrback(lambda failure: log.failure("a file was not delivered", failure))

    def _transferred(
        self, _result: object, link: PeerLink, lane: tuple[str, str], item: Item
    ) -> None:
        """The bytes are there: now the message. What waits behind it goes when that is there, too."""
        if link is self._link:
            item.lane = lane
            self._ready.appendleft(item)
            self._pump()

    def _not_transferred(
        self, failure: Any, link: PeerLink, lane: tuple[str, str], item: Item
    ) -> None:
        if link is not self._link:
            return
        error = failure.value
        if isinstance(error, RealmDown):
            link.abort()  # it did not answer: all begins anew
            return
        if isinstance(error, Refused):
            # No room there, say: this file waits, and what comes behind it; all else goes on.
            if error.code == "storage-failed" or (
                error.code == wire.INTERNAL and not self._fails_too_often(item.number)
            ):
                self._clock.callLater(FILE_PAUSE, self._move, link, lane, item)
                return
            error = refusal(Verdict(error.code, error.details), self._name())
        elif not isinstance(error, ChatError):
            log.failure("a file can't be sent to {realm}", failure, realm=self._realm)
            error = PeerFailed(realm=self._name())
        self._refused(item.number, error)
        self._let_go(link, lane, item)
        self._pump()

    def _let_go(self, link: PeerLink, lane: tuple[str, str], item: Item) -> None:
        """A message with a file is through: now what waited behind it, and who else gets the file."""
        held = self._held.pop(lane)
        self._holding -= len(held) + 1
        self._ready.extendleft(reversed(held))
        assert item.file is not None  # noqa: S101 - that is what it was about
        waiting = self._moving.pop(item.file)
        if waiting:
            self._moving[item.file] = waiting
            self._move(link, *waiting.popleft())

    async def _send(self, link: PeerLink, batch: Sequence[Item]) -> None:
        try:
            verdicts = await link.deliver([(item.number, item.parcel) for item in batch])
        except RealmDown:
            link.abort()
            return
        except Refused as refused:
            if link is self._link:
                self._batch_failed(link, batch, refused)
            return
        if link is not self._link:
            return  # they will be sent again
        self._flying -= 1
        if verdicts is None:
            self._kept(link, batch)
        else:
            for item, verdict in zip(batch, verdicts, strict=True):
                self._judged(link, item, verdict)
        self._pump()

    def _kept(self, link: PeerLink, batch: Sequence[Item]) -> None:
        """The other realm has all of it."""
        numbers = [item.number for item in batch]
        self._outbox.done(self._realm, numbers)
        self._waiters.tell(numbers, DELIVERED)
        if self._failures:
            for item in batch:
                self._failures.pop(item.number, None)
        if self._held:
            for item in batch:
                if item.lane is not None:
                    self._let_go(link, item.lane, item)

    def _judged(self, link: PeerLink, item: Item, verdict: Verdict) -> None:
        if verdict.code == INCOMPLETE.code:
            self._file_missing(link, item)
            return
        if self._failures:
            self._failures.pop(item.number, None)
        if item.lane is not None:
            self._let_go(link, item.lane, item)
        if not verdict.code:
            self._outbox.done(self._realm, (item.number,))
            self._waiters.tell((item.number,), DeliveryOutcome(seq=verdict.seq))
            return
        self._refused(item.number, refusal(verdict, self._name()))

    def _refused(self, number: int, error: ChatError) -> None:
        """It won't be delivered: tell the sender."""
        if number in self._waiters:
            self._outbox.done(self._realm, (number,))
            # An error of this realm's own disk, say, is only told as the failure of the other realm.
            error = refusal(verdict_of(error), self._name())
            self._waiters.tell((number,), DeliveryOutcome(error))
            return
        told = Deferred.fromCoroutine(self._bounces.refuse(self._realm, number, error))
        told.addErrback(lambda failure: log.failure("a sender was not told", failure))

    def _file_missing(self, link: PeerLink, item: Item) -> None:
        """The other realm has lost what it had of the file: begin again, but not for ever."""
        if self._fails_too_often(item.number):
            if item.lane is not None:
                self._let_go(link, item.lane, item)
            self._refused(item.number, PeerFailed(realm=self._name()))
            return
        if item.lane is not None and item.file is not None:
            lane, item.lane = item.lane, None
            self._move(link, lane, item)
            return
        reading = self._outbox.get(self._realm, item.number)
        reading.addCallback(self._again, link)
        reading.addErrback(lambda failure: log.failure("a parcel was not found", failure))

    def _again(self, waiting: Waiting | None, link: PeerLink) -> None:
        if waiting is not None and link is self._link:
            self._ready.appendleft(Item(waiting.id, waiting.parcel, waiting.attachment_id))
            self._pump()

    def _batch_failed(self, link: PeerLink, batch: Sequence[Item], refused: Refused) -> None:
        """Nothing of a batch was kept. If that was not the disk, one of its parcels is to blame."""
        if refused.code == wire.INTERNAL:
            if len(batch) == 1 and self._fails_too_often(batch[0].number):
                self._refused(batch[0].number, PeerFailed(realm=self._name()))
            self._singly = max(self._singly, len(batch) * WINDOW)
        link.warn(f"{self._realm} can't take it: {printable(refused.code)}")
        link.abort()

    def _fails_too_often(self, number: int) -> bool:
        self._failures[number] = self._failures.get(number, 0) + 1
        return self._failures[number] >= MAX_FAILURES

    # From the disk

    def _read(self, link: PeerLink) -> None:
        self._reading = True
        self._fresh = deque()
        self._outbox.tidy()
        reading = self._outbox.waiting(self._realm, self._cursor, PAGE)
        reading.addCallback(self._have_read, link)
        reading.addErrback(self._not_read, link)

    def _have_read(self, page: Sequence[Waiting], link: PeerLink) -> None:
        if link is not self._link:
            return
        self._reading = False
        for each in page:
            self._ready.append(Item(each.id, each.parcel, each.attachment_id))
        if page:
            self._cursor = page[-1].id
        if len(page) < PAGE and self._fresh is not None:
            fresh, self._fresh = self._fresh, deque()
            self._behind = False
            for item in fresh:
                if item.number > self._cursor:
                    self._cursor = item.number
                    self._ready.append(item)
        self._pump()

    def _not_read(self, failure: Any, link: PeerLink) -> None:
        log.failure("the outbox can't be read", failure)
        link.abort()


def _is_echo(parcel: parcels.Parcel, realm: str) -> bool:
    """Whether the message comes back to the realm of its sender, who has the file."""
    return isinstance(parcel, parcels.Relay) and parcel.sender.casefold().endswith(f"@{realm}")
