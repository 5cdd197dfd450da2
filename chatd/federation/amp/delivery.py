"""Passes the parcels for one realm to the sender of its current link, whenever it has a link."""

from __future__ import annotations

from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.background import EXPECTED, in_background
from chatd.base.errors import RealmDown, StorageFailed
from chatd.base.throttle import TokenBucket
from chatd.base.timers import Timer
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.link_sender import Destination, LinkSender
from chatd.federation.amp.return_link import ReturnLink
from chatd.federation.amp.wire import Refused
from chatd.federation.capabilities import GUESTS
from chatd.federation.outcome_waiters import OutcomeWaiters
from chatd.service.remote import QUEUED, OnOutcome
from chatd.store.outcomes import SentEntry

# A realm may claim a loss over each new link, and this realm then searches all that it has sent. So after
# `BURST` restores there are `EVERY` seconds between them.
BURST = 10
EVERY = 10.0
AGAIN = 5.0  # seconds until members are compared, if they could not be

log = Logger()


class Delivery:
    """Without a link, parcels stay in the outbox, from which the next link sends them."""

    def __init__(self, to: Destination) -> None:
        self._to = to
        self._sender: LinkSender | None = None
        self._link: PeerLink | None = None  # which this realm sends over
        self._restores = TokenBucket(1 / EVERY, BURST)
        self._waiting = Timer(to.clock, self._restore)
        # Whether to compare who is in groups, because one of the realms may have been restored
        self._is_in_doubt = False
        self._comparing = Timer(to.clock, self._compare)

    @property
    def unanswered(self) -> int:
        """How many links in a row ended because a delivery got no answer."""
        return self._to.suspects.unanswered

    def dispatch(
        self,
        number: int,
        parcel: bytes,
        file: int | None,
        entry: SentEntry | None,
        on_outcome: OnOutcome,
        soon: bool = False,
    ) -> None:
        """Send a parcel. `on_outcome` is called with its outcome, or with QUEUED if there is none soon. With
        `soon`, a link is expected in a moment."""
        if self._link is None and not soon:
            on_outcome(QUEUED)
            return
        self._to.waiters.add(number, on_outcome)
        # Without a sender, what the other realm has lost is sent first, and then the outbox.
        if self._sender is not None:
            self._sender.add(number, parcel, file, entry)

    def post(
        self, number: int, parcel: bytes, file: int | None, entry: SentEntry | None = None
    ) -> bool:
        """Send a parcel without waiting for the outcome. Returns whether it is sent now, and not only after
        what the other realm has lost, or over the next link."""
        if self._sender is None:
            return False
        self._sender.add(number, parcel, file, entry)
        return True

    def dispatch_elsewhere(self, number: int, on_outcome: OnOutcome, soon: bool) -> None:
        """As `dispatch`, for a parcel that another node of this realm has stored."""
        if self._link is None and not soon:
            on_outcome(QUEUED)
            return
        self._to.waiters.add(number, on_outcome)
        self.look(number)

    def look(self, number: int | None = None) -> None:
        """Another node of this realm has stored the parcel with that number, or may have stored some."""
        if self._sender is not None:
            self._sender.look(number)

    @property
    def waiters(self) -> OutcomeWaiters:
        return self._to.waiters

    def blanked(self, number: int, parcel: bytes) -> None:
        """A parcel has lost its content."""
        if self._sender is not None:
            self._sender.blanked(number, parcel)

    def file_taken(self, number: int) -> None:
        """The realm has the file of this parcel."""
        self._to.waiters.file_taken(number)

    def link_up(self, link: PeerLink) -> None:
        """Send everything that waits over `link`: first what the other realm has lost since a backup."""
        self._end()
        self._link = link
        if self._to.guests.is_needed(self._to.realm, link.other.standing):
            self._is_in_doubt = True
        if not self._to.restores.is_needed(self._to.realm, link.other.standing):
            self._start(link)
            return
        pause = self._restores.take(self._to.clock.seconds())
        self._restores.forgive(EVERY)
        if pause:
            self._waiting.start(pause)
        else:
            self._restore()

    def _restore(self) -> None:
        """Send what the other realm has lost, and then what waits."""
        link = self._link
        assert link is not None  # noqa: S101 - the timer ends with the link
        restoring = Deferred.fromCoroutine(self._send_lost(link))
        restoring.addErrback(self._restore_failed, link)

    async def _send_lost(self, link: PeerLink) -> None:
        to = self._to
        assert link.other.standing is not None  # noqa: S101 - else no restore is needed
        has_lost = False
        try:
            await to.outbox.tidy()  # what was delivered does not wait any more
            has_lost = await to.restores.run(ReturnLink(link), to.realm, link.other.standing)
        except (RealmDown, *EXPECTED):
            link.abort()
            return
        except Refused as refused:
            if refused.code == StorageFailed.code:
                link.abort()
                return
        self._start(link)
        if has_lost:
            in_background("read marks were not told again", to.restores.tell_marks(to.realm))

    def _restore_failed(self, failure: Failure, link: PeerLink) -> None:
        """A bug in a restore does not hold up what waits."""
        log.failure("a restore failed", failure)
        self._start(link)

    def _start(self, link: PeerLink) -> None:
        if self._link is link:
            self._sender = LinkSender(self._to, link)
            self._sender.start()
            if self._is_in_doubt:
                self._compare()

    def _compare(self) -> None:
        link = self._link
        assert link is not None  # noqa: S101 - the timer ends with the link
        in_background("members were not compared", self._compare_over(link))

    async def _compare_over(self, link: PeerLink) -> None:
        """Compare who is in groups. If that is not possible now, it is done later, or over the next link."""
        to = self._to
        with suppress(RealmDown, Refused, StorageFailed):
            if GUESTS in link.other.lacks or await to.guests.compare(ReturnLink(link), to.realm):
                self._is_in_doubt = False
        if self._is_in_doubt and self._link is link:
            self._comparing.start(AGAIN)

    def link_down(self) -> None:
        """Tell waiting senders that their parcels are queued. The next link sends what was not answered."""
        self._end()
        self._to.waiters.give_up()

    def not_linked(self) -> None:
        """The realm could not be dialled: tell waiting senders that their parcels are queued."""
        if self._link is None:
            self._to.waiters.give_up()

    def _end(self) -> None:
        sender, self._sender, self._link = self._sender, None, None
        self._waiting.cancel()
        self._comparing.cancel()
        if sender is not None:
            sender.close()
            self._to.outcomes.link_down(self._to.realm)
