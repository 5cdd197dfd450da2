"""Beats and leases have a connection of their own on PostgreSQL."""

from __future__ import annotations

import threading
from typing import Any, cast
from unittest import SkipTest

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from chatd.base.errors import StorageFailed
from chatd.store import nodes
from chatd.store.database import Database
from chatd.store.engine import connect
from chatd.store.leases import LeaseReport, check_lease, tend_leases
from chatd.store.node_turns import TURN
from chatd.store.schema import nodes as nodes_table
from chatd.store.schema import settings
from tests.support.postgres import MISSING, server, temporary_database


def change(connection: Connection, name: str = "x") -> None:
    """A job that changes something."""
    connection.execute(sa.insert(settings).values(name=name, value=""))


class Apart(TestCase):
    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)
        engine = connect(temporary_database(self))
        with engine.begin() as connection:
            node = nodes.join(connection, "one", "host", 0)
        assert node is not None
        self.node = node.id
        self.database = Database(engine, cast(Any, reactor))
        self.database.join(node.id)
        self.database.start()
        self.addCleanup(self.database.stop)
        self.holding, self.going_on = threading.Event(), threading.Event()
        self.addCleanup(self.going_on.set)

    def hold(self, connection: Connection, lease: str | None = None) -> None:
        """A job that takes its time."""
        change(connection)
        if lease is not None:
            check_lease(connection, lease, 1)
        self.holding.set()
        assert self.going_on.wait(20)

    def commits(self, connection: Connection) -> Any:
        return connection.scalar(sa.select(nodes_table.c.commits))

    @inlineCallbacks
    def test_beside_a_long_job(self) -> Any:
        """A beat does not wait for it, and does not count as a change."""
        yield self.database.run(change, "y")
        before = yield self.database.read(self.commits)
        long = self.database.run(self.hold)
        silent = yield self.database.run_apart(nodes.beat, self.node, 0)
        self.assertIsNotNone(silent)
        report = yield self.database.run_apart(tend_leases, self.node, ["a"], 0)
        self.assertEqual(report, LeaseReport({"a": 1}, None))
        self.assertEqual((yield self.database.read(self.commits)), before)
        self.going_on.set()
        yield long
        self.assertEqual((yield self.database.read(self.commits)), before + TURN)

    @inlineCallbacks
    def test_guarded_lease(self) -> Any:
        """A job holds a lease for long. To renew it fails soon, so that beats do not wait."""
        yield self.database.run_apart(tend_leases, self.node, ["a"], 0)
        long = self.database.run(self.hold, "a")
        yield deferToThread(self.holding.wait, 20)
        renewed = self.database.run_apart(tend_leases, self.node, ["a"], 0)
        yield self.assertFailure(renewed, StorageFailed)
        yield self.database.run_apart(nodes.beat, self.node, 0)
        self.going_on.set()
        yield long

    @inlineCallbacks
    def test_stopped(self) -> Any:
        yield self.database.stop()
        yield self.assertFailure(self.database.run_apart(nodes.beat, self.node, 0), StorageFailed)
