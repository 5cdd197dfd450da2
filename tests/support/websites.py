"""A realm's site on a real socket, and clients for HTTP and WebSockets."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Ping, RejectConnection, Request, TextMessage

from chatd.base.config import Config, WebConfig
from chatd.lines.connections import Connections
from chatd.net.eager import FlushQueue
from chatd.web.site import make_site
from tests.support.common import RealmTestCase

PASSWORD = "surabaya1"


class Answer(msgspec.Struct):
    """A response over HTTP."""

    code: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found

    def header(self, name: str) -> str | None:
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None

    @property
    def cookie(self) -> str:
        """The cookie as a browser sends it back."""
        return (self.header("set-cookie") or "").partition(";")[0]


class SiteTestCase(RealmTestCase):
    """A test with a site; `self.url` is its root."""

    web = WebConfig()

    def setUp(self) -> None:
        super().setUp()
        self.connections = Connections()
        self.site = make_site(
            self.realm.service,
            self.realm.sessions,
            self.connections,
            FlushQueue(reactor),
        )
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.port = self.successResultOf(endpoint.listen(self.site))
        self.host = f"127.0.0.1:{self.port.getHost().port}"
        self.url = f"http://{self.host}"
        self.addCleanup(self._close)

    async def _close(self) -> None:
        await self.port.stopListening()
        await self.site.finish()
        await self.pool.closeCachedConnections()

    def make_config(self) -> Config:
        return msgspec.structs.replace(super().make_config(), web=self.web)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = {},
        cookie: str = "",
    ) -> Answer:
        """Send one request, and return the response."""
        fields = {"Cookie": cookie, **headers} if cookie else headers
        agent = Agent(reactor, pool=self.pool)
        producer = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            producer = FileBodyProducer(BytesIO(data))
        response = await agent.request(
            method.encode(),
            f"{self.url}{path}".encode(),
            Headers({name: [value] for name, value in fields.items()}),
            producer,
        )
        return Answer(response.code, response.headers, await read_body(response))

    async def register(self, name: str) -> Answer:
        return await self.ask("POST", "/accounts", {"username": name, "password": PASSWORD})

    async def open(self, cookie: str = "", headers: Mapping[str, str] = {}) -> Socket:
        """An open WebSocket."""
        socket = Socket()
        await socket.connect(self.host, {"Cookie": cookie, **headers} if cookie else headers)
        return socket


class _BodyCollector(Protocol):
    """Collects a response's body. Twisted's `readBody` warns about the transports of its own pool."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred()
        self._data = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(bytes(self._data))
        else:
            self.done.errback(reason)


def read_body(response: Any) -> Deferred[bytes]:
    """The complete body."""
    collector = _BodyCollector()
    response.deliverBody(collector)
    return collector.done


class Socket(Protocol):
    """The client's end of a WebSocket. `frames` has received frames that were not returned yet, `events`
    those that arrived before a reply."""

    transport: Any

    def __init__(self) -> None:
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.frames: deque[str] = deque()
        self.events: list[dict[str, Any]] = []
        self.code: int | None = (
            None  # of the close frame, or the status of a handshake that was refused
        )
        self.lost = False
        self.pings = 0
        self._news: Deferred[None] = Deferred()

    async def connect(self, host: str, headers: Mapping[str, str] = {}) -> None:
        """Shake hands. Afterwards it is open, or `code` says why not."""
        name, _, port = host.partition(":")
        await connectProtocol(TCP4ClientEndpoint(reactor, name, int(port)), self)
        extra = [(key.encode(), value.encode()) for key, value in headers.items()]
        self.transport.write(self.ws.send(Request(host=host, target="/ws", extra_headers=extra)))
        await self._until(lambda: self.ws.state is not ConnectionState.CONNECTING)

    def dataReceived(self, data: bytes) -> None:
        self.ws.receive_data(data)
        for event in self.ws.events():
            if isinstance(event, TextMessage):
                self.frames.append(event.data)
            elif isinstance(event, Ping):
                self.pings += 1
                if self.ws.state is ConnectionState.OPEN:
                    self.send(event.response())
            elif isinstance(event, CloseConnection | RejectConnection):
                self.code = getattr(event, "code", None) or getattr(event, "status_code", None)
                if isinstance(event, CloseConnection) and self._is_closing:
                    self.transport.write(self.ws.send(event.response()))
        self._tell()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.lost = True
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, Deferred()
        news.callback(None)

    async def _until(self, fulfilled: Callable[[], bool]) -> None:
        while not fulfilled():
            assert not self.lost, f"the connection was lost, with {self.code}"
            news: Deferred[None] = Deferred()
            self._news.chainDeferred(news)
            await news.addTimeout(10, reactor)

    def send(self, event: Any) -> None:
        self.transport.write(self.ws.send(event))

    def say(self, text: str) -> None:
        self.send(TextMessage(text))

    @property
    def _is_closing(self) -> bool:
        """Whether the other end has begun to close."""
        return self.ws.state is ConnectionState.REMOTE_CLOSING

    async def frame(self) -> dict[str, Any]:
        """The next object."""
        await self._until(lambda: bool(self.frames))
        found = json.loads(self.frames.popleft())
        assert isinstance(found, dict)
        return found

    async def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request, and wait for the reply. Earlier events go to `events`."""
        self.say(json.dumps(request))
        while "event" in (found := await self.frame()):
            self.events.append(found)
        return found

    async def close(self, code: int = 1000) -> None:
        self.send(CloseConnection(code))
        await self.ended()

    async def ended(self) -> int | None:
        """Wait until it is closed. Returns the close code."""
        while not self.lost:
            news: Deferred[None] = Deferred()
            self._news.chainDeferred(news)
            await news.addTimeout(10, reactor)
        return self.code
