"""`https://NAME/.well-known/chatd.json` (RFC 8615): where a realm accepts the links of other realms.

    {"realm": "kampus.example.net", "host": "chat.example.net", "port": 8890}

The server chooses the answer, so its size is bounded, and redirects are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.client import URI, Agent, ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from chatd.base.clocks import IReactor
from chatd.base.sources import parse_ip
from chatd.base.whereabouts import PATH, Whereabouts

HTTPS = 443
MAX_ANSWER = 16 << 10  # bytes of an answer, with its header
CONNECT_TIME = 3.0  # seconds for one address

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?", re.ASCII)


class BadDocument(Exception):
    """The web server has no document of that realm. `str()` is the reason."""


def parse(data: bytes, realm: str) -> Whereabouts:
    """The document of the realm with that key. Raises BadDocument."""
    try:
        found = msgspec.json.decode(data, type=Whereabouts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadDocument("it has no realm, host and port in JSON") from None
    if found.realm.lower() != realm:
        raise BadDocument("it is about another realm")
    host = found.host.lower().removesuffix(".")
    if not (_HOST.fullmatch(host) or parse_ip(host)) or not 0 < found.port < 65536:
        raise BadDocument("its host or port can't be understood")
    return msgspec.structs.replace(found, host=host)


class WellKnownFetcher:
    """Fetches the documents. `trusted` (IOpenSSLTrustRoot) says which authorities may vouch for the web
    servers."""

    def __init__(self, reactor: IReactor, trusted: Any, port: int = HTTPS) -> None:
        self._reactor = reactor
        self._port = port
        self._trusted = trusted

    async def fetch(self, name: str, addresses: Sequence[str]) -> Whereabouts:
        """The document of the realm with the key `name`, from the first address that accepts a connection.
        Raises BadDocument, and whatever the connection fails with. It can be cancelled."""
        tls = optionsForClientTLS(name, trustRoot=self._trusted)
        endpoint = _Bounded(self._reactor, tls, addresses, self._port)
        agent: Any = Agent.usingEndpointFactory(self._reactor, _Endpoints(endpoint))
        headers = Headers({"Accept": ["application/json"], "User-Agent": ["chatd"]})
        try:
            answer = await agent.request(b"GET", f"https://{name}{PATH}".encode(), headers)
            if answer.code != http.OK:
                raise BadDocument(f"its web server answers {answer.code}")
            body = _Body()
            answer.deliverBody(body)
            return parse(await body.complete, name)
        finally:
            endpoint.abort()


class _Body(Protocol):
    """Collects the body of an answer. `complete` fires with it, or fails if the answer breaks off."""

    def __init__(self) -> None:
        self._data = b""
        self.complete: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self._data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        whole = reason.check(ResponseDone, http.PotentialDataLoss) is not None
        self.complete.callback(self._data if whole else reason)


class _Counted(ProtocolWrapper):
    """Ends the connection after MAX_ANSWER bytes."""

    received = 0

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > MAX_ANSWER:
            self.transport.abortConnection()  # type: ignore[union-attr]
        else:
            super().dataReceived(data)


class _CountedFactory(WrappingFactory):
    protocol = _Counted
    noisy = False


@implementer(IStreamClientEndpoint)
class _Bounded:
    """Connects with TLS to the first of the addresses that accepts."""

    def __init__(
        self,
        reactor: IReactor,
        tls: IOpenSSLClientConnectionCreator,
        addresses: Sequence[str],
        port: int,
    ) -> None:
        self._reactor = reactor
        self._tls = tls
        self._addresses = addresses
        self._port = port
        self._connection: _Counted | None = None

    def abort(self) -> None:
        """Drop the connection, if there is one."""
        if self._connection is not None and self._connection.transport is not None:
            self._connection.transport.abortConnection()  # type: ignore[attr-defined]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:  # noqa: N803
        return Deferred.fromCoroutine(self._connect(_CountedFactory(protocolFactory)))

    async def _connect(self, factory: IProtocolFactory) -> Any:
        failed: Exception = DNSLookupError()
        for address in self._addresses:
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            tcp = kind(self._reactor, address, self._port, timeout=CONNECT_TIME)
            try:
                counted: Any = await wrapClientTLS(self._tls, tcp).connect(factory)
            except (CancelledError, ConnectingCancelledError):
                raise
            except Exception as error:
                failed = error
            else:
                self._connection = counted
                return counted.wrappedProtocol
        raise failed


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """There is one endpoint, whatever the URL."""

    def __init__(self, endpoint: _Bounded) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> _Bounded:  # noqa: N802
        return self._endpoint
