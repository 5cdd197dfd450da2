"""Messages on their way to other realms, and what these say of them.

One to a person elsewhere is kept here, with the parcel that brings it there; if the other realm refuses it
at once, it was never there. One to a group elsewhere is only a parcel: the group's home numbers and keeps
it, and it comes back from there with a proof that it is ours. One to a group of this realm is kept here,
with a parcel for each realm that has members of it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.base.errors import ChatError
from chatd.base.model import Account, Attachment, Receipt, Sent
from chatd.base.names import Address, key_of
from chatd.base.timers import patiently
from chatd.federation import parcels
from chatd.federation.outbox import Outbox
from chatd.federation.parcels import FileNote, Verdict
from chatd.service.directs import Target
from chatd.service.presence import IListener
from chatd.service.realms import IRealms, refusal
from chatd.service.sends import Sends, name_for
from chatd.store import messages as store
from chatd.store.database import Database
from chatd.store.messages import Crossing, NewMessage, Stored
from chatd.store.outbox import NewParcel
from chatd.store.sends import Known, Name, NewPost, name_of

PATIENCE = 5.0  # seconds that a sender waits for a message to come back from its group's home

# Tells a message that is on disk to those here whom it is for.
Tell: TypeAlias = Callable[
    [Stored, NewMessage, Target, Attachment | None, IListener | None], Receipt
]


class Way:
    """A direct message on its way to another realm: to the disk (which tells it as it tells a Deferred),
    then to that realm, until `sent` fires.

    One Deferred for all of it: this is done for each message, and they cost more than all else here.
    """

    __slots__ = ("_crossings", "_file", "_new", "_origin", "_stored", "_target", "_tell", "sent")

    def __init__(
        self,
        crossings: Crossings,
        tell: Tell,
        new: NewMessage,
        target: Target,
        file: Attachment | None,
        origin: IListener | None,
    ) -> None:
        self._crossings = crossings
        self._tell = tell
        self._new = new
        self._target = target
        self._file = file
        self._origin = origin
        self.sent: Deferred[Sent] = Deferred()

    def errback(self, failure: Any) -> None:
        """It could not be stored."""
        self.sent.errback(failure)

    def callback(self, stored: Stored) -> None:
        """It is on disk, with its parcel."""
        self._stored = stored
        try:
            self._crossings.dispatch(self._target.realms[0], stored, self._file, self.judged)
        except Exception:
            self.sent.errback(Failure())  # the sender waits for it

    def judged(self, verdict: Verdict | None) -> None:
        """The other realm has said what it thinks of it; None: not yet."""
        try:
            if verdict is not None and verdict.code:
                realm = self._target.realms[0]
                refused = self._crossings.take_back(self._stored, self._new, realm, verdict)
                refused.addCallbacks(self.sent.errback, self.sent.errback)
                return
            receipt = self._tell(self._stored, self._new, self._target, self._file, self._origin)
            if verdict is None:
                receipt = msgspec.structs.replace(receipt, queued=True)
        except Exception:
            self.sent.errback(Failure())
            return
        self.sent.callback(Sent((receipt,)))


class Crossings:
    def __init__(
        self,
        clock: Any,
        database: Database,
        outbox: Outbox,
        sends: Sends,
        realms: IRealms,
        secret: bytes,
    ) -> None:
        self._clock = clock
        self._database = database
        self._outbox = outbox
        self._sends = sends
        self._realms = realms
        self._secret = secret  # by which what comes back is known for our own
        # Number of a parcel to a group elsewhere -> who waits for the message to come back from there.
        self._echoes: dict[int, tuple[Deferred[Receipt | None], IListener | None]] = {}

    # Messages that are kept here

    def crossing(
        self,
        sender: Account,
        target: Target,
        at: int,
        text: str | None,
        file: Attachment | None = None,
    ) -> Crossing:
        """What brings a message to the realms of the target that are not this one."""
        note = _note_of(file)
        if target.group is None:
            direct = parcels.Direct(sender.name, target.there, at, text, note)
            return Crossing(target.realms, parcels.encode(direct), sender.id)
        name, group = target.group, target.conversation

        def relay(seq: int) -> bytes:
            return parcels.encode(parcels.Relay(name, group, seq, sender.name, at, text, note))

        return Crossing(target.realms, relay)

    def dispatch(
        self,
        realm: str,
        stored: Stored,
        file: Attachment | None,
        then: Callable[[Verdict | None], Any],
    ) -> None:
        """A message is on disk, with its parcel: let that go, and tell `then` what becomes of it."""
        number = None if file is None else file.id
        self._realms.dispatch(realm, stored.first, stored.parcel, number, then)

    def relay(self, stored: Stored, crossing: Crossing, file: int | None) -> None:
        """A group's message is on disk, with its parcels: let them go. Nobody waits for them."""
        for offset, realm in enumerate(crossing.realms):
            self._realms.post(realm, stored.first + offset, stored.parcel, file)

    def take_back(
        self, stored: Stored, new: NewMessage, realm: str, verdict: Verdict
    ) -> Deferred[ChatError]:
        """Another realm has refused a direct message before its sender read OK: it was never there."""
        error = refusal(verdict, self._realms.name_of(realm))
        name = name_of(new)
        gone: Deferred[Any]
        if name is None:
            gone = self._database.run(store.take_back, stored.id)
        else:
            taking = self._sends.take_back(name, stored.id, realm, stored.first)
            gone = Deferred.fromCoroutine(taking)
        return gone.addCallback(lambda _result: error)

    # Posts: messages to groups of other realms

    def group(self, address: Address) -> Target:
        """A group of another realm, of which nothing is known here. Raises UnknownRealm."""
        home = key_of(address.realm or "")
        return Target(0, (), group=f"{address.name}@{self._realms.name_of(home)}", home=home)

    async def post(
        self, sender: Account, target: Target, at: int, text: str, origin: IListener | None
    ) -> Sent:
        """Send a text to a group elsewhere; what its home has made of it."""
        parcel = self._parcel(sender, target, at, text)
        number = await self._outbox.put(parcel)
        return await self.posted(target, number, parcel, origin, None)

    async def put(
        self, name: Name, sender: Account, target: Target, at: int, text: str
    ) -> tuple[NewParcel, int | Known]:
        """Keep the parcel of a text, unless it was sent under `name` before; for `posted`."""
        parcel = self._parcel(sender, target, at, text)
        return parcel, await self._sends.put(NewPost(name, target.conversation, parcel))

    def store_file(
        self,
        connection: Connection,
        sender: Account,
        target: Target,
        file: Attachment,
        at: int,
        key: str | None,
    ) -> tuple[NewParcel, int | Known]:
        """As `put`, in the writer's thread: the parcel of a file."""
        parcel = self._parcel(sender, target, at, None, file)
        if key is None:
            return parcel, self._outbox.writer.store(connection, [parcel])[0]
        post = NewPost(name_for(sender, key, target), target.conversation, parcel)
        return parcel, self._sends.writer.put(connection, [post])[0]

    def _parcel(
        self,
        sender: Account,
        target: Target,
        at: int,
        text: str | None,
        file: Attachment | None = None,
    ) -> NewParcel:
        home, note = target.home or "", _note_of(file)
        proof = self.proof(sender, home, at, text, note)
        post = parcels.Post(sender.name, target.there, at, proof, text, note)
        number = None if file is None else file.id
        return NewParcel(home, parcels.encode(post), at, sender.id, number)

    def proof(
        self, sender: Account, home: str, at: int, text: str | None, file: FileNote | None
    ) -> bytes:
        """What shows that a message to a group of the realm `home` was sent from here, when it comes
        back."""
        what = (sender.key, home, at, text, None if file is None else file.sha256)
        return hmac.digest(self._secret, parcels.encode(what), "sha256")[:16]

    async def posted(
        self,
        target: Target,
        number: int,
        parcel: NewParcel,
        origin: IListener | None,
        name: Name | None,
    ) -> Sent:
        """A parcel for a group elsewhere is on disk: let it go, and see what comes of it."""
        try:
            receipt = await self._echo_of(target, number, parcel, origin)
        except ChatError:
            if name is not None:
                await self._sends.take_back(name, 0, parcel.realm, number)
            raise
        if name is not None and receipt.seq:
            await self._sends.number(name, receipt)
        return Sent((receipt,))

    async def _echo_of(
        self, target: Target, number: int, parcel: NewParcel, origin: IListener | None
    ) -> Receipt:
        """Let a parcel go, and wait for what its home says, and for the message itself if the sender is a
        member."""
        assert target.home is not None and target.group is not None  # noqa: S101, PT018
        echo: Deferred[Receipt | None] = Deferred()
        if target.conversation:
            self._echoes[number] = echo, origin
        judged: Deferred[Verdict | None] = Deferred()
        self._realms.dispatch(
            target.home, number, parcel.parcel, parcel.attachment_id, judged.callback
        )
        verdict = await judged
        receipt = Receipt(target.conversation, 0, 0, target.group, queued=verdict is None)
        if verdict is None or verdict.code or not target.conversation:
            self._echoes.pop(number, None)
            if verdict is not None and verdict.code:
                raise refusal(verdict, self._realms.name_of(target.home))
            return msgspec.structs.replace(receipt, seq=0 if verdict is None else verdict.seq)
        found = await patiently(self._clock, echo, PATIENCE, lambda: self.echoed(number, None))
        return found or msgspec.structs.replace(receipt, seq=verdict.seq)

    def awaited(self, number: int) -> IListener | None:
        """The connection that waits for the message of that parcel to come back."""
        return self._echoes.get(number, (None, None))[1]

    def echoed(self, number: int, receipt: Receipt | None) -> None:
        """The message of that parcel has come back from its group's home."""
        echo, _ = self._echoes.pop(number, (None, None))
        if echo is not None:
            echo.callback(receipt)


def _note_of(file: Attachment | None) -> FileNote | None:
    return None if file is None else FileNote(file.name, file.size, file.sha256, file.code)
