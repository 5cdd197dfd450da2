"""`/.well-known/chatd.json`: where other realms reach this one (chatd.base.whereabouts)."""

from __future__ import annotations

import msgspec
from twisted.web.server import Request

from chatd.base.errors import UnknownPage
from chatd.base.whereabouts import own_whereabouts
from chatd.web.answers import answer
from chatd.web.async_resource import AsyncResource
from chatd.web.query import rest_of, shown_path

DOCUMENT = "chatd.json"


class WhereaboutsResource(AsyncResource):
    """`/.well-known`: answers everybody, if the door for other realms is open to other machines."""

    async def respond(self, request: Request) -> None:
        self._access.check(request, b"GET", b"HEAD")
        found = own_whereabouts(self._service.config)
        if found is None or rest_of(request) != DOCUMENT:
            raise UnknownPage(path=shown_path(request))
        answer(request, msgspec.structs.asdict(found))
