"""Join links: `/join/<code>`, or `/join/<code>@<realm>` for a group of another realm.

`GET` gives the same page for every code. It asks the user, who has to be logged in. `POST` joins.
"""

from __future__ import annotations

from twisted.web.server import NOT_DONE_YET, Request

from chatd.base.errors import UnknownPage
from chatd.commands.table import BY_VERB
from chatd.service.chat_service import ChatService
from chatd.web.access import SAFE, AccessControl
from chatd.web.answers import answer, refuse
from chatd.web.async_resource import AsyncResource
from chatd.web.query import rest_of, shown_path
from chatd.web.static import AT_ROOT, StaticFile, StaticFiles


class JoinResource(AsyncResource):
    """`/join/<code>`. `files` has the page."""

    def __init__(
        self, service: ChatService, access: AccessControl, files: dict[str, StaticFile]
    ) -> None:
        super().__init__(service, access)
        self._page = StaticFiles(files, AT_ROOT)

    def render(self, request: Request) -> int | bytes:  # type: ignore[override]
        if not rest_of(request):
            refuse(request, UnknownPage(path=shown_path(request)))
            return int(NOT_DONE_YET)
        if request.method not in SAFE:
            return super().render(request)
        request.postpath = [b""]
        return self._page.render(request)

    async def respond(self, request: Request) -> None:
        """Finish the request. Raises ChatError."""
        self._access.check(request, b"GET", b"HEAD", b"POST")
        client = await self._access.client_of(request)
        asked = BY_VERB["joingroup"].from_names({"group": rest_of(request)})
        reply = await client.reply_to(asked)
        answer(request, {"message": reply.message, **reply.fields, **reply.data})
