"""The option that moves a realm to PostgreSQL, and what the old database says afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import SkipTest, mock

import msgspec
from sqlalchemy import Engine
from twisted.trial.unittest import SynchronousTestCase

from chatd.app.marker import read_marker
from chatd.app.state import StartError, StateFolder
from chatd.app.store_move import MoveReport, StoreMove
from chatd.base.config import Config
from chatd.simulate.databases import provide_schema
from chatd.store.transfer.target import NewStore
from tests.support.common import make_config
from tests.support.postgres import MISSING, empty_database, server

NOW = 1_800_000_000.0


class StoreMoveTestCase(SynchronousTestCase):
    """`self.config` is that of a realm with one account, whose state folder is not in use."""

    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)
        self.config = make_config(Path(self.mktemp()))
        provide_schema(self.config)
        self.url = empty_database(self)
        self.told: list[str] = []
        self.open()
        self.execute(
            "INSERT INTO accounts (name, key, password, display_name, country, created_at) "
            "VALUES ('Ana', 'ana', 'x', 'Ana', 'id', 7)"
        )

    def move(self, url: str | None = None, config: Config | None = None) -> MoveReport:
        move = StoreMove(
            config or self.config,
            url or self.url,
            self.told.append,
            lambda: f"move {len(self.told)}",
            lambda: NOW,
            lambda: 0.0,
        )
        return move.run()

    def open(self, url: str = "", **options: Any) -> list[str]:
        """The names of the accounts in the database of the realm, if it starts."""
        state = StateFolder(self.config.state)
        state.claim()
        try:
            engine = state.open_database(url, **options)
            names = names_in(engine)
            engine.dispose()
        finally:
            state.release()
        return names

    def execute(self, statement: str) -> None:
        engine = StateFolder(self.config.state).connect("")
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def refused(self, reason: str, *given: Any, **options: Any) -> str:
        with self.assertRaisesRegex(StartError, reason) as caught:
            self.move(*given, **options)
        return str(caught.exception)


def names_in(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [
            str(each) for each in connection.exec_driver_sql("SELECT name FROM accounts").scalars()
        ]


class Moving(StoreMoveTestCase):
    def test_report(self) -> None:
        lines = str(self.move()).splitlines()
        self.assertEqual(
            lines[0].split(), ["TABLE", "ROWS", *["CHECKSUM", "BEFORE"], "CHECKSUM", "AFTER"]
        )
        name, rows, before, after = lines[1].split()
        self.assertEqual((name, rows, before), ("accounts", "1", after))
        self.assertEqual(len(before), 32)
        self.assertIn("tables are equal in both", "\n".join(lines))
        self.assertIn(
            "looked at in 0.0 s, copied in 0.0 s, statistics in 0.0 s, compared in 0.0 s", lines
        )
        self.assertIn(f"    url = {self.url}", lines)
        self.assertIn("accounts: 1 rows", self.told)

    def test_the_realm_starts_on_the_new_database_only(self) -> None:
        """The marker of the state folder belongs to it, too."""
        self.move()
        before = read_marker(self.config.state)
        assert before is not None
        self.assertEqual(self.open(self.url), ["Ana"])
        after = read_marker(self.config.state)
        assert after is not None
        self.assertEqual((after.id, after.mark), (before.id, before.mark + 1))
        with self.assertRaisesRegex(
            StartError,
            "moved from this database to postgresql.* at 2027-01-15T08:00:00Z; set .database. url to "
            "that, or start once with --undo-move",
        ):
            self.open()

    def test_undone(self) -> None:
        self.move()
        self.assertEqual(self.open(undo_move=True), ["Ana"])
        self.assertEqual(self.open(), ["Ana"])
        self.refused("the database has a realm already", self.url)

    def test_undone_after_it_was_used(self) -> None:
        """What was written since is missing, and that is told apart from the move."""
        self.move()
        self.open(self.url)
        with self.assertRaisesRegex(StartError, "lacks what was written last"):
            self.open(undo_move=True)
        with self.assertRaisesRegex(StartError, "start once with --undo-move"):
            self.open(accept_loss=True)
        self.assertEqual(self.open(undo_move=True, accept_loss=True), ["Ana"])

    def test_repeated(self) -> None:
        self.move()
        self.assertTrue(str(self.move()).startswith("everything was there already\n"))
        self.refused("the realm was moved to postgresql", empty_database(self))

    def test_interrupted(self) -> None:
        """Neither database can be used until the same is started again. The old one is not changed."""
        with (
            mock.patch.object(NewStore, "vacuum", side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
        ):
            self.move()
        with self.assertRaisesRegex(
            StartError, "is not complete; run twistd chatd --move-store again"
        ):
            self.open()
        with self.assertRaisesRegex(StartError, "moved here only in part"):
            self.open(self.url)
        self.move()
        self.assertEqual(self.open(self.url), ["Ana"])

    def test_interrupted_and_moved_to_another_server(self) -> None:
        with (
            mock.patch.object(NewStore, "vacuum", side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
        ):
            self.move()
        other = empty_database(self)
        self.move(other)
        self.assertEqual(self.open(other), ["Ana"])


class Refusals(StoreMoveTestCase):
    def test_in_use(self) -> None:
        state = StateFolder(self.config.state)
        state.claim()
        self.addCleanup(state.release)
        self.refused("another chatd .process .* is using it")

    def test_urls(self) -> None:
        """The target is on a server, and what is moved is in SQLite."""
        self.refused("expected the URL of a PostgreSQL database", "sqlite:////tmp/x.db")
        self.refused("expected an SQLAlchemy URL", "not a url")
        self.refused("can't be opened", "postgresql://nobody@/x?host=/nowhere")
        config = msgspec.structs.replace(self.config, database_url=self.url)
        self.refused("expected the database in SQLite", config=config)

    def test_no_realm(self) -> None:
        config = msgspec.structs.replace(self.config, state=self.config.state / "missing")
        self.refused("which does not exist", config=config)
        config.state.mkdir()
        self.refused("there is no database .*; check --config", config=config)

    def test_passwords_are_not_shown(self) -> None:
        """Neither in the report nor in what the old database remembers."""
        said = self.refused("can't be opened", "postgresql://nobody:s3cret@/x?host=/nowhere")
        self.assertIn("nobody:***@", said)
        self.assertNotIn("s3cret", said)
        url = self.url.replace("chatd@", "chatd:s3cret@")
        self.assertIn("chatd:***@", str(self.move(url)))
        with self.assertRaises(StartError) as caught:
            self.open()
        self.assertNotIn("s3cret", str(caught.exception))

    def test_values_that_can_not_be_stored(self) -> None:
        """All are named up to a number, nothing is moved, and the realm starts."""
        self.execute("UPDATE accounts SET display_name = 'a' || char(0) || 'b', country = x'00'")
        said = self.refused("PostgreSQL can't store 2 values of the database; nothing was moved")
        self.assertIn("\n  accounts (id 1), column display_name: a NUL character", said)
        self.assertEqual(self.open(), ["Ana"])
        with mock.patch("chatd.app.store_move.SHOWN", 1):
            self.assertIn("\n  and 1 more", self.refused("can't store 2 values"))

    def test_broken_rows(self) -> None:
        """Rows that refer to missing ones are found before anything is copied."""
        self.execute("PRAGMA foreign_keys = OFF")
        engine = StateFolder(self.config.state).connect("")
        raw: Any = engine.raw_connection()
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("INSERT INTO sessions VALUES (1, x'00', 99, 1, 1, 1, '', '')")
        raw.close()
        engine.dispose()
        self.refused("row .* of sessions refers to a row of accounts that does not exist")
        self.assertEqual(self.open(), ["Ana"])

    def test_databases_that_differ(self) -> None:
        vacuum = NewStore.vacuum

        def change(target: NewStore) -> None:
            server_, name = server(), self.url.split("@/")[1].split("?")[0]
            assert server_ is not None
            server_.execute("DELETE FROM accounts", name)
            vacuum(target)

        with mock.patch.object(NewStore, "vacuum", change):
            self.refused("the databases differ in accounts, and the new one can't be used; drop")

    def test_server_lost(self) -> None:
        """The sentence says that the same can be started again."""
        with mock.patch.object(NewStore, "set_sequences", side_effect=OSError("gone")):
            self.refused("is not moved to .* yet: gone; when that is solved, start the same again")
        self.move()
