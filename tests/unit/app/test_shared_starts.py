"""Nodes that start together on one PostgreSQL database, each with a state folder of its own."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from unittest import SkipTest

from sqlalchemy import Engine
from twisted.trial.unittest import SynchronousTestCase

from chatd.app.marker import Marker, read_marker
from chatd.app.state import StateFolder
from chatd.store import database_identity
from chatd.store.engine import alone, connect
from chatd.store.node_turns import LOCK
from chatd.store.schema import settings
from tests.support.postgres import MISSING, empty_database, server

WAIT = 20  # seconds, for a test that fails


class SharedStartTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)
        self.url = empty_database(self)

    def connect(self) -> Engine:
        engine = connect(self.url)
        self.addCleanup(engine.dispose)
        return engine

    def marker(self, folder: Path) -> Marker:
        found = read_marker(folder)
        assert found is not None
        return found


class AloneTests(SharedStartTestCase):
    def is_free(self, engine: Engine) -> bool:
        with engine.connect() as connection:
            found = connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({LOCK})")
            return bool(found.scalar_one())

    def test_held(self) -> None:
        one, two = self.connect(), self.connect()
        with alone(one):
            self.assertFalse(self.is_free(two))
        self.assertTrue(self.is_free(two))

    def test_failed(self) -> None:
        one, two = self.connect(), self.connect()
        try:
            with alone(one):
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        self.assertTrue(self.is_free(two))

    def test_settings(self) -> None:
        """The connection has its own limits again afterwards."""
        engine = self.connect()
        with engine.connect() as connection:
            before = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
        with alone(engine):
            pass
        with engine.connect() as connection:
            after = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
        self.assertEqual((before, after), ("15s", "15s"))


class StateFolderTests(SharedStartTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folders = [Path(self.mktemp()) for _ in range(2)]

    def open(self, folder: Path) -> None:
        state = StateFolder(folder)
        state.claim()
        try:
            state.open_database(self.url).dispose()
        finally:
            state.release()

    def test_at_once(self) -> None:
        """The schema is made once, and the database gets one id."""
        before = os.umask(
            0o077
        )  # of the process: each thread sets it, and restores what it has found
        self.addCleanup(os.umask, before)
        threads = [threading.Thread(target=self.open, args=(each,)) for each in self.folders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        one, two = (self.marker(folder) for folder in self.folders)
        self.assertEqual(one.id, two.id)
        self.assertEqual({one.mark, two.mark}, {1, 2})


class MarkTests(SynchronousTestCase):
    def test_never_lower(self) -> None:
        """A node whose mark is lower does not lower that of the database, which another one has recorded."""
        engine = connect("sqlite://")
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            settings.create(connection)
            found = database_identity.claim(connection, lambda: "id", 7)
            self.assertEqual(database_identity.advance(connection, 1), found.mark + 1)
            self.assertEqual(database_identity.advance(connection, 20), 21)
