"""Runs of many seeds from the command line say which have failed, and leave nothing behind."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.support.seeds import run_seeds


class SeedsTestCase(TestCase):
    def setUp(self) -> None:
        self.written = io.StringIO()
        self.patch(sys, "stdout", self.written)
        self.before = Path.cwd()
        self.seen: list[int] = []

    def play(self, seed: int) -> None:
        Path(f"of {seed}").mkdir()
        self.seen.append(seed)
        if seed % 2 == 0:
            raise AssertionError(f"{seed} is even")

    def test_failed_seeds(self) -> None:
        with self.assertRaises(SystemExit) as ended:
            run_seeds(self.play, range(1, 5))
        self.assertEqual(ended.exception.code, 1)
        self.assertEqual(self.seen, [1, 2, 3, 4])
        self.assertIn("4 is even", self.written.getvalue())
        self.assertTrue(self.written.getvalue().endswith("2 failed: 2, 4\n"))

    def test_good_seeds(self) -> None:
        run_seeds(self.play, [1, 3])
        self.assertEqual(self.written.getvalue(), "0 failed\n")

    def test_folders(self) -> None:
        run_seeds(self.play, [1])
        self.assertEqual(Path.cwd(), self.before)
        self.assertFalse(Path("of 1").exists())
