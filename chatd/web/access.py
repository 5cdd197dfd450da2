"""Access over HTTP: sessions by cookie or header, origins, and the rate of requests.

A browser keeps its session's token in a cookie that scripts can't read (HttpOnly) and that it does not send
from pages of other sites (SameSite=Strict). A program sends `Authorization: Bearer <token>`. In addition, a
request that changes something, or opens a WebSocket, must come from one of the site's own pages if it comes
from a page at all, as Origin (RFC 6454) tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from twisted.internet.task import deferLater
from twisted.web.server import Request
from zope.interface import implementer

from chatd.base.errors import BadMethod, ChatError, ForeignOrigin, NotLoggedIn
from chatd.base.events import Event
from chatd.base.model import Account
from chatd.base.names import key_of, printable
from chatd.base.texts import Secret
from chatd.commands.client import Client
from chatd.commands.connection import Connection, Origin, Traits
from chatd.commands.sessions import Sessions
from chatd.lines.connections import host_of
from chatd.service.chat_service import ChatService
from chatd.service.presence import IListener
from chatd.web.hosts import is_own_origin
from chatd.web.query import shown_path

MAX_PROGRAM = 200  # characters of a program's name that are kept
SAFE = (b"GET", b"HEAD")


@implementer(IListener)
class NullListener:
    """The listener of a single request: it receives no events."""

    def deliver(self, events: Sequence[Event]) -> None:
        """Discard the events."""

    def drop(self) -> None:
        """Do nothing, because the request ends by itself."""

    def refuse(self, error: ChatError) -> None:
        """Do nothing, as in `drop`."""


def source_of(request: Request) -> str:
    """The network address of the client."""
    return host_of(request.getClientAddress())


def program_of(request: Request) -> str:
    """The name of the client program, as it says itself."""
    name = (request.getHeader("user-agent") or "").strip()
    return printable(name, MAX_PROGRAM) if name else "web"


class AccessControl:
    """Finds the sessions of requests, and checks their methods and origins. `new_number` returns a
    connection's number for the log."""

    def __init__(
        self, service: ChatService, sessions: Sessions, new_number: Callable[[], int]
    ) -> None:
        self._service = service
        self._sessions = sessions
        self._new_number = new_number
        # Cookies are kept by host for all ports, so several realms on one machine need different names.
        realm = hashlib.sha256(key_of(service.config.realm).encode()).hexdigest()[:8]
        self._cookie = f"chatd-{realm}".encode()
        # Browsers accept a `__Host-` cookie over TLS only, and from this host only (RFC 6265bis, 4.1.3.2).
        self._secure_cookie = b"__Host-" + self._cookie

    def end_sessions(self, account: Account, reason: str) -> None:
        """Detach the clients of an account whose sessions have ended, and tell them why."""
        self._sessions.end_all(account, reason)

    def check_origin(self, request: Request) -> None:
        """Raises ForeignOrigin if the request comes from a page of another site."""
        origin = request.getHeader("origin")
        if origin is None:
            return  # from a program, or a plain navigation
        if (
            not is_own_origin(request, origin)
            and origin.lower() not in self._service.config.web.origins
        ):
            raise ForeignOrigin(origin=printable(origin))

    def check(self, request: Request, *methods: bytes) -> None:
        """Raises BadMethod, and ForeignOrigin if the method is not safe (RFC 9110, 9.2.1)."""
        if request.method not in methods:
            request.setHeader(b"Allow", b", ".join(methods))
            raise BadMethod(
                path=shown_path(request),
                method=printable(request.method.decode(errors="replace")),
                allowed=b", ".join(methods).decode(),
            )
        if request.method not in SAFE:
            self.check_origin(request)

    def token_of(self, request: Request) -> str | None:
        """The session token of the request, if it has one."""
        scheme, _, given = (request.getHeader("authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            return given.strip()
        name = self._cookie_of(request)
        return None if name is None else (request.getCookie(name) or b"").decode("latin-1")

    def _cookie_of(self, request: Request) -> bytes | None:
        """The name of the session cookie that the request has; None if it has none."""
        # Over TLS the plain cookie may have been set by an attacker in between or by a neighbouring host.
        names = (self._secure_cookie, self._cookie)[: 1 if request.isSecure() else 2]
        return next((name for name in names if request.getCookie(name) is not None), None)

    def has_cookie(self, request: Request) -> bool:
        """Whether the request has a session cookie."""
        return self._cookie_of(request) is not None

    async def client_of(self, request: Request) -> Client:
        """The client of the request's session, until the request ends. Waits if the session asks too often.
        Raises NotLoggedIn."""
        connection = Connection(
            self._sessions,
            NullListener(),
            Origin(source_of(request), self._new_number(), client=program_of(request)),
            Traits(transient=True),
        )
        request.notifyFinish().addBoth(lambda _result: connection.leave(clean=False))
        token = self.token_of(request)
        if not connection.must_look_up(token):
            raise NotLoggedIn
        client = await connection.look_up(token or "")
        if client is None:
            raise NotLoggedIn
        clock = self._service.clock
        pause = client.logged_in.bucket.take(clock.seconds())
        if pause > 0:
            await deferLater(clock, pause)
        return client

    def admit(self, request: Request, token: Secret, lifetime: int) -> None:
        """Set the session cookie for `lifetime` seconds, and clear any other."""
        # Behind a proxy, only the origin of the page tells that it was fetched over TLS.
        origin = request.getHeader("origin") or ""
        secure = request.isSecure() or origin.startswith("https://")
        name = self._secure_cookie if secure else self._cookie
        self._set_cookie(request, name, str(token).encode(), lifetime)
        self._forget(request, self._cookie if secure else self._secure_cookie)

    def renew(self, request: Request, lifetime: int) -> None:
        """Set the request's session cookie again, for another `lifetime` seconds."""
        name = self._cookie_of(request)
        if name is not None:
            self._set_cookie(request, name, request.getCookie(name) or b"", lifetime)

    def dismiss(self, request: Request) -> None:
        """Clear the session cookies."""
        self._forget(request, self._secure_cookie)
        self._forget(request, self._cookie)

    def _forget(self, request: Request, name: bytes) -> None:
        if request.getCookie(name) is not None:
            self._set_cookie(request, name, b"", 0)

    def _set_cookie(self, request: Request, name: bytes, token: bytes, lifetime: int) -> None:
        request.addCookie(
            name,
            token,
            max_age=str(lifetime).encode(),
            path=b"/",
            secure=request.isSecure() or name == self._secure_cookie,
            httpOnly=True,
            sameSite="strict",
        )
