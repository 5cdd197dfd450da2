"""Passes entries of groups to listeners only as the groups are when the entries are stored, or later.

Each push carries the epoch of the group's log in which its entry was stored. Where several nodes serve the
realm, the roster in memory may be older, because another node has just removed a member. Then the pushes of
this group wait, in their order, until a roster is read that has this epoch. What other nodes push also waits
while this node does not hear all of them, because they may have removed somebody since.

One query is under way at a time, for all groups whose pushes wait. What can't be checked within PATIENCE
seconds is not pushed: clients find it with `sync`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.errors import StorageFailed
from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.service.context import Context
from chatd.service.presence import LogPlace, Presence
from chatd.service.roster_cache import RosterCache
from chatd.store.epochs import epochs_of
from chatd.store.groups import group_of
from chatd.store.members import roster_of
from chatd.store.roster import Roster

READ_AT_ONCE = 100  # groups
MAX_HELD = 2000  # pushes that wait; beyond it, those of the group that has most of them are dropped
PATIENCE = 5.0  # seconds
RETRY = 0.5  # seconds after which a failed query is tried again
# Queries in a row that let nothing be pushed, after which the next one waits as well
MAX_ROUNDS = 3

log = Logger()


# Pushes an entry to the accounts that see it in the epoch that its place has.
Push: TypeAlias = Callable[[Collection[int], LogPlace], object]
# As above. None: to those to whom another node has pushed it.
PassOn: TypeAlias = Callable[[Collection[int] | None, LogPlace], object]


class HeldPushes(msgspec.Struct):
    """The pushes of a group that wait since `since`, as the clock counts. They need a roster of this epoch,
    or a later one."""

    since: float
    epoch: int = 0
    waiting: list[tuple[LogPlace, Push]] = []


class GroupPushes:
    """Pushes of all groups."""

    def __init__(self, context: Context, rosters: RosterCache, presence: Presence) -> None:
        self._presence = presence
        self._clock = context.clock
        self._database = context.database
        self._rosters = rosters
        self._held: dict[int, HeldPushes] = {}
        self._count = 0
        self._reading = False
        self._retry = Timer(context.clock, self._begin)
        self.dropped = 0

    def are_checked(self, epoch: int | None) -> bool:
        """Whether an entry that was stored in this epoch is to be pushed with `push`, because other nodes may
        have changed the group."""
        return epoch is not None or self._presence.elsewhere

    def push(self, place: LogPlace, push: Push, roster: Roster | None = None) -> None:
        """Push an entry that this node has stored. `roster` is that in memory unless it is given."""
        if place.group not in self._held and place.epoch is not None:
            if roster is None:
                roster = self._rosters.get(place.group)
            if roster is not None and roster.epoch >= place.epoch:
                _push_to(roster, place, push)
                return
        self._hold(place, push)

    def pass_on(self, place: LogPlace, push: PassOn, by_roster: bool) -> None:
        """Push an entry that another node has pushed to accounts that saw it in this epoch, or `by_roster` to
        the accounts that a roster has."""
        group, epoch, _ = place
        if group not in self._held and epoch is not None and self._rosters.is_certain(group):
            newest = self._rosters.newest(group)
            if newest <= epoch and not by_roster:
                push(None, place)
                return
            roster = self._rosters.get(group)
            if roster is not None and roster.epoch >= max(newest, epoch):
                _push_to(roster, place, push)
                return
        self._hold(place, push)

    def _hold(self, place: LogPlace, push: Push) -> None:
        held = self._held.get(place.group)
        if held is None:
            held = self._held[place.group] = HeldPushes(self._clock.seconds())
        held.epoch = max(held.epoch, place.epoch or 0)
        held.waiting.append((place, push))
        self._count += 1
        if self._count > MAX_HELD:
            self._drop(max(self._held, key=lambda group: len(self._held[group].waiting)))
        self._begin()

    def _drop(self, group: int) -> None:
        dropped = len(self._held.pop(group).waiting)
        self._count -= dropped
        self.dropped += dropped
        log.warn("{count} events of a group are not passed to listeners", count=dropped)

    def _begin(self) -> None:
        if not self._reading and self._held:
            self._reading = True
            in_background("events of groups wait, because rosters can't be read", self._run())

    async def _run(self) -> None:
        rounds = 0
        try:
            while self._held and rounds < MAX_ROUNDS:
                for group in self._overdue():
                    self._drop(group)
                groups = [*islice(self._held, READ_AT_ONCE)]
                pushed = not groups or await self._check(groups)
                rounds = 0 if pushed else rounds + 1
        except StorageFailed:
            pass  # the database has logged it
        finally:
            self._reading = False
            if self._held:
                self._retry.start(RETRY)

    def _overdue(self) -> list[int]:
        now = self._clock.seconds()
        return [group for group, held in self._held.items() if now - held.since > PATIENCE]

    async def _check(self, groups: Sequence[int]) -> bool:
        """Read what is newer of these groups than in memory, and push what has waited for it. What comes
        meanwhile waits for the next query. Returns whether anything was pushed. Raises StorageFailed."""
        rosters, doubts = self._rosters, self._rosters.doubts
        # Those that are held while the query runs may be newer than its result.
        held = {
            group: (each, len(each.waiting), each.epoch)
            for group in groups
            if (each := self._held.get(group)) is not None
        }
        known = {
            group: roster.epoch for group in held if (roster := rosters.get(group)) is not None
        }
        found = await self._database.read(_read, list(held), known)
        pushed = False
        for group, (each, count, epoch) in held.items():
            read = found.get(group)
            if read is not None:
                rosters.keep(read, doubts)
            else:
                rosters.verified(group, doubts)
            roster = rosters.get(group) or read
            if roster is None or (read is not None and roster.epoch < read.epoch):
                roster = read
            if roster is None or roster.epoch < epoch:
                continue  # it was dropped meanwhile: read it again
            if self._held.get(group) is each:  # else what has waited was dropped
                self._give(group, count, roster)
            pushed = True
        self._presence.flush()
        return pushed

    def _give(self, group: int, count: int, roster: Roster) -> None:
        """Push the first `count` entries of a group that wait."""
        held = self._held.pop(group)
        pushes, held.waiting = held.waiting[:count], held.waiting[count:]
        self._count -= len(pushes)
        held.since = self._clock.seconds()
        if held.waiting:
            self._held[group] = held  # behind the others, which wait for longer
        for place, push in pushes:
            guarded("an entry of a group was not told to listeners", _push_to, roster, place, push)


def _push_to(roster: Roster, place: LogPlace, push: Push) -> None:
    """Push an entry to those who see it as the group is now."""
    group, _, seq = place
    push(roster.viewers(seq), LogPlace(group, roster.epoch, seq))


def _read(
    connection: Connection, groups: Sequence[int], known: Mapping[int, int]
) -> dict[int, Roster]:
    """The rosters of groups, except of those that still have the epoch that is known."""
    epochs = epochs_of(connection, groups)
    found = {}
    for each in groups:
        if known.get(each) != epochs.get(each, 0):
            group = group_of(connection, each)
            if group is not None:
                found[each] = roster_of(connection, group)
    return found
