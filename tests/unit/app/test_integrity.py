"""A damaged, missing, emptied or older database is noticed at the start."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import msgspec
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatd.app import integrity
from chatd.app.marker import MARK_EVERY, MARKER, Marker, MarkKeeper, read_marker, write_marker
from chatd.app.realm import StartOptions
from chatd.app.state import StartError, StateFolder
from chatd.base.errors import StorageFailed
from chatd.base.names import Address
from tests.support.common import ClockedTestCase, Realm, make_config, run
from tests.support.engines import only_sqlite


@only_sqlite("the files")
class IntegrityTestCase(ClockedTestCase):
    """`killed` is the state folder of a realm that was killed: what a running realm has on disk."""

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        super().setUp()
        self.killed = self.folder / "killed"
        self.database = self.killed / "chatd.db"
        return run(self._prepare())

    async def _prepare(self) -> None:
        accounts = self.realm.service.accounts
        self.ana, _ = [
            (await accounts.register(name, "surabaya", None, None)).account
            for name in ("ana", "budi")
        ]
        files = self.realm.service.files
        upload = await files.begin(self.ana, [Address("budi")], "a", 4, None)
        upload.write(b"halo")
        self.file, _ = await upload.finish()
        await self.send("satu")
        self.copy()

    def copy(self) -> None:
        shutil.rmtree(self.killed, ignore_errors=True)
        shutil.copytree(self.realm.state.path, self.killed)

    async def send(self, text: str) -> None:
        await self.realm.service.messages.send(self.ana, [Address("budi")], text, None)

    def open(self, accept_loss: bool = False) -> list[str]:
        """The texts in the database of the killed realm, if it starts."""
        state = StateFolder(self.killed)
        state.claim()
        try:
            engine = state.open_database("", accept_loss)
            with engine.connect() as connection:
                found = connection.exec_driver_sql("SELECT text FROM messages WHERE text NOT NULL")
                texts = [str(each) for each in found.scalars()]
            engine.dispose()
        finally:
            state.release()
        return texts

    def refuses(self, reason: str) -> None:
        """The realm does not start, says why and what to do, and changes nothing."""
        before = {
            path.name: path.stat().st_size
            for path in self.killed.rglob("*")
            if path.name not in ("lock", "chatd.db-shm")
        }
        with self.assertRaises(StartError) as caught:
            self.open()
        sentence = str(caught.exception)
        self.assertIn(reason, sentence)
        self.assertIn("--accept-loss", sentence)
        self.assertIn("restore a backup", sentence)
        after = {path.name for path in self.killed.rglob("*")}
        self.assertLessEqual({"uploads", self.file.stored, MARKER}, after)
        self.assertLessEqual(before.keys() - {"chatd.db-wal"}, after)
        self.assertEqual((self.killed / "uploads" / self.file.stored).read_bytes(), b"halo")

    def file_is_there(self) -> bool:
        return (self.killed / "uploads" / self.file.stored).exists()


class AfterAKill(IntegrityTestCase):
    def test_whole(self) -> None:
        """It starts with everything that was stored, and does so repeatedly."""
        self.assertEqual(self.open(), ["satu"])
        self.assertEqual(self.open(), ["satu"])

    def test_missing(self) -> None:
        self.database.unlink()
        self.refuses("chatd.db is missing")
        self.assertFalse(self.database.exists())

    def test_emptied(self) -> None:
        """SQLite itself would treat an emptied file as a new database, and remove its log."""
        self.database.write_bytes(b"")
        self.refuses("chatd.db is empty")

    def test_something_else(self) -> None:
        self.database.write_bytes(b"x" * 10_000)
        self.refuses("chatd.db is not an SQLite database")

    def test_log_is_missing(self) -> None:
        (self.killed / "chatd.db-wal").unlink()
        self.refuses("write-ahead log")

    def test_log_is_emptied(self) -> None:
        (self.killed / "chatd.db-wal").write_bytes(b"")
        self.refuses("write-ahead log")

    def test_log_was_folded_in(self) -> None:
        """Opening the database with sqlite3 after a crash loses nothing and removes the log."""
        with sqlite3.connect(self.database) as connection:
            connection.execute("SELECT count(*) FROM messages").fetchall()
        connection.close()
        self.assertFalse((self.killed / "chatd.db-wal").exists())
        self.assertEqual(self.open(), ["satu"])

    async def test_log_is_missing_after_it_was_folded_in(self) -> None:
        """The mark advances right after a checkpoint, so a log that is lost later is noticed."""
        path = self.realm.state.path / "chatd.db"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        connection.close()
        self.clock.advance(2)
        await self.send("dua")
        await self.realm.keeper.stop()
        self.copy()
        self.assertEqual(self.open(), ["satu", "dua"])
        self.copy()
        (self.killed / "chatd.db-wal").unlink()
        self.refuses("write-ahead log")

    def test_damaged_pages(self) -> None:
        """SQLite's own check finds damaged pages after an unclean end."""
        with sqlite3.connect(self.database) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
        data = bytearray(self.database.read_bytes())
        for page in range(2, len(data) // 4096):
            data[page * 4096 : page * 4096 + 200] = b"\xff" * 200
        self.database.write_bytes(data)
        self.refuses("is damaged")

    def test_cut_off_in_the_middle(self) -> None:
        with sqlite3.connect(self.database) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
        size = self.database.stat().st_size
        with self.database.open("r+b") as file:
            file.truncate(size // 2)
        self.refuses("cut off")

    async def test_an_older_one(self) -> None:
        """An older database, as from a backup, was put in place of the newer one."""
        old = self.folder / "old.db"
        connection = sqlite3.connect(self.database)
        connection.execute("VACUUM INTO ?", (str(old),))
        connection.close()
        await self.realm.close()
        self.realm = Realm(self.realm.config, self.clock, wall=self.realm.wall)
        self.realm.open()
        await self.send("dua")
        self.copy()
        for path in self.killed.glob("chatd.db*"):
            path.unlink()
        shutil.copy(old, self.database)
        self.refuses("older than it was")
        self.assertEqual(self.open(accept_loss=True), ["satu"])
        self.assertEqual(self.open(), ["satu"])

    async def test_that_of_another_realm(self) -> None:
        other = Realm(make_config(self.folder / "other"), self.clock)
        other.open()
        await other.close()
        for path in self.killed.glob("chatd.db*"):
            path.unlink()
        marker = read_marker(self.killed)
        assert marker is not None
        write_marker(self.killed, msgspec.structs.replace(marker, id="f" * 32))
        shutil.copy(self.folder / "other" / "chatd.db", self.database)
        self.refuses("another realm")

    def test_marker_is_unreadable(self) -> None:
        (self.killed / MARKER).write_bytes(b"{")
        self.refuses("marker.json can't be read")
        self.assertEqual(self.open(accept_loss=True), ["satu"])


class Accepting(IntegrityTestCase):
    def test_empty_database(self) -> None:
        """The old database and the files are kept, at later starts too."""
        self.database.write_bytes(b"x" * 10_000)
        self.assertEqual(self.open(accept_loss=True), [])
        (aside,) = self.killed.glob("chatd.db.damaged.*Z")
        self.assertEqual(aside.stat().st_size, 10_000)
        marker = read_marker(self.killed)
        self.assertTrue(marker is not None and marker.lossy)

    async def test_files_stay(self) -> None:
        self.database.unlink()
        for accept_loss in (True, False):
            config = msgspec.structs.replace(self.realm.config, state=self.killed)
            realm = Realm(config, self.clock, wall=self.realm.wall)
            realm.options = StartOptions(accept_loss=accept_loss)
            realm.open()
            await realm.close()
            self.assertTrue(self.file_is_there())


class SettingAside(SynchronousTestCase):
    def test_twice_in_a_second(self) -> None:
        """A start that was killed and repeated does not overwrite what was set aside."""
        database = Path(self.mktemp())
        database.parent.mkdir(parents=True, exist_ok=True)
        now = datetime(2026, 11, 26, tzinfo=UTC)
        for content in ("damaged", "empty", "again"):
            database.write_text(content)
            integrity.set_aside(database, now)
        found = [path.read_text() for path in sorted(database.parent.glob("*.damaged.*"))]
        self.assertEqual(found, ["damaged", "empty", "again"])


class WithoutMarker(IntegrityTestCase):
    """A state folder without a marker: from an older chatd, or restored."""

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        prepared = super().setUp()
        return prepared.addCallback(lambda _: (self.killed / MARKER).unlink())

    def test_starts(self) -> None:
        self.assertEqual(self.open(), ["satu"])
        self.assertTrue((self.killed / MARKER).exists())

    def test_files_without_a_database(self) -> None:
        for path in self.killed.glob("chatd.db*"):
            path.unlink()
        with self.assertRaisesRegex(StartError, "chatd.db is missing.*--accept-loss"):
            self.open()

    def test_no_room_or_no_folder(self) -> None:
        """The start is refused with a sentence, whichever part of the state folder can't be used."""
        shutil.rmtree(self.killed / "uploads")
        (self.killed / "uploads").touch()
        config = msgspec.structs.replace(self.realm.config, state=self.killed)
        realm = Realm(config, self.clock, wall=self.realm.wall)
        with self.assertRaisesRegex(StartError, "state is .* and can't be used: .*File exists"):
            realm.open()
        realm.release()

    def test_interrupted_first_start(self) -> None:
        """There is only an empty file."""
        shutil.rmtree(self.killed)
        self.killed.mkdir()
        self.database.write_bytes(b"")
        self.assertEqual(self.open(), [])


class Ends(IntegrityTestCase):
    async def test_clean(self) -> None:
        before = read_marker(self.realm.state.path)
        assert before is not None
        self.assertFalse(before.clean)
        await self.realm.close()
        after = read_marker(self.realm.state.path)
        self.assertEqual(after, msgspec.structs.replace(before, clean=True))
        mode = (self.realm.state.path / MARKER).stat().st_mode & 0o777
        self.assertEqual(mode, 0o600)
        self.realm = Realm(self.realm.config, self.clock, wall=self.realm.wall)
        self.realm.open()

    async def test_part_that_does_not_stop(self) -> None:
        """It is logged, and everything else is closed in order."""
        with mock.patch.object(self.realm.service.disk, "stop", side_effect=ZeroDivisionError):
            await self.realm.close()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        after = read_marker(self.realm.state.path)
        assert after is not None
        self.assertTrue(after.clean)
        self.realm.service.disk.stop()
        self.realm = Realm(self.realm.config, self.clock, wall=self.realm.wall)
        self.realm.open()

    async def test_large_one_is_checked_while_it_runs(self) -> None:
        """The start does not wait for the check, whose result is logged."""
        with (
            mock.patch.object(integrity, "CHECKED_AT_ONCE", 0),
            mock.patch("chatd.app.realm.quick_check", return_value=["page 3: no"]),
        ):
            config = msgspec.structs.replace(self.realm.config, state=self.killed)
            realm = Realm(config, self.clock, wall=self.realm.wall)
            realm.open()
            await realm.database.read(lambda _connection: None)
            await realm.close()
        self.assertEqual(realm.database.damage, "page 3: no")


class Markers(TestCase):
    def test_round_trip(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.assertIsNone(read_marker(folder))
        for marker in (Marker("a", 1, False), Marker("a", 2, True, True)):
            write_marker(folder, marker)
            self.assertEqual(read_marker(folder), marker)
        self.assertEqual([path.name for path in folder.iterdir()], [MARKER])

    def test_advancing_fails(self) -> None:
        """It is tried again. Only what neither the disk nor the database explains is logged as an error."""
        folder, database, clock = Path(self.mktemp()), mock.Mock(), Clock()
        keeper = MarkKeeper(folder, Marker("a", 1, False), None, database, clock, maybeDeferred)
        for result, unexpected in (
            (fail(StorageFailed()), 0),
            (fail(ZeroDivisionError()), 1),
            (succeed(2), 0),  # the folder is missing
        ):
            database.run.return_value = result
            clock.advance(MARK_EVERY)
            keeper.settled()
            self.assertEqual(len(self.flushLoggedErrors()), unexpected)
        folder.mkdir()
        database.run.return_value = succeed(3)
        clock.advance(MARK_EVERY)
        keeper.settled()
        self.assertEqual(read_marker(folder), Marker("a", 3, False))
