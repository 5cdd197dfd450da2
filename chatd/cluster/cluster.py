"""This node's part in the cluster: its membership, the bus and its leases, started and stopped together."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base.clocks import Wall
from chatd.cluster.bus import IBus
from chatd.cluster.figures import ClusterFigures
from chatd.cluster.lease_keeper import LeaseKeeper
from chatd.cluster.membership import ClusterMembership
from chatd.store.database import Database
from chatd.store.nodes import ClusterNode

log = Logger()


class Cluster:
    """`name` is this node's, and `address` the host on which it runs."""

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        wall: Wall,
        bus: IBus,
        name: str,
        address: str,
    ) -> None:
        self._name = name
        self.bus = bus
        self.membership = ClusterMembership(database, clock, wall, name, address)
        self.leases = LeaseKeeper(database, clock, wall)
        self.membership.on_came(self._came)
        self.membership.on_gone(self._gone)
        self.membership.on_rejoined(self._rejoined)

    def start(self, me: ClusterNode) -> None:
        """Take part as this node, which has joined already. Call it before the first job of the database.

        Caches are filled afterwards, so that what other nodes change meanwhile is told.
        """
        self.membership.start(me)
        self.bus.start(me.name, me.id)
        self.leases.start(me.id)

    async def stop(self) -> None:
        """Give the leases back, leave, and send what waits on the bus. It is the last thing to be stored."""
        await self.leases.stop()
        await self.membership.stop()
        await self.bus.stop()

    def figures(self) -> ClusterFigures:
        """What this node knows of the cluster now."""
        return ClusterFigures(
            self._name,
            len(self.membership.others) + 1,
            self.membership.since_beat(),
            len(self.leases.held()),
            self.bus.counts,
            self.bus.quiet_for(),
            self.bus.delay(),
        )

    def _came(self, node: ClusterNode) -> None:
        log.info("node {name} on {address} is in the cluster", name=node.name, address=node.address)
        self.bus.expect(node.name)

    def _gone(self, node: ClusterNode) -> None:
        log.info("node {name} has left the cluster", name=node.name)
        self.bus.forget(node.name)

    def _rejoined(self, me: ClusterNode) -> None:
        self.leases.change_node(me.id)
