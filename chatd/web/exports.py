"""`GET /export`: everything that the account has here, as a ZIP archive (chatd.service.exports)."""

from __future__ import annotations

from twisted.web.server import Request

from chatd.web.answers import is_lost
from chatd.web.downloads import DownloadResource


class ExportResource(DownloadResource):
    async def respond(self, request: Request) -> None:
        """Finish the request. Raises ChatError, ReaderGone, OSError."""
        self._access.check(request, b"GET")
        client = await self._access.client_of(request)
        download = await self._service.exports.make(client.account, lambda: is_lost(request))
        try:
            if not is_lost(request):
                await self._give(request, download, inline=False)
        finally:
            await download.file.close()
