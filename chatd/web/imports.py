"""`/import`: the archive of an account elsewhere (chatd.service.imports).

`PUT` begins to import the archive in the body. `GET` tells how far the last import has come, and `DELETE`
ends it. The answers are those of the commands.
"""

from __future__ import annotations

import msgspec
from twisted.web.server import Request

from chatd.base import errors
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.imports import import_reply
from chatd.service.chat_service import ChatService
from chatd.web.access import AccessControl
from chatd.web.answers import answer
from chatd.web.body import Body
from chatd.web.request import ChatRequest
from chatd.web.uploads import ReceivingResource, take


class ImportResource(ReceivingResource):
    """Call `stop` before the realm closes."""

    def __init__(self, service: ChatService, access: AccessControl) -> None:
        super().__init__(service, access)
        self._arriving: set[Body] = set()

    def stop(self) -> None:
        """Cut off the archives that arrive."""
        for body in tuple(self._arriving):
            body.cut(errors.ShuttingDown())

    async def respond(self, request: Request) -> None:
        """Finish the request. Raises ChatError, BodyLost."""
        self._access.check(request, b"GET", b"PUT", b"DELETE")
        client = await self._access.client_of(request)
        if request.method == b"PUT":
            assert isinstance(request, ChatRequest)  # noqa: S101 - what the site makes
            reply = await self._receive(request, client)
        elif request.method == b"DELETE":
            reply = await client.reply_to(ask.CancelImport())
        else:
            reply = await client.reply_to(ask.ShowImport())
        groups = msgspec.to_builtins(reply.items)
        answer(request, {"message": reply.message, **reply.fields, **reply.data, "groups": groups})

    async def _receive(self, request: ChatRequest, client: Client) -> Reply:
        body: Body = request.body
        if body.length is None:
            raise errors.LengthRequired
        session = client.logged_in
        upload = self._service.imports.begin(session.account, body.length)
        self._arriving.add(body)
        try:
            await take(upload, body, lambda: client.check_session(session))
        except Exception:
            upload.abort()
            raise
        finally:
            self._arriving.discard(body)
        return import_reply(*await upload.finish())
