"""Nodes that share a database and a clock, without threads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate.databases import DATABASE, connect_without_sync, empty_database
from chatd.store.database import Database
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

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(10 * seconds))


def as_database(database: InlineDatabase) -> Database:
    return cast(Database, database)
