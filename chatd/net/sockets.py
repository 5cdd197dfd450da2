"""TCP and Unix connections: keepalive, and the client's address behind a proxy."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from chatd.net.twisted_compat import forget_unsent

KEEPALIVE_IDLE = 60  # seconds of silence after which the other end is probed
KEEPALIVE_INTERVAL = 10  # seconds between two probes
KEEPALIVE_PROBES = 6  # unanswered probes after which the connection is lost
# Milliseconds that sent data may stay unacknowledged (tcp(7)): as long as a silent connection lives.
USER_TIMEOUT = (KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES) * 1000

_CREDENTIALS = struct.Struct("iii")  # process, user, group (unix(7))

_OPTIONS = (
    ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
    ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
    ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ("TCP_USER_TIMEOUT", USER_TIMEOUT),
)


class StreamTransport(Protocol):
    """The transport of a connection: TCP, TLS, a Unix socket, or the frames of a WebSocket."""

    def write(self, data: bytes) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def registerProducer(self, producer: object, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...


def keep_alive(sock: socket.socket) -> None:
    """Make the kernel notice within two minutes that the other end is gone. Does nothing for sockets other
    than TCP."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):  # the connection may be lost already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _OPTIONS:
            if hasattr(socket, name):  # some systems lack some of them
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def unacknowledged(transport: Any) -> int:
    """How many sent bytes the system at the other end has not acknowledged; 0 if that can't be found out."""
    try:
        found = fcntl.ioctl(transport.getHandle(), termios.TIOCOUTQ, bytes(4))
    except (AttributeError, OSError, TypeError, ValueError):  # no socket, or a lost one
        return 0
    return int.from_bytes(found, sys.byteorder)


class _Accepted:
    """The base of accepted connections. A PROXY header sets `client_address`."""

    client_address: IAddress | None = None

    def getPeer(self) -> Any:  # noqa: N802
        """The client's address; behind a proxy the one in the PROXY header."""
        return self.client_address or super().getPeer()  # type: ignore[misc]

    def connectionLost(self, reason: Failure) -> None:
        """As in Twisted. Bytes that were not sent are freed at once."""
        super().connectionLost(reason)  # type: ignore[misc]
        forget_unsent(self)


class AcceptedTCP(_Accepted, tcp.Server):
    """An accepted TCP connection with keepalive."""

    def __init__(self, sock: socket.socket, *args: Any) -> None:
        super().__init__(sock, *args)
        keep_alive(sock)


class AcceptedUnix(_Accepted, unix.Server):
    """An accepted connection to a Unix socket."""


def peer_uid(transport: Any) -> int | None:
    """The user of the system at the other end of a Unix socket; None if that can't be found out."""
    try:
        found = transport.getHandle().getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
    except (AttributeError, OSError):  # no socket, a lost one, or a system without this option
        return None
    return int(_CREDENTIALS.unpack(found)[1])
