"""Opens ports from endpoint strings.

Adds to Twisted's endpoints: a port may be behind a proxy (the prefix `haproxy:`), connections have keepalive,
and the Unix socket of a killed process is replaced.
"""

from __future__ import annotations

import errno
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from chatd.base.sources import Networks
from chatd.net.proxy import ProxyFactory
from chatd.net.sockets import AcceptedTCP, AcceptedUnix
from chatd.net.tls import DoorTLS

PROXY = "haproxy:"
TIMESTAMPS = 12  # bytes of the timestamps option in a TCP segment


def is_proxied(endpoint: str) -> bool:
    """Whether connections to `endpoint` begin with a PROXY header."""
    return endpoint.startswith(PROXY)


def is_tls(endpoint: str) -> bool:
    """Whether the port itself speaks TLS, with or without a proxy in front."""
    return endpoint.removeprefix(PROXY).startswith("ssl:")


def listen(
    reactor: Any,
    door: str,
    endpoint: str,
    factory: IProtocolFactory,
    trusted: Networks,
    on_tls: Callable[[DoorTLS], object] = lambda _tls: None,
) -> Deferred[IListeningPort]:
    """Open the port of a door. `trusted` are the proxies that may connect to a `haproxy:` endpoint; `on_tls`
    gets the certificate source of an `ssl:` endpoint.

    Raises Twisted's errors for a malformed endpoint string. Fails with CannotListenError.
    """
    bare = endpoint.removeprefix(PROXY)
    ports = _Ports(reactor, door, trusted if is_proxied(endpoint) else None)
    if is_tls(endpoint):
        ports.tls = DoorTLS(bare)
    listening: Any = serverFromString(ports, bare).listen(factory)
    if ports.tls is not None:
        on_tls(ports.tls)
    listening.addCallback(_adopt)
    return cast(Deferred[IListeningPort], listening)


def _adopt(port: IListeningPort) -> IListeningPort:
    """Make the port use the connection classes of chatd.net.sockets."""
    set_connection_class(port, AcceptedTCP, AcceptedUnix)
    return port


def set_connection_class(port: Any, for_tcp: type[tcp.Server], for_unix: type[unix.Server]) -> None:
    """Make `port` use these classes for connections that it accepts from now on."""
    if isinstance(port, unix.Port):  # a subclass of tcp.Port
        port.transport = for_unix
    elif isinstance(port, tcp.Port):
        port.transport = for_tcp


def use_segments(port: Any, size: int) -> None:
    """Make connections that `port` accepts from now on send their data in TCP segments of `size` bytes, if
    it is a TCP port. A reader of that many bytes at a time then finds them aligned, whatever the network
    does. Each segment has the timestamps option as well (RFC 7323), and its bytes count in TCP_MAXSEG."""
    if isinstance(port, tcp.Port) and not isinstance(port, unix.Port):
        with suppress(OSError):  # not every system lets a program choose it
            port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, size + TIMESTAMPS)


def remove_stale_socket(path: str) -> None:
    """Remove the Unix socket at `path` if no process listens there. Other files stay."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return
        probe.setblocking(False)
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            Path(path).unlink()


class _TLSFactory(TLSMemoryBIOFactory):
    """TLS whose wrapped factory may refuse a connection. In Twisted's own class that raises an exception."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        protocol = self.wrappedFactory.buildProtocol(addr)
        return None if protocol is None else self.protocol(self, protocol)


class _Ports:
    """A reactor for endpoints. It wraps factories in TLS, and that in a reader of the PROXY header, which
    proxies send in clear text before the handshake."""

    def __init__(self, reactor: Any, door: str, trusted: Networks | None) -> None:
        self._reactor = reactor
        self._door = door
        self._trusted = trusted
        self.tls: DoorTLS | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def _wrap(self, factory: Any) -> Any:
        if self._trusted is None:
            return factory
        return ProxyFactory(self._door, factory, self._trusted, self._reactor)

    def listenTCP(  # noqa: N802 - as IReactorTCP names it
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> Any:
        return self._reactor.listenTCP(port, self._wrap(factory), backlog, interface)

    def listenSSL(  # noqa: N802
        self,
        port: int,
        factory: Any,
        contextFactory: Any,  # noqa: N803
        backlog: int = 50,
        interface: str = "",
    ) -> Any:
        tls = _TLSFactory(self.tls or contextFactory, False, factory)
        return self.listenTCP(port, tls, backlog, interface)

    def listenUNIX(  # noqa: N802
        self,
        path: str,
        factory: Any,
        backlog: int,
        mode: int,
        wantPID: bool,  # noqa: N803
    ) -> Any:
        # Twisted's lock file has a process id, which another process may have after a restart.
        remove_stale_socket(path)
        return self._reactor.listenUNIX(path, self._wrap(factory), backlog, mode, False)

    def adoptStreamPort(self, descriptor: int, family: Any, factory: Any) -> Any:  # noqa: N802
        return self._reactor.adoptStreamPort(descriptor, family, self._wrap(factory))
