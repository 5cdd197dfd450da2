"""Backups are made while a realm runs, are complete or not there, and become the same realm again."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest import mock

from twisted.internet.defer import Deferred

from chatd.app.backup import making, manifest, restoring
from chatd.app.backup.checking import StateChecker
from chatd.app.backup.making import BackupMaker
from chatd.app.backup.manifest import BackupError, read_manifest
from chatd.app.backup.restoring import BackupRestorer
from chatd.app.state import StartError, StateFolder
from chatd.base.backup_records import BackupReport, CheckReport, RestoreReport
from chatd.base.names import UNFILTERED, Address
from chatd.files import copying
from chatd.files.copying import Stopped
from chatd.files.folder import Uploads
from chatd.simulate.databases import connect_without_sync
from chatd.store import database_identity
from tests.support.common import ClockedTestCase, Realm, make_config, run
from tests.support.engines import only_sqlite

# The functions of the module before each call of which a kill is tried.
STEPS = (
    "copy_file",
    "copy_database",
    "write_manifest",
    "write_private",
    "sync_folder",
    "hash_file",
    "is_named",
)


class Killed(Exception):
    """The process ends here."""


@only_sqlite("the backups")
class BackupTestCase(ClockedTestCase):
    """`self.target` is the backup's folder. The realm has two files and two messages."""

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        super().setUp()
        self.target = (self.folder / "backup").absolute()
        self.engine = connect_without_sync(f"sqlite:///{self.realm.state.path / 'chatd.db'}")
        self.addCleanup(self.engine.dispose)
        return run(self._prepare())

    async def _prepare(self) -> None:
        accounts = self.realm.service.accounts
        self.ana, _ = [
            (await accounts.register(name, "surabaya", None, None)).account
            for name in ("ana", "budi")
        ]
        await self.send("satu")
        self.first = await self.send_file("a.bin", b"halo")
        self.second = await self.send_file("b.bin", b"dunia")

    async def send(self, text: str) -> Any:
        return await self.realm.service.messages.send(self.ana, [Address("budi")], text, None)

    async def send_file(self, name: str, data: bytes) -> str:
        """Send a file. Returns its name in uploads."""
        files = self.realm.service.files
        upload = await files.begin(self.ana, [Address("budi")], name, len(data), None)
        upload.write(data)
        file, _ = await upload.finish()
        return file.stored

    def back_up(self, target: Path | None = None, **options: Any) -> BackupReport:
        return BackupMaker(
            "realm1",
            self.realm.state,
            self.engine,
            self.target if target is None else target,
            int(self.realm.wall() * 1000),
            **options,
        ).make()

    def refusal(self, call: Callable[[], object]) -> str:
        return str(self.assertRaises(BackupError, call))

    def restored(self) -> StateFolder:
        state = StateFolder(self.folder / "restored", connect_without_sync)
        state.claim()
        self.addCleanup(state.release)
        return state

    def restore(self, state: StateFolder | None = None, realm: str = "realm1") -> RestoreReport:
        state = state or self.restored()
        try:
            return BackupRestorer(realm, state, self.target).restore()
        finally:
            state.release()

    def texts(self, database: Path) -> list[str]:
        with sqlite3.connect(database) as connection:
            found = connection.execute("SELECT text FROM messages WHERE text IS NOT NULL")
            texts = [row[0] for row in found]
        connection.close()
        return texts


class MakingTests(BackupTestCase):
    def test_complete(self) -> None:
        report = self.back_up()
        made = read_manifest(self.target)
        assert made is not None
        self.assertEqual((report.copied, report.kept, report.bytes), (2, 0, 9))
        self.assertEqual((made.files, made.file_bytes, made.missing), (2, 9, ()))
        self.assertEqual(
            {path.name for path in self.target.iterdir()},
            {"backup.json", "lock", "uploads", made.state},
        )
        self.assertIn("satu", self.texts(self.target / made.state / "chatd.db"))
        self.assertIn("signing.key", made.keys)
        self.assertEqual((self.target / "uploads" / self.first).read_bytes(), b"halo")

    def test_private(self) -> None:
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.back_up()
        for path in (self.target, *self.target.rglob("*")):
            self.assertFalse(path.stat().st_mode & 0o077, path)

    async def test_incremental(self) -> None:
        first = self.back_up().manifest
        third = await self.send_file("c.bin", b"ketiga")
        cast(Uploads, self.realm.uploads).erase_now([self.first])
        with sqlite3.connect(self.realm.state.path / "chatd.db") as connection:
            connection.execute("DELETE FROM attachments WHERE stored = ?", (self.first,))
        connection.close()
        self.clock.advance(1)
        report = self.back_up()
        self.assertEqual((report.copied, report.kept, report.removed), (1, 1, 1))
        self.assertEqual(
            {path.name for path in (self.target / "uploads").iterdir()}, {self.second, third}
        )
        self.assertFalse((self.target / first.state).exists())

    async def test_name_of_a_part(self) -> None:
        """A file may have any ending."""
        names = {
            self.first,
            self.second,
            await self.send_file("a.bin.part", b"x"),
            await self.send_file("a.bin", b"y"),
        }
        self.back_up()
        self.clock.advance(1)
        self.assertEqual(self.back_up().kept, 4)
        self.assertEqual({path.name for path in (self.target / "uploads").iterdir()}, names)

    def test_file_deleted_meanwhile(self) -> None:
        cast(Uploads, self.realm.uploads).erase_now([self.first])
        self.assertEqual(self.back_up().manifest.missing, (self.first,))

    def test_damaged_file(self) -> None:
        (self.realm.uploads.folder / self.first).write_bytes(b"hola")
        self.assertEqual(self.back_up().manifest.damaged, (self.first,))

    def test_refused_targets(self) -> None:
        state = self.realm.state.path.absolute()
        self.assertIn("contain each other", self.refusal(lambda: self.back_up(state / "backup")))
        self.assertIn("contain each other", self.refusal(lambda: self.back_up(state.parent)))
        self.assertIn("absolute", self.refusal(lambda: self.back_up(Path("backup"))))
        other = self.target.with_name("other")
        (other / "uploads").mkdir(parents=True)
        self.assertIn("neither empty", self.refusal(lambda: self.back_up(other)))
        self.assertEqual(list(other.iterdir()), [other / "uploads"])

    def test_other_realm(self) -> None:
        self.back_up()
        with self.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE settings SET value = 'x' WHERE name = 'realm id'")
        self.assertIn("another database", self.refusal(self.back_up))

    def test_two_at_once(self) -> None:
        self.target.mkdir()
        with manifest.locked(self.target):
            self.assertIn("another backup", self.refusal(self.back_up))

    def test_no_room(self) -> None:
        self.patch(making, "measure", lambda _folder: (1 << 20, 1 << 30))
        self.assertIn("no room", self.refusal(self.back_up))

    def test_full_disk(self) -> None:
        """A full disk leaves the backup before it intact."""
        self.back_up()
        before = read_manifest(self.target)
        self.clock.advance(1)
        (self.target / "uploads" / self.first).unlink()
        with mock.patch.object(
            making, "copy_file", side_effect=OSError(28, "No space left on device")
        ):
            self.assertIn("No space left", self.refusal(self.back_up))
        self.assertEqual(read_manifest(self.target), before)
        self.assertEqual(self.back_up().copied, 1)

    def test_stopped(self) -> None:
        self.assertRaises(Stopped, self.back_up, is_stopped=lambda: True)
        self.assertIsNone(read_manifest(self.target))

    def test_unreadable_manifest(self) -> None:
        self.back_up()
        path = self.target / "backup.json"
        good = path.read_bytes()
        path.write_bytes(b"{")
        self.assertIn("can't be read", self.refusal(self.back_up))
        path.write_bytes(good.replace(b'"format": 1', b'"format": 2'))
        self.assertIn("format 2", self.refusal(self.back_up))
        path.write_bytes(good.replace(b"signing.key", b"../sign.key"))
        self.assertIn("outside", self.refusal(self.back_up))

    def test_killed_anywhere(self) -> None:
        """Whichever step is the last one before a kill: the folder has the old or the new backup, complete.
        The next run completes it."""
        steps = 0
        while self._killed_at(steps):
            made = read_manifest(self.target)
            if made is not None:
                self.assertTrue((self.target / made.state / "chatd.db").exists())
                self.assertEqual(made.files, 2)
            steps += 1
        self.assertGreater(steps, 8)
        self.assertEqual(
            {path.name for path in (self.target / "uploads").iterdir()}, {self.first, self.second}
        )

    def _killed_at(self, step: int) -> bool:
        """Whether a backup is killed at that step."""
        self.clock.advance(1)
        if step % 2:
            shutil.rmtree(self.target / "uploads", ignore_errors=True)
        left = step

        def count(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                if not left:
                    raise Killed
                left -= 1
                return real(*args, **kwargs)

            return call

        counted: dict[str, Any] = {name: count(getattr(making, name)) for name in STEPS}
        with mock.patch.multiple(making, None, **counted):
            try:
                self.back_up()
            except Killed:
                return True
        return False


class RestoringTests(BackupTestCase):
    async def test_same_realm(self) -> None:
        self.back_up()
        report = self.restore()
        self.assertEqual((report.files, report.missing, report.damaged), (2, (), ()))
        again = Realm(make_config(self.folder / "restored"), self.clock, wall=self.wall)
        again.open()
        self.addCleanup(lambda: run(again.close()))
        self.assertEqual(
            (self.folder / "restored" / "signing.key").read_bytes(),
            (self.realm.state.path / "signing.key").read_bytes(),
        )
        budi = await again.service.accounts.find("budi")
        page = await again.service.reading.inbox(budi, UNFILTERED, {})
        self.assertIn("satu", [message.text for message in page.messages])
        self.assertEqual((again.uploads.folder / self.first).read_bytes(), b"halo")

    def test_state_in_use(self) -> None:
        self.back_up()
        state = self.restored()
        (state.path / "chatd.db").write_bytes(b"x")
        self.assertIn("not empty", self.refusal(lambda: self.restore(state)))

    def test_no_backup(self) -> None:
        self.assertIn("no complete backup", self.refusal(self.restore))
        self.target.mkdir()
        self.assertIn("no complete backup", self.refusal(self.restore))

    def test_other_realm(self) -> None:
        self.back_up()
        self.assertIn("backup of realm1", self.refusal(lambda: self.restore(realm="realm2")))

    def test_no_room(self) -> None:
        self.back_up()
        self.patch(restoring, "measure", lambda _folder: (1, 1 << 30))
        self.assertIn("no room", self.refusal(self.restore))

    def test_damaged_database(self) -> None:
        made = self.back_up().manifest
        with (self.target / made.state / "chatd.db").open("r+b") as file:
            file.seek(5000)
            file.write(b"damage")
        self.assertIn("is damaged", self.refusal(self.restore))
        self.assertFalse((self.folder / "restored" / "chatd.db").exists())

    def test_damaged_and_missing_files(self) -> None:
        self.back_up()
        (self.target / "uploads" / self.first).write_bytes(b"hola")
        (self.target / "uploads" / self.second).unlink()
        report = self.restore()
        self.assertEqual(
            (report.files, report.damaged, report.missing), (0, (self.first,), (self.second,))
        )
        self.assertEqual(list((self.folder / "restored" / "uploads").iterdir()), [])

    def test_interrupted(self) -> None:
        """A realm does not start on half a restore, and the same restore continues."""
        self.back_up()
        with mock.patch.object(restoring, "copy_file", side_effect=[copying.Stopped]):
            self.assertRaises(Stopped, self.restore)
        state = self.restored()
        error = self.assertRaises(StartError, state.open_database, "")
        self.assertIn("restored only in part", str(error))
        state.release()
        self.assertEqual(self.restore().files, 2)
        self.assertTrue((self.folder / "restored" / "chatd.db").exists())

    def test_another_one_interrupted(self) -> None:
        self.back_up()
        with mock.patch.object(restoring, "copy_file", side_effect=[copying.Stopped]):
            self.assertRaises(Stopped, self.restore)
        self.clock.advance(1)
        self.back_up()
        (self.folder / "restored" / "realm.key").write_bytes(b"x")
        self.assertIn("not empty", self.refusal(self.restore))

    def test_killed_before_the_database(self) -> None:
        self.back_up()
        with mock.patch.object(database_identity, "quick_check", side_effect=Killed):
            self.assertRaises(Killed, self.restore)
        self.assertEqual(self.restore().files, 2)

    def test_name_outside_of_uploads(self) -> None:
        made = self.back_up().manifest
        path = self.target / made.state / "chatd.db"
        with sqlite3.connect(path) as connection:
            connection.execute(
                "UPDATE attachments SET stored = '../a' WHERE stored = ?", (self.first,)
            )
        connection.close()
        self.assertIn("outside of uploads", self.refusal(self.restore))


class CheckingTests(BackupTestCase):
    def check(self, **options: Any) -> CheckReport:
        return StateChecker(
            self.realm.state, self.engine, wall=self.wall or self.clock.seconds, **options
        ).check()

    def test_sound(self) -> None:
        report = self.check()
        self.assertTrue(report.is_sound)
        self.assertEqual((report.files, report.messages, report.problems), (2, 3, ()))

    def test_files(self) -> None:
        folder = self.realm.uploads.folder
        (folder / self.first).write_bytes(b"hola")
        (folder / self.second).unlink()
        report = self.check()
        self.assertEqual(report.found, {"file-damaged": 1, "file-missing": 1})
        self.assertFalse(report.is_sound)
        self.assertEqual(self.check(hashes=False).found, {"file-missing": 1})
        (folder / self.first).write_bytes(b"hol")
        self.assertEqual(self.check(hashes=False).found, {"file-damaged": 1, "file-missing": 1})

    def test_unknown_file(self) -> None:
        folder = self.realm.uploads.folder
        unknown = folder / "unknown.bin"
        unknown.write_bytes(b"x")
        now = self.clock.seconds()
        os.utime(unknown, (now, now))
        self.assertTrue(self.check().is_sound, "it may be about to be stored")
        os.utime(unknown, (now - 7200, now - 7200))
        self.assertEqual(self.check().found, {"file-unknown": 1})
        self.assertTrue(self.check(repair=True).is_sound)
        self.assertEqual((folder / "unclaimed" / "unknown.bin").read_bytes(), b"x")
        self.assertEqual(self.check().found, {})

    def test_altered_message(self) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE messages SET text = 'dua' WHERE text = 'satu'")
        report = self.check()
        self.assertEqual(report.found, {"message-altered": 1})

    def test_broken_row(self) -> None:
        with sqlite3.connect(self.realm.state.path / "chatd.db") as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute(
                "UPDATE attachments SET owner_id = 999 WHERE stored = ?", (self.first,)
            )
        connection.close()
        self.assertEqual(self.check().found, {"row-broken": 1})

    def test_stopped(self) -> None:
        self.assertRaises(Stopped, self.check, is_stopped=lambda: True)
