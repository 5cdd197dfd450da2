"""A bus whose messages arrive when the receiver looks for them, or never."""

from __future__ import annotations

from collections import deque
from typing import Any

from tests.support.buses import MemoryBus


class QueuedBus(MemoryBus):
    """Keeps what it gets from each of the others, which were made with the same list, until `deliver`."""

    def __init__(self, name: str, all_buses: list[Any]) -> None:
        super().__init__(name, all_buses)
        self._others: list[Any] = all_buses
        self._arrived: dict[str, deque[bytes]] = {}

    def publish(self, message: bytes) -> None:
        for each in list(self._others):
            if each is not self:
                each._queue(self.name, message)

    def send(self, node: str, message: bytes) -> None:
        for each in list(self._others):
            if each.name == node:
                each._queue(self.name, message)

    def _queue(self, node: str, message: bytes) -> None:
        self._arrived.setdefault(node, deque()).append(message)

    def deliver(self) -> None:
        """Pass on the messages that have arrived."""
        for node in sorted(self._arrived):
            waiting = self._arrived[node]
            while waiting:
                message = waiting.popleft()
                for then in self._on_message:
                    then(node, message)

    def lose(self) -> None:
        """Lose the messages that have arrived, and report the gaps."""
        for node in sorted(self._arrived):
            if self._arrived[node]:
                self._arrived[node].clear()
                self.tell_gap(node)
