"""Nodes that write to one PostgreSQL database, without threads."""

from __future__ import annotations

from typing import Any, cast
from unittest import SkipTest

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.service.context import Writers
from chatd.store import nodes
from chatd.store.database import Database
from chatd.store.engine import connect
from chatd.store.jobs import Job
from chatd.store.new_entries import NewMessage, RemoteCopies, Stored
from chatd.store.writer import Writer
from tests.support.common import same_bytes
from tests.support.postgres import MISSING, server, temporary_database

NOW = 1_800_000_000_000  # ms since 1970 UTC


class Node:
    """A node that has joined, without threads: `run` commits one job at once."""

    def __init__(self, url: str, name: str, now: int = NOW) -> None:
        self.engine = connect(url)
        with self.engine.begin() as connection:
            joined = nodes.join(connection, name, "host", now)
        assert joined is not None
        self.id = joined.id
        self.writer = Writer(self.engine)
        assert self.writer.turns is not None
        self.writer.turns.node = self.id
        self.renewed = 0
        self.writer.on_others(self._count)
        self.writers = Writers(cast(Database, self.writer), lambda: now, same_bytes())

    def _count(self, _connection: Connection, _reconnected: bool) -> None:
        self.renewed += 1

    def run(self, job: Any, *args: Any) -> Any:
        """Return the result of a job. Raises what it failed with."""
        [outcome] = self.writer.commit([Job(Deferred(), job, args)])
        if isinstance(outcome.value, Failure):
            outcome.value.raiseException()
        return outcome.value

    def send(self, conversation: int, text: str, *realms: str) -> Stored:
        copies = RemoteCopies(realms, text.encode()) if realms else None
        new = NewMessage(conversation, 1, "ana", NOW, text, copies=copies)
        stored: Stored
        [stored] = self.run(self.writers.messages.store, [new])
        return stored

    def close(self) -> None:
        self.writer.close()
        self.engine.dispose()


class NodesCase(SynchronousTestCase):
    """A test with two nodes on a database of their own."""

    def setUp(self) -> None:
        found = server()
        if found is None:
            raise SkipTest(MISSING)
        self.server = found
        self.url = temporary_database(self)
        self.one, self.two = self.node("one"), self.node("two")

    def node(self, name: str, now: int = NOW) -> Node:
        made = Node(self.url, name, now)
        self.addCleanup(made.close)
        return made

    def rows(self, *columns: sa.ColumnElement[Any]) -> list[tuple[Any, ...]]:
        with self.one.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.select(*columns))]
