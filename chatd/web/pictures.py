"""Pictures of people and groups: `/pictures/@<user>`, `/pictures/%23<group>`.

`GET` fetches one. With its hash as `v` it may be kept for long, because another picture has another hash.
`PUT` makes the user's own picture, or that of a group, of the file in the body, and `DELETE` removes it.
"""

from __future__ import annotations

from twisted.web.server import Request

from chatd.base import errors
from chatd.base.names import Place, parse_place
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.pictures import picture_set
from chatd.service.chat_service import ChatService
from chatd.web.access import AccessControl
from chatd.web.answers import answer
from chatd.web.body import Body
from chatd.web.downloads import has_tag
from chatd.web.query import query_of, rest_of
from chatd.web.request import ChatRequest
from chatd.web.thumbnails import give_picture
from chatd.web.uploads import ReceivingResource, take

UNCHANGING = "private, max-age=31536000, immutable"  # a year, in seconds
ASKED_AGAIN = "private, no-cache"


class PictureResource(ReceivingResource):
    """`/pictures/<place>`. Call `stop` before the realm closes."""

    def __init__(self, service: ChatService, access: AccessControl) -> None:
        super().__init__(service, access)
        self._arriving: set[Body] = set()

    def stop(self) -> None:
        """Cut off the pictures that arrive."""
        for body in tuple(self._arriving):
            body.cut(errors.ShuttingDown())

    async def respond(self, request: Request) -> None:
        """Finish the request. Raises ChatError, BodyLost."""
        self._access.check(request, b"GET", b"HEAD", b"PUT", b"DELETE")
        client = await self._access.client_of(request)
        place = parse_place(rest_of(request))
        if request.method == b"PUT":
            assert isinstance(request, ChatRequest)  # noqa: S101 - what the site makes
            await self._receive(request, client, place)
        elif request.method == b"DELETE":
            reply = await client.reply_to(ask.RemovePicture(place))
            answer(request, {"message": reply.message})
        else:
            await self._give(request, client, place)

    async def _give(self, request: Request, client: Client, place: Place) -> None:
        avatar = await self._service.pictures.find(client.account, place)
        same = query_of(request).get("v") == avatar.hash
        tag = f'"{avatar.hash}"'
        body = None if has_tag(request, tag) else avatar.body
        give_picture(request, tag, body, UNCHANGING if same else ASKED_AGAIN)

    async def _receive(self, request: ChatRequest, client: Client, place: Place) -> None:
        name = types.FILENAME.from_text("filename", query_of(request).get("filename", "picture"))
        body: Body = request.body
        if body.length is None:
            raise errors.LengthRequired
        session = client.logged_in
        upload = await self._service.pictures.begin(
            client.account, place, name, body.length, client.listener
        )
        self._arriving.add(body)
        try:
            await take(upload, body, lambda: client.check_session(session))
        except Exception:
            upload.abort()
            raise
        finally:
            self._arriving.discard(body)
        reply = picture_set(client, session.account, place, *await upload.finish())
        answer(request, {"message": reply.message, **reply.fields, **reply.data})
