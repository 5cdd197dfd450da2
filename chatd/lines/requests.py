"""Executes the requests of one connection and writes the replies in order.

Sends may overlap: they begin as they arrive, and their replies wait for one another. Any other request begins
when all earlier ones are answered, and nothing is read from the connection until then. So a client may
pipeline as much as it likes; what cannot begin yet stays in the socket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, assert_never

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.errors import (
    BadSyntax,
    BadToken,
    ChatError,
    FileTooLarge,
    InternalError,
    NoDataDoor,
    ShuttingDown,
)
from chatd.base.model import Reply
from chatd.base.timers import Timer
from chatd.commands.client import Client
from chatd.commands.results import (
    DownloadReply,
    ExpectUpload,
    LastReply,
    ReplyWithFiles,
    Result,
)
from chatd.files.outgoing import Outgoing
from chatd.lines.data_claims import Claim, DataClaims
from chatd.lines.data_transfers import receive, send
from chatd.lines.dialect import Dialect, PartialRequest, Request
from chatd.lines.inline_file import InlineFile
from chatd.lines.input_control import Hold

if TYPE_CHECKING:
    from chatd.lines.protocol import ChatLineProtocol

MAX_OVERLAPPING = 256  # requests of one connection that may be waiting for the disk
OFFER_TIME = 60.0  # seconds in which a client has to confirm that it is ready for a file

log = Logger()


class Slot(msgspec.Struct):
    """The place of one answer in the order of answers. `request` is None for text between replies."""

    dialect: Dialect  # of the request, in which it is answered
    request: Any = None  # Request | PartialRequest | None
    answer: bytes | None = None
    claim: Claim | None = None  # for the data connection on which its file travels


class OfferedFile(msgspec.Struct, frozen=True):
    """A file whose bytes the client gets once it is ready for them. Any other request withdraws it, and so
    does time. Meanwhile no events are sent, because the client might take them for bytes of the file."""

    slot: Slot
    file: Outgoing
    timer: Timer


class RequestQueue:
    """The requests of `host` that are under way. `upload` is the one whose file is arriving, and `offer` the
    file that the client was offered."""

    __slots__ = ("_host", "_next", "_slots", "offer", "upload")

    def __init__(self, host: ChatLineProtocol) -> None:
        self._host = host
        self._slots: deque[Slot] = deque()
        self._next: Request | PartialRequest | None = None  # begins when the slots are empty
        self.upload: tuple[Slot, ExpectUpload] | None = None
        self.offer: OfferedFile | None = None

    def __bool__(self) -> bool:
        """Whether any request is not answered yet."""
        return bool(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def needs_client(self) -> bool:
        """Whether the request under way can't be finished without its client: a file is transferred."""
        return self.upload is not None or self._claim is not None

    @property
    def _claim(self) -> Claim | None:
        """The claim of the request under way. Such a request does not overlap with others."""
        return self._slots[0].claim if self._slots else None

    # Executing

    def submit(self, request: Request | PartialRequest) -> None:
        """Begin `request` now, or when it may."""
        host, slots = self._host, self._slots
        if self.offer is not None:
            self.withdraw()
        if slots and not (
            request.row.overlaps
            and (type(request) is Request or not host.connection.must_look_up(request.token))
        ):
            self._next = request
            host.flow.hold(Hold.COMMAND)
            return
        slot = Slot(host.dialect, request)
        slots.append(slot)
        try:
            if type(request) is Request:
                result = host.connection.own.execute(request.command)
            else:
                result = self._execute_partial(slot, request)
        except ChatError as error:
            self._refuse(slot, error)
        except Exception:
            self._failed(Failure(), slot)
        else:
            if not isinstance(result, Deferred):
                self._complete(result, slot)
                return
            if not result.called and (not request.row.overlaps or len(slots) >= MAX_OVERLAPPING):
                host.flow.hold(Hold.COMMAND)
            result.addCallbacks(self._complete, self._failed, (slot,), {}, (slot,))

    def _execute_partial(self, slot: Slot, request: PartialRequest) -> Result | Deferred[Result]:
        connection = self._host.connection
        if request.aside:
            slot.claim = self._open_claim()
        token = request.token
        if token is None or not connection.must_look_up(token):
            return self._execute_as(connection.find(token), slot, request)
        # Even a send has to wait for the look-up, so that later ones do not overtake it.
        self._host.flow.hold(Hold.COMMAND)
        return Deferred.fromCoroutine(self._look_up_and_execute(token, slot, request))

    def _open_claim(self) -> Claim:
        """Raises NoDataDoor, TransferConflict, Busy, ShuttingDown."""
        claims: DataClaims | None = self._host.factory.claims
        if claims is None:
            raise NoDataDoor
        return claims.open(self._host.connection.origin.address)

    async def _look_up_and_execute(self, token: str, slot: Slot, request: PartialRequest) -> Result:
        client = await self._host.connection.look_up(token)
        result = self._execute_as(client, slot, request)
        return await result if isinstance(result, Deferred) else result

    def _execute_as(
        self, found: Client | None, slot: Slot, request: PartialRequest
    ) -> Result | Deferred[Result]:
        """Execute a request for `found`, whose token it has, or else for the connection's own client."""
        host = self._host
        client = found or host.connection.own
        host.flow.charge(client.session, host.factory.clock.seconds())
        if found is None and request.required:
            raise BadToken
        client.admit(request.row)
        complete = slot.request = request.read(found is not None)
        return client.execute(complete.command)

    # Results

    def _complete(self, result: Result, slot: Slot) -> None:
        try:
            match result:
                case Reply():
                    self._answer(slot, slot.dialect.reply(slot.request, result))
                case ExpectUpload():
                    self._expect_upload(slot, result)
                case DownloadReply() if slot.claim is not None:
                    self._transfer(slot, send(slot.claim, result))
                case DownloadReply():
                    self._sending(self._send_file(slot, result))
                case ReplyWithFiles():
                    self._sending(self._send_files(slot, result))
                case LastReply():
                    self._answer(slot, slot.dialect.reply(slot.request, result.reply))
                    self._host.close()
                case _:
                    assert_never(result)
        except Exception:
            self._failed(Failure(), slot)

    def _failed(self, failure: Failure, slot: Slot) -> None:
        error = failure.value
        if not isinstance(error, ChatError):
            error = self.unexpected(failure)
        self._refuse(slot, error)

    def _refuse(self, slot: Slot, error: ChatError) -> None:
        if slot.claim is not None:
            slot.claim.refuse()
        self._count(error)
        self._answer(slot, slot.dialect.error(error, slot.request.tag))

    def unexpected(self, failure: Failure) -> InternalError:
        """Log an unexpected exception. Returns an error with the reference of the log entry."""
        host = self._host
        error = InternalError(reference=host.factory.service.context.new_reference())
        session = host.connection.own.session
        log.failure(
            "internal error {reference} on connection {connection}, session {session}",
            failure,
            reference=error.details["reference"],
            connection=host.connection.origin.number,
            session=None if session is None else session.number,
        )
        return error

    def _answer(self, slot: Slot, answer: bytes) -> None:
        """Put the answer in its place, and write all answers whose turn has come."""
        slots, host = self._slots, self._host
        slot.answer = answer
        while slots and (ready := slots[0].answer) is not None:
            slots.popleft()
            host.output.write(ready)
        if slots:
            # With `_next`, the hold lasts until the slots are empty.
            if (
                host.flow.reasons & Hold.COMMAND
                and self._next is None
                and len(slots) < MAX_OVERLAPPING // 2
            ):
                host.flow.release(Hold.COMMAND)
            return
        if self._next is not None:
            request, self._next = self._next, None
            self.submit(request)
            if slots:
                return
        if host.flow.reasons & Hold.COMMAND:
            host.flow.release(Hold.COMMAND)
        if not slots and self._next is None:
            host.idle()

    # Files

    def _expect_upload(self, slot: Slot, expected: ExpectUpload) -> None:
        flow = self._host.flow
        if slot.claim is not None:
            self._transfer(slot, receive(slot.claim, expected, self._host.factory.clock))
        elif slot.request.content is not None:
            flow.hold(Hold.COMMAND)
            content = slot.request.content
            # The answer may take its time, and must not keep the content in memory.
            slot.request = msgspec.structs.replace(slot.request, content=None)
            storing = Deferred.fromCoroutine(_store(self._host, expected, content))
            storing.addCallbacks(self._complete, self._failed, (slot,), {}, (slot,))
        elif flow.reasons & Hold.CLOSING:
            expected.upload.abort()
            self._refuse(slot, ShuttingDown())
        else:
            self._host.output.write(slot.dialect.ready(slot.request))
            self._host.output.hold_events()
            self.upload = slot, expected
            if expected.upload.missing == 0:
                self._finish_upload()
            else:
                self._host.setRawMode()
                flow.release(Hold.COMMAND)

    def _transfer(self, slot: Slot, transfer: Coroutine[Any, Any, Result]) -> None:
        """Answer when the file was transferred on its data connection. Until then the connection is read, to
        notice if it is lost."""
        self._host.flow.release(Hold.COMMAND)
        transferring = Deferred.fromCoroutine(transfer)
        transferring.addCallbacks(self._complete, self._failed, (slot,), {}, (slot,))

    def add_to_upload(self, data: bytes) -> bytes | None:
        """Store bytes of the file that is arriving. Returns what follows the file; None while it is
        incomplete."""
        assert self.upload is not None  # noqa: S101 - raw mode begins and ends with an upload
        upload = self.upload[1].upload
        size = upload.missing
        if not upload.write(data[:size]):
            flow = self._host.flow
            flow.hold(Hold.DISK)
            upload.room().addCallback(lambda _result: flow.release(Hold.DISK))
        if upload.missing:
            return None
        self._finish_upload()
        return data[size:]

    def _finish_upload(self) -> None:
        """Reply once the file is stored."""
        assert self.upload is not None  # noqa: S101
        (slot, expected), self.upload = self.upload, None
        self._host.flow.hold(Hold.COMMAND)
        self._host.output.release_events()
        finishing = Deferred.fromCoroutine(expected.finish())
        finishing.addCallbacks(self._complete, self._failed, (slot,), {}, (slot,))

    def abort_files(self) -> None:
        """Give up the file that is transferred or was offered, if there is one: the connection is lost."""
        upload, self.upload = self.upload, None
        if upload is not None:
            upload[1].upload.abort()
        self.withdraw()
        if self._claim is not None:
            self._claim.abandon()

    async def _send_file(self, slot: Slot, result: DownloadReply) -> None:
        """Send the reply and the bytes of the file."""
        host = self._host
        host.flow.hold(Hold.COMMAND)
        file = result.download.file
        limit = host.factory.line_limit // 4 * 3
        wrapping = slot.dialect.wrap(slot.request, result.reply)
        if wrapping.encode is not None and file.size > limit:
            await file.close()
            self._refuse(slot, FileTooLarge(size=file.size, limit=limit))
            return
        head, tail = wrapping.pieces
        if wrapping.offered:
            self._offer(slot, file, head)
            return
        try:
            await host.output.stream([(head, lambda: succeed(file))], wrapping.encode)
        finally:
            await file.close()
        self._answer(slot, tail)

    def _offer(self, slot: Slot, file: Outgoing, head: bytes) -> None:
        host = self._host
        timer = Timer(host.factory.clock, self.withdraw)
        self.offer = OfferedFile(slot, file, timer)
        timer.start(OFFER_TIME)
        host.output.write(head)
        host.output.hold_events()
        host.flow.release(Hold.COMMAND)
        if host.flow.reasons & Hold.CLOSING or host.connection.gone:
            self.withdraw()  # no confirmation can arrive

    def confirm(self) -> None:
        """The client is ready for the file that it was offered."""
        offer, self.offer = self.offer, None
        if offer is None:
            self.refuse_line(BadSyntax(reason="no file was offered"))
            return
        offer.timer.cancel()
        self._host.flow.hold(Hold.COMMAND)
        self._sending(self._send_offered(offer))

    async def _send_offered(self, offer: OfferedFile) -> None:
        try:
            await self._host.output.stream([(b"", lambda: succeed(offer.file))])
        finally:
            await offer.file.close()
        self._answer(offer.slot, b"")

    def withdraw(self) -> None:
        """Drop the file that the client was offered, if there is one."""
        offer, self.offer = self.offer, None
        if offer is None:
            return
        offer.timer.cancel()
        closing = offer.file.close()
        closing.addErrback(lambda failure: log.failure("a file was not closed", failure))
        self._host.output.release_events()
        self._answer(offer.slot, b"")

    async def _send_files(self, slot: Slot, result: ReplyWithFiles) -> None:
        """Send a reply with files in it."""
        host = self._host
        host.flow.hold(Hold.COMMAND)
        wrapping = slot.dialect.wrap(slot.request, result.reply)
        *heads, tail = wrapping.pieces
        files = [result.files[each] for each in wrapping.files]
        await host.output.stream(zip(heads, files, strict=True), wrapping.encode)
        self._answer(slot, tail)

    def _sending(self, sending: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(sending).addErrback(self._download_broke)

    def _download_broke(self, failure: Failure) -> None:
        """Drop the connection: nothing else may take the place of bytes that were announced."""
        number = self._host.connection.origin.number
        log.failure("a download on connection {connection} broke", failure, connection=number)
        self._host.transport.abortConnection()

    # What is written besides replies

    def say(self, data: bytes) -> None:
        """Write `data` after the replies to all requests that have begun."""
        if self.offer is not None:
            self.withdraw()
        if self._slots:
            self._slots.append(Slot(self._host.dialect, answer=data))
        else:
            self._host.output.write(data)

    def refusal(self, error: ChatError, tag: Any) -> bytes:
        """`error` in the dialect. Counts it."""
        self._count(error)
        return self._host.dialect.error(error, tag)

    def _count(self, error: ChatError) -> None:
        self._host.factory.service.counters.errors[error.code] += 1

    def refuse_line(self, error: ChatError, tag: Any = None) -> None:
        """Answer a line that is no request."""
        self.say(self.refusal(error, tag))


async def _store(host: ChatLineProtocol, expected: ExpectUpload, content: InlineFile) -> Result:
    """Store a file that was part of its request, as if its bytes had followed."""
    upload = expected.upload
    try:
        for chunk in content.chunks():
            if not upload.write(chunk):
                await upload.room()
            elif upload.missing:
                await deferLater(host.factory.clock, 0)  # let other connections have their turn
    except ChatError:
        upload.abort()
        raise
    result = await expected.finish()
    host.release_line()
    return result
