"""A database that other nodes use is not upgraded."""

from __future__ import annotations

from sqlalchemy import text
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.engine import connect
from chatd.store.migrate import SchemaError, current_version, prepare
from chatd.store.nodes import DEAD_AFTER, join, leave
from tests.support.postgres import MISSING, find_programs, temporary_database


class UpgradeOfNodes(SynchronousTestCase):
    if find_programs() is None:
        skip = MISSING

    def setUp(self) -> None:
        self.engine = connect(temporary_database(self))
        self.addCleanup(self.engine.dispose)
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = 'x'"))
            node = join(connection, "node2", "b.example.org", 0)
        assert node is not None
        self.node = node.id

    def check(self, expected: str) -> None:
        """The upgrade is refused with this sentence, and changes nothing."""
        error = self.assertRaises(SchemaError, prepare, self.engine)
        self.assertIn(expected, str(error))
        with self.engine.connect() as connection:
            self.assertEqual(current_version(connection), "x")

    def test_alive(self) -> None:
        self.check("nodes that use the database are running: node2; stop all of them")

    def test_stopped(self) -> None:
        """It goes on to the next check once the nodes have left."""
        with self.engine.begin() as connection:
            leave(connection, self.node)
        self.check("does not know; install the chatd that made it")

    def test_killed(self) -> None:
        """So it does some seconds after they were killed."""
        with self.engine.begin() as connection:
            connection.execute(text(f"UPDATE nodes SET beat = beat - {DEAD_AFTER + 60_000}"))  # noqa: S608
        self.check("does not know; install the chatd that made it")
