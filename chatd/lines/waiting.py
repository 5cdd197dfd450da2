"""The connections without a login that have no time limit. When there are too many connections, the oldest of
them makes room for a new one.

Clients of the older systems wait at their prompts for a person, for any length of time, and don't survive
the end of their connection.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

LOOK = 100  # connections that are looked at to make room for one

# A door, and the network address of a client there.
Key = tuple[str, str]


class Patient(Protocol):
    """A connection that may have no login."""

    @property
    def is_waiting(self) -> bool:
        """Whether it is open and has no login."""

    @property
    def is_busy(self) -> bool:
        """Whether it has a request under way."""

    def give_way(self) -> None:
        """Close the connection, because another needs its place."""


class Waiting:
    """Connections of all doors by how long they have been without a login, and those of each address at each
    door. Some may have logged in since."""

    def __init__(self) -> None:
        self._all: OrderedDict[Patient, Key] = OrderedDict()
        self._by_key: dict[Key, OrderedDict[Patient, Key]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: Patient, key: Key) -> None:
        """`connection` has no login. Does nothing if that is known."""
        if connection not in self._all:
            self._all[connection] = key
            self._by_key.setdefault(key, OrderedDict())[connection] = key

    def discard(self, connection: Patient) -> None:
        """`connection` has logged in, or is closed."""
        key = self._all.pop(connection, None)
        if key is not None:
            there = self._by_key[key]
            del there[connection]
            if not there:
                del self._by_key[key]

    def make_room(self, key: Key | None = None) -> bool:
        """Close the oldest connection, or the oldest of `key`. Returns whether there was one.

        A connection with a request under way is passed over, and counts as the newest from then on.
        """
        oldest_first = self._all if key is None else self._by_key.get(key)
        if not oldest_first:
            return False
        for _ in range(min(LOOK, len(oldest_first))):
            connection = next(iter(oldest_first))
            if connection.is_waiting and connection.is_busy:
                oldest_first.move_to_end(connection)
                continue
            self.discard(connection)
            if connection.is_waiting:
                connection.give_way()
                return True
        return False
