"""The bus of a realm with one node."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from chatd.cluster.bus import BusCounts, IBus


@implementer(IBus)
class LocalBus:
    """There are no other nodes to tell anything, and none to hear."""

    def __init__(self) -> None:
        self.counts = BusCounts()

    def start(self, node: str, start: int) -> None: ...

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def publish(self, message: bytes) -> None: ...

    def send(self, node: str, message: bytes) -> None: ...

    def on_message(self, then: Callable[[str, bytes], None]) -> None: ...

    def on_gap(self, then: Callable[[str], None]) -> None: ...

    def expect(self, node: str) -> None: ...

    def forget(self, node: str) -> None: ...

    def quiet_for(self) -> float:
        return 0.0

    def delay(self) -> float | None:
        return None
