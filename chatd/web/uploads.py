"""Uploads: `/uploads/<key>`, where the key is the sender's idempotency key.

`PUT /uploads/<key>?to=<address,…>|group=<group>&filename=<name>&size=<bytes>` sends the bytes of the file
from an offset on: all of them, or one chunk. The offset is in `Upload-Offset`
(draft-ietf-httpbis-resumable-upload), or in `Content-Range` (RFC 9110, 14.5), as in `curl -T … -C <offset>`,
else it is 0. A chunk that is not the last is answered with 202 and the next `Upload-Offset`. The last chunk
sends the message, and the answer is that of `sendfile`. The same request later stores nothing and gets the
same answer.

If the connection breaks, the bytes that arrived are kept, even over a restart. `HEAD` with the same query
returns `Upload-Offset`, and a PUT from there continues. A PUT with another offset is refused (409) and gets
the right one. `DELETE` removes the file.

A later request for the same key takes over from one under way, because the connection of that one may be dead
without this end knowing it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import cast

import msgspec
from twisted.python.failure import Failure
from twisted.web.server import Request

from chatd.base import errors
from chatd.base.attachments import Attachment
from chatd.base.model import Account, Sent
from chatd.base.names import Address, printable
from chatd.base.replies import Reply
from chatd.base.timers import Signal
from chatd.commands import arguments as types
from chatd.commands.client import Client
from chatd.commands.handlers.replies import file_sent
from chatd.commands.sessions import Session
from chatd.service.arriving import ArrivingFile
from chatd.service.chat_service import ChatService
from chatd.web.access import AccessControl
from chatd.web.answers import answer, is_lost
from chatd.web.async_resource import AsyncResource
from chatd.web.body import Body, BodyLost
from chatd.web.query import query_of, rest_of
from chatd.web.request import ChatRequest, hang_up

_PART = re.compile(r"bytes (\d+)-", re.ASCII)


class UploadTakenOver(BodyLost):
    """Another request continues the upload."""


class UploadParameters(msgspec.Struct, frozen=True):
    """The file that a request describes. `to` is the address of a group, or those of people."""

    key: str
    to: Address | tuple[Address, ...]
    name: str
    size: int


def _parameters(key: str, query: Mapping[str, str]) -> UploadParameters:
    """Raises BadRequest."""
    to: Address | tuple[Address, ...]
    if ("to" in query) == ("group" in query):
        found = "both" if "to" in query else "nothing"
        raise errors.BadArgument(argument="to or group", found=found, expected="one of the two")
    if "to" in query:
        to = types.ADDRESSES.from_text("to", query["to"])
    else:
        to = types.GROUP.from_text("group", query["group"])
    name = types.FILENAME.from_text("filename", query.get("filename", ""))
    return UploadParameters(key, to, name, _size(query))


def _size(query: Mapping[str, str]) -> int:
    return types.SIZE.from_text("size", query.get("size", ""))


def _offset(request: Request, length: int, size: int) -> int:
    """The offset of the body, which has `length` bytes, in a file of `size` bytes. Raises BadArgument."""
    given = request.getHeader("Upload-Offset")
    part = request.getHeader("Content-Range")
    if given is None and part is not None:
        match = _PART.match(part)
        given = part if match is None else match[1]
    offset = types.SIZE.from_text("Upload-Offset", given or "0")
    expected = f"bytes {offset}-{offset + length - 1}/{size}"
    if part not in (None, expected, f"{expected.partition('/')[0]}/*"):
        raise errors.BadArgument(argument="Content-Range", found=printable(part), expected=expected)
    return offset


class UploadClaim:
    """The exclusive use of a key by one request, until that ends or another one takes over."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.released = Signal()


class ReceivingResource(AsyncResource):
    """A resource that reads the body of a PUT while it arrives."""

    streamed = (b"PUT",)

    def _failed(self, failure: Failure, request: Request) -> None:
        if not failure.check(BodyLost):
            super()._failed(failure, request)
        elif not is_lost(request):
            hang_up(request)


class UploadResource(ReceivingResource):
    """Answers `/uploads/<key>`. Call `stop` before the realm closes."""

    def __init__(self, service: ChatService, access: AccessControl) -> None:
        super().__init__(service, access)
        self._files = service.files
        self._claims: dict[tuple[int, str], UploadClaim] = {}
        self._stopping = False

    async def stop(self) -> None:
        """Cut off the uploads under way and keep their bytes. New ones are refused."""
        self._stopping = True
        while self._claims:
            claim = next(iter(self._claims.values()))
            claim.body.cut(errors.ShuttingDown())
            await claim.released.wait()

    async def respond(self, request: Request) -> None:
        """Finish the request. Raises ChatError, BodyLost."""
        self._access.check(request, b"PUT", b"HEAD", b"DELETE")
        self._access.check_origin(request)  # HEAD cuts off an upload, too
        client = await self._access.client_of(request)
        key = types.KEY.from_text("key", rest_of(request))
        if request.method == b"PUT":
            await self._put(cast(ChatRequest, request), client, key)
        elif request.method == b"HEAD":
            await self._tell(request, client.account, key)
        else:
            await self._give_up(request, client.account, key)

    async def _cut(self, account: Account, key: str) -> None:
        """Cut off the upload under way for that key, and wait until it has released it."""
        while (claim := self._claims.get((account.id, key))) is not None:
            claim.body.cut(UploadTakenOver())
            await claim.released.wait()

    async def _give_up(self, request: Request, account: Account, key: str) -> None:
        await self._cut(account, key)
        await self._files.give_up(account, key)
        answer(request, {"message": "What was here of the file is gone"})

    async def _tell(self, request: Request, account: Account, key: str) -> None:
        """Tell how many bytes have arrived. A client that asks wants to continue."""
        query = query_of(request)
        size = _size(query)
        await self._cut(account, key)
        offset = await self._files.offset(account, key)
        parameters = _parameters(key, query) if "to" in query or "group" in query else None
        if parameters is not None and await self._answered(account, parameters) is not None:
            offset = size  # only the answer is missing
        offset = offset if offset <= size else 0  # more bytes belong to another file
        request.setHeader(b"Upload-Offset", str(offset))
        answer(request, {"message": f"{offset} of {size} bytes are here", "offset": offset})

    async def _put(self, request: ChatRequest, client: Client, key: str) -> None:
        session, body = client.logged_in, request.body
        parameters = _parameters(key, query_of(request))
        await client.refuse_tokens((parameters.to, parameters.name, parameters.key))
        if body.length is None:
            raise errors.LengthRequired
        offset = _offset(request, body.length, parameters.size)
        if offset + body.length > parameters.size:
            expected = f"at least the {offset + body.length} bytes that this would make"
            raise errors.BadArgument(argument="size", found=parameters.size, expected=expected)
        await self._cut(session.account, key)
        if self._stopping:
            raise errors.ShuttingDown
        claim = self._claims[session.account.id, key] = UploadClaim(body)
        try:
            reply = await self._answered(session.account, parameters)
            if reply is None:
                reply = await self._receive(request, client, session, parameters, offset)
        finally:
            del self._claims[session.account.id, key]
            claim.released.notify()
        if reply is None:
            self._ask_for_more(request, parameters, offset + body.length)
        else:
            answer(request, {"message": reply.message, **reply.fields, **reply.data})

    def _ask_for_more(self, request: Request, parameters: UploadParameters, offset: int) -> None:
        request.setHeader(b"Upload-Offset", str(offset))
        message = f"{offset} of {parameters.size} bytes are here; send the rest"
        answer(request, {"message": message, "offset": offset}, HTTPStatus.ACCEPTED)

    async def _answered(self, account: Account, parameters: UploadParameters) -> Reply | None:
        """The answer if that file was sent before."""
        before = await self._files.answered(account, parameters.to, parameters.key)
        return None if before is None else _reply(parameters, *before)

    async def _receive(
        self,
        request: ChatRequest,
        client: Client,
        session: Session,
        parameters: UploadParameters,
        offset: int,
    ) -> Reply | None:
        """Receive a chunk, and send the file if that was the last one."""
        upload = await self._files.resume(
            session.account,
            parameters.to,
            parameters.name,
            parameters.size,
            parameters.key,
            client.listener,
        )
        try:
            if upload.offset != offset:
                request.setHeader(b"Upload-Offset", str(upload.offset))
                raise errors.UploadOffset(offset=upload.offset)
            await take(upload, request.body, lambda: client.check_session(session))
        except Exception:
            await upload.suspend()
            raise
        if upload.missing:
            await upload.suspend()
            if upload.has_failed:
                raise errors.StorageFailed
            return None
        return _reply(parameters, *await upload.finish())


async def take(upload: ArrivingFile, body: Body, check: Callable[[], None]) -> None:
    """Write the body to the file. `check` raises the reason if it may not continue."""
    check()
    while data := await body.read():
        check()
        if not upload.write(data):
            await upload.room()
        if upload.has_failed:
            raise errors.StorageFailed
    check()


def _reply(parameters: UploadParameters, file: Attachment, sent: Sent) -> Reply:
    return file_sent(
        file, sent, single=isinstance(parameters.to, Address) or len(parameters.to) == 1
    )
