"""Nodes that join the others of a realm on one PostgreSQL database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import SkipTest, mock

import msgspec
from sqlalchemy.exc import OperationalError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatd.app.nodes import join_nodes, log
from chatd.app.state import StartError
from chatd.base.config import ONE_NODE, SEVERAL_NODES, ClusterConfig, Config
from chatd.cluster.membership import JOINS_WITHIN
from chatd.store import nodes
from chatd.store.engine import connect
from chatd.store.nodes import ClusterNode
from tests.support.common import Realm, make_config
from tests.support.postgres import MISSING, server, temporary_database

NOW = 1_800_000_000.0


class JoinTests(SynchronousTestCase):
    """`self.paused` are the seconds that nodes have waited."""

    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)
        self.engine = connect(temporary_database(self))
        self.addCleanup(self.engine.dispose)
        self.paused: list[float] = []

    def join(
        self, name: str, allowed: str, pause: Callable[[float], None] | None = None
    ) -> ClusterNode:
        config = Config(cluster=ClusterConfig(nodes=allowed, node=name))
        joined = join_nodes(self.engine, config, lambda: NOW, pause or self.paused.append)
        assert joined is not None
        return joined

    def names(self) -> list[str]:
        with self.engine.begin() as connection:
            found = nodes.list_nodes(connection, int(NOW * 1000))
        return [node.name for node in found if node.is_alive]

    def test_one(self) -> None:
        """A second node is refused after some seconds, and is not in the list."""
        self.join("node1", ONE_NODE)
        error = self.assertRaises(StartError, self.join, "node2", ONE_NODE)
        self.assertIn("[cluster] nodes is one", str(error))
        self.assertGreater(sum(self.paused), 1)
        self.assertEqual(self.names(), ["node1"])

    def test_one_after_another(self) -> None:
        """It joins as soon as the other one has left."""
        first = self.join("node1", ONE_NODE)

        def leave(_seconds: float) -> None:
            with self.engine.begin() as connection:
                nodes.leave(connection, first.id)

        self.join("node2", ONE_NODE, leave)
        self.assertEqual(self.names(), ["node2"])

    def test_wait_is_told(self) -> None:
        """Once, and only if there is one."""
        told: list[str] = []
        self.patch(log, "info", lambda text, **values: told.append(text.format(**values)))
        self.join("node1", ONE_NODE)
        self.assertEqual(told, [])
        self.assertRaises(StartError, self.join, "node1", ONE_NODE)
        self.assertEqual(
            told, [f"waiting up to {JOINS_WITHIN:g} s for the last run of this node to end"]
        )
        self.assertRaises(StartError, self.join, "node2", ONE_NODE)
        self.assertEqual(
            told[1:], [f"waiting up to {JOINS_WITHIN:g} s for another node's run to end"]
        )

    def test_several(self) -> None:
        """They don't wait for each other."""
        for name in ("node1", "node2", "node3"):
            self.join(name, SEVERAL_NODES)
        self.assertEqual(self.names(), ["node1", "node2", "node3"])
        self.assertEqual(self.paused, [])

    def test_several_with_one_name(self) -> None:
        self.join("node1", SEVERAL_NODES)
        error = self.assertRaises(StartError, self.join, "node1", SEVERAL_NODES)
        self.assertIn("give each node a name of its own", str(error))


class LostDatabase(TestCase):
    def test_says_so(self) -> None:
        """A start that loses the database does not blame the state folder."""
        config = make_config(Path(self.mktemp()) / "state")
        realm = Realm(msgspec.structs.replace(config, database_url="postgresql://db/chatd"))
        self.addCleanup(realm.release)
        lost = OperationalError(None, None, Exception("the server has gone"))
        self.patch(realm.state, "open_database", mock.Mock(side_effect=lost))
        error = str(self.assertRaises(StartError, realm.open))
        self.assertIn("[database] url: the server has gone; start chatd again", error)
