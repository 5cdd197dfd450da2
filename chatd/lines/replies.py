"""Carries out the requests of one connection and sends the replies in order: the half of the line protocol
that does not see the arriving bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.errors import BadToken, ChatError, FileTooLarge, InternalError, ShuttingDown
from chatd.base.model import Event, Reply
from chatd.commands.client import Client
from chatd.commands.connection import Connection, Origin, Traits
from chatd.commands.results import DownloadReply, ExpectUpload, LastReply
from chatd.commands.sessions import Session
from chatd.lines.dialect import Call, Request
from chatd.lines.door import Door, Hold, Slot
from chatd.lines.inline import Content
from chatd.lines.output import Output
from chatd.service.attachments import Download
from chatd.service.presence import IListener

MAX_OVERLAPPING = 256  # commands of one connection that may be under way to the disk

log = Logger()


@implementer(IListener)
class Replies:
    """The requests of one connection that are under way, and everything that is written to it."""

    transport: Any
    _output: Output

    def __init__(self, factory: Door, number: int, source: str) -> None:
        self.factory = factory
        self.number = number
        self.source = source
        self._dialect = factory.dialect
        self.connection = Connection(
            factory.sessions,
            self,
            Origin(source, number),
            Traits(self._dialect.shared, self._dialect.detailed),
        )
        self._clock = factory.service.clock
        self._errors = factory.service.counters.errors
        self._holds = 0
        self._slots: deque[Slot] = deque()
        self._next: Request | Call | None = None
        self._receiving: tuple[Slot, ExpectUpload] | None = None
        self._heard = self._clock.seconds()
        self._closed_here = False  # by the realm, not by the client

    # Provided by the half that reads.

    def _work(self) -> None:
        """Continue reading, because nothing prevents it any more."""
        raise NotImplementedError

    def _idle(self) -> None:
        """Every request that was read is answered."""
        raise NotImplementedError

    def _end(self) -> None:
        """Close the connection once everything that was written is sent."""
        raise NotImplementedError

    def _count(self, session: Session | None, now: float, count: int = 1) -> None:
        """Count commands of the session, or of the connection if nobody is logged in on it."""
        raise NotImplementedError

    # Carrying out

    def _begin(self, request: Request | Call) -> None:
        slot = Slot(request)
        self._slots.append(slot)
        try:
            if type(request) is Request:
                result = self.connection.own.execute(request.command)
            else:
                result = self._find_caller(slot)
        except ChatError as error:
            self._answered(slot, self._refusal(error, request.tag))
            return
        except Exception:
            self._failed(Failure(), slot)
            return
        if isinstance(result, Deferred):
            if not result.called and (
                not request.row.overlaps or len(self._slots) >= MAX_OVERLAPPING
            ):
                self._hold(Hold.COMMAND)
            result.addCallbacks(self._done, self._failed, (slot,), {}, (slot,))
        else:
            self._done(result, slot)

    def _find_caller(self, slot: Slot) -> Any:
        """Carry out the slot's call. Returns what `execute` does."""
        token = slot.request.token
        if self.connection.must_look_up(token):
            self._hold(
                Hold.COMMAND
            )  # even a send has to wait for it, so that neither overtakes the other
            return Deferred.fromCoroutine(self._look_up_caller(slot))
        return self._call(slot, self.connection.find(token))

    async def _look_up_caller(self, slot: Slot) -> Any:
        result = self._call(slot, await self.connection.look_up(slot.request.token))
        return await result if isinstance(result, Deferred) else result

    def _call(self, slot: Slot, found: Client | None) -> Any:
        """Carry out the slot's call, for the client whose token it has, else for the connection's own."""
        call: Call = slot.request
        client = found or self.connection.own
        self._count(client.session, self._heard)
        if found is None and call.required:
            raise BadToken
        client.admit(call.row)
        slot.request = call.read(found is not None)
        return client.execute(slot.request.command)

    def _done(self, result: Any, slot: Slot) -> None:
        try:
            self._carry_on(result, slot)
        except Exception:
            self._failed(Failure(), slot)

    def _carry_on(self, result: Any, slot: Slot) -> None:
        if type(result) is Reply:
            self._answered(slot, self._dialect.reply(slot.request, result))
        elif isinstance(result, ExpectUpload):
            self._receive(slot, result)
        elif isinstance(result, DownloadReply):
            giving = Deferred.fromCoroutine(self._give(slot, result.reply, result.download))
            giving.addErrback(self._broken)
        elif isinstance(result, LastReply):
            self._answered(slot, self._dialect.reply(slot.request, result.reply))
            self._end()
        else:
            raise TypeError(f"{slot.request.command!r} came to {result!r}")

    def _failed(self, failure: Failure, slot: Slot) -> None:
        error = failure.value
        if not isinstance(error, ChatError):
            error = self._unexpected(failure)
        self._answered(slot, self._refusal(error, slot.request.tag))

    def _unexpected(self, failure: Failure) -> InternalError:
        """Log an unexpected exception, and return an error with its reference."""
        error = InternalError(reference=self.factory.new_reference())
        session = self.connection.own.session
        log.failure(
            "internal error {reference} on connection {connection}, session {session}",
            failure,
            reference=error.details["reference"],
            connection=self.number,
            session=None if session is None else session.number,
        )
        return error

    def _answered(self, slot: Slot, answer: bytes) -> None:
        """Put the answer in its place, and send what is due."""
        slots = self._slots
        slot.answer = answer
        while slots and (ready := slots[0].answer) is not None:
            slots.popleft()
            self._output.write(ready)
        if self._next is not None:
            if not slots:
                request, self._next = self._next, None
                self._begin(request)
                if not self._slots:
                    self._release(Hold.COMMAND)
        elif self._holds & Hold.COMMAND and len(slots) < MAX_OVERLAPPING // 2:
            self._release(Hold.COMMAND)
        if not slots and self._next is None:
            self._idle()

    # Files

    def _receive(self, slot: Slot, receive: ExpectUpload) -> None:
        if slot.request.content is not None:
            self._hold(Hold.COMMAND)
            stored = Deferred.fromCoroutine(self._store(receive, slot.request.content))
            stored.addCallbacks(self._done, self._failed, (slot,), {}, (slot,))
            return
        if self._holds & Hold.CLOSING:
            receive.upload.abort()
            self._answered(slot, self._refusal(ShuttingDown(), slot.request.tag))
            return
        self._output.write(self._dialect.ready(slot.request))
        if receive.upload.missing == 0:
            self._received(slot, receive)
        else:
            self._receiving = (slot, receive)
            self._release(Hold.COMMAND)

    def _received(self, slot: Slot, receive: ExpectUpload) -> None:
        """All bytes of a file have arrived: reply once they are stored."""
        self._receiving = None
        self._hold(Hold.COMMAND)
        finished = Deferred.fromCoroutine(receive.finish())
        finished.addCallbacks(self._done, self._failed, (slot,), {}, (slot,))

    async def _store(self, receive: ExpectUpload, content: Content) -> Reply:
        """Store a file that was part of the request, like one whose bytes follow."""
        upload = receive.upload
        try:
            for chunk in content.chunks():
                if not upload.write(chunk):
                    await upload.room()
                elif upload.missing:
                    await deferLater(self._clock, 0)  # let others have their turn
        except ChatError:
            upload.abort()
            raise
        return await receive.finish()

    async def _give(self, slot: Slot, reply: Reply, download: Download) -> None:
        """Send the reply and the file's bytes, or a range of them."""
        self._hold(Hold.COMMAND)
        size, limit = download.file.size, self.factory.line_limit
        wrapping = self._dialect.give(slot.request, reply)
        try:
            if wrapping.encode is not None and size > limit // 4 * 3:
                error = FileTooLarge(size=size, limit=limit // 4 * 3)
                answer = self._refusal(error, slot.request.tag)
            else:
                await self._output.stream(wrapping.head, download.file, wrapping.encode)
                answer = wrapping.tail
        finally:
            await download.file.close()
        self._answered(slot, answer)

    def _broken(self, failure: Failure) -> None:
        """End the connection, because the announced bytes can't be sent and nothing else can take their
        place."""
        log.failure("a download on connection {connection} broke", failure, connection=self.number)
        self.transport.abortConnection()

    # Writing

    def deliver(self, events: Sequence[Event]) -> None:
        """IListener: push events."""
        self._output.push(self._dialect.events(events))

    def drop(self) -> None:
        """IListener: end the connection, since something on it has raised an exception."""
        self._closed_here = True
        self._output.drop()

    def _cut_off(self) -> None:
        """Drop a connection whose client has stopped reading, without an error that it would not read."""
        log.info("connection {connection} is stuck and is cut off", connection=self.number)
        self._hold(Hold.CLOSING)
        self.transport.abortConnection()

    def _say(self, data: bytes) -> None:
        """Send `data` in its turn among the replies."""
        if self._slots:
            slot = Slot(None)
            slot.answer = data
            self._slots.append(slot)
        else:
            self._output.write(data)

    def _refusal(self, error: ChatError, tag: Any) -> bytes:
        """The refusal, as the dialect writes it."""
        self._errors[error.code] += 1
        return self._dialect.error(error, tag)

    def _refuse_line(self, error: ChatError, tag: Any = None) -> None:
        self._say(self._refusal(error, tag))

    # Waiting

    def _hold(self, reason: int) -> None:
        if not self._holds:
            self.transport.pauseProducing()
        self._holds |= reason

    def _release(self, reason: int) -> None:
        if not self._holds & reason:
            return
        self._holds &= ~reason
        if not self._holds:
            self.transport.resumeProducing()
            self._work()
