"""Sends the bytes of a file to another realm, before the message that carries it."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore

from chatd.base.errors import UnknownFile
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.wire import CHUNK, Refused
from chatd.files.folder import Uploads
from chatd.files.outgoing import Outgoing, send_chunks
from chatd.store.database import Database
from chatd.store.files import get_attachment

MAX_SENDING = 2  # files to one realm at a time
WINDOW = 8  # chunks under way; few, so that messages get in between
MAX_TRIES = 3


class FileSender:
    """Sends files to one realm, `MAX_SENDING` at a time."""

    def __init__(self, database: Database, uploads: Uploads) -> None:
        self._database = database
        self._uploads = uploads
        self._turn = DeferredSemaphore(MAX_SENDING)

    async def send(self, link: PeerLink, number: int, parcel: bytes, file: int) -> None:
        """Send the bytes of a parcel's file until the other realm has all of them. Raises Refused,
        RealmDown, UnknownFile, FileMissing, FileDamaged."""
        await self._turn.acquire()
        try:
            attachment = await self._database.read(get_attachment, file)
            try:
                if attachment is None:
                    raise OSError
                opened = await self._uploads.open(attachment)
            except OSError:
                raise UnknownFile(name=attachment.name if attachment else file) from None
            try:
                await self._send(link, number, parcel, opened)
            finally:
                await opened.close()
        finally:
            self._turn.release()

    async def _send(self, link: PeerLink, number: int, parcel: bytes, file: Outgoing) -> None:
        for tries in range(MAX_TRIES):
            offset = await link.offer(number, parcel)
            try:
                await self._stream(link, number, file, max(0, min(offset, file.size)))
            except Refused as refused:
                if refused.code != "file-incomplete" or tries + 1 == MAX_TRIES:
                    raise
            else:
                return

    async def _stream(self, link: PeerLink, number: int, file: Outgoing, offset: int) -> None:
        flying: deque[Deferred[Any]] = deque()

        async def window() -> None:
            if len(flying) >= WINDOW:
                await flying.popleft()

        def write(data: bytes) -> None:
            nonlocal offset
            flying.append(_kept(link.chunk(number, offset, data)))
            offset += len(data)

        if not offset:
            # An earlier try may have read on; `send_chunks` seeks any other offset
            await file.seek(0)
        try:
            await send_chunks(file, window, write, offset, chunk=CHUNK)
            while flying:
                await flying.popleft()
        finally:
            for chunk in flying:
                chunk.addErrback(lambda _failure: None)


def _kept(answer: Deferred[Any]) -> Deferred[Any]:
    """Keep an error until the answer is awaited. AMP would end the link over an unhandled error."""
    kept: Deferred[Any] = Deferred()
    answer.addCallbacks(kept.callback, kept.errback)
    return kept
