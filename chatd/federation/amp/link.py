"""A link: the AMP protocol at both of its ends. chatd.federation.amp.wire says what is spoken on it."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from OpenSSL import SSL
from twisted.internet import defer
from twisted.internet import error as net
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IHandshakeListener
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.errors import ChatError, RealmDown, RealmNotAllowed
from chatd.base.names import key_of, printable
from chatd.base.throttle import SenderRates, TokenBucket
from chatd.base.timers import cancel
from chatd.federation.amp import wire
from chatd.federation.amp.flow_control import Flow, Output
from chatd.federation.amp.requests import Requests
from chatd.federation.amp.responder import Responder
from chatd.federation.amp.trust import Authentication
from chatd.federation.amp.wire import Introduction, Refused
from chatd.federation.parcels import Verdict
from chatd.federation.questions import Questions
from chatd.federation.receive import Receiver

HANDSHAKE_TIME = 15.0  # seconds until a link has to be up
CLOSE_TIME = 10.0  # seconds until a closing link is dropped
QUIET_TIME = 30.0  # seconds of silence after which one asks whether the other is still there
ANSWER_TIME = 30.0  # seconds in which an answer has to come
MAX_KEYS = 32  # of an incomplete box
MAX_SHOWN = 300  # characters of what the other end says, in the log

log = Logger()


class Host(Protocol):
    """What a link needs of the realm that it belongs to."""

    clock: Any
    receiver: Receiver
    questions: Questions
    sender_rates: SenderRates

    def met(self, link: PeerLink) -> None:
        """There is a connection; who is at the other end is not known yet."""

    def authenticate(self, link: PeerLink) -> Authentication:
        """Who is at the other end. Raises ChatError."""

    async def introduce(self, realm: str) -> Introduction:
        """What is said to the realm with that key."""

    async def up(self, link: PeerLink, other: Introduction) -> None:
        """The two have said hello. Raises Refused if there is a better link."""

    def ready(self, link: PeerLink) -> None:
        """The link is up at both ends."""

    def down(self, link: PeerLink, reason: ChatError | None) -> None:
        """The link is gone; `reason` if it never was up."""

    def is_added(self, realm: str) -> bool:
        """Whether somebody here has added the realm with that key."""

    def complain(self, source: str, dialled: str, sentence: str) -> None:
        """Log a mistake of a client at `source`, or of the realm with the key `dialled` if that is not empty,
        unless too many have been logged."""

    def new_bucket(self) -> TokenBucket:
        """The rate of what a realm may send."""

    def new_reference(self) -> str:
        """By which an internal error is found in the log."""


class Unsettled(Exception):
    """The link ended before it was up, but after the other end had shown that it is the realm: there may be
    another link to it, which is better."""


@implementer(IHandshakeListener)
class PeerLink(amp.AMP):
    """`expected` is the name of the realm that was dialled, or None if the other side has dialled; then
    `source` is its network source."""

    transport: Any
    noisy = False

    def __init__(self, host: Host, expected: str | None, address: str, source: str = "") -> None:
        self.flow = Flow(host.clock, host.new_bucket(), self._stop_reading, self._read_on)
        self.output = Output(host.clock, self.flow, self.abort)
        self.answers = Responder(self)
        self.asking = Requests(self)
        super().__init__(locator=self.answers)
        self.host = host
        self.expected = expected
        self.address = address
        self.source = source
        self.realm = ""  # the key of the other, once it is settled
        self.instance = b""
        self.since = host.clock.seconds()
        self.is_up = False
        self.authentication: Authentication | None = None
        self.ready: Deferred[PeerLink] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self.greeted = False
        self._settled = False
        self.refused: ChatError | None = None
        self._heard = self.since
        self._timer: Any = None

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
        self.refused = self.refused or RealmDown(realm=self.expected or self.realm)
        self.abort()

    def abort(self) -> None:
        """Drop the connection, with everything that was under way."""
        if self.transport is not None:
            self.transport.abortConnection()

    def close(self) -> None:
        """Close the connection once everything that was written is sent, or after a while."""
        if self.transport is not None:
            self.transport.unregisterProducer()  # which would keep it open
            self.transport.loseConnection()
            cancel(self._timer)
            self._timer = self.host.clock.callLater(CLOSE_TIME, self.abort)

    def handshakeCompleted(self) -> None:  # noqa: N802 - IHandshakeListener
        """Judge the other end's certificate: let it in, or say why not."""
        try:
            self.realm = self.host.authenticate(self).realm
        except ChatError as error:
            self.refuse(error)
            return
        except Exception as error:
            self.warn(f"a certificate from {self.address} can't be judged: {error!r:.{MAX_SHOWN}}")
            self.abort()
            return
        self._settled = True
        self.transport.registerProducer(self.output, True)
        if self.dialled:
            greeting = Deferred.fromCoroutine(self._greet())
            greeting.addErrback(self._greeting_failed)

    def refuse(self, error: ChatError) -> None:
        """Close the link of a realm that is not allowed, and tell it why."""
        self.warn(f"the realm at {self.address} is not let in: {error}")
        self.refused = error
        # The other end is told only what it can do something about, not what is remembered here.
        reason = str(error.details["reason"]) if isinstance(error, RealmNotAllowed) else ""
        self.callRemote(wire.GoodbyeCommand, code=error.code, reason=reason)
        self.close()

    def warn(self, sentence: str) -> None:
        """Log a mistake of the other end, at a limited rate."""
        self.host.complain(self.source, key_of(self.expected or ""), sentence)

    def garbage(self, what: object) -> None:
        """Close a link that breaks the protocol."""
        self.warn(f"{self.realm or 'what connects'} at {self.address} sent no sense: {what}")
        self.close()

    async def _greet(self) -> None:
        own = await self.host.introduce(self.realm)
        answer = await self.call(wire.HelloCommand, **msgspec.structs.asdict(own))
        self.greeted = True
        await self.begin(Introduction(**answer))
        self.come_up()

    async def begin(self, other: Introduction) -> None:
        if other.version < 1:
            raise Refused("version", version=wire.VERSION)
        self.instance = other.instance
        await self.host.up(self, other)

    def come_up(self) -> None:
        """Mark the link as up, after both ends have said hello."""
        if self.transport is None or self.is_up or not self._settled:
            return
        self.is_up = True
        cancel(self._timer)
        self._timer = self.host.clock.callLater(QUIET_TIME, self._watch)
        self.host.ready(self)
        self.ready.callback(self)
        self.answers.begin()

    def _greeting_failed(self, failure: Failure) -> None:
        if isinstance(failure.value, Refused) and failure.value.code == wire.ALREADY_LINKED:
            log.debug("{realm} has linked meanwhile", realm=self.realm)
        elif not failure.check(RealmDown):
            self.warn(f"{self.realm}: {printable(failure.getErrorMessage(), MAX_SHOWN)}")
        self.close()

    def connectionLost(self, reason: Failure = Failure(net.ConnectionDone())) -> None:  # noqa: B008
        amp.BinaryBoxProtocol.connectionLost(self, reason)
        self.transport = None
        self._settled = self.is_up = False
        self.answers.end()
        self.flow.end()
        self.output.end()
        cancel(self._timer)
        if reason.check(SSL.Error) and not self.dialled and self.authentication is None:
            self.warn(f"what connects from {self.address} does not speak TLS as realms do")
        self.host.down(self, self.refused)
        if not self.ready.called:
            # Nobody waits for a link that was dialled from there.
            self.ready.errback(
                self.refused or (reason if self.authentication is None else Unsettled())
            )
            if not self.dialled:
                self.ready.addErrback(lambda _failure: None)
        self.gone.callback(None)

    def _watch(self) -> None:
        """Ping the other end if it has been silent."""
        left = self._heard + QUIET_TIME - self.host.clock.seconds()
        if left > 0:
            self._timer = self.host.clock.callLater(left, self._watch)
            return
        self._timer = self.host.clock.callLater(QUIET_TIME, self._watch)
        self.call(wire.PingCommand).addErrback(lambda _failure: self.abort())

    def dataReceived(self, data: bytes) -> None:
        if not self._settled:
            return
        self._heard = self.host.clock.seconds()
        try:
            super().dataReceived(data)
        except (
            Exception
        ) as error:  # of AMP's parser; those of requests are caught where they are answered
            self.garbage(type(error).__name__)
        if self._currentBox is not None and len(self._currentBox) > MAX_KEYS:
            self.garbage("a box without end")

    def lengthLimitExceeded(self, length: int) -> None:
        self.garbage(f"a key of {length} bytes")

    def unhandledError(self, failure: Failure) -> None:  # noqa: N802
        """Called when a request that wants no answer has failed."""
        self.garbage(failure.getErrorMessage())

    def sendBox(self, box: Any) -> None:  # noqa: N802
        data = box.serialize()
        if self.transport is None:
            raise net.ConnectionLost
        self.transport.write(data)
        if amp.COMMAND not in box:
            self.output.answered(len(data))

    def dispatchCommand(self, box: Any) -> Deferred[Any]:  # noqa: N802
        self.flow.take(1)
        answer: Deferred[Any] = super().dispatchCommand(box)
        return answer.addErrback(self.answers.not_understood)

    def _stop_reading(self) -> None:
        if self.transport is not None:
            self.transport.pauseProducing()

    def _read_on(self) -> None:
        if self.transport is not None and self._settled:
            self.transport.resumeProducing()

    # Requests

    def call(self, command: type[wire.PeerCommand], **arguments: Any) -> Deferred[Any]:
        """Fails with Refused, or with RealmDown if no answer comes."""
        if self.transport is None or (self.refused and self.realm == ""):
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
            # AMP makes the exception from the description alone.
            raise wire.parse_refused(failure.value.code)  # type: ignore[union-attr]
        # It does not know the command, or answers with what makes no sense.
        self.warn(f"{self.realm} failed: {printable(failure.getErrorMessage(), MAX_SHOWN)}")
        raise Refused(wire.INTERNAL)

    async def deliver(self, items: list[tuple[int, bytes]]) -> list[Verdict] | None:
        """Deliver a batch. Returns a verdict for each parcel, or None if all were kept. Raises Refused if
        nothing could be stored, RealmDown."""
        answer = await self.call(wire.DeliverCommand, parcels=wire.encode_batch(items))
        if not answer["verdicts"]:
            return None
        verdicts = wire.decode_verdicts(answer["verdicts"], len(items))
        if verdicts is None:
            raise Refused(wire.INTERNAL)
        return verdicts

    async def offer(self, number: int, parcel: bytes) -> int:
        """Offer a file. Returns the offset to send it from. Raises Refused, RealmDown."""
        offset: int = (await self.call(wire.OfferCommand, number=number, parcel=parcel))["offset"]
        return offset

    def chunk(self, number: int, offset: int, data: bytes) -> Deferred[Any]:
        """Fails with Refused, RealmDown."""
        return self.call(wire.ChunkCommand, number=number, offset=offset, data=data)
