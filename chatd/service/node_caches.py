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
from chatd.service.paced_read import PacedRead

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")

MAX_READS = 3  # attempts to read something while this node changes it
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

    `read` gets the keys of what they have changed, or None for all of it, and `take` gets the keys and the
    result. What this node has changed meanwhile, which it tells with `tell`, is not undone by that: then it
    is read once more.
    """

    def __init__(
        self,
        context: Context,
        name: str,
        kind: Any,
        read: Callable[[Connection, Sequence[K] | None], R],
        take: Callable[[Sequence[K] | None, R], object],
    ) -> None:
        self._news = news = context.news
        self._database = context.database
        self._read = read
        self._take = take
        self._keys: dict[K, None] = {}
        self._is_reading = False
        self._version = 0  # of what this node has changed
        self._retry = Timer(context.clock, self._begin)
        news.on_end(self._retry.cancel)
        self._what = f"{name} that other nodes have changed were not read"
        self._all = PacedRead(news, context.clock, self._what, self.read_all)
        self._tell: Callable[[K], None] = news.topic(name, kind, self.renew, self.reset)

    def tell(self, key: K) -> None:
        """Tell the other nodes that something has changed in the database, and here in memory."""
        self._version += 1
        self._tell(key)

    def renew(self, key: K) -> None:
        """Read again what belongs to this key."""
        self._keys[key] = None
        if len(self._keys) > MAX_CHANGED:
            self._keys.clear()
            self.reset()
        else:
            self._begin()

    def reset(self) -> None:
        """Read all of it again, before long."""
        self._all.wake()

    async def read_all(self) -> None:
        """Read all of it again now. Raises StorageFailed."""
        await self._read_again(None)

    def _begin(self) -> None:
        if not self._is_reading and not self._news.stopped:
            self._is_reading = True
            in_background(self._what, self._run())

    async def _run(self) -> None:
        try:
            while self._keys:
                wanted, self._keys = [*self._keys], {}
                try:
                    await self._read_again(wanted)
                except StorageFailed:
                    self._keys = {**dict.fromkeys(wanted), **self._keys}
                    if not self._news.stopped:
                        self._retry.start(RETRY)
                    raise
        finally:
            self._is_reading = False

    async def _read_again(self, wanted: Sequence[K] | None) -> None:
        """Raises StorageFailed."""
        for _ in range(MAX_READS):
            version = self._version
            found = await self._database.read(self._read, wanted)
            if version == self._version:
                break
        else:
            # A job comes in the order of this node's changes. It takes the turn of all nodes.
            found = await self._database.run(self._read, wanted)
        self._take(wanted, found)
