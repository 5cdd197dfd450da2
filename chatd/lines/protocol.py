"""The line protocol, one for every dialect: bytes -> requests -> the service -> replies in order.

Sends may overlap: they begin as they arrive and their replies wait for one another. Any other command
begins when what came before it is answered, and nothing is read from the connection until it is. So a
client may pipeline as much as it likes, and what is not yet worked on stays in its own socket.

A request that is a `Call` is read to its end only when its turn has come and it is known who asks.

A connection is not read from while (`Hold`) a command is under way, its replies are not being read, it is
over its rate, or the disk is behind with its upload. One that lets pushed messages pile up is cut off.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.errors import (
    ChatError,
    Idle,
    LineTooLong,
    MessageTooLong,
    NotLoggedIn,
    ShuttingDown,
    WrongProtocol,
)
from chatd.base.model import Closing
from chatd.base.throttle import TokenBucket
from chatd.base.timers import cancel
from chatd.commands.client import Client
from chatd.commands.sessions import Session
from chatd.lines.dialect import Ask, Call, Request, Unreadable
from chatd.lines.door import Door, Hold
from chatd.lines.first_bytes import HTTP, FirstBytes, is_request_line
from chatd.lines.framing import LONGER, TOO_LONG, LineBuffer
from chatd.lines.long_line import LongLine
from chatd.lines.output import MAX_FULL, Output
from chatd.lines.replies import Replies
from chatd.lines.telnet import ARE_YOU_THERE, Telnet

LINGER = 2.0  # seconds that a client that is turned away has to read why
LOGIN_TIME = 60.0  # seconds of silence that are allowed before a login
UPLOAD_TIME = 300.0  # seconds in which some bytes of an upload have to come

log = Logger()


@implementer(interfaces.IHalfCloseableProtocol, interfaces.IHandshakeListener)
class ChatLineProtocol(Replies, LineReceiver):
    """One client's connection: its beginning and end, and the bytes that arrive on it."""

    def __init__(self, factory: Door, number: int, source: str) -> None:
        super().__init__(factory, number, source)
        self._lines = LineBuffer(min(factory.text_limit, factory.line_limit), factory.line_limit)
        self._long = LongLine(
            self._lines,
            self.connection,
            self._dialect,
            factory.sessions.inline,
            self._clock,
            self._refuse_long,
            lambda: bool(self._holds & (Hold.COMMAND | Hold.DISK | Hold.LOOKUP)),
        )
        self._telnet = Telnet(self._dialect.telnet)
        # Until the first line is complete. Frames (RFC 6455) never contain another protocol.
        self._first = None if self._dialect.framed else FirstBytes()
        self._bucket: TokenBucket = factory.new_bucket()
        self._answer: Ask | None = None
        self._working = False
        self._shaking = False  # TLS is not up yet
        self._ending = False
        self._lingering = False  # the final error was sent, and arriving bytes are dropped
        self._timer: Any = None
        self._pause: Any = None  # the timer that ends Hold.RATE

    # The connection's beginning and end

    def connectionMade(self) -> None:
        if interfaces.ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self._output = Output(
            self.transport,
            self.factory.flush_queue,
            self._clock,
            partial(self._hold, Hold.OUTPUT),
            partial(self._release, Hold.OUTPUT),
            self._cut_off,
            self.factory.sessions.unread,
            self.connection.payer,
        )
        if interfaces.INegotiated.providedBy(self.transport):
            # Writing before TLS is up makes it pause its producer; then nothing is read, not even the
            # rest of the handshake.
            self._shaking = True
            if self.factory.is_overrun(self.source):
                self.transport.abortConnection()
                return
            self._timer = self._clock.callLater(LOGIN_TIME, self.transport.abortConnection)
        else:
            self._welcome()

    def handshakeCompleted(self) -> None:  # noqa: N802 - IHandshakeListener
        """TLS is up."""
        self._shaking = False
        cancel(self._timer)
        self._welcome()

    def _welcome(self) -> None:
        """Greet the client, unless there are too many."""
        if error := self.factory.too_many(self.source):
            self.refuse(error)
            return
        self._output.write(self._dialect.greeting(self.factory.realm, self.factory.version))
        self._watch()

    def refuse(self, error: ChatError) -> None:
        """Close the connection at once, and say why."""
        self._closed_here = True
        self._errors[error.code] += 1
        self.deliver((Closing(error),))
        self._end()

    def _turn_away(self, error: ChatError) -> None:
        """Send the reason why nothing was carried out, and close.

        Until the client has closed its side too, arriving bytes are read and dropped: closing a socket with
        unread data resets the connection, and the client might not get to read the error.
        """
        self._closed_here = self._ending = self._lingering = True
        self._lines.clear()
        self._output.write(self._refusal(error, None))
        if self._output.half_close():
            cancel(self._timer)
            self._timer = self._clock.callLater(LINGER, self.transport.abortConnection)
        else:
            self._end()

    def finish(self) -> None:
        """The realm shuts down: answer what was accepted, take nothing more, and close."""
        self._closed_here = True
        self._hold(Hold.CLOSING)
        if self._receiving is not None or self._shaking:
            self.transport.abortConnection()
        elif not self._ending:
            self._ending = True
            self._end_if_idle()

    def readConnectionLost(self) -> None:
        """The client will send nothing more. What it asked for is answered first."""
        if self._receiving is not None or self._lingering:
            self.transport.loseConnection()
            return
        self._ending = True
        self._end_if_idle()

    def writeConnectionLost(self) -> None:
        """End a half-closed connection, unless the client is about to read why it is turned away."""
        if not self._lingering:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        done = reason.check(ConnectionDone) is not None
        clean = done and not self._closed_here and not self._output.is_full
        self._holds |= Hold.CLOSING
        cancel(self._timer)
        cancel(self._pause)
        receiving, self._receiving = self._receiving, None
        self._lines.clear()  # free the line even while something refers to the connection
        try:
            if self._long.is_arriving:
                self._long.end()
            if receiving is not None:
                receiving[1].upload.abort()
            self._output.lost()
            self.connection.leave(clean)
        finally:
            self.factory.gone(self)

    def _end(self) -> None:
        """Close once everything that was written is sent. Who does not read that, either, is cut off."""
        self._hold(Hold.CLOSING)
        self._ending = True
        if not self.connection.gone:
            cancel(self._timer)
            self._timer = self._clock.callLater(MAX_FULL, self._cut_off)
        self._output.close()

    def _end_if_idle(self) -> None:
        if self._slots or self._next or self._receiving or self._lingering:
            return
        if self._lines and self._holds and not self._holds & Hold.CLOSING:
            return  # there may be whole lines yet; without a hold, it can only be half a one
        if self.factory.stopping:
            self.deliver((Closing(ShuttingDown()),))
        self._end()

    def _idle(self) -> None:
        if self._long.account is not None and self._long.is_taken:
            self._long.end()
        if self._ending and not self._working:
            self._end_if_idle()

    def _watch(self) -> None:
        """Hang up on those who say nothing: before a login in any case, afterwards if so configured."""
        now = self._clock.seconds()
        stuck = self._receiving is not None and now - self._heard > UPLOAD_TIME
        if stuck or self._output.is_stalled():
            self._cut_off()
            return
        self.connection.extend()
        limit = self.factory.idle_limit if self.connection.in_use else LOGIN_TIME
        left = self._heard + limit - now if limit else LOGIN_TIME
        if left > 0 or self._slots:
            # Somebody may log in meanwhile, and be subject to the other limit.
            pause = min(max(left, 1.0), self.factory.idle_limit or LOGIN_TIME)
            self._timer = self._clock.callLater(pause, self._watch)
        else:
            self.refuse(Idle(seconds=int(limit)))

    # Reading

    def dataReceived(self, data: bytes) -> None:
        self.connection.moment += 1
        if self._lingering:
            return
        if self._first is not None and (found := self._first.feed(data)):
            self._turn_away(WrongProtocol(dialect=self._dialect.name, found=found))
            return
        self._lines.add(data)
        self._work()
        if self._long.account is not None and self._long.is_arriving:
            self._heard = self._clock.seconds()
            self._long.grow()

    def _work(self) -> None:
        """Take what can be taken from the buffer, until there is a reason to wait."""
        if self._working:
            return
        self._working = True
        lines = self._lines
        try:
            while lines and not self._holds:
                if self._receiving is not None:
                    self.rawDataReceived(lines.take_raw(self._receiving[1].upload.missing))
                    continue
                line = lines.take_line()
                if lines.telnet:
                    self._heed_telnet()
                if line is None:
                    break
                if isinstance(line, bytes):
                    self.lineReceived(line)
                elif line is TOO_LONG:
                    self.lineLengthExceeded(b"")
                elif line is LONGER:
                    self._ask_whose_line()
        finally:
            self._working = False
        if self._ending and not self._holds:
            self._end_if_idle()

    def _heed_telnet(self) -> None:
        """Answer telnet commands, in order with the replies, and count them as commands."""
        commands, count = self._lines.take_telnet()
        answer = self._telnet.answer(commands)
        if (ARE_YOU_THERE, 0) in commands:
            answer += self._dialect.here
        if answer:
            self._say(answer)
        self.charge(count)

    def _ask_whose_line(self) -> None:
        """Let the next line grow if it belongs to somebody who is logged in."""
        token = self._long.token()
        if token is None or not self.connection.must_look_up(token):
            self._allow_long(self.connection.find(token))
            return
        self._hold(Hold.LOOKUP)
        looking = Deferred.fromCoroutine(self.connection.look_up(token))
        looking.addErrback(self._not_looked_up)
        looking.addCallback(self._allow_long)
        looking.addCallback(lambda _: self._release(Hold.LOOKUP))

    def _not_looked_up(self, failure: Failure) -> None:
        log.failure("a token was not looked up", failure)

    def _allow_long(self, found: Client | None) -> None:
        if self.connection.gone:
            return
        if found is not None:
            self._first = None  # no foreign protocol has a live token
        self._long.begin(found)

    def lineLengthExceeded(self, _line: bytes) -> None:
        self._long.end()
        self._refuse_long(LineTooLong(limit=self.factory.line_limit))

    def _refuse_long(self, error: ChatError) -> None:
        self.charge(1)
        if self._first is not None:  # it may be an HTTP request with a long path
            self._turn_away(error)
            return
        asked, self._answer = self._answer, None
        if asked is not None:
            self._ask_no_more(asked)
        self._refuse_line(error)

    def lineReceived(self, line: bytes) -> None:
        self._heard = self._clock.seconds()
        if self._long.account is not None:
            self._long.take()
        if self._first is not None and line:
            self._first = None
            if is_request_line(line):
                self._turn_away(WrongProtocol(dialect=self._dialect.name, found=HTTP))
                return
        request: Request | Call | None = None
        try:
            if line or self._answer is not None:
                request = self._read(line)
        except Unreadable as problem:
            self._refuse_line(problem.error, problem.tag)
        except Exception:
            self._refuse_line(self._unexpected(Failure()))
        if type(request) is not Call:  # a call is counted once it is known whose it is
            self._count(self.connection.own.session, self._heard)
        if request is None:
            self._long.end()
            return
        if self._slots and not (
            request.row.overlaps
            and (not isinstance(request, Call) or not self.connection.must_look_up(request.token))
        ):
            self._next = request
            self._hold(Hold.COMMAND)
        else:
            self._begin(request)

    def charge(self, count: int) -> None:
        """What has come besides the lines was as much work as so many commands."""
        self._count(self.connection.own.session, self._clock.seconds(), count)

    def _count(self, session: Session | None, now: float, count: int = 1) -> None:
        """More commands of the session, or of a connection on which nobody is logged in."""
        pause = (self._bucket if session is None else session.bucket).take(now, count)
        if pause > 0:
            self._hold(Hold.RATE)
            cancel(self._pause)
            self._pause = self._clock.callLater(pause, self._release, Hold.RATE)

    def _read(self, line: bytes) -> Request | Call | None:
        """The request, or None if the dialect has asked for another line."""
        asked, self._answer = self._answer, None
        if asked is None:
            found = self._dialect.read(line)
        else:
            self._ask_no_more(asked)
            found = asked.answer(line)
        if isinstance(found, Ask):
            if found.row.login and self.connection.own.session is None:
                raise Unreadable(NotLoggedIn())
            self._answer = found
            self._telnet.said_echo(True)
            self._say(found.prompt)
            return None
        if type(found) is Call and not found.inline and len(line) > self.factory.text_limit:
            error = MessageTooLong(size=len(line), limit=self.factory.text_limit)
            raise Unreadable(error, found.tag)
        return found

    def _ask_no_more(self, asked: Ask) -> None:
        self._telnet.said_echo(False)
        self._say(asked.after)

    def rawDataReceived(self, data: bytes) -> None:
        assert self._receiving is not None  # noqa: S101 - raw bytes come to an upload only
        slot, receive = self._receiving
        self._heard = self._clock.seconds()
        if not receive.upload.write(data):
            self._hold(Hold.DISK)
            receive.upload.room().addCallback(lambda _result: self._release(Hold.DISK))
        if receive.upload.missing == 0:
            self._received(slot, receive)
