"""The line protocol of one connection, the same for every dialect.

A dialect reads the lines, `RequestQueue` executes their requests, and `ConnectionOutput` writes the replies.
The connection is not read from while there is a reason in `Hold`. A client that lets events pile up without
reading them is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, assert_never

from twisted.internet import interfaces
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base import errors
from chatd.base.events import Closing, Event
from chatd.commands.connection import Connection, Origin, Traits
from chatd.lines.dialect import (
    Composition,
    Confirmation,
    PartialRequest,
    Prompt,
    Request,
    Unreadable,
)
from chatd.lines.first_bytes import HTTP, FirstBytes, is_request_line
from chatd.lines.input_control import Hold, InputControl
from chatd.lines.long_line import LongLine
from chatd.lines.output import MAX_FULL, Backlog, ConnectionOutput
from chatd.lines.paced_output import output_class
from chatd.lines.prompts import Prompts
from chatd.lines.receiver import BufferedLineReceiver
from chatd.lines.requests import RequestQueue
from chatd.lines.silence import LOGIN_TIME, Silence
from chatd.lines.states import TRANSITIONS, ConnectionEvent, ConnectionState
from chatd.net.sockets import StreamTransport
from chatd.service.presence import IListener

if TYPE_CHECKING:
    from chatd.lines.factory import ChatLineFactory

LINGER = 2.0  # seconds in which a client that is turned away may read why

log = Logger()


@implementer(IListener, interfaces.IHalfCloseableProtocol, interfaces.IHandshakeListener)
class ChatLineProtocol(BufferedLineReceiver):
    """One client's connection. `origin` says where it comes from."""

    transport: StreamTransport  # type: ignore[assignment]
    output: ConnectionOutput

    def __init__(self, factory: ChatLineFactory, origin: Origin) -> None:
        dialect = factory.dialect
        super().__init__(factory.text_limit, factory.line_limit, dialect.new_buffer)
        self.factory = factory
        self.dialect = dialect  # of the last request
        self._numbered = False  # whether messages are shown with their numbers
        self.connection = Connection(
            factory.sessions,
            self,
            origin,
            Traits(dialect.shared, dialect.detailed, live=dialect.live, waits=dialect.waits),
        )
        self.flow = InputControl(self, factory.clock, factory.new_bucket())
        self.requests = RequestQueue(self)
        self.state = ConnectionState.HANDSHAKE
        self._closed_here = False  # by the realm, not by the client
        # Checks the bytes of the first line. Frames (RFC 6455) never contain another protocol.
        self._first = None if dialect.framed else FirstBytes()
        self._long = LongLine(self)
        self._prompts = Prompts(self)
        self._silence = Silence(self)

    # Start and end

    def _enter(self, event: ConnectionEvent) -> bool:
        """Make the transition for `event`. Returns False if it has no effect in the current state."""
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            return False
        self.state = state
        return True

    def connectionMade(self) -> None:
        transport: Any = self.transport
        factory = self.factory
        if interfaces.ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        backlog = Backlog(factory.sessions.unread, self.connection.payer)
        make_output = output_class(factory.dialect)
        self.output = make_output(transport, factory.flush_queue, factory.clock, self, backlog)
        if not interfaces.INegotiated.providedBy(transport):
            self._established()
        elif factory.is_overrun(self.connection.origin.source):
            transport.abortConnection()
        else:
            # Writing before TLS is up makes it pause its producer. Then nothing is read, not even the rest
            # of the handshake.
            self._silence.schedule(LOGIN_TIME, transport.abortConnection)

    def handshakeCompleted(self) -> None:  # noqa: N802 - IHandshakeListener
        """TLS is up."""
        self._established()

    def _established(self) -> None:
        """Greet the client, unless there are too many connections."""
        self._enter(ConnectionEvent.ESTABLISHED)
        self._silence.cancel()
        factory = self.factory
        origin = self.connection.origin
        error = factory.refusal(origin.address) or factory.admit(origin.source)
        if error is not None:
            self.refuse(error)
            return
        self.output.write(factory.dialect.greeting(factory.service.config.realm, factory.version))
        self._silence.watch()

    def refuse(self, error: errors.ChatError) -> None:
        """IListener: send `error` as an event, and close the connection."""
        self._closed_here = True
        if self.state is ConnectionState.HANDSHAKE:  # nothing can be sent yet
            self.transport.abortConnection()
            return
        self.factory.service.counters.errors[error.code] += 1
        self.deliver((Closing(error),))
        self.close()

    def _turn_away(self, error: errors.ChatError) -> None:
        """Send `error` instead of executing anything, and close.

        Until the client has closed its side too, arriving bytes are read and discarded: closing a socket with
        unread data resets the connection, and the client might never read the error.
        """
        self._closed_here = True
        self._enter(ConnectionEvent.REFUSED)
        self.clearLineBuffer()
        self.output.write(self.requests.refusal(error, None))
        if self.output.half_close():
            self._silence.schedule(LINGER, self.transport.abortConnection)
        else:
            self.close()

    def finish(self) -> None:
        """The realm stops: answer the requests under way, take no more, and close."""
        self._closed_here = True
        self.flow.hold(Hold.CLOSING)
        if self.requests.files.upload is not None or self.state is ConnectionState.HANDSHAKE:
            self.transport.abortConnection()
        elif self._enter(ConnectionEvent.STOPPED):
            self.requests.files.withdraw()
            self._close_if_idle()

    def readConnectionLost(self) -> None:
        """The client sends nothing more. Its requests are answered before the connection is closed."""
        if self.requests.files.need_client or self.state is ConnectionState.TURNED_AWAY:
            self.requests.files.abort()
            self.transport.loseConnection()
        elif self._enter(ConnectionEvent.READ_CLOSED):
            self.settle()
            self._close_if_idle()

    def writeConnectionLost(self) -> None:
        """The sending side is closed: close the connection, unless the client may still read an error."""
        if self.state is not ConnectionState.TURNED_AWAY:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        done = reason.check(ConnectionDone) is not None
        clean = done and not self._closed_here and not self.output.is_full
        self._enter(ConnectionEvent.LOST)
        self.flow.stop()
        self._silence.cancel()
        self._prompts.forget()
        self.clearLineBuffer()  # free its memory even while something refers to the connection
        try:
            if self._long.is_arriving:
                self._long.end()
            self.requests.files.abort()
            self.output.lost()
            self.connection.leave(clean)
        finally:
            self.factory.gone(self)

    def close(self) -> None:
        """Close the connection once everything that was written is sent, or after MAX_FULL seconds."""
        self.flow.hold(Hold.CLOSING)
        if self._enter(ConnectionEvent.CLOSED):
            self._silence.schedule(MAX_FULL, self.cut_off)
            self.output.close()

    def _close_if_idle(self) -> None:
        """Close a connection that takes no more requests, once all of them are answered."""
        if self.state is ConnectionState.HALF_CLOSED:
            if self.lines and self.paused:
                return  # the buffer may contain whole lines
            self.requests.files.withdraw()  # no confirmation can arrive
        if self.requests:
            return
        if self.state not in (ConnectionState.HALF_CLOSED, ConnectionState.DRAINING):
            return
        if self.factory.stopping:
            self.deliver((Closing(errors.ShuttingDown()),))
        self.close()

    def release_line(self) -> None:
        """Nothing needs the last long line any more."""
        if self._long.is_taken:
            self._long.end()

    def idle(self) -> None:
        """Every request that was read is answered."""
        if self._long.account is not None:
            self.release_line()
        if self.state is not ConnectionState.OPEN and not self.is_passing_on:
            self._close_if_idle()

    # Making room for another connection, if the dialect is patient

    @property
    def is_waiting(self) -> bool:
        """Whether the connection is open and has no login."""
        return self.state is ConnectionState.OPEN and not self.connection.in_use

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self.requests)

    def give_way(self) -> None:
        """Close the connection, because another needs its place."""
        number = self.connection.origin.number
        log.debug("connection {connection} makes room for another", connection=number)
        self.refuse(errors.TooManyConnections(where="without a login"))
        self._silence.schedule(LINGER, self.transport.abortConnection)

    # Reading

    def dataReceived(self, data: bytes) -> None:
        if data:
            # One read may be many frames, which the transport counts itself.
            if not self.factory.dialect.framed:
                self.connection.moment += 1
            if self.state is ConnectionState.TURNED_AWAY:
                return
            if self._first is not None and (found := self._first.feed(data)):
                self._turn_away(
                    errors.WrongProtocol(dialect=self.factory.dialect.name, found=found)
                )
                return
        super().dataReceived(data)
        if self._long.account is not None and self._long.is_arriving:
            self.connection.heard = self.factory.clock.seconds()
            self._long.grow()
        if self.lines.wait:
            if self.state is ConnectionState.HALF_CLOSED:
                self.settle()
            else:
                self._silence.ends_request(self.lines.wait)
        if self.state is ConnectionState.HALF_CLOSED and not self.paused and not self.is_passing_on:
            self._close_if_idle()

    def settle(self) -> None:
        """Treat the input so far as a complete request, because nothing has followed it."""
        if self.lines.wait and not self.paused:
            self.lines.settle()
            self.dataReceived(b"")

    def lineReceived(self, line: bytes) -> None:
        now = self.connection.heard = self.factory.clock.seconds()
        if self.lines.original is not self.dialect.is_original:
            self._change_form()
        if self._long.account is not None:
            self._long.take()
        if self._first is not None and line and self._is_http(line):
            return
        if self._prompts.is_binary:
            self._prompts.begin_line()
        found: Request | PartialRequest | Confirmation | Prompt | Composition | None = None
        try:
            if self._prompts.pending is not None:
                found = self._prompts.answer(line)
            elif line or self.dialect.answers_empty:
                found = self.dialect.read(line)
        except Unreadable as problem:
            self.requests.refuse_line(problem.error, problem.tag)
        except Exception:
            self.requests.refuse_line(self.requests.unexpected(Failure()))
        own = self.connection.own.session
        match found:
            case Request():
                self.flow.charge(own, now)
                self.requests.submit(found)
            case PartialRequest():  # charged to its session, once that is known
                self._submit_partial(found, len(line))
            case Prompt() | Composition() | Confirmation() | None:
                self.flow.charge(own, now)
                self._prompts.go_on(found)
                self._long.end()
            case _:
                assert_never(found)

    def _is_http(self, line: bytes) -> bool:
        """Whether the first line is of HTTP. Then the connection is refused."""
        self._first = None
        if not is_request_line(line):
            return False
        self._turn_away(errors.WrongProtocol(dialect=self.dialect.name, found=HTTP))
        return True

    def _change_form(self) -> None:
        """Use the dialect in whose form the request is: that of the document, or of the system's client."""
        self.dialect = self.factory.dialect.form(self.lines.original, self._numbered)
        self.output.set_gap(self.dialect.gap)

    def show_numbers(self, on: bool) -> None:
        """Show messages with their numbers, or without, from the next reply on."""
        self._numbered = on
        self._change_form()

    def _submit_partial(self, request: PartialRequest, size: int) -> None:
        limit = self.factory.text_limit
        if request.inline or size <= limit:
            self.requests.submit(request)
            return
        self.requests.refuse_line(errors.MessageTooLong(size=size, limit=limit), request.tag)
        self.charge(1)
        self._long.end()

    def rawDataReceived(self, data: bytes) -> None:
        self.connection.heard = self.factory.clock.seconds()
        rest = self.requests.files.add_to_upload(data)
        if rest is not None:
            self.setLineMode(rest)

    def telnetReceived(self, commands: list[tuple[int, int]], count: int) -> None:
        """Answer telnet commands, and count them."""
        self._prompts.negotiate(commands)
        self.charge(count)

    def charge(self, count: int) -> None:
        """Count input other than lines as `count` commands."""
        self.flow.charge(self.connection.own.session, self.factory.clock.seconds(), count)

    def longLineStarted(self) -> None:
        """Let the line grow if it belongs to somebody who is logged in."""
        self._change_form()
        self._long.start()

    def lineLengthExceeded(self, _line: bytes) -> None:
        self._long.end()
        self._change_form()
        self.refuse_long_line(errors.LineTooLong(limit=self.MAX_LENGTH))

    def refuse_long_line(self, error: errors.ChatError) -> None:
        """Report that a line was dropped. A first line may be HTTP with a long path."""
        self.charge(1)
        if self._first is not None:
            self._turn_away(error)
            return
        self._prompts.refuse_line(error, self.MAX_LENGTH)

    def accept_protocol(self) -> None:
        """Stop checking whether the client speaks another protocol."""
        self._first = None

    # Writing

    def deliver(self, events: Sequence[Event]) -> None:
        """IListener: push events."""
        if not self.dialect.gap:
            self.output.push(self.dialect.events(events))
            return
        for data in self.dialect.events_apart(events, self.connection.names):
            self.output.push(data)

    def drop(self) -> None:
        """IListener: drop the connection, because its code raised an exception."""
        self._closed_here = True
        self.output.drop()

    def output_full(self) -> None:
        """Do not read more requests while the client does not read the replies."""
        self.flow.hold(Hold.OUTPUT)

    def output_drained(self) -> None:
        """The client has caught up."""
        self.flow.release(Hold.OUTPUT)

    def cut_off(self) -> None:
        """Drop the connection. A client that does not read would not read an error either."""
        log.info(
            "connection {connection} is stuck and is cut off",
            connection=self.connection.origin.number,
        )
        self.flow.hold(Hold.CLOSING)
        self.transport.abortConnection()
