"""Rosters in memory, which other nodes of the realm may change.

A roster has the epoch of its log, which each change moves. So it is known which of two rosters is newer, and
whether one has all that came before an entry. Nodes tell each other the epochs of groups that they have
changed. If something that was told may be lost, the rosters stay, but their epochs are compared with those
in the database before they are relied on.
"""

from __future__ import annotations

from chatd.base.cache import Cache
from chatd.service.context import Context
from chatd.store.roster import Delta, Roster

CACHED_GROUPS = 10_000


class RosterCache:
    """Rosters by the ids of their groups, and by names and codes."""

    def __init__(self, context: Context) -> None:
        self._news = context.news
        self._rosters: Cache[int, Roster] = Cache(CACHED_GROUPS)
        # group's key or code -> its id
        self._ids: Cache[str, int] = Cache(2 * CACHED_GROUPS)
        # The newest epochs of which this node has learned, by group
        self._newest: Cache[int, int] = Cache(2 * CACHED_GROUPS)
        # How often the news of other nodes may have been lost, and what that was when a roster was read last
        self.doubts = 0
        self._verified: dict[int, int] = {}
        # Ids and epochs
        self._tell = context.news.topic("rosters", tuple[int, int], self._told, self._reset)

    def __len__(self) -> int:
        return len(self._rosters)

    def get(self, group: int) -> Roster | None:
        """The roster of a group. Other nodes may have changed it."""
        return self._rosters.get(group)

    def named(self, key: str) -> Roster | None:
        """As `get`, for the group with that name or code."""
        ident = self._ids.get(key)
        return None if ident is None else self._rosters.get(ident)

    def is_doubted(self, group: int) -> bool:
        """Whether other nodes may have changed a group since its roster was read, and what they have told was
        lost."""
        return bool(self.doubts) and self._verified.get(group) != self.doubts

    def is_certain(self, group: int) -> bool:
        """Whether this node would know if others had changed a group since its roster was read."""
        return not self.is_doubted(group) and not self._news.is_quiet

    def newest(self, group: int) -> int:
        """The newest epoch of a group of which this node has learned, or 0."""
        roster = self._rosters.get(group)
        told = self._newest.get(group) or 0
        return told if roster is None else max(told, roster.epoch)

    def keep(self, roster: Roster, doubts: int) -> bool:
        """Add a roster that was read when `doubts` was this. Returns whether it is in memory now: not if the
        group has changed since."""
        group = roster.group
        if roster.epoch < self.newest(group.id):
            return False
        self._rosters[group.id] = roster
        self._ids[group.key] = group.id
        if group.code:
            self._ids[group.code] = group.id
        self.verified(group.id, doubts)
        return True

    def verified(self, group: int, doubts: int) -> None:
        """The database had the epoch of the roster when `doubts` was this."""
        if doubts:  # else nothing was lost yet
            if len(self._verified) >= 2 * CACHED_GROUPS:
                self._verified.clear()
            self._verified[group] = doubts

    def know(self, key: str, group: int) -> None:
        """Find a group by one more name, which it had before."""
        self._ids[key] = group

    def apply(self, delta: Delta) -> Roster | None:
        """Apply what a transaction of this node has changed, and tell the others. Returns the roster, if it
        is in memory, also if the group has ended."""
        if not delta.is_empty:
            self.changed(delta.group, delta.epoch)
        roster = self._rosters.get(delta.group)
        if roster is None:
            return None
        if delta.epoch > roster.epoch + 1:
            # Another node has changed the group before, and has not told it yet.
            self._drop(delta.group)
            return None
        code = roster.group.code
        roster.apply(delta)
        if roster.group.code != code:
            self._ids.pop(code)
            self._ids[roster.group.code] = roster.group.id
        if delta.ended:
            self._drop(delta.group)
        return roster

    def changed(self, group: int, epoch: int) -> None:
        """A transaction of this node has moved the epoch of a group."""
        self._note(group, epoch)
        self._tell((group, epoch))

    def drop(self, group: int, epoch: int) -> None:
        """As `changed`, and the roster has to be read again."""
        self._drop(group)
        self.changed(group, epoch)

    def _drop(self, group: int) -> None:
        roster = self._rosters.pop(group)
        self._verified.pop(group, None)
        if roster is not None and roster.group.code:
            self._ids.pop(roster.group.code)

    def _note(self, group: int, epoch: int) -> None:
        if epoch > (self._newest.get(group) or 0):
            self._newest[group] = epoch

    def _told(self, told: tuple[int, int]) -> None:
        group, epoch = told
        self._note(group, epoch)
        roster = self._rosters.get(group)
        if roster is not None and roster.epoch < epoch:
            self._drop(group)

    def _reset(self) -> None:
        self.doubts += 1
