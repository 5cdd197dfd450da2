"""Listening on real sockets: Unix sockets, TLS, proxies, and keepalive."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any, ClassVar

import trustme
from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from chatd.base.sources import Networks
from chatd.net.eager import EagerServer, EagerUnixServer, make_eager
from chatd.net.listening import (
    TIMESTAMPS,
    is_proxied,
    is_tls,
    listen,
    remove_stale_socket,
    use_segments,
)
from chatd.net.sockets import (
    KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL,
    KEEPALIVE_PROBES,
    USER_TIMEOUT,
    keep_alive,
)

HEADER = b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 443\r\n"


class Server(Protocol):
    """Sends the client's address, and echoes what it receives."""

    transport: Any

    def connectionMade(self) -> None:
        self.factory.met.append(self)
        self.transport.write(f"{getattr(self.transport.getPeer(), 'host', 'local')}\n".encode())

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Servers(Factory):
    noisy = False
    protocol = Server

    def __init__(self) -> None:
        self.met: list[Server] = []
        self.full = False

    def buildProtocol(self, addr: Any) -> Any:
        return None if self.full else super().buildProtocol(addr)


class Client(Protocol):
    transport: Any

    def __init__(self, expected: bytes = b"") -> None:
        self.got = b""
        self.expected = expected
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        if self.expected and self.got.endswith(self.expected):
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(self.got)


class ListeningTestCase(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.servers = Servers()

    async def open(self, endpoint: str, trusted: str = "127.0.0.1") -> Any:
        port = await listen(reactor, "plain", endpoint, self.servers, Networks.parse(trusted))
        self.addCleanup(port.stopListening)
        make_eager(port)
        return port

    async def talk(self, port: Any, *sent: bytes, expected: bytes = b"") -> bytes:
        """The bytes that are received until the connection ends."""
        client = Client(expected)
        host = port.getHost()
        name = getattr(host, "name", None)
        endpoint: Any = (
            TCP4ClientEndpoint(reactor, "127.0.0.1", host.port)
            if name is None
            else UNIXClientEndpoint(reactor, name)
        )
        await connectProtocol(endpoint, client)
        for data in sent:
            client.transport.write(data)
        return await client.done


class Segments(ListeningTestCase):
    """Bytes of data in a TCP segment."""

    async def test_tcp(self) -> None:
        port = await self.open("tcp:0:interface=127.0.0.1")
        use_segments(port, 1024)
        self.assertEqual(await self.talk(port, b"x", expected=b"x"), b"127.0.0.1\nx")
        # Of a socket without a connection, the option that was set.
        option = port.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        self.assertEqual(option, 1024 + TIMESTAMPS)

    async def test_unix_sockets_have_none(self) -> None:
        port = await self.open(f"unix:{self.folder / 'socket'}")
        use_segments(port, 1024)
        self.assertEqual(await self.talk(port, b"x", expected=b"x"), b"local\nx")


class TCP(ListeningTestCase):
    async def test_plain(self) -> None:
        port = await self.open("tcp:0:interface=127.0.0.1")
        self.assertEqual(await self.talk(port, b"halo\n", expected=b"halo\n"), b"127.0.0.1\nhalo\n")
        self.assertIsInstance(self.servers.met[0].transport, EagerServer)

    async def test_behind_a_proxy(self) -> None:
        """The connection has the client's address, and writes at once like any other."""
        port = await self.open("haproxy:tcp:0:interface=127.0.0.1")
        found = await self.talk(port, HEADER + b"halo\n", expected=b"halo\n")
        self.assertEqual(found, b"2001:db8::7\nhalo\n")
        self.assertIsInstance(self.servers.met[0].transport, EagerServer)

    async def test_proxy_that_is_not_trusted(self) -> None:
        port = await self.open("haproxy:tcp:0:interface=127.0.0.1", trusted="192.0.2.1")
        self.assertEqual(await self.talk(port), b"")
        self.assertEqual(self.servers.met, [])

    async def test_unsent_bytes_are_freed_with_the_connection(self) -> None:
        """They do not wait for the garbage collector."""
        port = await self.open("tcp:0:interface=127.0.0.1")

        def leave(server: Server, _data: bytes) -> None:
            server.transport.write(b"x" * (32 << 20))
            self.assertTrue(server.transport.dataBuffer or server.transport._tempDataBuffer)
            server.transport.abortConnection()

        self.patch(Server, "dataReceived", leave)
        await self.talk(port, b"halo\n")
        transport = self.servers.met[0].transport
        self.assertFalse(transport.dataBuffer or transport._tempDataBuffer)

    async def test_keepalive(self) -> None:
        port = await self.open("tcp:0:interface=127.0.0.1")
        found: list[int] = []

        def look(server: Server, _data: bytes) -> None:
            sock = server.transport.getHandle()
            found.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"):
                found.append(sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)))
            server.transport.loseConnection()

        self.patch(Server, "dataReceived", look)
        await self.talk(port, b"x")
        self.assertEqual(
            found, [1, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, USER_TIMEOUT]
        )
        self.assertEqual(found[1:], [60, 10, 6, 120_000])

    def test_keepalive_of_closed_sockets(self) -> None:
        """A closed socket and one of another family raise nothing."""
        sock = socket.socket()
        sock.close()
        keep_alive(sock)
        with socket.socket(socket.AF_UNIX) as local:
            keep_alive(local)


class TLS(ListeningTestCase):
    authority: ClassVar[Any] = None

    def setUp(self) -> None:
        super().setUp()
        TLS.authority = TLS.authority or trustme.CA()
        certificate = self.authority.issue_cert("localhost")
        self.pem = self.folder.resolve() / "server.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(str(self.pem))

    async def open_tls(self, prefix: str = "") -> Any:
        return await self.open(f"{prefix}ssl:0:privateKey={self.pem}:interface=127.0.0.1")

    async def shake(self, port: Any, header: bytes = b"") -> bytes:
        """As `talk`, with TLS after the header."""
        root = ssl.Certificate.loadPEM(self.authority.cert_pem.bytes())
        options = ssl.optionsForClientTLS("localhost", root)
        client = Client(b"halo\n")
        tls: Any = TLSMemoryBIOFactory(options, True, Factory.forProtocol(lambda: client))
        protocol = tls.buildProtocol(None)

        class First(Protocol):
            """Sends the header, and then is TLS."""

            def connectionMade(self) -> None:
                wire: Any = self.transport
                wire.write(header)
                wire.protocol = protocol
                protocol.makeConnection(wire)

        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        await connectProtocol(endpoint, First())
        client.transport.write(b"halo\n")
        return await client.done

    async def test_plain(self) -> None:
        port = await self.open_tls()
        self.assertEqual(await self.shake(port), b"127.0.0.1\nhalo\n")

    async def test_behind_a_proxy(self) -> None:
        """The header is in clear text before the handshake, as nginx and HAProxy send it."""
        port = await self.open_tls("haproxy:")
        self.assertEqual(await self.shake(port, HEADER), b"2001:db8::7\nhalo\n")

    async def test_refused_connection(self) -> None:
        """A refused connection is closed, and nothing is logged."""
        self.servers.full = True
        port = await self.open_tls()
        self.assertEqual(await self.talk(port), b"")


class Unix(ListeningTestCase):
    @property
    def path(self) -> Path:
        return self.folder / "plain.sock"

    async def test_talk(self) -> None:
        port = await self.open(f"unix:{self.path}:mode=660")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660)
        self.assertEqual(await self.talk(port, b"halo\n", expected=b"halo\n"), b"local\nhalo\n")
        self.assertIsInstance(self.servers.met[0].transport, EagerUnixServer)

    async def test_behind_a_proxy(self) -> None:
        port = await self.open(f"haproxy:unix:{self.path}", trusted="local")
        found = await self.talk(port, HEADER + b"halo\n", expected=b"halo\n")
        self.assertEqual(found, b"2001:db8::7\nhalo\n")

    async def test_stale_socket(self) -> None:
        """The socket of a killed process is replaced, even if another process has its number now."""
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.path))
        os.symlink(str(os.getpid()), f"{self.path}.lock")  # noqa: PTH211 - as Twisted's own lock
        port = await self.open(f"unix:{self.path}")
        self.assertEqual(await self.talk(port, b"halo\n", expected=b"halo\n"), b"local\nhalo\n")

    async def test_socket_in_use(self) -> None:
        """The socket of a running process stays."""
        port = await self.open(f"unix:{self.path}")
        with self.assertRaises(CannotListenError):
            await self.open(f"unix:{self.path}")
        self.assertEqual(await self.talk(port, b"halo\n", expected=b"halo\n"), b"local\nhalo\n")

    async def test_another_file(self) -> None:
        """A file that is not a socket stays."""
        self.path.write_text("mine")
        with self.assertRaises(CannotListenError):
            await self.open(f"unix:{self.path}")
        self.assertEqual(self.path.read_text(), "mine")
        remove_stale_socket(str(self.folder / "nothing"))


class Endpoints(TestCase):
    def test_kinds(self) -> None:
        self.assertTrue(is_proxied("haproxy:tcp:1"))
        self.assertFalse(is_proxied("tcp:1"))
        self.assertTrue(is_tls("haproxy:ssl:1"))
        self.assertTrue(is_tls("ssl:1"))
        self.assertFalse(is_tls("haproxy:tcp:1"))

    def test_other_ports(self) -> None:
        """Ports other than TCP and Unix sockets are left alone."""
        port: Any = StringTransport()
        make_eager(port)
        self.assertFalse(hasattr(port, "transport"))
