"""TLS between two realms: both ends show certificates."""

from __future__ import annotations

import socket
from typing import Any, cast
from unittest import mock

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IHandshakeListener,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from chatd.base.errors import (
    BadCertificate,
)
from chatd.federation.amp import tls as tls_module
from chatd.federation.amp.identity import RealmIdentity
from chatd.federation.amp.tls import TLSOptions, TLSTransport, peer_chain
from chatd.federation.amp.trust import (
    Authentication,
    Policy,
    TrustRecord,
    authenticate,
    realm_of,
)
from tests.support.realm_certificates import (
    DAY,
    NOW,
    Foreign,
    make,
    new_key,
    remembers,
    self_signed,
)


@implementer(IHandshakeListener)
class End(Protocol):
    """One end. `seen` fires with the other's certificates, or fails; then `lost` fires."""

    def __init__(self) -> None:
        self.seen: Deferred[list[x509.Certificate]] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self.version = ""

    def handshakeCompleted(self) -> None:  # noqa: N802
        self.version = self.transport.getHandle().get_protocol_version_name()  # type: ignore[union-attr]
        self.seen.callback(peer_chain(cast(TLSTransport, self.transport)))

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        if not self.seen.called:
            self.seen.errback(reason)
        self.lost.callback(None)


class OverTLS(TestCase):
    def listen(self, identity: RealmIdentity) -> int:
        self.server = End()
        factory = Factory.forProtocol(lambda: self.server)
        net: Any = reactor
        port = net.listenTCP(
            0, TLSMemoryBIOFactory(TLSOptions(identity), False, factory), interface="127.0.0.1"
        )
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def connect(self, port: int, options: Any) -> None:
        self.client = End()
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        if options is not None:
            endpoint = wrapClientTLS(options, endpoint)
        await endpoint.connect(Factory.forProtocol(lambda: self.client))

    async def hang_up(self) -> None:
        if self.client.transport is not None:
            self.client.transport.loseConnection()
        await gatherResults([self.client.lost, self.server.lost])

    async def refusal(self) -> str:
        """Why the server's end was lost; the client's end may have succeeded."""
        error: Any = None
        try:
            await self.server.seen
        except SSL.Error as caught:
            error = caught
        self.client.seen.addErrback(lambda _: None)
        await self.hang_up()
        self.assertIsNotNone(error, "it was let in")
        return str(error)

    async def test_mutual(self) -> None:
        """Each end sees the whole chain of the other, in TLS 1.3, and can authenticate it."""
        one, two = self_signed("realm1", 3), self_signed("Bücher_2", 2)
        await self.connect(self.listen(one), TLSOptions(two))
        at_client, at_server = await self.client.seen, await self.server.seen
        self.assertEqual(at_client, list(one.chain))
        self.assertEqual(at_server, list(two.chain))
        self.assertEqual((self.client.version, self.server.version), ("TLSv1.3", "TLSv1.3"))
        await self.hang_up()
        judged = authenticate(
            at_server,
            NOW,
            policy=Policy("realm1"),
            known_of=lambda _: remembers(two.chain[-1]),
            address="127.0.0.1:1",
        )
        self.assertEqual(judged, Authentication("bücher_2", two.certificate, True))

    async def test_by_ca(self) -> None:
        """Certificates are checked after the handshake and not during it, also with keys other than EC."""
        ca = trustme.CA()
        issued = ca.issue_cert("realm2", key_type=trustme.KeyType.RSA)
        key: Any = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        leaf = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
        root = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
        two = RealmIdentity("realm2", key, (leaf,))
        await self.connect(self.listen(self_signed("realm1")), TLSOptions(two))
        await self.client.seen
        chain = await self.server.seen
        await self.hang_up()
        policy = Policy("realm1", "ca", (root,))
        judged = authenticate(
            chain, NOW, policy=policy, known_of=lambda _: TrustRecord(), address="a:1"
        )
        self.assertEqual(judged.realm, "realm2")

    async def test_ended_passes_tls(self) -> None:
        """An expired certificate passes the handshake, so that the error can be explained."""
        key = new_key()
        old = RealmIdentity("realm2", key, (make("realm2", key=key, end=NOW - DAY / 2),))
        await self.connect(self.listen(self_signed("realm1")), TLSOptions(old))
        await self.client.seen
        self.assertEqual(await self.server.seen, list(old.chain))
        await self.hang_up()

    async def test_no_certificate(self) -> None:
        await self.connect(self.listen(self_signed("realm1")), Foreign(lambda _: None))
        self.assertIn("peer did not return a certificate", await self.refusal())

    async def test_older_tls(self) -> None:
        two = self_signed("realm2")

        def prepare(context: SSL.Context) -> None:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            context.use_certificate(two.certificate)
            context.use_privatekey(two.private_key)

        await self.connect(self.listen(self_signed("realm1")), Foreign(prepare))
        self.assertIn("unsupported protocol", await self.refusal())

    async def test_older_server(self) -> None:
        """The client does not fall back to TLS 1.2 either."""
        one = self_signed("realm1")
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.use_certificate(one.certificate)
        context.use_privatekey(one.private_key)
        with mock.patch.object(tls_module, "make_context", return_value=context):
            port = self.listen(one)
        await self.connect(port, TLSOptions(self_signed("realm2")))
        await self.refusal()

    def test_stolen_certificate(self) -> None:
        """A certificate can't be shown without its key."""
        two = self_signed("realm2")
        stolen = RealmIdentity("realm2", new_key(), two.chain)
        self.assertRaises(SSL.Error, TLSOptions, stolen)

    async def test_plain(self) -> None:
        await self.connect(self.listen(self_signed("realm1")), None)
        assert self.client.transport is not None
        self.client.transport.write(b"login messi surabaya\r\n")
        await self.refusal()

    async def test_quits_at_once(self) -> None:
        port = self.listen(self_signed("realm1"))
        socket.create_connection(("127.0.0.1", port)).close()
        with self.assertRaises(Exception):  # noqa: B017 - whichever way it was lost
            await self.server.seen
        await self.server.lost


class WithoutSockets(SynchronousTestCase):
    def shake(self, client: SSL.Connection, server: SSL.Connection) -> int:
        """Exchange bytes until both are silent. Returns how many bytes the server sent."""
        client.set_connect_state()
        server.set_accept_state()
        said = 0
        for _ in range(10):
            for end, other in ((client, server), (server, client)):
                try:
                    end.do_handshake()
                    end.recv(1)
                except SSL.WantReadError:
                    pass
                try:
                    data = end.bio_read(1 << 16)
                except SSL.WantReadError:
                    continue
                said += len(data) * (end is server)
                other.bio_write(data)
        return said

    def test_no_resumption(self) -> None:
        """A client with a session of an earlier connection must show its certificate again, and so must the
        server."""
        server_side = TLSOptions(self_signed("realm1"))
        client_side = TLSOptions(self_signed("realm2"))
        protocol: Any = None
        first = client_side.clientConnectionForTLS(protocol)
        self.shake(first, server_side.serverConnectionForTLS(protocol))
        session = first.get_session()
        assert session is not None
        second = client_side.clientConnectionForTLS(protocol)
        second.set_session(session)
        server = server_side.serverConnectionForTLS(protocol)
        self.shake(second, server)
        reused: Any = SSL._lib.SSL_session_reused  # type: ignore[attr-defined]
        self.assertFalse(reused(second._ssl))
        self.assertFalse(reused(server._ssl))
        self.assertEqual(realm_of(peer_chain(mock.Mock(getHandle=lambda: server))[0]), "realm2")

    def test_none_shown(self) -> None:
        connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        self.assertEqual(peer_chain(mock.Mock(getHandle=lambda: connection)), [])

    def test_not_understood(self) -> None:
        handle = mock.Mock()
        handle.get_peer_certificate.side_effect = ValueError("asn.1")
        transport = mock.Mock(getHandle=lambda: handle)
        self.assertRaises(BadCertificate, peer_chain, transport)
