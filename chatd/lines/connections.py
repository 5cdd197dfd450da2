"""Counts of connections for the limits, and the set of open connections of one listening port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress

from chatd.base.config import Limits
from chatd.base.errors import TooManyConnections
from chatd.base.sources import source_of
from chatd.lines.waiting import Waiting

T = TypeVar("T")


def host_of(address: IAddress | None) -> str:
    """The source that a connection counts under (chatd.base.sources); `local` where it has no address."""
    return source_of(getattr(address, "host", None))


class Connections(msgspec.Struct):
    """Counts connections: all, those of each door, and those of each source (network address) at each door.
    A connection without a source is a proxy's. `waiting` are those that can make room for others."""

    total: int = 0
    numbered: int = 0
    by_door: Counter[str] = msgspec.field(default_factory=Counter)
    by_source: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    opened: Counter[str] = msgspec.field(default_factory=Counter)  # at each door, since the start
    waiting: Waiting = msgspec.field(default_factory=Waiting)

    def number(self) -> int:
        """The number of the next connection, for the log."""
        self.numbered += 1
        return self.numbered

    def add_door(self, door: str) -> None:
        """Show the door in the metrics even if no connection is opened."""
        self.by_door[door] += 0
        self.opened[door] += 0

    def arrive(self, door: str, source: str | None) -> None:
        """Count a connection that was opened."""
        self.total += 1
        self.by_door[door] += 1
        self.opened[door] += 1
        if source is not None:
            self.by_source[door, source] += 1

    def leave(self, door: str, source: str | None) -> None:
        """Stop counting a connection that was lost."""
        self.total -= 1
        self.by_door[door] -= 1
        if source is not None:
            self.by_source[door, source] -= 1
            if not self.by_source[door, source]:
                del self.by_source[door, source]

    def admit(self, door: str, source: str | None, limits: Limits) -> TooManyConnections | None:
        """Make room for a new connection, which is counted already, if it exceeds a limit. The error if there
        is none."""
        made_room = False
        if source is not None:
            key = door, source
            if self.by_source[key] > limits.connections_per_address:
                made_room = self.waiting.make_room(key)
                if not made_room:
                    return TooManyConnections(where="from your address")
        if self.total > limits.connections and not made_room:
            made_room = self.waiting.make_room()
            if not made_room:
                return TooManyConnections(where="to this realm")
        return None


class OpenConnections(Generic[T]):
    """The open connections of one listening port."""

    def __init__(self) -> None:
        self._all: set[T] = set()
        self._empty: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._all))  # a copy, because connections may end during the iteration

    def __contains__(self, connection: T) -> bool:
        return connection in self._all

    def add(self, connection: T) -> None:
        self._all.add(connection)

    def discard(self, connection: T) -> None:
        self._all.discard(connection)
        if self._empty is not None and not self._all:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def emptied(self) -> Deferred[None]:
        """Fires when no connection is open. Call it once."""
        if not self._all:
            return succeed(None)
        self._empty = Deferred()
        return self._empty
