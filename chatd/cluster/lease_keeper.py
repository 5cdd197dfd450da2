"""The leases of this node: it takes those that are free, and renews them as long as it is alive.

A lease lasts LASTS after its renewal, by the database's clock. This node stops acting MARGIN earlier, by a
monotonic clock, counted from the time at which it asked for the renewal. A node that is paused (SIGSTOP, a
suspended machine) can't notice that in time. So whatever acts under a lease asks for its `epoch` first, and
what it changes in the database is guarded by `chatd.store.leases.check_lease`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime

from chatd.base.background import in_background
from chatd.base.clocks import Wall
from chatd.base.isolation import guarded
from chatd.base.recurring_work import RecurringWork
from chatd.base.timers import Timer
from chatd.store.database import Database
from chatd.store.leases import LASTS, LeaseReport, hand_over, release_leases, tend_leases

RENEW_EVERY = 2.0  # seconds
MARGIN = 1.0  # seconds
ACTS_FOR = LASTS / 1000 - MARGIN  # seconds after the beginning of a renewal
RETRY = 0.5  # seconds after a renewal that has failed


class Holding(Enum):
    """Whether this node has a lease."""

    WANTED = auto()  # another node has it, or it was not asked for yet
    HELD = auto()
    GIVEN_UP = auto()  # the node wants it no more


class KeptLease:
    """A lease that this node wants. `on_gained` gets the epoch. `on_lost` is called before another node can
    take it, unless this one was stopped meanwhile."""

    def __init__(
        self,
        keeper: LeaseKeeper,
        name: str,
        on_gained: Callable[[int], object],
        on_lost: Callable[[], object],
    ) -> None:
        self.name = name
        self._keeper = keeper
        self._on_gained = on_gained
        self._on_lost = on_lost
        self._state = Holding.WANTED
        self._epoch = 0

    @property
    def epoch(self) -> int | None:
        """The epoch under which this node may act now; None if it may not."""
        held = self._state is Holding.HELD and self._keeper.may_act
        return self._epoch if held else None

    def release(self) -> None:
        """Give the lease up. The caller has stopped acting under it, so `on_lost` is not called."""
        if self._state is not Holding.GIVEN_UP:
            self._state = Holding.GIVEN_UP
            self._keeper.given_up(self)

    def found(self, epoch: int | None) -> None:
        """The keeper has asked. `epoch` is None if another node has the lease."""
        if self._state is Holding.HELD and epoch != self._epoch:
            self.lose()
        if self._state is Holding.WANTED and epoch is not None:
            self._state, self._epoch = Holding.HELD, epoch
            guarded(f"the work of the lease {self.name} has not begun", self._on_gained, epoch)

    def lose(self) -> None:
        if self._state is Holding.HELD:
            self._state = Holding.WANTED
            guarded(f"the work of the lease {self.name} was not ended", self._on_lost)


class LeaseKeeper:
    """All leases that this node wants, by their names."""

    def __init__(self, database: Database, clock: IReactorTime, wall: Wall) -> None:
        self._database = database
        self._clock = clock
        self._wall = wall
        self._node: int | None = None
        self._leases: dict[str, KeptLease] = {}
        self._released: set[str] = set()  # leases to give back in the database
        self._until = 0.0  # by the clock; this node may act until then
        self._expiry = Timer(clock, self._expire)
        self._work = RecurringWork(clock, self._tend, RETRY, "the leases were not renewed")

    def start(self, node: int) -> None:
        """Begin to take leases, as the node with that id."""
        self._node = node
        self._work.start(0.0)

    def change_node(self, node: int) -> None:
        """This node has joined the cluster again, with another id. It has lost all of its leases."""
        self._expiry.cancel()
        self._expire()
        self._node = node
        self._work.wake()

    async def stop(self) -> None:
        """Lose all leases, and let other nodes take them at once."""
        node, self._node = self._node, None
        self._expiry.cancel()
        self._expire()
        await self._work.stop()
        names = {*self._leases, *self._released}
        self._leases.clear()
        self._released.clear()
        if node is not None and names:
            await in_background(
                "the leases of this node last until they expire",
                self._database.run(release_leases, node, names),
            )

    def want(
        self, name: str, on_gained: Callable[[int], object], on_lost: Callable[[], object]
    ) -> KeptLease:
        """Try to take the lease `name`, now and whenever it is free, until its `release`."""
        if name in self._leases:
            raise ValueError(f"the lease {name} is wanted already")
        lease = self._leases[name] = KeptLease(self, name, on_gained, on_lost)
        self._work.wake()
        return lease

    def look(self) -> None:
        """Ask for the leases that are wanted now: another node has given one away."""
        self._work.wake()

    async def hand_over(self, lease: KeptLease, node: int) -> None:
        """Give a lease to the node with that id, which wants it. This one still wants it, and gets it
        back if that node dies. Raises StorageFailed; then the lease is lost until it is asked for again."""
        epoch = lease.epoch
        if epoch is None:
            return
        lease.lose()
        now = int(self._wall() * 1000)
        await self._database.run(hand_over, lease.name, epoch, node, now)
        lease.lose()  # a renewal that was under way may have found it held

    def held(self) -> list[str]:
        """The names of the leases under which this node may act now."""
        return [name for name, lease in self._leases.items() if lease.epoch is not None]

    @property
    def may_act(self) -> bool:
        """Whether the leases of this node are certainly still its own, as far as its clock tells."""
        return self._clock.seconds() < self._until

    def given_up(self, lease: KeptLease) -> None:
        """A lease is not wanted any more."""
        if self._leases.get(lease.name) is lease:
            del self._leases[lease.name]
            self._released.add(lease.name)
            self._work.wake()

    async def _tend(self) -> float | None:
        node, released = self._node, set(self._released)
        if node is None or not (self._leases or released):
            return None
        began = self._clock.seconds()
        wanted = list(self._leases)
        now = int(self._wall() * 1000)
        report = await self._database.run_apart(_tend_all, node, wanted, released, now)
        if self._node != node:
            return 0.0  # what was renewed meanwhile is not held any more
        self._released -= released
        if began + ACTS_FOR <= self._clock.seconds():
            return RETRY  # the answer comes too late
        self._until = began + ACTS_FOR
        self._expiry.restart(self._until - self._clock.seconds())
        for name in wanted:
            lease = self._leases.get(name)
            if lease is not None:
                lease.found(report.held.get(name))
        wait = RENEW_EVERY if report.wait is None else report.wait / 1000
        return max(min(RENEW_EVERY, wait), RETRY)

    def _expire(self) -> None:
        """The leases may belong to others by now."""
        self._until = self._clock.seconds()
        for lease in list(self._leases.values()):
            lease.lose()


def _tend_all(
    connection: Connection, node: int, wanted: list[str], released: set[str], now: int
) -> LeaseReport:
    """A job: give leases back, renew others, and take those that are free."""
    if released:
        release_leases(connection, node, released)
    return tend_leases(connection, node, wanted, now)
