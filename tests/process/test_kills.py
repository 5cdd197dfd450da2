"""A daemon that is killed loses no acknowledged message (`tests.support.kills` kills more often)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.support.kills import kill_repeatedly
from tests.support.order import long_test
from tests.support.processes import in_thread

KILLS = 2


class KillTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-kills-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    @long_test
    @in_thread
    def test_kill_under_load(self) -> None:
        """Each acknowledged message is stored, once and in order, for users who were offline and for those
        who were reading their inbox."""
        report = kill_repeatedly(self.folder, KILLS, seed=1)
        self.assertEqual(report.problems, [], str(report))
        self.assertEqual((report.lost, report.doubled, report.disordered), (0, 0, 0), str(report))
        self.assertEqual(report.kills, KILLS)
        self.assertGreater(report.acknowledged, KILLS * 100, "there was no load to speak of")
        self.assertGreater(report.read_before, 0, "no user was reading")
