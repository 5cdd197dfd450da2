"""Limits on the uploads of each account that are under way, on all connections and nodes together."""

from __future__ import annotations

from twisted.logger import Logger

from chatd.base.config import Limits
from chatd.base.errors import FileTooLarge, QuotaExceeded, StorageFailed, TooManyUploads
from chatd.base.model import Account
from chatd.files.disk_space import DiskSpace
from chatd.files.store import IFileStore
from chatd.service.context import Context
from chatd.service.node_counts import NodeCounts
from chatd.store import files as store
from chatd.store.files import Owner

log = Logger()


class UnderWay:
    """Counts the files and bytes that are arriving and not stored yet."""

    def __init__(self, context: Context, uploads: IFileStore, disk: DiskSpace) -> None:
        self._context = context
        self._database = context.database
        self.uploads = uploads
        self._disk = disk
        self.counts = NodeCounts(context.news, context.clock, "uploads-under-way")

    def stop(self) -> None:
        """Tell the other nodes nothing any more."""
        self.counts.stop()

    @property
    def _limits(self) -> Limits:
        return self._context.config.limits

    async def begin(self, sender: Account, size: int, part: str | None = None) -> int:
        """Count a file of `size` bytes until `end`. `part` names it if it can be resumed. Returns how many
        bytes the sender's arriving files may have together.

        Arriving files and files that can be resumed share one limit. The oldest of the latter are removed to
        make room. Raises QuotaExceeded, TooManyUploads, DiskFull, StorageFailed.
        """
        kept = await self.suspended(sender)
        used = await self._database.read(store.used_bytes, Owner(sender.id))
        quota = self._context.file_quotas.of(sender)
        owner = _owner(sender)
        count = self.counts.of(owner)
        left = quota - used - count.size
        if size > left:
            raise QuotaExceeded(limit=quota, left=max(0, left))
        most = self._limits.account_uploads
        if count.files >= most:
            raise TooManyUploads(limit=most)
        self._disk.expect(size)
        self.counts.add(owner, size)
        room = most - count.files - 1
        claimed = self.uploads.claimed(_parts_of(sender))
        kept = {key: kept[key] for key in kept if key not in claimed and key != part}
        while kept and (len(kept) > room or size + sum(kept.values()) > left):
            oldest = next(iter(kept))
            del kept[oldest]
            self.uploads.forget(oldest)
        return quota - used

    def grow(self, sender: Account, size: int, more: int, allowed: int) -> None:
        """Count `more` bytes of a file that has been counted with `size` bytes. `allowed` is what `begin` has
        returned. Raises FileTooLarge, QuotaExceeded, DiskFull."""
        limit = self._limits.file
        if size + more > limit:
            raise FileTooLarge(size=f"more than {limit}", limit=limit)
        left = allowed - self.counts.of(_owner(sender)).size + size
        if size + more > left:
            raise QuotaExceeded(limit=self._context.file_quotas.of(sender), left=max(0, left))
        self._disk.expect(more)
        self.counts.grow(_owner(sender), more)

    def end(self, sender: Account, size: int) -> None:
        """Stop counting a file of `size` bytes."""
        self._disk.arrived(size)
        self.counts.remove(_owner(sender), size)

    async def suspended(self, sender: Account) -> dict[str, int]:
        """The sizes of the files that the sender can resume, by part, the oldest first. Raises
        StorageFailed."""
        try:
            return await self.uploads.suspended(_parts_of(sender))
        except OSError as error:
            log.error("uploads that can be resumed can't be listed: {error}", error=str(error))
            raise StorageFailed from None


def _owner(sender: Account) -> str:
    """What the files of the sender are counted under."""
    return str(sender.id)


def part_of(sender: Account, key: str) -> str:
    """The name of the part that the sender can resume under `key`."""
    return f"{_parts_of(sender)}{key.encode().hex()}"


def _parts_of(sender: Account) -> str:
    """The beginning of the names of all parts of the sender."""
    return f"web-{sender.id}-"
