"""Which nodes serve the realm. This node says each second in the database that it is alive, and learns there
who else is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto

from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.clocks import Wall
from chatd.base.errors import StorageFailed
from chatd.base.isolation import guarded
from chatd.base.recurring_work import RecurringWork
from chatd.store import nodes
from chatd.store.database import Database
from chatd.store.nodes import BEAT_EVERY, DEAD_AFTER, MISSED_BEATS, ClusterNode

BEAT = BEAT_EVERY / 1000  # seconds
# A beat that comes later after the one before than this is late.
LATE = 1.5 * BEAT
# For how long a start waits for another node of its name: until that is dead, and removed.
JOINS_WITHIN = DEAD_AFTER / 1000 + 2 * BEAT  # seconds

log = Logger()


class NodeState(Enum):
    """Whether this node is in the cluster."""

    OUT = auto()  # not started, or stopped
    IN = auto()
    REMOVED = auto()  # it has missed beats, and others have removed it: it joins again
    NAME_TAKEN = auto()  # as REMOVED, and another node has its name now


class ClusterMembership:
    """This node, called `name` and running on the host `address`, among the others.

    A node that others have removed joins again with a new id. What it held in the cluster until then is lost.
    """

    def __init__(
        self, database: Database, clock: IReactorTime, wall: Wall, name: str, address: str
    ) -> None:
        self._database = database
        self._clock = clock
        self._wall = wall
        self._name = name
        self._address = address
        self._state = NodeState.OUT
        self._me: ClusterNode | None = None
        self._others: dict[int, ClusterNode] = {}
        self._last = 0.0  # when its last beat that was stored began
        self._in_time = 0  # beats in a row of which none was late
        self._work = RecurringWork(
            clock, self._run, BEAT, "the other nodes were not told that this one is alive"
        )
        self._came: list[Callable[[ClusterNode], None]] = []
        self._gone: list[Callable[[ClusterNode], None]] = []
        self._rejoined: list[Callable[[ClusterNode], None]] = []

    def start(self, me: ClusterNode) -> None:
        """Begin to beat, as a node that has joined already. Call it before the first job of the database."""
        self._database.join(me.id)
        self._me, self._state, self._last = me, NodeState.IN, self._clock.seconds()
        self._work.start(0.0)

    async def stop(self) -> None:
        """Leave. Afterwards nothing more can be stored once another node has noticed. If leaving fails, the
        others notice that beats are missing."""
        await self._work.stop()
        was_in, self._state = self._state is NodeState.IN, NodeState.OUT
        if was_in and self._me is not None:
            await in_background(
                "this node has not left the cluster", self._database.run(nodes.leave, self._me.id)
            )

    def on_came(self, then: Callable[[ClusterNode], None]) -> None:
        """Call `then` for each other node, also for those that are there when this one joins."""
        self._came.append(then)

    def on_gone(self, then: Callable[[ClusterNode], None]) -> None:
        """Call `then` for each other node that has left, or was removed because it has missed its beats."""
        self._gone.append(then)

    def on_rejoined(self, then: Callable[[ClusterNode], None]) -> None:
        """Call `then` with this node when others had removed it, and it has joined again with a new id."""
        self._rejoined.append(then)

    @property
    def me(self) -> ClusterNode | None:
        """This node, as it has joined last; None before the start."""
        return self._me

    @property
    def others(self) -> Mapping[int, ClusterNode]:
        """The other nodes by their ids."""
        return self._others

    def since_beat(self) -> float:
        """The seconds since the last beat of this node that was stored began."""
        return self._clock.seconds() - self._last

    async def _run(self) -> float | None:
        me = self._me
        if me is None or self._state is not NodeState.IN:
            return await self._join()
        began = self._clock.seconds()
        self._in_time = self._in_time + 1 if began - self._last <= LATE else 0
        # If this node's own beats were late, so may be those of the others, for the same reason.
        may_judge = self._in_time > MISSED_BEATS
        try:
            found = await self._database.run_apart(_beat, me.id, may_judge, self._now())
        except StorageFailed:
            # Nothing that a removed node changes is stored, nor is a beat that shares a transaction with it.
            if await self._database.read(nodes.is_listed, me.id):
                raise
            found = None
        if found is None:
            log.warn("other nodes have removed this one, because it has missed its beats")
            self._state = NodeState.REMOVED
            return 0.0
        self._last = began
        self._compare(found)
        return max(began + BEAT - self._clock.seconds(), 0.0)

    async def _join(self) -> float | None:
        began = self._clock.seconds()
        node = await self._database.run_apart(
            _join, self._database, self._name, self._address, self._now()
        )
        if node is None:
            if self._state is NodeState.REMOVED:
                self._state = NodeState.NAME_TAKEN
                log.error(
                    "this node can't join again: another node is called {name!r}; give each node its own "
                    "name in [cluster] node",
                    name=self._name,
                )
            return BEAT
        self._me, self._state, self._last, self._in_time = node, NodeState.IN, began, 0
        self._tell(self._rejoined, node)
        return 0.0  # learn of the others

    def _compare(self, found: list[ClusterNode]) -> None:
        """Tell who has come and who has gone. A silent node that was not known before has not come."""
        known = self._others
        self._others = {
            node.id: known.get(node.id, node) for node in found if node.is_alive or node.id in known
        }
        for each in [node for node in known.values() if node.id not in self._others]:
            self._tell(self._gone, each)
        for each in [node for node in self._others.values() if node.id not in known]:
            self._tell(self._came, each)

    def _tell(self, whom: list[Callable[[ClusterNode], None]], node: ClusterNode) -> None:
        for then in whom:
            guarded("a change in the cluster was not handled", then, node)

    def _now(self) -> int:
        return int(self._wall() * 1000)


def _join(
    connection: Connection, database: Database, name: str, address: str, now: int
) -> ClusterNode | None:
    """A job: join. If this transaction is counted, it is so under the new id already, because a node that was
    removed can't commit it under the old one."""
    node = nodes.join(connection, name, address, now)
    if node is not None:
        database.join(node.id)
    return node


def _beat(connection: Connection, node: int, may_judge: bool, now: int) -> list[ClusterNode] | None:
    """A job: note that this node lives, and return the others; None if it was removed. Nodes that have missed
    their beats are removed if this one `may_judge`, and if this beat does not come long after the last one:
    then those of the others may have waited too, and come after it."""
    silent = nodes.beat(connection, node, now)
    if silent is None:
        return None
    if may_judge and silent <= LATE * 1000:
        nodes.remove_dead(connection, now)
    else:
        nodes.remove_left(connection)
    return [each for each in nodes.list_nodes(connection, now) if each.id != node]
