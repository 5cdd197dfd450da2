"""Files on their way up: `/uploads/<key>`, where the key is the sender's own name for this sending.

`PUT /uploads/<key>?to=<address,…>|group=<group>&filename=<name>&size=<bytes>` brings the file's bytes, from
`Upload-Offset` on (0 without it; or what `Content-Range` says, as `curl -T … -C <offset>` does). Once all of
them are there the message goes out, and the answer says where it stands. The same again later stores nothing
and answers the same. If the connection ends before, what has come is kept: `HEAD`, with the same query, tells
how much that is (`Upload-Offset`), and a PUT from there on brings the rest. One that begins elsewhere is
refused (409) and told the offset. A body that ends too early is answered by 202. `DELETE` gives the file up.

A later request for the same key cuts off an earlier one that is still under way: it may come over a
connection of which only this end does not know yet that it is dead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import cast

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.server import Request

from chatd.base.errors import (
    BadArgument,
    LengthRequired,
    NotLoggedIn,
    ShuttingDown,
    StorageFailed,
    UploadOffset,
)
from chatd.base.model import Account, Attachment, Reply, Sent
from chatd.base.names import Address
from chatd.commands import arguments as types
from chatd.commands.client import Client
from chatd.commands.handlers.replies import file_sent
from chatd.commands.sessions import Session
from chatd.service.attachments import Upload
from chatd.service.chat_service import ChatService
from chatd.web.access import AccessControl
from chatd.web.answers import answer, is_lost
from chatd.web.async_resource import AsyncResource
from chatd.web.body import Body, BodyLost
from chatd.web.query import query_of, rest_of
from chatd.web.request import ChatRequest, hang_up

_PART = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)", re.ASCII)


class UploadTakenOver(BodyLost):
    """Another request goes on with the file."""


class Asked(msgspec.Struct, frozen=True):
    """What a request says of a file. `to` is a group's address, or people's."""

    key: str
    to: Address | tuple[Address, ...]
    name: str
    size: int


def _asked(key: str, query: Mapping[str, str]) -> Asked:
    """Raises BadRequest."""
    to: Address | tuple[Address, ...]
    if ("to" in query) == ("group" in query):
        found = "both" if "to" in query else "nothing"
        raise BadArgument(argument="to or group", found=found, expected="one of the two")
    if "to" in query:
        to = types.ADDRESSES.from_text("to", query["to"])
    else:
        to = types.GROUP.from_text("group", query["group"])
    name = types.FILENAME.from_text("filename", query.get("filename", ""))
    return Asked(key, to, name, _size(query))


def _size(query: Mapping[str, str]) -> int:
    return types.SIZE.from_text("size", query.get("size", ""))


def _offset(request: Request) -> int:
    """Where in the file the body begins. Raises BadArgument."""
    given = request.getHeader("Upload-Offset")
    part = request.getHeader("Content-Range")
    if given is None and part is not None:
        match = _PART.fullmatch(part)
        given = part if match is None else match[1]
    return types.SIZE.from_text("Upload-Offset", given or "0")


class UploadClaim:
    """A request that has a key to itself, until another one takes that over."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self._waiting: list[Deferred[None]] = []

    def over(self) -> Deferred[None]:
        """Fires when it has let go of the key."""
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def end(self) -> None:
        for each in self._waiting:
            each.callback(None)


class UploadResource(AsyncResource):
    """`/uploads/<key>`. Call `stop` before the realm closes."""

    streamed = (b"PUT",)

    def __init__(
        self, service: ChatService, access: AccessControl, new_reference: Callable[[], str]
    ) -> None:
        super().__init__(service, access, new_reference)
        self._files = service.files
        self._claims: dict[tuple[int, str], UploadClaim] = {}
        self._stopping = False

    async def stop(self) -> None:
        """Cut off what is under way, and keep what came of it. Nothing is taken any more."""
        self._stopping = True
        while self._claims:
            turn = next(iter(self._claims.values()))
            turn.body.cut(ShuttingDown())
            await turn.over()

    def _failed(self, failure: Failure, request: Request) -> None:
        if not failure.check(BodyLost):
            super()._failed(failure, request)
        elif not is_lost(request):
            hang_up(request)

    async def respond(self, request: Request) -> None:
        """Finish the request. Raises ChatError, BodyLost."""
        self._access.check(request, b"PUT", b"HEAD", b"DELETE")
        self._access.check_origin(request)  # HEAD, too, cuts off what is under way
        client = await self._access.client_of(request)
        key = types.KEY.from_text("key", rest_of(request))
        if request.method == b"PUT":
            await self._put(cast(ChatRequest, request), client, key)
        elif request.method == b"HEAD":
            await self._tell(request, client.account, key)
        else:
            await self._give_up(request, client.account, key)

    async def _cut(self, account: Account, key: str) -> None:
        """Cut off what is under way for that key, and wait until it has let go of it."""
        while (turn := self._claims.get((account.id, key))) is not None:
            turn.body.cut(UploadTakenOver())
            await turn.over()

    async def _give_up(self, request: Request, account: Account, key: str) -> None:
        await self._cut(account, key)
        await self._files.give_up(account, key)
        answer(request, {"message": "What was here of the file is gone"})

    async def _tell(self, request: Request, account: Account, key: str) -> None:
        """How many bytes are here. Whoever asks that wants to go on."""
        query = query_of(request)
        size = _size(query)
        await self._cut(account, key)
        offset = await self._files.offset(account, key)
        asked = _asked(key, query) if "to" in query or "group" in query else None
        if asked is not None and await self._answered(account, asked) is not None:
            offset = size  # nothing is missing but the answer
        offset = offset if offset <= size else 0  # more would be another file's
        request.setHeader(b"Upload-Offset", str(offset))
        answer(request, {"message": f"{offset} of {size} bytes are here", "offset": offset})

    async def _put(self, request: ChatRequest, client: Client, key: str) -> None:
        session, body = client.logged_in, request.body
        asked = _asked(key, query_of(request))
        await client.refuse_tokens((asked.to, asked.name, asked.key))
        offset = _offset(request)
        if body.length is None:
            raise LengthRequired
        if offset + body.length > asked.size:
            expected = f"at least the {offset + body.length} bytes that this would make"
            raise BadArgument(argument="size", found=asked.size, expected=expected)
        await self._cut(session.account, key)
        if self._stopping:
            raise ShuttingDown
        turn = self._claims[session.account.id, key] = UploadClaim(body)
        try:
            reply = await self._answered(session.account, asked)
            if reply is None:
                reply = await self._receive(request, client, session, asked, offset)
        finally:
            del self._claims[session.account.id, key]
            turn.end()
        if reply is None:
            self._ask_for_more(request, asked, offset + body.length)
        else:
            answer(request, {"message": reply.message, **reply.fields, **reply.data})

    def _ask_for_more(self, request: Request, asked: Asked, offset: int) -> None:
        request.setHeader(b"Upload-Offset", str(offset))
        message = f"{offset} of {asked.size} bytes are here; send the rest"
        answer(request, {"message": message, "offset": offset}, HTTPStatus.ACCEPTED)

    async def _answered(self, account: Account, asked: Asked) -> Reply | None:
        """What was answered when that file was sent before."""
        before = await self._files.answered(account, asked.to, asked.key)
        return None if before is None else _reply(asked, *before)

    async def _receive(
        self,
        request: ChatRequest,
        client: Client,
        session: Session,
        asked: Asked,
        offset: int,
    ) -> Reply | None:
        """Take what comes of the file, and send it if that was the rest."""
        upload = await self._files.resume(
            session.account,
            asked.to,
            asked.name,
            asked.size,
            asked.key,
            client.listener,
        )
        try:
            if upload.offset != offset:
                request.setHeader(b"Upload-Offset", str(upload.offset))
                raise UploadOffset(offset=upload.offset)
            await _take(upload, request.body, lambda: _check(client, session))
        except Exception:
            await upload.suspend()
            raise
        if upload.missing:
            await upload.suspend()
            return None
        return _reply(asked, *await upload.finish())


async def _take(upload: Upload, body: Body, check: Callable[[], None]) -> None:
    """Read the body to its end. `check` raises what is against it."""
    check()
    while data := await body.read():
        check()
        if not upload.write(data):
            await upload.room()
        if upload.has_failed:
            raise StorageFailed
    check()


def _check(client: Client, session: Session) -> None:
    """Raises NotLoggedIn if the session was ended from elsewhere. A connection that is gone ends nothing:
    what has come whole is sent."""
    if client.session is not session and not client.connection.gone:
        raise NotLoggedIn


def _reply(asked: Asked, file: Attachment, sent: Sent) -> Reply:
    return file_sent(file, sent, single=isinstance(asked.to, Address) or len(asked.to) == 1)
