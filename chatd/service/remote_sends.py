"""Sending messages to other realms, and telling their senders what became of them there."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.base.errors import ChatError
from chatd.base.model import DELIVERED, QUEUED, Account, Attachment, Sent
from chatd.service.context import Context
from chatd.service.fan_out import FanOut
from chatd.service.idempotent_sends import Sends, name_for
from chatd.service.presence import IListener
from chatd.service.remote import DeliveryOutcome, IForwarder
from chatd.service.targets import Target
from chatd.store import messages as store
from chatd.store.idempotent_sends import NewPost, RecordedSend, SendKey, name_of
from chatd.store.messages import NewMessage, Stored
from chatd.store.outbox import NewParcel


class StoredPost(msgspec.Struct, frozen=True):
    """The parcel of a message to a group of another realm, and its number in the outbox."""

    parcel: NewParcel
    number: int


class RemoteSend:
    """A direct message on its way to the disk, then to another realm, until `sent` fires.

    The database calls `callback` or `errback`, as of a Deferred. There is one Deferred for the whole way,
    because Deferreds are most of what a message costs here.
    """

    __slots__ = ("_file", "_new", "_origin", "_sends", "_stored", "_target", "sent")

    def __init__(
        self,
        sends: RemoteSends,
        new: NewMessage,
        target: Target,
        file: Attachment | None,
        origin: IListener | None,
    ) -> None:
        self._sends = sends
        self._new = new
        self._target = target
        self._file = file
        self._origin = origin
        self.sent: Deferred[Sent] = Deferred()

    def errback(self, failure: Failure | Exception) -> None:
        """It could not be stored."""
        self.sent.errback(failure)

    def callback(self, stored: Stored) -> None:
        """It is on disk, with its parcel."""
        self._stored = stored
        file = None if self._file is None else self._file.id
        try:
            self._sends.forwarder.deliver(self._target.realms[0], stored, file, self._settled)
        except Exception:
            self.sent.errback(Failure())  # the sender waits for it

    def _settled(self, outcome: DeliveryOutcome) -> None:
        try:
            if outcome.error is not None:
                withdrawn = self._sends.withdraw(self._stored, self._new)
                withdrawn.addCallback(lambda _result: outcome.error)
                withdrawn.addCallbacks(self.sent.errback, self.sent.errback)
                return
            receipt = self._sends.fan_out.tell(
                self._stored, self._new, self._target, self._file, self._origin
            )
            state = QUEUED if outcome.queued else DELIVERED
            receipt = msgspec.structs.replace(receipt, state=state)
        except Exception:
            self.sent.errback(Failure())
            return
        self.sent.callback(Sent((receipt,)))


class RemoteSends:
    """Stores and delivers messages for other realms, and undoes the sends that they refuse."""

    def __init__(
        self, context: Context, forwarder: IForwarder, sends: Sends, fan_out: FanOut
    ) -> None:
        self._database = context.database
        self._writers = context.writers
        self._sends = sends
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
    ) -> Deferred[Sent]:
        """Send a direct message that is on disk. Errs with the reason for which it was refused; then it was
        removed again."""
        send = RemoteSend(self, new, target, file, origin)
        send.callback(stored)
        return send.sent

    def withdraw(self, stored: Stored, new: NewMessage) -> Deferred[None]:
        """Remove a message that was refused before its sender read OK."""
        name = name_of(new)
        if name is None or new.copies is None:
            return self._database.run(store.remove, stored.id)
        realm = new.copies.realms[0]
        return Deferred.fromCoroutine(self._sends.take_back(name, stored.id, realm, stored.number))

    # Messages to groups of other realms

    async def post(
        self, sender: Account, target: Target, at: int, text: str, origin: IListener | None
    ) -> Sent:
        """Send a text to a group elsewhere. Errs with the reason for which it was refused."""
        parcel = self.forwarder.post_parcel(sender, target, at, text, None)
        number = await self._database.batch(self._writers.parcels.store, parcel)
        return await self.deliver_post(target, StoredPost(parcel, number), origin, None)

    async def store_post(
        self, name: SendKey, sender: Account, target: Target, at: int, text: str
    ) -> StoredPost | RecordedSend:
        """Store a text to a group elsewhere, for `deliver_post`, unless it was sent under `name` before."""
        parcel = self.forwarder.post_parcel(sender, target, at, text, None)
        return _stored(parcel, await self._sends.put(NewPost(name, target.conversation, parcel)))

    def store_file(
        self,
        connection: Connection,
        sender: Account,
        target: Target,
        file: Attachment,
        at: int,
        key: str | None,
    ) -> StoredPost | RecordedSend:
        """As `store_post`, in the writer's thread, for a file; without a key it is always stored."""
        parcel = self.forwarder.post_parcel(sender, target, at, None, file)
        if key is None:
            return _stored(parcel, self._writers.parcels.store(connection, [parcel])[0])
        post = NewPost(name_for(sender, key, target), target.conversation, parcel)
        return _stored(parcel, self._writers.sends.put(connection, [post])[0])

    async def deliver_post(
        self, target: Target, post: StoredPost, origin: IListener | None, name: SendKey | None
    ) -> Sent:
        """Send a message to a group elsewhere that is on disk. Errs with the reason for which it was refused;
        then the send of that `name` was forgotten."""
        try:
            receipt = await self.forwarder.deliver_post(target, post.number, post.parcel, origin)
        except ChatError:
            if name is not None:
                await self._sends.take_back(name, 0, post.parcel.realm, post.number)
            raise
        if name is not None and receipt.seq:
            await self._sends.number(name, receipt)
        return Sent((receipt,))


def _stored(parcel: NewParcel, number: int | RecordedSend) -> StoredPost | RecordedSend:
    return number if isinstance(number, RecordedSend) else StoredPost(parcel, number)
