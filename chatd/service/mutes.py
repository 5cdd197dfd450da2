"""Who can't write to groups of this realm, in memory: it is looked up for each message to a group.

An account here is muted in one group, or in all groups, also in those of other realms. A person of another
realm is muted in the groups of this realm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from sqlalchemy import Connection

from chatd.base.errors import Muted, NotMuted
from chatd.base.terms import Term
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.node_caches import NodeTable
from chatd.store import mutes as store
from chatd.store.mutes import EVERYWHERE, Mute

# Called with the key of a sender, and the id and name of a group. Raises Muted.
CheckMute: TypeAlias = Callable[[str, int, str], None]


class Mutes:
    """All mutes of the realm."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._mutes: dict[tuple[str, int], Mute] = {}
        self._table: NodeTable[str, list[Mute]] = NodeTable(
            context, "mutes", str, self._read, lambda _keys, found: self.load(found)
        )
        context.rechecks.add(self._table.read_all)

    def load(self, found: Iterable[Mute]) -> None:
        """Take the mutes that are stored."""
        self._mutes = {(mute.key, mute.place): mute for mute in found}

    def _read(self, connection: Connection, _keys: object) -> list[Mute]:
        return store.all_mutes(connection, self._context.now())

    def check(self, key: str, group: int, name: str) -> None:
        """Raises Muted if the person with that key may not write to the group with that id and name."""
        if not self._mutes:
            return
        now = self._context.now()
        for place in (group, EVERYWHERE):
            mute = self._mutes.get((key, place))
            if mute is not None and mute.holds(now):
                raise Muted(group=name, until=Term(mute.until, mute.reason))

    async def list(self, limit: int) -> tuple[list[tuple[Mute, str | None]], int]:
        """The newest `limit` mutes with the names of their groups, and how many more there are."""
        now = self._context.now()
        found = [mute for mute in reversed(self._mutes.values()) if mute.holds(now)]
        page = found[:limit]
        places = {mute.place for mute in page}
        names = await self._context.database.read(store.names_of_groups, places)
        return [(mute, names.get(mute.place)) for mute in page], len(found) - len(page)

    async def add(
        self, act: Act, key: str, name: str, place: int, reason: str, seconds: int | None
    ) -> Mute:
        """Mute the person with that key and address in a group, or EVERYWHERE, for `seconds` or without an
        end. Raises TooManyMutes."""
        now = self._context.now()
        until = None if seconds is None else now + 1000 * seconds
        mute = Mute(key, place, name, now, until, reason, act.actor.name)
        await act.run(store.put_mute, mute, now)
        kept = {each: old for each, old in self._mutes.items() if old.holds(now)}
        kept.pop((key, place), None)
        self._mutes = {**kept, (key, place): mute}
        self._table.tell(key)
        return mute

    async def remove(self, act: Act, key: str, name: str, place: int) -> None:
        """Raises NotMuted."""
        found = self._mutes.get((key, place))
        if found is not None and not found.holds(self._context.now()):
            raise NotMuted(name=name)
        await act.run(store.remove_mute, key, place, name)
        self._mutes.pop((key, place), None)
        self._table.tell(key)
