"""What a node keeps in memory of the database, and other nodes of the realm may change.

A part of the service keeps single entries in a NodeCache, or all of a table with the help of a NodeTable.
When it has changed something, it tells the others of which entry, after the commit. They drop that, or read
it again. If something that was told may be lost, they do so with all entries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from chatd.base.background import in_background
from chatd.base.cache import Cache
from chatd.base.errors import StorageFailed
from chatd.base.timers import Timer
from chatd.service.context import Context
from chatd.service.node_news import NodeNews

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")

# Seconds after which a node that has not heard the others asks the database who may read what.
QUIET = 0.5
RETRY = 1.0  # seconds until it is tried again to read what has changed
MAX_CHANGED = 1000  # entries that are read again one by one; all are read if there are more


class NodeCache(Cache[K, V]):
    """A Cache whose entries other nodes may change. `kind` is the type of its keys, and `name` identifies it
    among all that nodes tell each other.

    What was read from the database before an entry was dropped may arrive afterwards. So a reader takes
    `version` before it begins to read, and hands it to `keep`.
    """

    __slots__ = ("_changed", "tell", "version")

    def __init__(self, capacity: int, news: NodeNews, name: str, kind: Any) -> None:
        super().__init__(capacity)
        self.version = 0
        self._changed: Callable[[K | None, V | None], object] = lambda _key, _old: None
        # Tells the other nodes that an entry has changed in the database
        self.tell: Callable[[K], None] = news.topic(name, kind, self._told, self._reset)

    def on_changed(self, then: Callable[[K | None, V | None], object]) -> None:
        """Call `then` when another node has changed the entry of a key, with what was dropped here. None: it
        may have been any."""
        self._changed = then

    def keep(self, key: K, value: V, version: int) -> bool:
        """Add what was read when the cache had this `version`, unless another node has changed something
        since: then drop the entry. Returns whether it was added."""
        if version != self.version:
            self.pop(key)
            return False
        self[key] = value
        return True

    def _told(self, key: K) -> None:
        self.version += 1
        self._changed(key, self.pop(key))

    def _reset(self) -> None:
        self.version += 1
        self.clear()
        self._changed(None, None)


class NodeTable(Generic[K, R]):
    """Reads again what other nodes have changed of something that is in memory as a whole.

    `read` gets the keys of what they have changed, or None for all of it. It runs as a job of the database,
    and `take` gets the keys and its result. So `take`, and what this node does after its own jobs, come in
    the order of the transactions.
    """

    def __init__(
        self,
        context: Context,
        name: str,
        kind: Any,
        read: Callable[[Connection, Sequence[K] | None], R],
        take: Callable[[Sequence[K] | None, R], object],
    ) -> None:
        self._database = context.database
        self._name = name
        self._read = read
        self._take = take
        self._keys: dict[K, None] = {}
        self._all = False
        self._is_reading = False
        self._retry = Timer(context.clock, self._begin)
        # Tells the other nodes that something has changed in the database
        self.tell: Callable[[K], None] = context.news.topic(name, kind, self.renew, self.reset)

    def renew(self, key: K) -> None:
        """Read again what belongs to this key."""
        self._keys[key] = None
        if len(self._keys) > MAX_CHANGED:
            self._all = True
        self._begin()

    def reset(self) -> None:
        """Read all of it again."""
        self._all = True
        self._begin()

    def _begin(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            in_background(f"{self._name} that other nodes have changed were not read", self._run())

    async def _run(self) -> None:
        try:
            while self._all or self._keys:
                wanted = None if self._all else [*self._keys]
                self._keys, self._all = {}, False
                try:
                    found = await self._database.run(self._read, wanted)
                except StorageFailed:
                    self._all = self._all or wanted is None
                    self._keys = {**dict.fromkeys(wanted or ()), **self._keys}
                    self._retry.start(RETRY)
                    raise
                self._take(wanted, found)
        finally:
            self._is_reading = False
