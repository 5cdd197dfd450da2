"""A bounded cache that evicts the entry that was used least recently."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, ItemsView
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Holds at most `capacity` entries. Looking an entry up and replacing it both count as a use.

    It is for one thread.
    """

    __slots__ = ("_capacity", "_entries")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[K, V] = OrderedDict()  # the entry used last is at the end

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        """Whether there is an entry. This does not count as a use."""
        return key in self._entries

    def get(self, key: K) -> V | None:
        found = self._entries.get(key)
        if found is not None or key in self._entries:
            self._entries.move_to_end(key)
        return found

    def __setitem__(self, key: K, value: V) -> None:
        entries = self._entries
        if key in entries:
            entries.move_to_end(key)
        elif len(entries) >= self._capacity:
            entries.popitem(last=False)
        entries[key] = value

    def pop(self, key: K) -> V | None:
        """Remove the entry, if there is one, and return its value."""
        return self._entries.pop(key, None)

    def drop(self, is_stale: Callable[[K, V], bool]) -> None:
        """Remove the entries for which `is_stale` is true. It looks at all of them."""
        for key in [key for key, value in self._entries.items() if is_stale(key, value)]:
            del self._entries[key]

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()

    def items(self) -> ItemsView[K, V]:
        """All entries. The one that was used least recently comes first."""
        return self._entries.items()
