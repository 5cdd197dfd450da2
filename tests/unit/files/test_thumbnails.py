"""Thumbnails come and go with their files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatd.files import thumbnails
from chatd.files.thumbnails import ThumbnailFolder
from tests.support.pictures import picture


class ThumbnailFolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.stored = {"a.png", "b.png", "é c.png"}
        self.folder = self.open()
        self.body = picture("WEBP")

    def open(self) -> ThumbnailFolder:
        folder = ThumbnailFolder(self.path, lambda stored: stored in self.stored)
        folder.start()
        return folder

    def names(self) -> list[str]:
        return sorted(each.name for each in self.path.iterdir())

    def test_kept(self) -> None:
        self.assertIsNone(self.folder.read("é c.png"))
        self.folder.write("é c.png", self.body)
        self.assertEqual(self.folder.read("é c.png"), self.body)
        self.assertEqual(stat.S_IMODE((self.path / "é c.png").stat().st_mode), 0o600)
        self.folder.remove("é c.png")
        self.folder.remove("é c.png")
        self.assertEqual(self.names(), [])

    def test_of_a_file_that_is_gone(self) -> None:
        self.stored.remove("a.png")
        self.folder.write("a.png", self.body)
        self.assertEqual(self.names(), [])

    def test_damaged(self) -> None:
        """A thumbnail that a crash has damaged counts as missing."""
        for damaged in (b"", self.body[:-1], bytes(len(self.body))):
            (self.path / "a.png").write_bytes(damaged)
            self.assertIsNone(self.folder.read("a.png"))

    def test_disk_full(self) -> None:
        def fail(_descriptor: int) -> None:
            raise OSError("no room")

        self.patch(os, "fsync", fail)
        with self.assertRaises(OSError):
            self.folder.write("a.png", self.body)
        self.assertEqual(self.names(), [])

    def test_at_the_start(self) -> None:
        """Unfinished thumbnails, and those without a file, are removed."""
        self.folder.write("a.png", self.body)
        self.folder.write("b.png", self.body)
        (self.path / ".new-1").write_bytes(b"")
        again = self.open()
        again.clean({"a.png"})
        self.assertEqual(self.names(), ["a.png"])
        self.assertEqual(again._files, 1)

    def test_too_many(self) -> None:
        """Those that were not used for the longest time make room."""
        self.patch(thumbnails, "MAX_FILES", 10)
        self.stored = {f"{number:02}.png" for number in range(12)}
        for number in range(10):
            self.folder.write(f"{number:02}.png", self.body)
            os.utime(self.path / f"{number:02}.png", (number, number))
        self.folder.read("00.png")
        self.folder.write("10.png", self.body)
        self.assertEqual(self.names(), ["00.png", *(f"{n:02}.png" for n in range(3, 11))])
        self.folder.write("11.png", self.body)
        self.assertEqual(len(self.names()), 10)
