"""A link: the AMP protocol at both of its ends. chatd.peers.wire says what is spoken on it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from twisted.internet import defer
from twisted.internet import error as net
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IHandshakeListener
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.arrivals import FileIncomplete
from chatd.errors import (
    ChatError,
    PeerFailed,
    RealmDown,
    RealmNotAllowed,
    UnknownRealm,
    UnknownUser,
)
from chatd.inbound import Inbound
from chatd.model import Member
from chatd.names import printable
from chatd.parcels import Verdict
from chatd.peers import wire
from chatd.peers.trust import Judged
from chatd.peers.wire import Refused
from chatd.realms import Membership, refusal, verdict_of
from chatd.store.messages import Stream
from chatd.throttle import SenderRates, TokenBucket
from chatd.timers import cancel

T = TypeVar("T")

HANDSHAKE_TIME = 15.0  # seconds until a link has to be up
QUIET_TIME = 30.0  # seconds of silence after which one asks whether the other is still there
ANSWER_TIME = 30.0  # seconds in which an answer has to come
MAX_BUSY = 32  # requests of one link that are worked on; beyond that nothing is read from it
MAX_MEMBERS = 2000  # that are asked for

log = Logger()


class Introduction(msgspec.Struct, frozen=True):
    """What a realm says of itself first."""

    realm: str
    version: int
    capabilities: list[str]
    instance: bytes
    last: int


class Host(Protocol):
    """What a link needs of the realm that it belongs to."""

    clock: Any
    inbound: Inbound
    sender_rates: SenderRates

    def met(self, link: PeerLink) -> None:
        """There is a connection; who is at the other end is not known yet."""

    def judge(self, link: PeerLink) -> Judged:
        """Who is at the other end. Raises ChatError."""

    async def introduce(self, realm: str) -> Introduction:
        """What is said to the realm with that key."""

    async def up(self, link: PeerLink, other: Introduction) -> None:
        """The two have said hello. Raises Refused if there is a better link."""

    def ready(self, link: PeerLink) -> None:
        """The link is up at both ends."""

    def down(self, link: PeerLink, reason: ChatError | None) -> None:
        """The link is gone; `reason` if it never was up."""

    def new_bucket(self) -> TokenBucket:
        """The rate of what a realm may send."""

    def new_reference(self) -> str:
        """By which an internal error is found in the log."""


class Unsettled(Exception):
    """The link ended before it was up, but after the other end had shown that it is the realm: there may be
    another link to it, which is better."""


@implementer(IHandshakeListener)
class PeerLink(amp.AMP):
    """`expected` is the realm that was dialled, by its name, or None if the other side has dialled; then
    `source` is where it came from, as limits count it."""

    transport: Any
    noisy = False

    def __init__(self, host: Host, expected: str | None, address: str, source: str = "") -> None:
        super().__init__()
        self.host = host
        self.expected = expected
        self.address = address
        self.source = source
        self.realm = ""  # the key of the other, once it is settled
        self.instance = b""
        self.since = host.clock.seconds()
        self.is_up = False
        self.judged: Judged | None = None
        self.ready: Deferred[PeerLink] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self._settled = False
        self._greeted = False
        self._refused: ChatError | None = None
        self._stream = Stream()
        self._busy = 0
        self._early: list[Deferred[None]] = []  # requests that came before this side was up
        self._pausing: set[str] = set()
        self._heard = self.since
        self._timer: Any = None
        self._slowed: Any = None
        self._bucket = host.new_bucket()

    @property
    def dialled(self) -> bool:
        return self.expected is not None

    @property
    def is_waiting(self) -> bool:
        """Whether it still has to come up."""
        return not self.is_up and not self.gone.called

    # The connection's beginning and end

    # AMP itself would log each connection, as information, though nobody can do anything about it.

    def makeConnection(self, transport: Any) -> None:  # noqa: N802 - as Twisted names it
        amp.BinaryBoxProtocol.makeConnection(self, transport)

    def connectionMade(self) -> None:
        super().connectionMade()
        self._timer = self.host.clock.callLater(HANDSHAKE_TIME, self._too_slow)
        self.host.met(self)

    def _too_slow(self) -> None:
        self._refused = self._refused or RealmDown(realm=self.expected or self.realm)
        self.abort()

    def abort(self) -> None:
        """Drop the connection, whatever was on its way."""
        if self.transport is not None:
            self.transport.abortConnection()

    def close(self) -> None:
        """Close the connection once everything that was written is sent."""
        if self.transport is not None:
            self.transport.loseConnection()

    def handshakeCompleted(self) -> None:  # noqa: N802 - IHandshakeListener
        """Both have shown who they are: let the other in, or say why not."""
        try:
            self.realm = self.host.judge(self).realm
        except ChatError as error:
            self._refuse(error)
            return
        except Exception:
            log.failure("the certificate from {address} can't be judged", address=self.address)
            self.abort()
            return
        self._settled = True
        if self.dialled:
            greeting = Deferred.fromCoroutine(self._greet())
            greeting.addErrback(self._greeting_failed)

    def _refuse(self, error: ChatError) -> None:
        log.warn(
            "the realm at {address} is not let in: {error}", address=self.address, error=str(error)
        )
        self._refused = error
        # The other end is told only what it can do something about, not what is remembered here.
        reason = str(error.details["reason"]) if isinstance(error, RealmNotAllowed) else ""
        self.callRemote(wire.Goodbye, code=error.code, reason=reason)
        self.close()

    async def _greet(self) -> None:
        own = await self.host.introduce(self.realm)
        answer = await self.call(wire.Hello, **msgspec.structs.asdict(own))
        self._greeted = True
        await self._begin(Introduction(**answer))
        self._come_up()

    async def _begin(self, other: Introduction) -> None:
        if other.version < 1:
            raise Refused("version", version=wire.VERSION)
        self.instance = other.instance
        await self.host.up(self, other)

    def _come_up(self) -> None:
        if self.transport is None or self.is_up or not self._settled:
            return
        self.is_up = True
        cancel(self._timer)
        self._timer = self.host.clock.callLater(QUIET_TIME, self._watch)
        self.host.ready(self)
        self.ready.callback(self)
        early, self._early = self._early, []
        for request in early:
            request.callback(None)
        self._resume("early")

    def _greeting_failed(self, failure: Failure) -> None:
        if isinstance(failure.value, Refused) and failure.value.code == wire.ALREADY_LINKED:
            log.debug("{realm} has linked meanwhile", realm=self.realm)
        elif not failure.check(RealmDown):
            log.warn("{realm}: {error}", realm=self.realm, error=failure.getErrorMessage())
        self.close()

    def connectionLost(self, reason: Failure = Failure(net.ConnectionDone())) -> None:  # noqa: B008
        amp.BinaryBoxProtocol.connectionLost(self, reason)
        self.transport = None
        self._settled = self.is_up = False
        self._early.clear()
        cancel(self._timer)
        cancel(self._slowed)
        self.host.down(self, self._refused)
        if not self.ready.called:
            # Nobody waits for a link that was dialled from there.
            self.ready.errback(self._refused or (reason if self.judged is None else Unsettled()))
            if not self.dialled:
                self.ready.addErrback(lambda _failure: None)
        self.gone.callback(None)

    def _watch(self) -> None:
        """Ask whether the other is still there, if nothing was heard of it."""
        left = self._heard + QUIET_TIME - self.host.clock.seconds()
        if left > 0:
            self._timer = self.host.clock.callLater(left, self._watch)
            return
        self._timer = self.host.clock.callLater(QUIET_TIME, self._watch)
        self.call(wire.Ping).addErrback(lambda _failure: self.abort())

    def dataReceived(self, data: bytes) -> None:
        if self._settled:
            self._heard = self.host.clock.seconds()
            super().dataReceived(data)

    # Asking

    def call(self, command: type[wire.PeerCommand], **arguments: Any) -> Deferred[Any]:
        """Errs with Refused, or with RealmDown if no answer comes."""
        if self.transport is None or (self._refused and self.realm == ""):
            return fail(RealmDown(realm=self.realm))
        answer: Deferred[Any] = self.callRemote(command, **arguments)
        answer.addTimeout(ANSWER_TIME, self.host.clock)
        return answer.addErrback(self._call_failed)

    def _call_failed(self, failure: Failure) -> None:
        if failure.check(
            net.ConnectionLost, net.ConnectionDone, defer.TimeoutError, defer.CancelledError
        ):
            raise RealmDown(realm=self.realm)
        if failure.check(Refused):
            raise wire.parse_refused(
                failure.value.code  # type: ignore[union-attr]
            )  # as AMP makes it: of the description alone
        # It does not know the command, or answers with what makes no sense.
        log.warn("{realm} failed: {error}", realm=self.realm, error=failure.getErrorMessage())
        raise Refused(wire.INTERNAL)

    async def deliver(self, items: list[tuple[int, bytes]]) -> list[Verdict] | None:
        """A verdict for each; None if all were kept. Raises Refused if nothing could be, RealmDown."""
        answer = await self.call(wire.Deliver, parcels=wire.encode_batch(items))
        if not answer["verdicts"]:
            return None
        verdicts = wire.decode_verdicts(answer["verdicts"], len(items))
        if verdicts is None:
            raise Refused(wire.INTERNAL)
        return verdicts

    async def offer(self, number: int, parcel: bytes) -> int:
        """The offset from which a file is to be sent. Raises Refused, RealmDown."""
        offset: int = (await self.call(wire.Offer, number=number, parcel=parcel))["offset"]
        return offset

    def chunk(self, number: int, offset: int, data: bytes) -> Deferred[Any]:
        """Errs with Refused, RealmDown."""
        return self.call(wire.Chunk, number=number, offset=offset, data=data)

    async def join(self, user: str, group: str) -> Membership:
        return Membership(**await self._ask(wire.Join, user=user, group=group))

    async def members(self, user: str, group: str) -> list[Member]:
        found: list[Member] = []
        while len(found) < MAX_MEMBERS:
            answer = await self._ask(wire.Members, user=user, group=group, start=len(found))
            page = self._decode(answer["members"], list[Member])
            found.extend(page)
            if not page or answer["more"] <= 0:
                break
        return found

    async def change(
        self, user: str, group: str, change: str, users: Sequence[str]
    ) -> dict[str, Any]:
        result: dict[str, list[str]] = {}
        refused: ChatError | None = None
        for start in range(0, max(1, len(users)), wire.MAX_NAMES):
            some = list(users[start : start + wire.MAX_NAMES])
            try:
                answer = await self._ask(
                    wire.Change, user=user, group=group, change=change, users=some
                )
            except (UnknownUser, UnknownRealm) as error:
                # Of these nobody was known.
                refused = error
                found = {"unknown": some}
            else:
                found = self._decode(answer["result"], dict[str, list[str]])
            for key, names in found.items():
                result.setdefault(key, []).extend(names)
        if refused is not None and not result.get("joined") and not result.get("present"):
            raise refused
        return result

    async def presence(self, users: Sequence[str]) -> dict[str, bool]:
        online: dict[str, bool] = {}
        for start in range(0, len(users), wire.MAX_NAMES):
            asked = list(users[start : start + wire.MAX_NAMES])
            answer = await self._ask(wire.Presence, users=asked)
            online.update(self._decode(answer["online"], dict[str, bool]))
        return online

    async def _ask(self, command: type[wire.PeerCommand], **arguments: Any) -> Any:
        """Raises the ChatError that the other realm means, or PeerFailed, RealmDown."""
        try:
            return await self.call(command, **arguments)
        except Refused as refused:
            raise refusal(Verdict(refused.code, refused.details), self.realm) from None

    def _decode(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except msgspec.DecodeError:
            raise PeerFailed(realm=self.realm) from None

    # Answering

    def _answer(
        self,
        work: Callable[[], Coroutine[Any, Any, dict[str, Any]]],
        cost: int = 1,
        senders: Sequence[str] = (),
    ) -> Deferred[Any]:
        """Do what was asked, and never let an exception out that would end the link. It counts as `cost`
        requests of the realm, and as a message of each of `senders`."""
        if not self.is_up:
            if not self._greeted:
                return fail(Refused("not-greeted"))
            # The other is up with its answer, and this side will be soon: what is refused now would be
            # overtaken by what comes then.
            early: Deferred[None] = Deferred()
            self._early.append(early)
            if len(self._early) >= MAX_BUSY:
                self._pause("early")
            return early.addCallback(lambda _: self._answer(work, cost, senders))
        now = self.host.clock.seconds()
        pause = max(
            self._bucket.take(now, cost), self.host.sender_rates.take(self.realm, senders, now)
        )
        if pause > 0:
            self._pause("rate")
            if self._slowed is not None and self._slowed.active():
                self._slowed.reset(pause)
            else:
                self._slowed = self.host.clock.callLater(pause, self._resume, "rate")
        self._busy += 1
        if self._busy >= MAX_BUSY:
            self._pause("busy")
        return Deferred.fromCoroutine(work()).addBoth(self._answered)

    def _answered(self, result: Any) -> Any:
        self._busy -= 1
        if self._busy <= MAX_BUSY // 2:
            self._resume("busy")
        if not isinstance(result, Failure) or result.check(Refused):
            return result
        if isinstance(result.value, ChatError | FileIncomplete):
            verdict = verdict_of(result.value)
            raise Refused(verdict.code, **verdict.details)
        reference = self.host.new_reference()
        log.failure(
            "internal error {reference}, asked for by {realm}",
            result,
            reference=reference,
            realm=self.realm,
        )
        raise Refused(wire.INTERNAL, reference=reference)

    def _pause(self, reason: str) -> None:
        if not self._pausing and self.transport is not None:
            self.transport.pauseProducing()
        self._pausing.add(reason)

    def _resume(self, reason: str) -> None:
        if reason in self._pausing:
            self._pausing.discard(reason)
            if not self._pausing and self.transport is not None and self._settled:
                self.transport.resumeProducing()

    @wire.Hello.responder
    def hello(self, **said: Any) -> Deferred[Any]:
        if self.dialled or self._greeted:
            return fail(Refused("already-greeted"))
        self._greeted = True
        return Deferred.fromCoroutine(self._greet_back(Introduction(**said)))

    async def _greet_back(self, other: Introduction) -> dict[str, Any]:
        try:
            own = await self.host.introduce(self.realm)
            await self._begin(other)
        except Refused:
            self.host.clock.callLater(0, self.close)  # once the answer has been sent
            raise
        except ChatError as error:
            self._refuse(error)
            raise Refused(error.code) from None
        # The answer has to be on its way before anything else is.
        self.host.clock.callLater(0, self._come_up)
        return msgspec.structs.asdict(own)

    @wire.Goodbye.responder
    def goodbye(self, code: str, reason: str) -> dict[str, Any]:
        if not self.is_up:
            shown = reason or "it does not trust the certificate of this realm"
            self._refused = RealmNotAllowed(
                realm="this realm", where=self.expected or self.realm, reason=printable(shown, 300)
            )
            log.warn("{realm} does not let this realm in: {code}", realm=self.realm, code=code)
        return {}

    @wire.Ping.responder
    def ping(self) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            return {}

        return self._answer(work)

    @wire.Deliver.responder
    def delivered(self, parcels: bytes) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            verdicts = await self.host.inbound.receive(self.realm, batch, self._stream)
            return {"verdicts": wire.encode_verdicts(verdicts)}

        try:
            batch = wire.decode_batch(parcels)
        except Refused as refused:
            return fail(refused)
        senders = [sender for _, each in batch if (sender := getattr(each, "sender", None))]
        return self._answer(work, len(batch), senders)

    @wire.Offer.responder
    def offered(self, number: int, parcel: bytes) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            found = wire.decode_parcel(parcel)
            if found is None:
                raise Refused("bad-parcel")
            return {"offset": await self.host.inbound.offer(self.realm, number, found)}

        return self._answer(work)

    @wire.Chunk.responder
    def chunk_came(self, number: int, offset: int, data: bytes) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            await self.host.inbound.take(self.realm, number, offset, data)
            return {}

        return self._answer(work)

    @wire.Join.responder
    def join_asked(self, user: str, group: str) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            found = await self.host.inbound.join(self.realm, user, group)
            return msgspec.structs.asdict(found)

        return self._answer(work)

    @wire.Members.responder
    def members_asked(self, user: str, group: str, start: int) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            found = await self.host.inbound.members(self.realm, user, group)
            rest = found[max(0, start) :]
            page = rest[: wire.MAX_NAMES]
            return {"members": wire.encode(page), "more": len(rest) - len(page)}

        return self._answer(work)

    @wire.Change.responder
    def change_asked(self, user: str, group: str, change: str, users: list[str]) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            result = await self.host.inbound.change(self.realm, user, group, change, users)
            return {"result": wire.encode(result)}

        return self._answer(work)

    @wire.Presence.responder
    def presence_asked(self, users: list[str]) -> Deferred[Any]:
        async def work() -> dict[str, Any]:
            return {"online": wire.encode(await self.host.inbound.presence(users))}

        return self._answer(work)
