"""Messages to groups of other realms that are on their way to their home and back.

The home of a group numbers a message and sends it back, as it was signed here. A message that comes back
unchanged needs no second check, because all of it is in memory. Others are read as any entry is.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from chatd.base.events import Event, StateChange
from chatd.base.model import Message
from chatd.base.timers import Timer
from chatd.federation.outcome_waiters import OutcomeWaiters
from chatd.federation.parcels import Relay
from chatd.federation.signing.drafts import EntryDraft
from chatd.service.presence import IListener
from chatd.service.remote import DeliveryOutcome, OnOutcome
from chatd.store.new_entries import NewMessage

# Posts that are remembered, and the bytes of their parcels. Those beyond are read as any entry when they come
# back.
MAX_POSTS = 10_000
MAX_BYTES = 16 << 20
# Seconds for which the connections are known, at least, whose messages have come back to another node
KNOWN_FOR = 5.0


class ReturningPost:
    """One message, and the number of its parcel. `draft` is signed. `origin` is the connection that waits for
    it, if there is one."""

    __slots__ = ("_on_outcome", "draft", "new", "number", "origin", "size")

    def __init__(
        self,
        new: NewMessage,
        number: int,
        draft: EntryDraft,
        origin: IListener | None,
        on_outcome: OnOutcome | None,
    ) -> None:
        self._on_outcome = on_outcome
        self.new = new
        self.number = number
        self.draft = draft
        self.size = len(draft.parcel)
        self.origin = origin

    @property
    def waits(self) -> bool:
        """Whether its sender waits for it."""
        return self._on_outcome is not None

    def tell(self, outcome: DeliveryOutcome) -> None:
        """Tell its sender, if that was not done before."""
        on_outcome, self._on_outcome, self.origin = self._on_outcome, None, None
        if on_outcome is not None:
            on_outcome(outcome)


class ReturningPosts:
    """Those that members of groups elsewhere have sent, oldest first. A sender who waits is told once: when
    the message has come back and is stored, was refused, or neither happens in time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._by_statement: dict[bytes, ReturningPost] = {}
        self._by_number: dict[int, ReturningPost] = {}
        self._size = 0  # of their parcels
        self._waiters = OutcomeWaiters(clock)
        # Told of a message that has come back and is not here, by number and the place in its conversation:
        # another node of this realm has sent it
        self.on_elsewhere: Callable[[int, int, int], object] = lambda *_: None
        # The connections whose messages have come back to another node, by conversation and seq, and until
        # when they are known
        self._origins: dict[tuple[int, int], tuple[IListener, float]] = {}
        self._clock = clock
        self._forgetting = Timer(clock, self._forget_origins)

    def add(self, post: ReturningPost) -> None:
        """Note a message that is stored here, before it is sent."""
        self._size += post.size
        while self._by_number and (len(self._by_number) >= MAX_POSTS or self._size > MAX_BYTES):
            self._forget(next(iter(self._by_number.values())))
        self._by_statement[post.draft.sealed.statement] = post
        self._by_number[post.number] = post

    def _forget(self, post: ReturningPost) -> None:
        del self._by_statement[post.draft.sealed.statement]
        del self._by_number[post.number]
        self._size -= post.size

    def delivered(self, post: ReturningPost, outcome: DeliveryOutcome) -> None:
        """The home has answered, or has not in time."""
        if outcome.error is not None and post.number in self._by_number:
            self._forget(post)
        if outcome.error is not None or outcome.queued or post.number not in self._by_number:
            post.tell(outcome)
        elif post.waits:
            # It may not come back in time; then its number is known nevertheless.
            self._waiters.add(post.number, lambda back: post.tell(outcome if back.queued else back))

    def returned(self, number: int, conversation: int, seq: int) -> None:
        """The message of that parcel has come back, and is stored."""
        if number in self._by_number:
            self._returned(number, seq)
        else:
            self.on_elsewhere(number, conversation, seq)

    def returned_elsewhere(self, number: int, conversation: int, seq: int) -> None:
        """As `returned`, for a message that has come back to another node of this realm. That node tells all
        listeners of it."""
        if (origin := self.origin_of(number)) is not None:
            self._origins[conversation, seq] = origin, self._clock.seconds() + KNOWN_FOR
            self._forgetting.start(KNOWN_FOR)
        self._returned(number, seq)

    def _forget_origins(self) -> None:
        now = self._clock.seconds()
        self._origins = {place: each for place, each in self._origins.items() if each[1] > now}
        if self._origins:
            self._forgetting.start(KNOWN_FOR)

    def origin_of_event(self, event: Event) -> IListener | None:
        """The connection here that has sent the message that an event of another node is about, if that has
        come back to it a moment ago."""
        if self._origins and isinstance(event, Message | StateChange):
            known = self._origins.get((event.conversation, event.seq))
            return None if known is None else known[0]
        return None

    def _returned(self, number: int, seq: int) -> None:
        post = self._by_number.get(number)
        if post is None:
            return
        self._forget(post)
        outcome = DeliveryOutcome(seq=seq)
        self._waiters.settle((number,), outcome)
        post.tell(outcome)

    def stop(self) -> None:
        """Tell the waiting senders that their messages have not come back in time."""
        self._waiters.give_up()
        self._forgetting.cancel()

    def origin_of(self, number: int) -> IListener | None:
        """The connection that waits for the message of that parcel to come back."""
        post = self._by_number.get(number)
        return None if post is None else post.origin

    def __contains__(self, statement: bytes) -> bool:
        """Whether the message with this statement is on its way."""
        return statement in self._by_statement

    def find(self, relay: Relay) -> ReturningPost | None:
        """The message that `relay` brings back, if its entry is exactly as it was signed here."""
        post = self._by_statement.get(relay.entry.statement)
        return None if post is None or post.draft.sealed != relay.entry else post
