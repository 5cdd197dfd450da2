"""Sending messages to other realms. Their senders may wait for the outcome."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.entries import NO_PARTS, SentParts
from chatd.base.events import StateChange
from chatd.base.model import DELIVERED, QUEUED, REQUESTED, Account, Receipt, Sent
from chatd.service.context import Context
from chatd.service.fan_out import FanOut
from chatd.service.idempotent_sends import Sends, name_for
from chatd.service.message_parts import MessageParts
from chatd.service.presence import IListener, Presence
from chatd.service.quotas import MessageQuotas
from chatd.service.remote import QUEUED as OUTCOME_QUEUED
from chatd.service.remote import DeliveryOutcome, IForwarder
from chatd.service.targets import Target
from chatd.service.text_sends import Then, unchanged
from chatd.store.idempotent_sends import NamedPost, RecordedSend, SendKey
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.outcomes import SentEntry
from chatd.store.pending import NewPost


class StoredPost(msgspec.Struct, frozen=True):
    """A message to a group of another realm that is on disk, and its place."""

    new: NewPost
    stored: Stored


class Sending:
    """A message on its way to the disk, then to another realm. `sent` fires once it is on disk, or if the
    sender waits, once the outcome is known, within seconds.

    The database calls `callback` or `errback`, as of a Deferred. There is one Deferred for the whole way,
    because Deferreds are most of what a message costs here.
    """

    __slots__ = (
        "_new",
        "_origin",
        "_sends",
        "_target",
        "_wait",
        "charge",
        "sender_id",
        "sent",
        "stored",
        "then",
    )

    # What was charged for it, and what makes of a Sent that with which `sent` fires: set by its maker
    charge: tuple[MessageQuotas, int] | None
    then: Then

    def __init__(
        self,
        sends: RemoteSends,
        new: NewMessage,
        target: Target,
        origin: IListener | None,
        wait: bool,
    ) -> None:
        self._sends = sends
        self._new = new
        self._target = target
        self._origin = origin
        self._wait = wait
        assert new.sender_id is not None  # noqa: S101 - only accounts here send to other realms
        self.sender_id = new.sender_id
        self.stored = False
        self.charge = None
        self.then = unchanged
        self.sent: Deferred[Any] = Deferred()

    def errback(self, failure: Failure | Exception) -> None:
        """It could not be stored."""
        if self.charge is not None:
            quotas, size = self.charge
            quotas.give_back(self.sender_id, size)
        self.sent.errback(failure)

    def _answer(self, receipt: Receipt) -> None:
        """The sender need not wait any more."""
        try:
            result = self.then(Sent((receipt,)))
        except Exception:
            self.sent.errback(Failure())
        else:
            self.sent.callback(result)


class RemoteSend(Sending):
    """A direct message."""

    __slots__ = ("_receipt", "file")

    file: Attachment | None  # of the message; set by its maker

    def callback(self, stored: Stored) -> None:
        """It is on disk, with its parcel."""
        self.stored = True
        sends, new, target, wait = self._sends, self._new, self._target, self._wait
        file = None if self.file is None else self.file.id
        try:
            receipt = sends.fan_out.tell(stored, new, target, self.file, self._origin)
            self._receipt = receipt
            entry = SentEntry(self.sender_id, new.conversation, stored.seq, stored.id)
            on_outcome = self._settled if wait and stored.realms else None
            # There is one realm; none if the recipient has moved to this one meanwhile.
            for realm in stored.realms:
                sends.forwarder.deliver(realm, stored, file, entry, on_outcome)
            wait = on_outcome is not None
        except Exception:
            self.sent.errback(Failure())  # the sender waits for it
            return
        if not wait:
            self._answer(receipt)

    def _settled(self, outcome: DeliveryOutcome) -> None:
        """The outcome is known while the sender waits, or is not known in time."""
        if outcome.error is not None:
            self.sent.errback(outcome.error)
            return
        receipt = self._receipt
        if not outcome.queued:
            state = REQUESTED if outcome.requested else DELIVERED
            self._sends.tell_delivered(self._new, receipt, self._origin, state)
            receipt = msgspec.structs.replace(receipt, state=state)
        self._answer(receipt)


class RemotePost(Sending):
    """A message to a group of another realm. The outcome is known once it has come back with its number."""

    __slots__ = ("_place", "_post")

    def __init__(
        self,
        sends: RemoteSends,
        post: NewPost,
        target: Target,
        origin: IListener | None,
        wait: bool,
    ) -> None:
        super().__init__(sends, post.new, target, origin, wait)
        self._post = post

    def callback(self, place: Stored) -> None:
        """It is on disk, with its parcel."""
        self.stored = True
        self._place = place
        sends, origin = self._sends, self._origin
        try:
            sends.tell_queued(self._new, place, origin)
            if self._wait:
                sends.forwarder.send_post(self._post, place, origin, self._settled)
            else:
                sends.forwarder.send_post(self._post, place)
        except Exception:
            self.sent.errback(Failure())  # the sender waits for it
            return
        if not self._wait:
            self._settled(OUTCOME_QUEUED)

    def _settled(self, outcome: DeliveryOutcome) -> None:
        """The outcome is known while the sender waits, or is not known in time."""
        if outcome.error is not None:
            self.sent.errback(outcome.error)
            return
        new, state = self._new, QUEUED if outcome.queued else DELIVERED
        ident, name = self._place.id, self._target.name
        self._answer(Receipt(new.conversation, outcome.seq, ident, name, state, new.at))


class RemoteSends:
    """Stores and delivers messages for other realms."""

    def __init__(
        self,
        context: Context,
        forwarder: IForwarder,
        sends: Sends,
        fan_out: FanOut,
        presence: Presence,
    ) -> None:
        self._database = context.database
        self._writers = context.writers
        self._sends = sends
        self._presence = presence
        self.forwarder = forwarder
        self.fan_out = fan_out

    # Direct messages

    def deliver(
        self,
        stored: Stored,
        new: NewMessage,
        target: Target,
        file: Attachment | None,
        origin: IListener | None,
        wait: bool,
    ) -> Deferred[Sent]:
        """Send a direct message that is on disk. With `wait`, fires once the outcome is known, within
        seconds, and errs with the reason if it was refused."""
        send = RemoteSend(self, new, target, origin, wait)
        send.file = file
        send.callback(stored)
        return send.sent

    def tell_delivered(
        self,
        new: NewMessage,
        receipt: Receipt,
        origin: IListener | None,
        state: str = DELIVERED,
    ) -> None:
        """Tell the sender's connections that a message is delivered, or a request, except `origin`, whose
        reply says so."""
        if self._presence.anyone_follows and new.sender_id is not None:
            event = StateChange(receipt.conversation, receipt.seq, receipt.id, state)
            self._presence.tell_followers((new.sender_id,), event, origin)

    # Messages to groups of other realms

    def new_post(
        self, sender: Account, target: Target, new: NewMessage, parts: MessageParts | None = None
    ) -> NewPost:
        """A message to a group elsewhere, for `PendingWriter.store`."""
        file, crossing = (None, NO_PARTS) if parts is None else (parts.file, parts.crossing)
        return self._new_post(sender, target, new, file, crossing)

    def _new_post(
        self,
        sender: Account,
        target: Target,
        new: NewMessage,
        file: Attachment | None,
        parts: SentParts = NO_PARTS,
    ) -> NewPost:
        parcel = self.forwarder.post_parcel(sender, target, new.at, new.text, file, parts)
        return NewPost(new, target.name, parcel, target.epoch)

    async def store_post_once(
        self,
        name: SendKey,
        sender: Account,
        target: Target,
        new: NewMessage,
        parts: MessageParts | None = None,
    ) -> StoredPost | RecordedSend:
        """Store a message to a group elsewhere, unless it was sent under `name` before."""
        post = self.new_post(sender, target, new, parts)
        return _stored(post, await self._sends.put(name, post))

    def store_file(
        self,
        connection: Connection,
        sender: Account,
        target: Target,
        new: NewMessage,
        file: Attachment,
    ) -> StoredPost | RecordedSend:
        """As `store_post_once`, in the writer's thread, for a file; without a key it is always stored."""
        post = self._new_post(sender, target, new, file)
        if new.key is None:
            return _stored(post, self._writers.posts.store(connection, [post])[0])
        named = NamedPost(name_for(sender, new.key, target), post)
        return _stored(post, self._writers.sends.put(connection, [named])[0])

    def deliver_post(
        self, target: Target, post: StoredPost, origin: IListener | None, wait: bool
    ) -> Deferred[Sent]:
        """Send a message to a group elsewhere that is on disk. With `wait`, fires once it has come back with
        its number, or within seconds, and errs with the reason if it was refused."""
        send = RemotePost(self, post.new, target, origin, wait)
        send.callback(post.stored)
        return send.sent

    def tell_queued(self, new: NewMessage, place: Stored, origin: IListener | None) -> None:
        """Tell the sender's connections that a message is pending, except `origin`, whose reply says so."""
        if self._presence.anyone_follows and new.sender_id is not None:
            event = StateChange(new.conversation, 0, place.id, QUEUED)
            self._presence.tell_followers((new.sender_id,), event, origin)


def _stored(post: NewPost, place: Stored | RecordedSend | Failure) -> StoredPost | RecordedSend:
    if isinstance(place, Failure):
        place.raiseException()  # the group has moved
    return place if isinstance(place, RecordedSend) else StoredPost(post, place)
