"""`POST /reset`: somebody chooses another password with the token of a link.

The page of the link is one of the browser client, and has the token in its fragment, so that no server sees
it before.
"""

from __future__ import annotations

from twisted.web.server import Request

from chatd.base.errors import BadResetLink
from chatd.commands import arguments as types
from chatd.web.access import source_of
from chatd.web.answers import answer
from chatd.web.async_resource import AsyncResource, body_of


class ResetResource(AsyncResource):
    """`/reset`."""

    async def respond(self, request: Request) -> None:
        """Finish the request. Raises ChatError."""
        self._access.check(request, b"POST")
        body = body_of(request)
        if "token" not in body:
            raise BadResetLink
        token = types.SECRET.from_json("token", body["token"])
        password = types.SECRET.from_json("password", body.get("password"))
        account = await self._service.resets.use(token, password, source_of(request))
        self._access.end_sessions(account, "The password was changed; log in again")
        message = f"The password of {account.name} is changed; log in with it"
        answer(request, {"message": message, "username": account.name})
