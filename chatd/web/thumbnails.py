"""Thumbnails: `GET /thumbnails/<code>`, a small WebP of a picture, for those who may fetch the picture."""

from __future__ import annotations

from http import HTTPStatus

from twisted.web.server import Request

from chatd.service.thumbnails import SIDE
from chatd.web.answers import is_lost
from chatd.web.async_resource import AsyncResource
from chatd.web.downloads import POLICY, has_tag
from chatd.web.query import rest_of


class ThumbnailResource(AsyncResource):
    """`/thumbnails/<code>`."""

    async def respond(self, request: Request) -> None:
        """Finish the request. Raises ChatError."""
        self._access.check(request, b"GET", b"HEAD")
        client = await self._access.client_of(request)
        thumbnails = self._service.thumbnails
        file = await thumbnails.find(client.account, rest_of(request))
        # Pictures do not change, but the size of thumbnails may, in another version.
        tag = f'"{file.sha256}-{SIDE}"'
        if has_tag(request, tag):
            give_picture(request, tag, None)
        else:
            give_picture(request, tag, await thumbnails.small(client.account, file))


def give_picture(
    request: Request, tag: str, body: bytes | None, caching: str = "private, no-cache"
) -> None:
    """Finish the request with a WebP, unless its connection is gone. None: the client has it already."""
    if is_lost(request):
        return
    request.setHeader(b"Content-Security-Policy", POLICY)
    request.setHeader(b"Cache-Control", caching)
    request.setHeader(b"ETag", tag)
    if body is None:
        request.setResponseCode(HTTPStatus.NOT_MODIFIED)
    else:
        request.setHeader(b"Content-Type", b"image/webp")
        request.setHeader(b"Content-Length", str(len(body)).encode())
        if request.method != b"HEAD":
            request.write(body)
    request.finish()
