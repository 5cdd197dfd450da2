"""A dictionary that forgets: what saves the service from asking the disk again."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(dict[K, V]):
    """Holds at most `capacity` entries; the one that was put in first makes room for a new one."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def __setitem__(self, key: K, value: V) -> None:
        if len(self) >= self._capacity and key not in self:
            del self[next(iter(self))]
        super().__setitem__(key, value)
