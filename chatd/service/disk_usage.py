"""Lists who uses most of the disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from chatd.base.errors import Busy
from chatd.base.records import UsageInfo
from chatd.service.context import Context
from chatd.store import disk_usage as store


class DiskUsage:
    """Reads all messages for each list, one list at a time."""

    def __init__(self, context: Context) -> None:
        self._database = context.database
        self._queries: dict[str, Callable[[Connection, int], tuple[list[UsageInfo], int]]] = {
            "accounts": store.usage_by_account,
            "groups": store.usage_by_group,
            "realms": partial(store.usage_by_realm, own=context.config.realm),
        }
        self._busy = False

    async def list(self, by: str, limit: int) -> tuple[tuple[UsageInfo, ...], int]:
        """The first `limit` accounts, groups or realms, and how many more there are. Raises Busy,
        StorageFailed."""
        if self._busy:
            raise Busy
        self._busy = True
        try:
            found, more = await self._database.read(self._queries[by], limit)
        finally:
            self._busy = False
        return tuple(found), more
