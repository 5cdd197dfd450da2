"""The connections between nodes, servers and the other realm: proxies that can be made to fail.

Proxies run in the reactor. The methods here are called in other threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import ClientFactory
from twisted.internet.threads import blockingCallFromThread

from tests.support.proxy import BACK, THERE, Proxy

net: Any = reactor

#: How a connection can fail while it stays open: nothing is read any more; bytes get lost in one direction or
#: in both. Where bytes were lost the connection is reset in the end.
STALLED = "stalled"
DEAF = "deaf"  # answers are lost
MUTE = "mute"  # requests are lost
LOST = "lost"
WAYS = (STALLED, DEAF, MUTE, LOST)
_SWALLOWED = {DEAF: {BACK}, MUTE: {THERE}, LOST: {BACK, THERE}}


class SocketProxy(Proxy):
    """A proxy whose connections go where `target` says when they are made: the number of a port, or the path
    of a socket."""

    def __init__(self, target: Callable[[], int | str]) -> None:
        super().__init__(0)
        self._target = target

    def connect(self, factory: ClientFactory) -> Any:
        target = self._target()
        if isinstance(target, int):
            return net.connectTCP("127.0.0.1", target, factory, timeout=5)
        return net.connectUNIX(target, factory, timeout=5)


class Wire:
    """A way from one part to another. `port` is where the former connects."""

    def __init__(self, target: Callable[[], int | str]) -> None:
        self._proxy = SocketProxy(target)
        self.port: int = blockingCallFromThread(net, self._proxy.start)

    def cut(self) -> None:
        """Reset all connections."""
        blockingCallFromThread(net, self._proxy.cut)

    def fail(self, way: str) -> None:
        """Let all connections fail in one of WAYS, also new ones, until `heal`."""
        blockingCallFromThread(net, self._fail, way)

    def heal(self) -> None:
        blockingCallFromThread(net, self._heal)

    def close(self) -> None:
        blockingCallFromThread(net, self._stop)  # type: ignore[arg-type]  # of a Deferred[None]

    def _stop(self) -> Deferred[None]:
        return ensureDeferred(self._proxy.stop())

    def _fail(self, way: str) -> None:
        if way == STALLED:
            self._proxy.stall()
        else:
            self._proxy.swallowing = set(_SWALLOWED[way])

    def _heal(self) -> None:
        if self._proxy.swallowing:
            self._proxy.swallowing = set()
            self._proxy.cut()
        if self._proxy.stalled:
            self._proxy.go_on()


class Faulty:
    """Wires that fail together."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self.wires = wires

    def fail(self, way: str) -> None:
        for wire in self.wires:
            wire.fail(way)

    def heal(self) -> None:
        for wire in self.wires:
            wire.heal()

    def cut(self) -> None:
        for wire in self.wires:
            wire.cut()
