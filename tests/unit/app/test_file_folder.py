"""A realm whose files are in a folder that other nodes share."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import msgspec
from twisted.trial.unittest import TestCase

from chatd.app.backup.manifest import read_manifest
from chatd.app.backup.restoring import BackupRestorer
from chatd.app.realm import StartOptions
from chatd.app.state import StartError, StateFolder
from chatd.base.config import Config, FilesConfig
from chatd.base.names import Address
from chatd.files import disk_space
from chatd.files.shared_folder import LOCK, SharedFolder
from chatd.simulate.databases import connect_without_sync
from tests.support.common import Realm, make_config
from tests.unit.app import test_backup as backups


class SharedFolderOfRealm(backups.BackupTestCase):
    def make_config(self) -> Config:
        self.shared = (self.folder / "disk" / "shared").absolute()
        return msgspec.structs.replace(super().make_config(), files=FilesConfig(folder=self.shared))

    def stored(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.shared))
            for path in self.shared.rglob("*")
            if path.is_file() and path.name != LOCK
        )

    def test_files(self) -> None:
        """They are in that folder, and the state folder has none."""
        self.assertIsInstance(self.realm.uploads, SharedFolder)
        self.assertEqual(self.stored(), sorted([self.first, self.second]))
        self.assertFalse((self.realm.state.path / "uploads").exists())

    def test_space_on_both_disks(self) -> None:
        """The smaller one counts."""
        state = self.realm.config.state

        def measure(folder: Path) -> tuple[int, int]:
            return (1 if folder == state else 1 << 40), 1 << 40

        with mock.patch.object(disk_space, "measure", measure):
            self.realm.service.disk.look()
        self.assertTrue(self.realm.service.disk.low)

    def test_backup(self) -> None:
        """It has the files, and they are restored into a shared folder again."""
        self.back_up()
        made = read_manifest(self.target)
        assert made is not None
        self.assertEqual((made.files, made.missing), (2, ()))
        folder = self.folder / "other" / "shared"
        state = StateFolder(self.folder / "restored", connect_without_sync, folder)
        state.claim()
        self.addCleanup(state.release)
        report = BackupRestorer("realm1", state, self.target).restore()
        self.assertEqual((report.files, report.missing), (2, ()))
        self.assertEqual((folder / self.first).read_bytes(), b"halo")

    def test_backup_among_the_files(self) -> None:
        for target in (self.shared / "backup", self.shared.parent, self.shared):
            refusal = self.refusal(lambda target=target: self.back_up(target))  # type: ignore[misc]
            self.assertIn("contain each other", refusal)

    async def test_left_after_a_crash(self) -> None:
        """An unknown file that is new is left alone at the start: its message may be about to be stored."""
        (self.shared / "unknown").write_bytes(b"x")
        await self.reopen()
        self.assertIn("unknown", self.stored())
        file = await self.realm.service.downloads.fetch(self.ana, "a.bin")
        self.assertEqual(await file.file.read(10), b"halo")
        await file.file.close()

    async def test_not_mounted(self) -> None:
        """A folder without any of the files does not count as one whose files are lost."""
        await self.realm.close()
        self.shared.rename(self.shared.with_name("mounted"))
        for accepts in (False, True):
            realm = Realm(self.realm.config, self.realm.clock, self.realm.random_bytes)
            self.realm = realm
            realm.options = StartOptions(accept_loss=accepts)
            if accepts:
                realm.open()
            else:
                refusal = str(self.assertRaises(StartError, realm.open))
                self.assertIn("has none of the 2 files that the database names", refusal)
                realm.release()

    async def test_messages_on_the_same_folder(self) -> None:
        """A second realm object, as of another node, reads what this one has stored."""
        other = SharedFolder(self.realm.environment.reactor, self.shared)
        other.start()
        self.addCleanup(other.stop)
        upload = await self.realm.service.files.begin(self.ana, [Address("budi")], "c.bin", 3, None)
        upload.write(b"abc")
        file, _ = await upload.finish()
        self.assertTrue(await other.is_whole(file))


class Unusable(TestCase):
    def test_refused(self) -> None:
        """The start names the key, the folder and the reason."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"")
        files = FilesConfig(folder=folder / "file" / "shared")
        config = msgspec.structs.replace(make_config(folder / "state"), files=files)
        realm = Realm(config)
        self.addCleanup(realm.release)
        refusal = str(self.assertRaises(StartError, realm.open))
        self.assertIn(f"[files] folder is {files.folder} and can't be used: ", refusal)
