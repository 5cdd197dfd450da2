"""The documents of web servers, fetched over real TLS on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseNeverReceived
from zope.interface import implementer

from chatd.federation.amp import well_known
from chatd.federation.amp.well_known import MAX_ANSWER, BadDocument, WellKnownFetcher, parse
from tests.support.public_authority import PublicAuthority
from tests.support.realm_certificates import new_key

NAME = "kampus.example.net"
DOCUMENT = b'{"realm":"kampus.example.net","host":"chat.example.net","port":8890}'
net: Any = reactor


class Server(Protocol):
    """Answers the first request with the bytes of its factory, and closes unless they are empty."""

    def dataReceived(self, data: bytes) -> None:
        factory: Any = self.factory
        factory.asked.append(data)
        if factory.answer:
            self.transport.write(factory.answer)  # type: ignore[union-attr]
            self.transport.loseConnection()  # type: ignore[union-attr]


class ServerFactory(Factory[Server]):
    protocol = Server
    noisy = False

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []


def ok(body: bytes, head: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """TLS of a web server with these certificates."""

    def __init__(self, chain: tuple[x509.Certificate, ...], key: Any) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.use_privatekey(key)
        self._context.use_certificate(chain[0])
        for each in chain[1:]:
            self._context.add_extra_chain_cert(each)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803
        return SSL.Connection(self._context, None)


class FetchTests(TestCase):
    def setUp(self) -> None:
        self.authority = PublicAuthority()

    async def serve(self, answer: bytes, *names: str) -> ServerFactory:
        key = new_key()
        leaf, between = self.authority.issue(*(names or (NAME,)), key=key)
        factory = ServerFactory(answer)
        wrapped = TLSMemoryBIOFactory(ServerTLS((leaf, between), key), False, factory)
        wrapped.noisy = False
        self.listening: Any = net.listenTCP(0, wrapped, interface="127.0.0.1")
        self.addCleanup(self.listening.stopListening)
        return factory

    def fetch(
        self, trusted: PublicAuthority | None = None, addresses: Sequence[str] = ("127.0.0.1",)
    ) -> Deferred[Any]:
        root = (trusted or self.authority).root
        found = trustRootFromCertificates([Certificate.load(root.public_bytes(Encoding.DER))])
        fetcher = WellKnownFetcher(net, found, self.listening.getHost().port)
        return Deferred.fromCoroutine(fetcher.fetch(NAME, addresses))

    async def test_document(self) -> None:
        server = await self.serve(ok(DOCUMENT))
        found = await self.fetch()
        self.assertEqual((found.host, found.port), ("chat.example.net", 8890))
        self.assertTrue(server.asked[0].startswith(b"GET /.well-known/chatd.json HTTP/1.1\r\n"))
        self.assertIn(b"Host: kampus.example.net", server.asked[0])

    async def test_redirect(self) -> None:
        server = await self.serve(
            ok(DOCUMENT, b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\n")
        )
        await self.assertFailure(self.fetch(), BadDocument)
        self.assertEqual(len(server.asked), 1)

    async def test_next_address(self) -> None:
        """An address at which nothing listens is passed over. If there is no other one, it is said why."""
        await self.serve(ok(DOCUMENT))
        found = await self.fetch(addresses=("127.0.0.2", "127.0.0.1"))
        self.assertEqual(found.host, "chat.example.net")
        await self.assertFailure(self.fetch(addresses=("127.0.0.2",)), ConnectError)
        await self.assertFailure(self.fetch(addresses=()), DNSLookupError)

    async def test_too_long(self) -> None:
        """Neither the body nor the header may grow."""
        for answer in (
            ok(DOCUMENT + b" " * MAX_ANSWER),
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_ANSWER,
        ):
            await self.serve(answer)
            failed = False
            try:
                await self.fetch()
            except Exception:
                failed = True
            self.assertTrue(failed)

    async def test_other_certificates(self) -> None:
        """Of another name, and of an authority that is not trusted."""
        server = await self.serve(ok(DOCUMENT), "other.example.net")
        for trusted in (None, PublicAuthority()):
            failed = False
            try:
                await self.fetch(trusted)
            except BadDocument:
                raise
            except Exception:
                failed = True
            self.assertTrue(failed)
        self.assertEqual(server.asked, [])

    async def test_cancelled(self) -> None:
        await self.serve(b"")
        fetching = self.fetch()
        net.callLater(0.05, fetching.cancel)
        await self.assertFailure(fetching, ResponseNeverReceived)


class ParseTests(SynchronousTestCase):
    def test_bad(self) -> None:
        for data in (
            b"",
            b"[]",
            b"[" * 100_000,
            b"\xff",
            b'{"realm":"kampus.example.net","host":"h"}',
            b'{"realm":"other.example.net","host":"h","port":8890}',
            b'{"realm":"kampus.example.net","host":"h","port":0}',
            b'{"realm":"kampus.example.net","host":"h","port":65536}',
            b'{"realm":"kampus.example.net","host":"h/x","port":1}',
            b'{"realm":"kampus.example.net","host":"","port":1}',
            b'{"realm":"kampus.example.net","host":"h@x","port":1}',
        ):
            self.assertRaises(BadDocument, parse, data, NAME)

    def test_good(self) -> None:
        for host in ("Chat.Example.net.", "192.0.2.1", "2001:db8::1"):
            data = b'{"status":"OK","realm":"Kampus.example.net","host":"%s","port":1}'
            found = parse(data % host.encode(), NAME)
            self.assertEqual(found.host, host.lower().removesuffix("."))
        self.assertEqual(well_known.HTTPS, 443)
