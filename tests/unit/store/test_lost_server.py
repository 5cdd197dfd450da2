"""A PostgreSQL server that has gone is no bug: the log has a line of each query, and no traceback."""

from __future__ import annotations

import select
from typing import Any
from unittest import mock

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.store.engine import connect
from chatd.store.jobs import Job
from chatd.store.readers import Readers
from chatd.store.writer import Writer
from tests.support.postgres import MISSING, empty_database, find_programs, temporary_database


class LostServer(SynchronousTestCase):
    if find_programs() is None:
        skip = MISSING

    def setUp(self) -> None:
        engine = connect(empty_database(self))
        self.addCleanup(engine.dispose)
        self.readers = Readers(engine, mock.Mock(), self.fail)

    def fails(self, statement: str) -> int:
        """Returns how many tracebacks the log has of a query that fails."""

        def query(connection: Connection) -> None:
            connection.exec_driver_sql(statement)

        self.assertRaises(StorageFailed, self.readers._query, query)
        return len(self.flushLoggedErrors())

    def test_ended_connection(self) -> None:
        self.assertEqual(self.fails("SELECT pg_terminate_backend(pg_backend_pid())"), 0)

    def test_no_server(self) -> None:
        engine = connect("postgresql://chatd@/chatd?host=/nowhere")
        self.addCleanup(engine.dispose)
        self.readers = Readers(engine, mock.Mock(), self.fail)
        self.assertEqual(self.fails("SELECT 1"), 0)

    def test_writer(self) -> None:
        """The server ends a transaction in which nothing has happened for long."""
        engine = connect(temporary_database(self))
        self.addCleanup(engine.dispose)
        writer = Writer(engine, self.fail)
        self.addCleanup(writer.close)

        def pause(connection: Connection) -> None:
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 1")
            raw: Any = connection.connection.driver_connection
            select.select([raw.fileno()], [], [], 10)  # until the server says so
            connection.exec_driver_sql("SELECT 1")

        done: Deferred[None] = Deferred()
        [outcome] = writer.commit([Job(done, pause, ())])
        self.assertIsInstance(outcome.value.value, StorageFailed)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_bug(self) -> None:
        """If the server refuses a statement, the log has a traceback."""
        self.assertEqual(self.fails("SELECT nonsense"), 1)
