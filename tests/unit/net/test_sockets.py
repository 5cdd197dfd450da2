"""What the kernel knows about sent bytes."""

from __future__ import annotations

import socket
import time
from typing import Any, cast

from OpenSSL.SSL import TLS_METHOD, Connection, Context
from twisted.trial.unittest import SynchronousTestCase

from chatd.net.sockets import unacknowledged


class Transport:
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def getHandle(self) -> Any:  # noqa: N802 - as in Twisted
        return self._socket


class Unacknowledged(SynchronousTestCase):
    def test_bytes_for_which_the_other_end_has_no_room(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = socket.create_connection(server.getsockname())
            far = server.accept()[0]
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        transport = Transport(near)
        self.assertEqual(unacknowledged(transport), 0)
        near.setblocking(False)
        sent = 0
        try:
            while True:
                sent += near.send(bytes(1 << 20))
        except BlockingIOError:
            pass
        self.assertGreater(unacknowledged(transport), 0)
        while sent:
            sent -= len(far.recv(1 << 20))
        end = time.monotonic() + 10
        while unacknowledged(transport) and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(unacknowledged(transport), 0)

    def test_unknown(self) -> None:
        """A transport without a socket, one whose handle is none, as with TLS, and a closed one."""
        tls = Connection(Context(TLS_METHOD), None)
        self.assertEqual(unacknowledged(Transport(cast(Any, tls))), 0)
        self.assertEqual(unacknowledged(object()), 0)
        closed = socket.socket()
        closed.close()
        self.assertEqual(unacknowledged(Transport(closed)), 0)
