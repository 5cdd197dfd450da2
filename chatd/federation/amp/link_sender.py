"""Sends the parcels that wait for one realm over one link, and settles them by the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from twisted.internet.interfaces import IReactorTime

from chatd.base.background import in_background
from chatd.base.errors import AccountMoved, ChatError, NotSupportedThere, PeerFailed, RealmDown
from chatd.base.isolation import guarded
from chatd.base.names import printable
from chatd.federation.amp import wire
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.send_queue import Item, SendQueue, SharedSendQueue
from chatd.federation.amp.wire import Refused
from chatd.federation.capabilities import check_fits
from chatd.federation.guest_lists import GuestLists
from chatd.federation.outbox import Outbox
from chatd.federation.outcome_waiters import OutcomeWaiters
from chatd.federation.outcomes import DeliveredParcel, Outcomes
from chatd.federation.parcels import KEPT, Verdict
from chatd.federation.refusals import refusal, verdict_of
from chatd.federation.restores import Restores
from chatd.service.remote import DELIVERED, QUEUED, DeliveryOutcome
from chatd.store.outcomes import Acknowledged, SentEntry
from chatd.store.versions import states_of

WINDOW = 16  # batches under way
MAX_FAILURES = 3  # times that a parcel may make the other realm fail
OVERHEAD = 16  # bytes at most that a parcel takes in a batch beside its own


class Suspects:
    """The parcels that made the other realm fail. They outlive a link, because the failure may end it."""

    def __init__(self) -> None:
        self.failures: dict[int, int] = {}  # by the number of the parcel
        self.unanswered = 0  # links in a row that ended because a delivery got no answer
        # Parcels that are still to be sent one by one, to find out which one fails
        self._singly = 0

    def failed(self, number: int) -> bool:
        """Count a failure of a parcel. Returns whether it has failed too often."""
        self.failures[number] = self.failures.get(number, 0) + 1
        return self.failures[number] >= MAX_FAILURES

    def clear(self, items: Iterable[Item]) -> None:
        """Forget the failures of parcels that were answered."""
        for item in items:
            self.failures.pop(item.number, None)

    def search(self, count: int) -> None:
        """Send the next `count` parcels one by one."""
        self._singly = max(self._singly, count)

    def batch_limit(self) -> int:
        """How many parcels the next batch may hold."""
        return 1 if self._singly else wire.MAX_BATCH

    def batch_sent(self) -> None:
        self._singly = max(0, self._singly - 1)


class Destination(msgspec.Struct, frozen=True):
    """What sending to one realm needs, over whichever link. `realm` is its key, and `name` returns its name
    for errors."""

    realm: str
    name: Callable[[], str]
    clock: IReactorTime
    outbox: Outbox
    outcomes: Outcomes
    waiters: OutcomeWaiters
    suspects: Suspects
    restores: Restores
    guests: GuestLists


class LinkSender:
    """Sends over `link` until `close` is called. A parcel leaves the outbox when the other realm has accepted
    or refused it, so what is not answered is sent again over the next link."""

    def __init__(self, to: Destination, link: PeerLink) -> None:
        self._to = to
        self._link = link
        queue = SharedSendQueue if to.outbox.is_shared else SendQueue
        self._queue: SendQueue = queue(to.realm, to.outbox, self._pump, link.abort)
        self._flying = 0  # batches under way
        self._waking = False
        self._closed = False

    def start(self) -> None:
        self._pump()

    def close(self) -> None:
        """The link is gone."""
        self._closed = True
        self._queue.close()

    def add(
        self, number: int, parcel: bytes, file: int | None, entry: SentEntry | None = None
    ) -> None:
        """Send a parcel that was committed, together with the others of this turn of the reactor. `entry` is
        the message that it carries, if an account here has sent it."""
        sender = None if entry is None else entry.account_id
        self._queue.add(Item(number, parcel, file, sender, entry))
        self._pump_soon()

    def look(self, number: int | None) -> None:
        """Another node has stored the parcel with that number, or may have stored some."""
        self._queue.look(number)
        self._pump_soon()

    def _pump_soon(self) -> None:
        if not self._waking:
            self._waking = True
            self._to.clock.callLater(0, self._wake)

    def blanked(self, number: int, parcel: bytes) -> None:
        """A parcel has lost its content. If it is on its way, the deletion follows."""
        self._queue.blanked(number, parcel)

    def _wake(self) -> None:
        self._waking = False
        self._pump()

    # Batches

    def _pump(self) -> None:
        while not self._closed and self._flying < WINDOW:
            batch = self._next_batch()
            if not batch:
                break
            self._flying += 1
            in_background("a delivery failed", self._send(batch))
        if not self._closed:
            self._queue.fill()

    def _next_batch(self) -> list[Item]:
        """Take the next batch from the queue."""
        batch: list[Item] = []
        ready = self._queue.ready
        if not ready:
            return batch
        size = 0
        limit = self._to.suspects.batch_limit()
        while ready and len(batch) < limit:
            item = ready[0]
            size += len(item.parcel) + OVERHEAD
            if batch and size > wire.MAX_BATCH_BYTES:
                break
            ready.popleft()
            if self._link.other.lacks and not self._fits(item):
                size -= len(item.parcel) + OVERHEAD
                continue
            batch.append(item)
        if batch:
            self._to.suspects.batch_sent()
        return batch

    async def _send(self, batch: Sequence[Item]) -> None:
        try:
            seal, realm = self._to.restores.seals.add, self._to.realm
            verdicts = await self._link.deliver(
                [(item.number, seal(item.number, item.parcel, realm)) for item in batch]
            )
        except RealmDown:
            if not self._closed and self._link.transport is not None:
                self.close()  # the other batches under way have no answer, either
                self._to.suspects.unanswered += 1
            self._link.abort()
            return
        except Refused as refused:
            if not self._closed:
                self._batch_failed(batch, refused)
            return
        if self._closed:
            return
        self._flying -= 1
        self._to.suspects.unanswered = 0
        if verdicts is not None and any(each.code or each.details for each in verdicts):
            for item, verdict in zip(batch, verdicts, strict=True):
                self._settle(item, verdict)
        else:
            self._delivered(batch, verdicts)
        self._pump()

    def _fits(self, item: Item) -> bool:
        """Whether the other realm takes the parcel. If not, its sender is told."""
        to = self._to
        try:
            check_fits(item.parcel, self._link.other.lacks, to.name())
        except NotSupportedThere as error:
            self._refused(item, error)
            return False
        return True

    def _batch_failed(self, batch: Sequence[Item], refused: Refused) -> None:
        """The other realm kept nothing of a batch. If its disk is not the reason, one of the parcels is."""
        to = self._to
        if refused.code == wire.INTERNAL:
            if len(batch) == 1 and to.suspects.failed(batch[0].number):
                self._refused(batch[0], PeerFailed(realm=to.name()))
            to.suspects.search(len(batch) * WINDOW)
        self._link.warn(f"{to.realm} can't take it: {printable(refused.code)}")
        self._link.abort()

    # Outcomes

    def _delivered(self, batch: Sequence[Item], verdicts: Sequence[Verdict] | None = None) -> None:
        """The other realm has kept the whole batch. `verdicts` may have numbers that it has given."""
        to = self._to
        numbers = [item.number for item in batch]
        if to.outcomes.heard:
            self._tell_delivered(batch, verdicts or [KEPT] * len(batch))
        self._acknowledged(batch)
        if verdicts is not None:
            for item, verdict in zip(batch, verdicts, strict=True):
                self._numbered(item, verdict.seq)
        elif files := [item.number for item in batch if item.file is not None]:
            to.waiters.hold(files, DELIVERED)
            to.waiters.settle([number for number in numbers if number not in files], DELIVERED)
        else:
            to.waiters.settle(numbers, DELIVERED)
        if to.suspects.failures:
            to.suspects.clear(batch)

    def _acknowledged(self, batch: Sequence[Item]) -> None:
        to = self._to
        numbers = [item.number for item in batch]
        entries = [item.entry for item in batch if item.entry is not None]
        states = states_of((entry.conversation, entry.seq) for entry in entries if entry.seq)
        # Those that were read from the disk
        unknown = [item.number for item in batch if item.entry is None and item.sender_id]
        to.restores.standings.acknowledged(to.realm, numbers)
        to.outbox.done(to.realm, Acknowledged(numbers, states, unknown))

    def _tell_delivered(self, batch: Sequence[Item], verdicts: Sequence[Verdict]) -> None:
        """Tell the senders that do not wait for their replies."""
        self._to.outcomes.delivered(
            [
                DeliveredParcel(item.number, item.sender_id, item.entry, verdict.seq)
                for item, verdict in zip(batch, verdicts, strict=True)
                if item.sender_id is not None and item.number not in self._to.waiters
            ]
        )

    def _settle(self, item: Item, verdict: Verdict) -> None:
        to = self._to
        if to.suspects.failures:
            to.suspects.clear((item,))
        if verdict.code == AccountMoved.code:
            in_background("a message was not sent to a new address", self._moved(item, verdict))
            return
        if verdict.code:
            self._refused(item, refusal(verdict, to.name()))
            return
        if verdict.is_request and item.file is None:
            in_background("a sender was not told", self._requested(item))
            return
        if to.outcomes.heard:
            self._tell_delivered((item,), (verdict,))
        self._acknowledged((item,))
        self._numbered(item, verdict.seq)

    def _numbered(self, item: Item, seq: int) -> None:
        """The home of a group has given `seq` to a message of an account here; 0: it gave none."""
        to, entry = self._to, item.entry
        # A member's message comes back, and has its number then.
        is_post = seq and item.sender_id is not None
        if is_post and (entry is None or not entry.conversation):
            to.outcomes.numbered(item.number, seq)
        if item.number in to.waiters:
            settle = to.waiters.settle if item.file is None else to.waiters.hold
            settle((item.number,), DeliveryOutcome(seq=seq))

    async def _requested(self, item: Item) -> None:
        """A message waits until its recipient accepts it. If that can't be kept, the message is sent again
        over the next link, and gets the same answer."""
        to, number = self._to, item.number
        if await to.outcomes.requested(to.realm, number, waits=number in to.waiters):
            self._acknowledged((item,))
            to.waiters.settle((number,), DeliveryOutcome(requested=True))
        else:
            self._delivered((item,))

    async def _moved(self, item: Item, verdict: Verdict) -> None:
        """The recipient has moved: the message goes to the new address. If that can't be stored, it is sent
        again over the next link, and gets the same answer."""
        to, number = self._to, item.number
        error = await to.outcomes.moved(to.realm, number, verdict.details.get("proof"))
        if error is not None:
            self._refused(item, error)
        elif (waiter := to.waiters.claim(number)) is not None:
            guarded("a sender was not told", waiter, QUEUED)

    def _refused(self, item: Item, error: ChatError) -> None:
        """A parcel will not be delivered: keep that, and tell its sender."""
        in_background("a sender was not told", self._refuse(item, error))

    async def _refuse(self, item: Item, error: ChatError) -> None:
        to, number = self._to, item.number
        # From now on, the sender waits for this, also if the link ends. Otherwise they would be told that the
        # message is queued, and then nothing.
        waiter, outcome = to.waiters.claim(number), QUEUED
        waits, fresh = waiter is not None, item.entry is not None
        try:
            if await to.outcomes.refuse(to.realm, number, error, waits=waits, fresh=fresh):
                # An error of this realm's own disk, say, is only told as the failure of the other realm.
                outcome = DeliveryOutcome(refusal(verdict_of(error), to.name()))
        finally:
            if waiter is not None:
                guarded("a sender was not told", waiter, outcome)
