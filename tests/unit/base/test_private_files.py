"""Writing files that only this user may read."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.private_files import write_private


class Writing(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "secret"

    def test_replaces_the_file(self) -> None:
        self.path.write_bytes(b"old")
        (self.folder / "secret.new").write_bytes(b"of an interrupted try")
        write_private(self.path, b"new")
        self.assertEqual(self.path.read_bytes(), b"new")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(list(self.folder.iterdir()), [self.path])

    def test_full_disk(self) -> None:
        self.path.write_bytes(b"old")
        full = mock.patch("os.fsync", side_effect=OSError(28, "No space left on device"))
        with full, self.assertRaises(OSError):
            write_private(self.path, b"new")
        self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(list(self.folder.iterdir()), [self.path])
