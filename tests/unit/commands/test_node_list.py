"""`admin node list`: the nodes, their leases, and what the bus has carried."""

from __future__ import annotations

from sqlalchemy import Connection

from chatd.cluster.bus import BusCounts
from chatd.cluster.figures import ClusterFigures
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.store import nodes
from chatd.store.leases import tend_leases
from chatd.store.nodes import DEAD_AFTER
from tests.support.common import ClockedTestCase, Wire, make_operator

PASSWORD = "surabaya"


def _join_two(connection: Connection, now: int) -> None:
    """A job: the second node has been silent for too long, and had a lease."""
    silent = nodes.join(connection, "node2", "b.example.org", now - DEAD_AFTER - 500)
    assert silent is not None
    tend_leases(connection, silent.id, ["link realm2"], now - DEAD_AFTER - 500)
    me = nodes.join(connection, "node1", "a.example.org", now)
    assert me is not None
    tend_leases(connection, me.id, ["link realm3", "searching"], now)


class NodeList(ClockedTestCase):
    async def operator(self) -> Wire:
        await self.realm.service.accounts.add("messi", PASSWORD, "Lionel Messi", "Argentina")
        await make_operator(self.realm, "messi")
        wire = self.connect(JsonDialect())
        await wire.ask(command="auth", username="messi", password=PASSWORD)
        return wire

    async def test_list(self) -> None:
        operator, context = await self.operator(), self.realm.service.context
        counts = BusCounts(sent=5, received=7, gaps=1)
        figures = ClusterFigures("node1", 2, 0.4, 2, counts, 3.5, 0.0021)
        context.cluster_figures = lambda: figures
        await self.realm.database.run(_join_two, context.now())
        reply = await operator.ask(command="admin.node.list")
        found = [
            (each["node"], each["state"], each["address"], each["silent"], each["leases"])
            for each in reply["nodes"]
        ]
        late = DEAD_AFTER + 500
        self.assertEqual(
            found,
            [
                ("node2", "silent", "b.example.org", late, 1),
                ("node1", "here", "a.example.org", 0, 2),
            ],
        )
        self.assertEqual(reply["message"], "2 nodes")
        bus = {name: reply[name] for name in ("sent", "received", "gaps", "quiet", "delay")}
        self.assertEqual(bus, {"sent": 5, "received": 7, "gaps": 1, "quiet": 3500, "delay": 2})

    async def test_no_echo_yet(self) -> None:
        """Before the first heartbeat has come back, no delay is shown."""
        operator = await self.operator()
        figures = ClusterFigures("node1", 1, 0.4, 0, BusCounts(), 0.0, None)
        self.realm.service.context.cluster_figures = lambda: figures
        reply = await operator.ask(command="admin.node.list")
        self.assertEqual((reply["message"], "delay" in reply), ("0 nodes", False))
