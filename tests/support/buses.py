"""A bus in memory, for the tests of what nodes tell each other."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from chatd.cluster.bus import BusCounts, IBus


@implementer(IBus)
class MemoryBus:
    """Passes messages on at once to the others that were made with the same list. While `lost` is set, it
    loses them, and tells a gap; while `silent` is, it loses them and nobody notices. `quiet` is what
    `quiet_for` returns."""

    def __init__(self, name: str, all_buses: list[MemoryBus]) -> None:
        self.name = name
        self.counts = BusCounts()
        self.lost = self.silent = False
        self.quiet = 0.0
        self.published: list[bytes] = []
        self.sent: list[tuple[str, bytes]] = []  # to one node
        self._all = all_buses
        self._on_message: list[Callable[[str, bytes], None]] = []
        self._on_gap: list[Callable[[str], None]] = []
        all_buses.append(self)

    def start(self, node: str, start: int) -> None:
        """All hear at once that there is another node."""
        for each in self._all:
            if each is not self:
                each.tell_gap(self.name)
                self.tell_gap(each.name)

    def stop(self) -> Deferred[None]:
        if self in self._all:
            self._all.remove(self)
        return succeed(None)

    def publish(self, message: bytes) -> None:
        self.published.append(message)
        for each in list(self._all):
            if each is self or self.silent:
                continue
            if self.lost:
                each.tell_gap(self.name)
            else:
                for then in each._on_message:
                    then(self.name, message)

    def send(self, node: str, message: bytes) -> None:
        self.sent.append((node, message))
        for each in list(self._all):
            if each.name == node and not self.lost:
                for then in each._on_message:
                    then(self.name, message)

    def tell_gap(self, node: str) -> None:
        for then in self._on_gap:
            then(node)

    def on_message(self, then: Callable[[str, bytes], None]) -> None:
        self._on_message.append(then)

    def on_gap(self, then: Callable[[str], None]) -> None:
        self._on_gap.append(then)

    def expect(self, node: str) -> None: ...

    def forget(self, node: str) -> None: ...

    def quiet_for(self) -> float:
        return self.quiet

    def delay(self) -> float | None:
        return None
