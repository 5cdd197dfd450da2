"""Statements that go to the driver directly behave as those of SQLAlchemy."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError, OperationalError
from twisted.trial.unittest import SynchronousTestCase

from chatd.store import driver
from chatd.store.engine import connect


class Driver(SynchronousTestCase):
    def setUp(self) -> None:
        engine = connect("sqlite://")
        self.addCleanup(engine.dispose)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        self.connection.begin()
        driver.execute(self.connection, "CREATE TABLE words (id INTEGER PRIMARY KEY, word UNIQUE)")

    def test_rows(self) -> None:
        """Statements return rows and ids, and belong to the transaction."""
        done = driver.execute(self.connection, "INSERT INTO words (word) VALUES (?)", ("satu",))
        self.assertEqual((done.lastrowid, done.rowcount), (1, 1))
        more = [("dua",), ("tiga",)]
        driver.execute_many(self.connection, "INSERT INTO words (word) VALUES (?)", more)
        find = "SELECT id, word FROM words WHERE id > ?"
        self.assertEqual(driver.fetch(self.connection, find, (1,)), [(2, "dua"), (3, "tiga")])
        self.connection.rollback()
        with self.connection.begin(), self.assertRaises(OperationalError):
            driver.fetch(self.connection, find, (1,))

    def test_errors(self) -> None:
        """The driver's errors become those of SQLAlchemy, without the values."""
        insert, rahasia = "INSERT INTO words (id, word) VALUES (1, ?)", ("rahasia",)
        driver.execute(self.connection, insert, rahasia)
        for failing in (
            lambda: driver.execute(self.connection, insert, rahasia),
            lambda: driver.execute_many(self.connection, insert, [rahasia]),
        ):
            error = self.assertRaises(IntegrityError, failing)
            self.assertIn("UNIQUE constraint", str(error.orig))
            self.assertNotIn("rahasia", str(error))
        self.assertRaises(OperationalError, driver.fetch, self.connection, "SELECT nothing")
