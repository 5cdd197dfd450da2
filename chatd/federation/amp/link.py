"""One connection between two realms: the AMP protocol at either end, from the TLS handshake to the loss.

chatd.federation.amp.wire describes the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from OpenSSL import SSL
from twisted.internet import defer
from twisted.internet import error as net
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IHandshakeListener
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.errors import ChatError, OtherVersion, RealmDown, RealmNotAllowed
from chatd.base.names import key_of, printable
from chatd.base.timers import Timer
from chatd.federation.amp import contents, wire
from chatd.federation.amp.flow_control import LinkFlow
from chatd.federation.amp.link_state import NEXT, LinkState
from chatd.federation.amp.peer_calls import NEEDED, PeerCalls
from chatd.federation.amp.requests import PeerRequests
from chatd.federation.amp.responder import Responder
from chatd.federation.amp.tls import TLSTransport
from chatd.federation.amp.trust import Authentication
from chatd.federation.amp.wire import Introduction, Refused
from chatd.federation.capabilities import lacking
from chatd.federation.parcels import Verdict
from chatd.federation.standing import Standing, decode_standing
from chatd.net.twisted_compat import BoundedAMP

if TYPE_CHECKING:
    from chatd.federation.amp.link_manager import LinkManager

HANDSHAKE_TIME = 15.0  # seconds within which a link must be up
CLOSE_TIME = 10.0  # seconds after which a closing link is dropped
QUIET_TIME = 30.0  # seconds of silence after which the other end is pinged
ANSWER_TIME = 30.0  # seconds within which an answer must come
# The requests that keep no link open
QUIET = (wire.PingCommand.commandName, wire.RestCommand.commandName)
MAX_KEYS = 32  # of an incomplete box
MAX_SHOWN = 300  # characters of the other end's words in the log

log = Logger()


class Route(msgspec.Struct, frozen=True):
    """Where a link leads. `expected` is the name of the realm that was dialled. If the other side has
    dialled, it is None, and `source` is the network source of the connection (chatd.base.sources)."""

    address: str
    expected: str | None = None
    source: str = ""


class OtherSide(msgspec.Struct, frozen=True):
    """What the other realm has said in Hello: its `instance` (Introduction), the capabilities that it
    `lacks`, and how it stands with this realm."""

    instance: bytes = b""
    lacks: frozenset[str] = frozenset()
    standing: Standing | None = None


class LinkSuperseded(Exception):
    """The link ended before it was up, but after the other end had proved to be the realm: there may be
    another link to it, which is better."""


@implementer(IHandshakeListener)
class PeerLink(BoundedAMP, PeerCalls):
    """`ready` fires with the link once it is up, or fails with the reason why it never was."""

    transport: TLSTransport | None  # type: ignore[assignment]  # None when the connection is gone
    noisy = False

    def __init__(self, host: LinkManager, route: Route) -> None:
        self.flow = LinkFlow(host.clock, host.new_bucket(), self)
        self.responder = Responder(self)
        self.requests = PeerRequests(self)
        super().__init__(locator=self.responder)
        self.host = host
        self.route = route
        self.link_state = LinkState.CONNECTING  # `state` is a name of Twisted's
        self.authentication: Authentication | None = None
        self.other = OtherSide()
        self.ready: Deferred[PeerLink] = Deferred()
        self.reason: ChatError | None = None  # why the link will not come up
        self._heard = self.used_at = host.clock.seconds()
        self._closing = False
        self._timer = Timer(host.clock, self._time_out)

    @property
    def dialled(self) -> bool:
        """Whether this side has dialled."""
        return self.route.expected is not None

    @property
    def realm(self) -> str:
        """The key of the realm at the other end; empty until it is authenticated."""
        return self.authentication.realm if self.authentication else ""

    @property
    def lacks(self) -> frozenset[str]:
        return self.other.lacks

    @property
    def is_up(self) -> bool:
        return self.link_state is LinkState.UP

    @property
    def is_pending(self) -> bool:
        """Whether the connection is open and the link is not up yet."""
        return self.link_state not in (LinkState.UP, LinkState.LOST)

    def _enter(self, state: LinkState) -> None:
        """The only place where the state changes."""
        assert state in NEXT[self.link_state], (self.link_state, state)  # noqa: S101
        self.link_state = state

    def _time_limit(self, seconds: float, then: Callable[[], None]) -> None:
        self._timer.cancel()
        self._timer = Timer(self.host.clock, then)
        self._timer.start(seconds)

    # The connection

    # AMP's own makeConnection and connectionLost would log every connection.

    def makeConnection(self, transport: Any) -> None:  # noqa: N802 - Twisted's name
        amp.BinaryBoxProtocol.makeConnection(self, transport)

    def connectionMade(self) -> None:
        super().connectionMade()
        if isinstance(self.transport, TLSMemoryBIOProtocol):
            # Small boxes go both ways at once; none may wait for the acknowledgement of another.
            self.transport.setTcpNoDelay(True)
        self._timer.start(HANDSHAKE_TIME)
        self.host.connected(self)

    def _time_out(self) -> None:
        self.reason = self.reason or RealmDown(realm=self.route.expected or self.realm)
        self.abort()

    def abort(self) -> None:
        """Drop the connection, with everything that was under way."""
        if self.transport is not None:
            self.transport.abortConnection()

    def close(self) -> None:
        """Close the connection once everything that was written is sent, or after `CLOSE_TIME`."""
        if self.transport is not None and not self._closing:
            self._closing = True
            self.transport.unregisterProducer()  # which would keep it open
            self.transport.loseConnection()
            self._time_limit(CLOSE_TIME, self.abort)

    def handshakeCompleted(self) -> None:  # noqa: N802 - IHandshakeListener
        """Authenticate the other end; if it is not accepted, tell it why."""
        try:
            self.host.authenticate(self)
        except ChatError as error:
            self.reject(error)
            return
        except Exception as error:
            address = self.route.address
            self.warn(f"a certificate from {address} can't be checked: {error!r:.{MAX_SHOWN}}")
            self.abort()
            return
        self._enter(LinkState.AUTHENTICATED)
        if self.transport is not None:
            self.transport.registerProducer(self.flow, True)
        if self.dialled:
            greeting = Deferred.fromCoroutine(self._greet())
            greeting.addErrback(self._greeting_failed)

    def reject(self, error: ChatError) -> None:
        """Close the link of a realm that is not allowed, and tell it why."""
        self.warn(f"the realm at {self.route.address} is not let in: {error}")
        self.reason = error
        if self.link_state is LinkState.LOST:
            return
        self._enter(LinkState.REJECTED)
        # The other end is told only what it can act on, not what is remembered here.
        reason = ""
        if isinstance(error, RealmNotAllowed):
            reason = str(error.details["reason"])
        elif isinstance(error, OtherVersion):
            reason = wire.OTHER_VERSION.format(**error.details)
            self.host.refused(self.realm, error)
        self.callRemote(wire.GoodbyeCommand, code=error.code, reason=reason)
        self.close()

    def warn(self, sentence: str) -> None:
        """Log a mistake of the other end, at a limited rate."""
        self.host.warn_of(self.route.source, key_of(self.route.expected or ""), sentence)

    def protocol_error(self, what: object) -> None:
        """Close a link that breaks the protocol."""
        client = self.realm or "the client"
        self.warn(f"{client} at {self.route.address} broke the protocol: {what}")
        self.close()

    def connectionLost(self, reason: Failure = Failure(net.ConnectionDone())) -> None:  # noqa: B008
        amp.BinaryBoxProtocol.connectionLost(self, reason)
        self.transport = None
        self._enter(LinkState.LOST)
        self.responder.end()
        self.flow.end()
        self._timer.cancel()
        if reason.check(SSL.Error) and not self.dialled and self.authentication is None:
            self.warn(f"the client at {self.route.address} does not speak TLS as realms do")
        self.host.lost(self, self.reason)
        if not self.ready.called:
            superseded = self.authentication is not None
            self.ready.errback(self.reason or (LinkSuperseded() if superseded else reason))
            if not self.dialled:
                self.ready.addErrback(lambda _failure: None)  # nothing waits for it

    # Hello

    async def _greet(self) -> None:
        """Say hello, at the side that has dialled."""
        own = await self.host.introduce_to(self.realm)
        answer = await self.call(wire.HelloCommand, **msgspec.structs.asdict(own))
        self.greeted()
        await self.accept(Introduction(**answer))
        self.come_up()

    def greeted(self) -> None:
        """Hello was received or answered."""
        self._enter(LinkState.GREETED)

    async def accept(self, other: Introduction) -> None:
        """Raises Refused, OtherVersion."""
        if other.version != wire.VERSION:
            name = printable(other.realm)
            raise OtherVersion(realm=name, theirs=other.version, ours=wire.VERSION)
        lacks, standing = lacking(other.capabilities), decode_standing(other.standing)
        self.other = OtherSide(other.instance, lacks, standing)
        await self.host.accept(self, other)

    def come_up(self) -> None:
        """Both ends have said hello."""
        if self.link_state is not LinkState.GREETED or self._closing:
            return  # it was rejected, closed or lost meanwhile
        self._enter(LinkState.UP)
        self._time_limit(QUIET_TIME, self._check_silence)
        self.host.ready(self)
        self.ready.callback(self)
        self.responder.link_up()

    def _greeting_failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, OtherVersion):
            self.reject(error)
            return
        if isinstance(error, Refused) and error.code == wire.ALREADY_LINKED:
            log.debug("there is another link with {realm} already", realm=self.realm)
        elif not failure.check(RealmDown):
            self.warn(f"{self.realm}: {printable(failure.getErrorMessage(), MAX_SHOWN)}")
        self.close()

    def _check_silence(self) -> None:
        """Ping the other end if it has been silent."""
        self.host.resting.check(self)
        left = self._heard + QUIET_TIME - self.host.clock.seconds()
        if left > 0:
            self._timer.start(left)
            return
        self._timer.start(QUIET_TIME)
        self.call(wire.PingCommand).addErrback(lambda _failure: self.abort())

    # Boxes

    def dataReceived(self, data: bytes) -> None:
        if self.link_state in (LinkState.CONNECTING, LinkState.REJECTED, LinkState.LOST):
            return
        self._heard = self.host.clock.seconds()
        try:
            super().dataReceived(data)
        except Exception as error:  # from AMP's parser: the responder catches those of requests
            self.protocol_error(type(error).__name__)
        if self.unfinished_keys > MAX_KEYS:
            self.protocol_error("a box without end")

    def lengthLimitExceeded(self, length: int) -> None:
        self.protocol_error(f"a key of {length} bytes")

    def unhandledError(self, failure: Failure) -> None:  # noqa: N802
        """A request that wants no answer has failed. An unknown command may be of a later release: it is
        ignored."""
        error = failure.value
        if isinstance(error, amp.RemoteAmpError) and error.errorCode == amp.UNHANDLED_ERROR_CODE:
            self.warn(f"{self.realm} sent a command that is not known here")
            return
        self.protocol_error(failure.getErrorMessage())

    def sendBox(self, box: Any) -> None:  # noqa: N802
        self._note_use(box.get(amp.COMMAND))
        data = box.serialize()
        if self.transport is None:
            raise net.ConnectionLost
        self.transport.write(data)
        if amp.COMMAND not in box:
            self.flow.answered(len(data))

    def dispatchCommand(self, box: Any) -> Deferred[Any]:  # noqa: N802
        self.flow.take(1)
        self._note_use(box[amp.COMMAND])
        answer: Deferred[Any] = super().dispatchCommand(box)
        return answer.addErrback(self.responder.malformed)

    def _note_use(self, command: bytes | None) -> None:
        """A request goes over the link. `used_at` is the time of the last one that somebody needs."""
        if command is not None and command not in QUIET:
            self.used_at = self.host.clock.seconds()

    def pause_reading(self) -> None:
        if self.transport is not None:
            self.transport.pauseProducing()

    def resume_reading(self) -> None:
        if self.transport is not None and self.link_state is not LinkState.CONNECTING:
            self.transport.resumeProducing()

    # Calls

    def call(self, command: type[wire.PeerCommand], **arguments: Any) -> Deferred[Any]:
        if self.transport is None or self.link_state is LinkState.REJECTED:
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
        # The other end does not know the command, or its answer is malformed.
        self.warn(f"{self.realm} failed: {printable(failure.getErrorMessage(), MAX_SHOWN)}")
        raise Refused(wire.INTERNAL)

    def tell(self, command: type[wire.PeerCommand], **arguments: Any) -> None:
        if NEEDED.get(command) not in self.other.lacks and self.transport is not None:
            self.callRemote(command, **arguments)

    async def deliver(self, items: list[tuple[int, bytes]]) -> list[Verdict] | None:
        """Deliver a batch. Returns a verdict for each parcel, or None if all were kept. Raises RealmDown, or
        Refused if nothing could be stored."""
        answer = await self.call(wire.DeliverCommand, parcels=contents.encode_batch(items))
        if not answer["verdicts"]:
            return None
        verdicts = contents.decode_verdicts(answer["verdicts"], len(items))
        if verdicts is None:
            raise Refused(wire.INTERNAL)
        return verdicts
