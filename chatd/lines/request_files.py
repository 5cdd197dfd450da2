"""Transfers the files of one connection's requests.

The bytes are part of the request or of the reply, or follow them on the connection, or travel on a connection
of their own (chatd.lines.data_claims).
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.background import in_background, log_unexpected
from chatd.base.errors import BadSyntax, ChatError, FileTooLarge, ShuttingDown
from chatd.base.timers import Timer
from chatd.commands.results import DownloadReply, ExpectUpload, ReplyWithFiles, Result
from chatd.files.outgoing import Outgoing
from chatd.lines import data_transfers
from chatd.lines.data_claims import Claim, DataClaims
from chatd.lines.dialect import Dialect
from chatd.lines.inline_file import InlineFile
from chatd.lines.input_control import Hold

if TYPE_CHECKING:
    from chatd.lines.protocol import ChatLineProtocol
    from chatd.lines.requests import RequestQueue

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


class RequestFiles:
    """The files of the requests in `queue`. `upload` is the request whose file is arriving, and `offer` the
    file that the client was offered."""

    __slots__ = ("_host", "_queue", "_refused", "offer", "upload")

    def __init__(self, host: ChatLineProtocol, queue: RequestQueue) -> None:
        self._host = host
        self._queue = queue
        self._refused: Claim | None = None  # of the last request that was refused
        self.upload: tuple[Slot, ExpectUpload] | None = None
        self.offer: OfferedFile | None = None

    @property
    def need_client(self) -> bool:
        """Whether the request under way can't be finished without its client: a file is transferred."""
        return self.upload is not None or self._queue.claim is not None

    def abort(self) -> None:
        """Give up the file that is transferred or was offered, if there is one: the connection is lost."""
        upload, self.upload = self.upload, None
        if upload is not None:
            upload[1].upload.abort()
        self.withdraw()
        self._close_refused()
        claim = self._queue.claim
        if claim is not None:
            claim.abandon()

    # From the client

    def receive(self, slot: Slot, expected: ExpectUpload) -> None:
        """Receive the file of a request, and answer it."""
        host, flow = self._host, self._host.flow
        if slot.claim is not None:
            self._transfer(slot, data_transfers.receive(slot.claim, expected, host.factory.clock))
        elif slot.request.content is not None:
            flow.hold(Hold.COMMAND)
            content = slot.request.content
            # The answer may take its time, and must not keep the content in memory.
            slot.request = msgspec.structs.replace(slot.request, content=None)
            storing = Deferred.fromCoroutine(_store(host, expected, content))
            self._queue.await_result(slot, storing)
        elif flow.reasons & Hold.CLOSING:
            expected.upload.abort()
            self._queue.refuse(slot, ShuttingDown())
        else:
            host.output.write(slot.dialect.ready(slot.request))
            host.output.hold_events()
            self.upload = slot, expected
            if expected.upload.missing == 0:
                self._finish_upload()
            else:
                host.setRawMode()
                flow.release(Hold.COMMAND)

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
        self._queue.await_result(slot, Deferred.fromCoroutine(expected.finish()))

    # To the client

    def send(self, slot: Slot, result: DownloadReply | ReplyWithFiles) -> None:
        """Send a reply with its files."""
        if isinstance(result, ReplyWithFiles):
            self._sending(self._send_files(slot, result))
        elif slot.claim is not None:
            self._transfer(slot, data_transfers.send(slot.claim, result))
        else:
            self._sending(self._send_file(slot, result))

    async def _send_file(self, slot: Slot, result: DownloadReply) -> None:
        """Send the reply and the bytes of the file."""
        host = self._host
        host.flow.hold(Hold.COMMAND)
        file = result.download.file
        limit = host.factory.limits.inline_file
        wrapping = slot.dialect.wrap(slot.request, result.reply)
        if wrapping.encode is not None and file.size > limit:
            await file.close()
            self._queue.refuse(slot, FileTooLarge(size=file.size, limit=limit))
            return
        head, tail = wrapping.pieces
        if wrapping.offered:
            self._offer(slot, file, head)
            return
        try:
            await host.output.stream([(head, lambda: succeed(file))], wrapping.encode)
        finally:
            await file.close()
        self._queue.answer(slot, tail)

    async def _send_files(self, slot: Slot, result: ReplyWithFiles) -> None:
        """Send a reply with files in it."""
        host = self._host
        host.flow.hold(Hold.COMMAND)
        wrapping = slot.dialect.wrap(slot.request, result.reply)
        *heads, tail = wrapping.pieces
        files = [result.files[each] for each in wrapping.files]
        await host.output.stream(zip(heads, files, strict=True), wrapping.encode)
        result.sent()
        self._queue.answer(slot, tail)

    def _sending(self, sending: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(sending).addErrback(self._download_broke)

    def _download_broke(self, failure: Failure) -> None:
        """Drop the connection: nothing else may take the place of bytes that were announced."""
        number = self._host.connection.origin.number
        log_unexpected("a download on connection {connection} broke", failure, connection=number)
        self._host.transport.abortConnection()

    # To the client, once it is ready

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
            self._queue.refuse_line(BadSyntax(reason="no file was offered"))
            return
        offer.timer.cancel()
        self._host.flow.hold(Hold.COMMAND)
        self._sending(self._send_offered(offer))

    async def _send_offered(self, offer: OfferedFile) -> None:
        try:
            await self._host.output.stream([(b"", lambda: succeed(offer.file))])
        finally:
            await offer.file.close()
        self._queue.answer(offer.slot, b"")

    def withdraw(self) -> None:
        """Drop the file that the client was offered, if there is one."""
        offer, self.offer = self.offer, None
        if offer is None:
            return
        offer.timer.cancel()
        in_background("a file was not closed", offer.file.close())
        self._host.output.release_events()
        self._queue.answer(offer.slot, b"")

    # On a data connection

    def open_claim(self) -> Claim | None:
        """A claim for the next data connection; None if their door is closed. Raises TransferConflict, Busy,
        ShuttingDown."""
        claims: DataClaims | None = self._host.factory.claims
        if claims is None:
            return None
        self._close_refused()
        return claims.open(self._host.connection.origin.address)

    def refuse(self, claim: Claim) -> None:
        """The request of the claim is refused."""
        claim.refuse()
        self._refused = claim

    def _close_refused(self) -> None:
        """The data connection of a refused request will not come any more."""
        refused, self._refused = self._refused, None
        if refused is not None:
            refused.close()

    def _transfer(self, slot: Slot, transfer: Coroutine[Any, Any, Result]) -> None:
        """Answer when the file was transferred on its data connection. Until then the connection is read, to
        notice if it is lost."""
        self._host.flow.release(Hold.COMMAND)
        self._queue.await_result(slot, Deferred.fromCoroutine(transfer))


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
