"""HTTP byte by byte over a real socket, with a site that accepts and serves files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from tests.support.common import sleep
from tests.support.websites import SiteTestCase


class Heard(msgspec.Struct):
    """A response. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


class Raw(Protocol):
    """A connection. `got` has the received bytes that were not returned yet."""

    transport: Any

    def __init__(self) -> None:
        self.got = bytearray()
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.lost = True

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def begin(self, method: str, path: str, headers: dict[str, Any]) -> None:
        """Send the head of a request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("\r\n".join((*lines, "", "")).encode())

    async def until(self, fulfilled: Callable[[], bool], patience: float = 10.0) -> None:
        while not fulfilled():
            assert patience > 0, f"waited in vain; there is {self.got[:2000]!r}"
            patience -= 0.002
            await sleep(0.002)

    async def answer(self, bodyless: bool = False) -> Heard:
        """The next response; `bodyless` if it is one to HEAD."""
        await self.until(lambda: b"\r\n\r\n" in self.got or self.lost)
        head = self.take(self.got.find(b"\r\n\r\n") % (len(self.got) + 1))
        self.take(4)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        status = int(first.split()[1])
        size = int(headers.get("content-length", 0))
        if bodyless or status == 304:
            size = 0
        await self.until(lambda: len(self.got) >= size or self.lost)
        return Heard(status, headers, self.take(size))

    def take(self, size: int) -> bytes:
        """The next received bytes."""
        taken = bytes(self.got[:size])
        del self.got[:size]
        return taken

    async def gone(self) -> None:
        """Wait until the other end has closed it."""
        await self.until(lambda: self.lost)

    def cut(self) -> None:
        self.transport.abortConnection()


class RawTestCase(SiteTestCase):
    """`self.cookies` has those of the registered accounts."""

    async def people(self, *names: str) -> None:
        self.cookies = {name: (await self.register(name)).cookie for name in names}

    async def dial(self) -> Raw:
        host, _, port = self.host.partition(":")
        raw: Raw = await connectProtocol(TCP4ClientEndpoint(reactor, host, int(port)), Raw())
        self.addCleanup(self._hang_up, raw)
        return raw

    def _hang_up(self, raw: Raw) -> Deferred[None]:
        raw.cut()
        return Deferred.fromCoroutine(raw.gone())

    async def say(
        self, method: str, path: str, who: str = "", body: bytes | None = None, **headers: Any
    ) -> Heard:
        """Send one request on a connection of its own, as `who`. Underscores in names of headers are
        hyphens."""
        raw = await self.dial()
        raw.begin(method, path, self.fields(who, body, headers))
        raw.send(body or b"")
        answer = await raw.answer(bodyless=method == "HEAD")
        raw.cut()
        return answer

    def fields(self, who: str, body: bytes | None, headers: dict[str, Any]) -> dict[str, Any]:
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        if who:
            found["Cookie"] = self.cookies[who]
        if body is not None:
            found.setdefault("Content-Length", len(body))
        return found
