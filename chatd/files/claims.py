"""Which resumable parts this node is receiving, and what it knows of those that it has suspended."""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted.internet.defer import CancelledError, DeferredLock

from chatd.base.cache import Cache
from chatd.files.incoming import Incoming
from chatd.files.store import IFileThreads, IPart

MAX_DIGESTS = 256  # suspended files that can be resumed without reading them back

# The name that the database has of a part (chatd.federation.file_arrivals)
_PART = re.compile(r"incoming/(?P<key>[a-z0-9.-]+)\.part")
_KEY = re.compile(r"[a-z0-9.-]+")


def key_of_part(stored: str) -> str | None:
    """The key of the part whose name in the database is `stored`; None if it is that of a complete file."""
    found = _PART.fullmatch(stored)
    return None if found is None else found["key"]


def checked(key: str) -> str:
    """The key, which the caller has chosen; people can't. Asserts that a store can use it in names."""
    assert _KEY.fullmatch(key), f"{key!r} can't be a key"  # noqa: S101
    return key


class PartClaims:
    """The parts by their keys. `active` are those that arrive now, and `digests` what IPart.leave has
    returned of others."""

    def __init__(self) -> None:
        self.active: dict[str, Incoming] = {}
        self.digests: Cache[str, object] = Cache(MAX_DIGESTS)
        self.locks: dict[str, DeferredLock] = {}

    async def claim(self, key: str) -> Callable[[object], None]:
        """Wait for the exclusive use of a part within this process. Returns the function that ends it, which
        takes the digest."""
        lock = self.locks.setdefault(key, DeferredLock())
        await lock.acquire()

        def release(digest: object) -> None:
            self.active.pop(key, None)
            if digest is not None:
                self.digests[key] = digest
            lock.release()
            if not lock.locked:
                del self.locks[key]

        return release

    async def resume(
        self, key: str, threads: IFileThreads, part_of: Callable[[object], IPart]
    ) -> Incoming:
        """Claim a part, and read back what has arrived of it. `part_of` makes it, with its digest or None.
        Raises as Incoming.read_back."""
        close = await self.claim(key)
        part = part_of(self.digests.pop(key))
        incoming = self.active[key] = Incoming(threads, part, close)
        try:
            await incoming.read_back()
        except CancelledError:
            incoming.suspend()
            raise
        return incoming

    async def forget(self, key: str, threads: IFileThreads, part_of: Callable[[], IPart]) -> None:
        """Claim a part, and discard it."""
        close = await self.claim(key)
        incoming = Incoming(threads, part_of(), close)
        incoming.abort()
        await incoming.suspend()

    def claimed(self, prefix: str) -> set[str]:
        """The keys with this beginning that are claimed."""
        return {key for key in self.locks if key.startswith(prefix)}

    def abort(self, key: str) -> None:
        """Abort the file that arrives under `key`, if one does."""
        incoming = self.active.get(key)
        if incoming is not None:
            incoming.abort()
