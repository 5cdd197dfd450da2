"""Nodes that share a database and a clock, without threads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate.databases import DATABASE, connect_without_sync, empty_database
from chatd.store import nodes
from chatd.store.database import Database
from chatd.store.nodes import ClusterNode
from tests.support.engines import only_sqlite
from tests.support.inline import InlineDatabase

BEGAN = 1_800_000_000  # what the wall clock shows at the start, in seconds since 1970 UTC


@only_sqlite("the time, which nodes on PostgreSQL have from the server,")
class SharedDatabaseTestCase(SynchronousTestCase):
    """Each node has a database object of its own, which can be slow or fail, on one database."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = Path(self.mktemp())
        self.path.mkdir()
        shutil.copyfile(empty_database(), self.path / DATABASE)

    def wall(self) -> float:
        return BEGAN + self.clock.seconds()

    def connect(self) -> InlineDatabase:
        database = InlineDatabase(connect_without_sync(f"sqlite:///{self.path / DATABASE}"))
        self.addCleanup(database.close)
        return database

    def join(self, database: InlineDatabase, name: str) -> ClusterNode:
        """Join as `join`, with a name that no other node has."""
        joined = join(database, name, int(self.wall() * 1000))
        assert joined is not None, name
        return joined

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(10 * seconds))


def join(database: InlineDatabase, name: str, now: int) -> ClusterNode | None:
    """Join as a node does at its start; None if another one has its name. `now` is in ms since 1970 UTC."""
    with database._engine.begin() as connection:
        return nodes.join(connection, name, f"{name}.example.org", now)


def as_database(database: InlineDatabase) -> Database:
    return cast(Database, database)
