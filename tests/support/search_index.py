"""A database with a few messages, and its index for searching."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.model import Account
from chatd.store.engine import backend_of, connect
from chatd.store.schema import metadata
from chatd.store.search.fresh import FreshMessages
from chatd.store.search.index import BlockIndex
from chatd.store.search.interface import Wanted

ANA = Account(1, "ana", "ana", "ana", "")
BUDI = Account(2, "budi", "budi", "budi", "")
TOGETHER, ALONE, THEIRS = 1, 2, 3  # conversations: of both, of ana, of budi


class IndexTestCase(SynchronousTestCase):
    """`ana` and `budi` have one conversation together, and each has another one."""

    in_memory = False  # whether the index gets new messages from memory

    def setUp(self) -> None:
        self.engine = self.make_engine()
        self.reading = backend_of(self.engine).reading(self.engine)
        self._together: Connection | None = None
        self.fresh = FreshMessages()
        self.index = BlockIndex(self.fresh, pause=lambda: None)
        self.last = 0
        members = ((1, TOGETHER), (2, TOGETHER), (1, ALONE), (2, THEIRS))
        for account in (ANA, BUDI):
            self.run_sql(
                "INSERT INTO accounts (id, name, key, password, display_name, country, created_at) "
                "VALUES (:id, :name, :name, '', '', '', 0)",
                id=account.id,
                name=account.name,
            )
        for conversation in (TOGETHER, ALONE, THEIRS):
            self.run_sql("INSERT INTO conversations VALUES (:id, 'group', 0)", id=conversation)
        for account_id, conversation in members:
            self.run_sql(
                "INSERT INTO participants (account_id, conversation_id, joined_at) "
                "VALUES (:account, :place, 0)",
                account=account_id,
                place=conversation,
            )

    def make_engine(self) -> Engine:
        """A database without rows."""
        self.path = self.mktemp()
        engine = connect(f"sqlite:///{self.path}")
        self.addCleanup(engine.dispose)
        metadata.create_all(engine)
        return engine

    def check_nowhere(self, text: bytes) -> None:
        """It is in no block, nor in free space of the file."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self.assertNotIn(text, Path(self.path).read_bytes())

    def say(
        self, text: str | None, conversation: int = TOGETHER, sender: str = "ana", at: int = 0
    ) -> int:
        self.last += 1
        self.run_sql(
            "INSERT INTO messages (id, conversation_id, seq, sender, at, text) VALUES "
            "(:id, :place, (SELECT coalesce(max(seq), 0) + 1 FROM messages "
            "WHERE conversation_id = :place), :sender, :at, :text)",
            id=self.last,
            place=conversation,
            sender=sender,
            at=at,
            text=text,
        )
        if self.in_memory:
            [seq] = self.numbers("SELECT seq FROM messages ORDER BY id DESC LIMIT 1")
            row = self.last, conversation, seq, None, sender, at, text
            self.fresh.add([row], [conversation] if text is None else [])
        return self.last

    def say_all(
        self, texts: Sequence[str], places: Sequence[int] = (TOGETHER,), at: int = 0
    ) -> list[int]:
        """Store messages in one transaction, in turns in these conversations, each 1 ms later than the one
        before."""
        with self.engine.begin() as self._together:
            said = [
                self.say(text, places[number % len(places)], at=at + number)
                for number, text in enumerate(texts)
            ]
        self._together = None
        return said

    def run_sql(self, statement: str, **values: object) -> None:
        if self._together is not None:
            self._together.execute(sa.text(statement), values)
            return
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def pieces(self) -> bool:
        """Add the next pieces to the index. Returns whether it lacked something."""
        with self.reading.connect() as connection, connection.begin():
            pieces = self.index.prepare(connection)
        for piece in pieces:
            with self.engine.begin() as connection:
                self.index.store(connection, piece)
        return bool(pieces)

    def update(self) -> None:
        while self.pieces():
            pass

    def search(self, wanted: Wanted, who: Account = ANA) -> list[int]:
        with self.reading.connect() as connection, connection.begin():
            page = self.index.search(connection, who, wanted, 500)
            return [message.id for message in page.messages]

    def numbers(self, statement: str) -> list[int]:
        if self._together is not None:
            return list(self._together.exec_driver_sql(statement).scalars())
        with self.engine.connect() as connection:
            return list(connection.exec_driver_sql(statement).scalars())
