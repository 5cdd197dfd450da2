"""A daemon that is killed loses nothing that it has acknowledged (`tests.support.crash` kills more)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.support.crash import crash
from tests.support.processes import in_thread

KILLS = 3


class CrashTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-crash-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    @in_thread
    def test_kill_under_load(self) -> None:
        """Every acknowledged message is there once and in order, for those who were away and for
        those who were reading their inbox at that moment."""
        books = crash(self.folder, KILLS, seed=1)
        self.assertEqual(books.problems, [], str(books))
        self.assertEqual((books.lost, books.doubled, books.disordered), (0, 0, 0), str(books))
        self.assertEqual(books.kills, KILLS)
        self.assertGreater(books.acknowledged, KILLS * 100, "there was no load to speak of")
        self.assertGreater(books.read_before, 0, "nobody was reading")
