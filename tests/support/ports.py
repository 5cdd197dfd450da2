"""Ports of loopback that belong to the tests of one process, until they have long ended."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections import deque

FIRST = 20_000
COUNT = 12_000  # all below those that Linux gives to clients (ip_local_port_range)

# The ports of the last tests. All those of a whole run would use up the descriptors below 1024, above which
# `select` does not work.
KEPT = 250

_reserved: deque[socket.socket] = deque()


def free_port(*, also: int = 0) -> int:
    """Return a port that nobody uses, and reserve it; also the one that is `also` higher.

    Other processes of the tests do not get it, because a socket here stays bound to it. A server can listen
    there all the same: on Linux sockets with SO_REUSEADDR can share an address, if only one of them listens.
    """
    while True:
        port = FIRST + secrets.randbelow(COUNT)
        with contextlib.suppress(OSError):
            found = [_bound(each) for each in sorted({port, port + also})]
            _reserved.extend(found)
            while len(_reserved) > KEPT:
                _reserved.popleft().close()
            return port


def _bound(port: int) -> socket.socket:
    reserved = socket.socket()
    try:
        reserved.bind(("127.0.0.1", port))  # fails if anybody has it, with or without SO_REUSEADDR
    except OSError:
        reserved.close()
        raise
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return reserved


def local_endpoint(port: int) -> str:
    """Return the endpoint of `[listen]` for this port of loopback."""
    return f"tcp:{port}:interface=127.0.0.1"
