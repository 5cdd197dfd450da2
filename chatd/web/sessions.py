"""Logging in and out over HTTP. The token goes into a cookie and never into a page.

`GET /session` describes the realm and who is logged in, `POST /session` logs in, `POST /accounts` registers,
`DELETE /session` logs out, and with `?everywhere=true` ends all sessions of the account.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any

from twisted.web.server import Request

from chatd import __version__
from chatd.base.errors import NotLoggedIn
from chatd.base.model import Account
from chatd.commands import values as ask
from chatd.commands.handlers.accounts import identity_of
from chatd.commands.table import BY_VERB
from chatd.service.accounts import Login
from chatd.web.access import source_of
from chatd.web.answers import answer, is_lost
from chatd.web.async_resource import AsyncResource, body_of
from chatd.web.query import query_of


class LoginResource(AsyncResource):
    """The base of the resources that log in."""

    def _realm(self, account: Account | None) -> dict[str, Any]:
        """The facts that a page needs before it can show anything."""
        config = self._service.config
        limits = config.limits
        return {
            "realm": config.realm,
            "version": __version__,
            "registration": config.accounts.registration,
            "min_password": config.accounts.min_password,
            "limits": {"message": limits.message, "file": limits.file},
            "account": None if account is None else identity_of(account),
            "claimable": self._service.operators.claimable,
            "may_add_realms": account is not None
            and (account.operator or config.peers.add == "anyone"),
        }

    async def _welcome(
        self, request: Request, login: Login, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        assert login.token is not None  # noqa: S101 - a login that was just opened has one
        await self._end_other_session(request, login.account)
        lifetime = self._service.config.accounts.session_expiry
        self._access.admit(request, login.token, lifetime)
        message = f"Welcome, {login.account.display_name}"
        answer(request, {"message": message, **self._realm(login.account)}, status)

    async def _end_other_session(self, request: Request, account: Account) -> None:
        """End the session of another account in this browser. Pages of that account may still be open, and
        would send their files with the new cookie, as the new account."""
        if is_lost(request) or not self._access.has_cookie(request):
            return
        with suppress(NotLoggedIn):
            client = await self._access.client_of(request)
            if client.account.id != account.id:
                await client.reply_to(ask.LogOut())


class SessionResource(LoginResource):
    async def respond(self, request: Request) -> None:
        self._access.check(request, b"GET", b"HEAD", b"POST", b"DELETE")
        if request.method == b"POST":
            await self._log_in(request)
        elif request.method == b"DELETE":
            await self._log_out(request)
        else:
            await self._tell(request)

    async def _log_in(self, request: Request) -> None:
        asked: Any = BY_VERB["auth"].from_names(body_of(request))
        login = await self._service.accounts.login(
            asked.username, asked.password, source_of(request)
        )
        await self._welcome(request, login)

    async def _log_out(self, request: Request) -> None:
        client = await self._access.client_of(request)
        everywhere = query_of(request).get("everywhere") == "true"
        reply = await client.reply_to(ask.LogOut(everywhere=everywhere))
        self._access.dismiss(request)
        answer(request, {"message": reply.message})

    async def _tell(self, request: Request) -> None:
        account = None
        try:
            client = await self._access.client_of(request)
        except NotLoggedIn:
            if self._access.token_of(request) is not None:
                self._access.dismiss(request)
        else:
            account = client.account
            self._access.renew(request, self._service.config.accounts.session_expiry)
        answer(request, self._realm(account))


class AccountsResource(LoginResource):
    async def respond(self, request: Request) -> None:
        self._access.check(request, b"POST")
        asked: Any = BY_VERB["register"].from_names(body_of(request))
        login = await self._service.accounts.register(
            asked.username,
            asked.password,
            asked.name,
            asked.country,
            source_of(request),
            asked.invite,
        )
        await self._welcome(request, login, HTTPStatus.CREATED)
