"""Where downloads are saved, and that nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

import chatd.client
from chatd.client import file_transfer
from chatd.client.file_transfer import PartialDownload

CLIENT = Path(chatd.client.__file__).parent
MESSAGE = {"conversation": 2, "seq": 3, "id": 7, "from": "budi", "at": "2026-11-20T10:15:03Z"}


class DownloadTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def test_name_appears_when_complete(self) -> None:
        saving = PartialDownload(self.folder, "plan.txt")
        saving.write(b"Friday")
        self.assertFalse((self.folder / "plan.txt").exists())
        self.assertEqual(saving.keep().read_bytes(), b"Friday")
        self.assertEqual(len(list(self.folder.iterdir())), 1)

    def test_dropped(self) -> None:
        saving = PartialDownload(self.folder, "plan.txt")
        saving.write(b"Fri")
        saving.drop()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_existing_file_is_kept(self) -> None:
        """An existing entry is not replaced, even if it is a broken symbolic link."""
        self.folder.mkdir()
        (self.folder / "plan.txt").symlink_to(self.folder / "elsewhere")
        saving = PartialDownload(self.folder, "plan.txt")
        self.assertEqual(saving.keep().name, "plan (1).txt")
        self.assertFalse((self.folder / "elsewhere").exists())

    def test_folders(self) -> None:
        base = Path("base")
        self.assertEqual(file_transfer.folder_for(base, "lina", None), base / "download/lina")
        self.assertEqual(file_transfer.folder_for(base, "..", "futsal"), base / "downloadgroup/_..")
