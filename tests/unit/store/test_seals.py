"""The seals of other realms in what they write in directs."""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.simulate.databases import connect_without_sync
from chatd.store.messages import MessageWriter
from chatd.store.new_entries import NewMessage
from chatd.store.outbox import OutboxWriter
from chatd.store.schema import messages, metadata
from tests.support.engines import only_sqlite

DIRECTS = 100
SEAL = bytes(range(32))


@only_sqlite("the log")
class SealsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        engine = connect_without_sync(f"sqlite:///{self.mktemp()}")
        self.addCleanup(engine.dispose)
        metadata.create_all(engine)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        self.writer = MessageWriter(OutboxWriter(lambda: 0, bytes))
        self.number = 0

    def receive(self, seal: bytes, times: int = 1) -> int:
        """Receive messages in all directs, in one transaction. Returns how many pages it writes to the log of
        SQLite."""
        self._pages()
        with self.connection.begin():
            for _ in range(times):
                items = [self._message(direct, seal) for direct in range(1, DIRECTS + 1)]
                self.writer.receive(self.connection, items)
        return self._pages()

    def _message(self, direct: int, seal: bytes) -> NewMessage:
        self.number += 1
        origin = "b.example", self.number
        return NewMessage(direct, None, "budi@b.example", 0, "Halo", origin=origin, seal=seal)

    def _pages(self) -> int:
        """Copy the log to the database's file, so that it begins anew. Returns how many pages it has."""
        raw = self.connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        [(_busy, pages, copied)] = raw.execute("PRAGMA wal_checkpoint")
        self.assertEqual(pages, copied)
        return int(pages)

    def test_pages(self) -> None:
        """Seals are stored with their messages. In a table by conversation, each would add a page to what a
        transaction writes."""
        self.receive(SEAL, 40)
        without = self.receive(b"")
        self.assertLess(self.receive(SEAL), without + DIRECTS // 20)

    def test_kept(self) -> None:
        """A seal is kept as it came."""
        self.receive(SEAL)
        self.receive(b"")
        with self.connection.begin():
            kept = self.connection.execute(sa.select(messages.c.seal)).scalars().all()
        self.assertEqual(kept, [SEAL] * DIRECTS + [None] * DIRECTS)
