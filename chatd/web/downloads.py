"""Downloads: `GET /files/<code>`, or a name instead of the code, as for `getfile`.

A file is sent as fast as the client reads, in little memory. A request may ask for one range (RFC 9110, 14).
A stored file never changes, so its ETag is its SHA-256. Files come from other people: each is sent as an
attachment and in a sandbox, whatever its type. With `?inline` a page may show images of well-known types.
With `?room` the file is one of the room that the session is in.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from chatd.base.attachments import Attachment
from chatd.base.background import log_unexpected
from chatd.base.timers import Signal, cancel
from chatd.files.outgoing import Outgoing, ReaderGone, send_chunks
from chatd.lines.output import MAX_FULL
from chatd.service.downloads import Download
from chatd.web.answers import is_lost
from chatd.web.async_resource import AsyncResource
from chatd.web.query import query_of, rest_of
from chatd.web.request import hang_up

IMAGES = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"))
POLICY = "sandbox; default-src 'none'"

# Possessive quantifiers (`*+`) keep a header of nothing but white space from taking quadratic time.
_RANGE = re.compile(
    r"bytes\s*+=\s*+(\d{0,1000})\s*+-\s*+(\d{0,1000})\s*+", re.IGNORECASE | re.ASCII
)
_TAG = re.compile(r'(?:W/)?("[^"]*")')
# Characters that change the direction of text, so that a name could seem to have another extension.
_DIRECTIONAL = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PLAIN = re.compile(r"[^ !#-\[\]-~]|%")


class BadRange(Exception):
    """The file has no bytes in that range."""


def range_of(header: str | None, size: int) -> tuple[int, int] | None:
    """The offset and the number of bytes that a Range header asks for; None for the whole file.

    A malformed header and several ranges ask for the whole file. Raises BadRange.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    if start >= end:
        raise BadRange
    return start, end - start


def disposition(name: str, inline: bool) -> str:
    """The Content-Disposition of a file of that name (RFC 6266)."""
    name = _DIRECTIONAL.sub("", name) or "file"
    kind = "inline" if inline else "attachment"
    plain = _PLAIN.sub("_", name)  # for clients that do not support filename*
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


@implementer(IPushProducer)
class DownloadStream:
    """Sends a file's bytes as fast as the client reads them. A client that reads nothing is cut off."""

    def __init__(self, request: Request, clock: Any) -> None:
        self._request = request
        self._clock = clock
        self._room = Signal()
        self._full = False
        self._gone = False
        self._timer: Any = None
        request.notifyFinish().addBoth(lambda _result: self.stopProducing())

    async def send(self, file: Outgoing, start: int, size: int) -> None:
        """Raises ReaderGone; OSError if the file is shorter than it was."""
        self._request.registerProducer(self, True)
        try:
            await send_chunks(file, self._ready, self._request.write, start, size)
            await self._ready()
        finally:
            cancel(self._timer)
            if not self._gone:
                self._request.unregisterProducer()

    async def _ready(self) -> None:
        if self._full:
            await self._room.wait()
        if self._gone:
            raise ReaderGone

    def pauseProducing(self) -> None:
        """The client is behind."""
        self._full = True
        cancel(self._timer)
        self._timer = self._clock.callLater(MAX_FULL, hang_up, self._request)

    def resumeProducing(self) -> None:
        """The client has caught up."""
        self._full = False
        cancel(self._timer)
        self._room.notify()

    def stopProducing(self) -> None:
        """The connection is gone, or the answer complete."""
        self._gone = True
        self.resumeProducing()


class DownloadResource(AsyncResource):
    """`/files/<code or name>`."""

    def _failed(self, failure: Failure, request: Request) -> None:
        if failure.check(ReaderGone):
            return
        if request.startedWriting and not is_lost(request):
            # The announced bytes can't be sent, and nothing else may take their place.
            log_unexpected("a download broke", failure)
            hang_up(request)
            return
        super()._failed(failure, request)

    async def respond(self, request: Request) -> None:
        """Finish the request. Raises ChatError, ReaderGone, OSError."""
        self._access.check(request, b"GET", b"HEAD")
        client = await self._access.client_of(request)
        query, name = query_of(request), rest_of(request)
        inline = "inline" in query
        if "room" in query:
            download = await self._service.room_files.fetch(client.logged_in, name)
        else:
            download = await self._service.downloads.fetch(client.account, name)
        try:
            if not is_lost(request):
                await self._give(request, download, inline)
        finally:
            await download.file.close()

    async def _give(self, request: Request, download: Download, inline: bool) -> None:
        file = download.attachment
        tag = f'"{file.sha256}"'
        _describe(request, file, tag, inline and file.mime in IMAGES)
        if has_tag(request, tag):
            request.setResponseCode(HTTPStatus.NOT_MODIFIED)
            request.finish()
            return
        start, size = 0, file.size
        if request.method == b"GET" and request.getHeader("If-Range") in (None, tag):
            try:
                part = range_of(request.getHeader("Range"), file.size)
            except BadRange:
                _range_not_satisfiable(request, file)
                return
            if part is not None:
                start, size = part
                request.setResponseCode(HTTPStatus.PARTIAL_CONTENT)
                shown = f"bytes {start}-{start + size - 1}/{file.size}"
                request.setHeader(b"Content-Range", shown)
        request.setHeader(b"Content-Length", str(size))
        if request.method == b"GET" and size:
            await DownloadStream(request, self._service.clock).send(download.file, start, size)
        request.finish()


def _describe(request: Request, file: Attachment, tag: str, inline: bool) -> None:
    """Set the headers that every answer about the file has."""
    request.setHeader(b"Content-Type", file.mime if inline else "application/octet-stream")
    request.setHeader(b"Content-Disposition", disposition(file.name, inline))
    request.setHeader(b"Content-Security-Policy", POLICY)
    # The browser may keep the file, but asks before each use whether it may still show it.
    request.setHeader(b"Cache-Control", "private, no-cache")
    request.setHeader(b"ETag", tag)
    request.setHeader(b"Accept-Ranges", "bytes")


def has_tag(request: Request, tag: str) -> bool:
    """Whether the client has the file already."""
    fields = request.requestHeaders.getRawHeaders(b"If-None-Match") or ()
    known = b",".join(fields).decode("latin-1")
    return known.strip() == "*" or tag in _TAG.findall(known)


def _range_not_satisfiable(request: Request, file: Attachment) -> None:
    request.setResponseCode(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
    request.setHeader(b"Content-Range", f"bytes */{file.size}")
    request.setHeader(b"Content-Length", "0")
    request.finish()
