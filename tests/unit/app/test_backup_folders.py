"""Folders and disks that are not as backups, restores and checks expect them, and files that go meanwhile."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import sqlalchemy as sa

from chatd.app.backup import checking
from chatd.app.backup.checking import StateChecker
from chatd.app.backup.manifest import BackupError, read_manifest, write_manifest
from chatd.base.backup_records import CheckReport
from chatd.store.schema import erased_files
from chatd.store.snapshot import vacuum
from tests.unit.app.test_backup import BackupTestCase


class Targets(BackupTestCase):
    def test_folder_that_others_may_write_to(self) -> None:
        """They could put links there, through which files of the realm would be removed."""
        self.target.mkdir()
        self.target.chmod(0o777)
        self.assertIn("other users", self.refusal(self.back_up))
        self.assertEqual(list(self.target.iterdir()), [])
        self.target.chmod(0o700)
        with mock.patch.object(os, "geteuid", return_value=os.getuid() + 1):
            if os.getuid():
                self.assertIn("other users", self.refusal(self.back_up))
        self.back_up()

    def test_linked_uploads(self) -> None:
        self.back_up()
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "kept").touch()
        uploads = self.target / "uploads"
        uploads.rename(self.target.with_name("old"))
        uploads.symlink_to(elsewhere.absolute())
        self.assertIn("is a link", self.refusal(self.back_up))
        self.assertTrue((elsewhere / "kept").exists())

    def test_linked_lock(self) -> None:
        self.back_up()
        lock = self.target / "lock"
        lock.unlink()
        lock.symlink_to(self.folder.absolute() / "made")
        self.refusal(self.back_up)
        self.assertFalse((self.folder / "made").exists())


class Manifests(BackupTestCase):
    def test_names_outside(self) -> None:
        """A manifest that somebody has made names neither folders above nor other files of the state."""
        self.back_up()
        made = read_manifest(self.target)
        assert made is not None
        for wrong in (
            {"state": ".."},
            {"state": ""},
            {"keys": ("..",)},
            {"keys": ("chatd.db",)},
            {"keys": ("restoring.json",)},
        ):
            write_manifest(self.target, msgspec.structs.replace(made, **wrong))
            self.assertRaises(BackupError, read_manifest, self.target)


class Vacuuming(BackupTestCase):
    def test_not_in_memory(self) -> None:
        """The temporary database, which is as large as the whole one, is beside that."""
        statements: list[str] = []
        raw = self.engine.raw_connection()
        raw.driver_connection.set_trace_callback(statements.append)  # type: ignore[union-attr]
        raw.close()
        before, after = vacuum(self.engine)
        self.assertGreater(before * after, 0)
        seen = statements[: statements.index("VACUUM")]
        folder = self.realm.state.path.absolute()
        wanted = ["PRAGMA temp_store = FILE", f"PRAGMA temp_store_directory = '{folder}'"]
        self.assertEqual(seen, wanted)


class ReadOnly(BackupTestCase):
    def test_restore(self) -> None:
        """A backup is restored from a disk that can't be written to."""
        self.back_up()
        self.refuse_writes()
        self.assertEqual(self.restore().files, 2)

    def test_backup(self) -> None:
        self.back_up()
        self.refuse_writes()
        self.assertIn("Read-only", self.refusal(self.back_up))

    def refuse_writes(self) -> None:
        real = os.open

        def opened(path: Any, *args: Any) -> int:
            if Path(path) == self.target / "lock":
                raise OSError(errno.EROFS, "Read-only file system")
            return real(path, *args)

        self.patch(os, "open", opened)


class Meanwhile(BackupTestCase):
    def setUp(self) -> Any:
        ready = super().setUp()
        self.unknown = self.realm.uploads.folder / "unknown.bin"
        self.unknown.write_bytes(b"x")
        old = self.clock.seconds() - 7200
        os.utime(self.unknown, (old, old))
        return ready

    def check(self) -> CheckReport:
        wall = self.wall or self.clock.seconds
        return StateChecker(self.realm.state, self.engine, repair=True, wall=wall).check()

    def test_file_that_is_deleted(self) -> None:
        """A check does not keep a file that is deleted and has not left the disk yet."""
        with self.engine.begin() as connection:
            connection.execute(sa.insert(erased_files).values(stored="unknown.bin"))
        self.assertEqual(self.check().found, {})
        self.assertTrue(self.unknown.exists())

    def test_file_that_goes(self) -> None:
        """A file that leaves the disk meanwhile does not end the check."""

        def is_named(_connection: Any, stored: str) -> bool:
            self.unknown.unlink(missing_ok=True)
            return stored != "unknown.bin"

        with mock.patch.object(checking, "is_named", is_named):
            report = self.check()
        self.assertEqual((report.found, report.files), ({}, 2))
