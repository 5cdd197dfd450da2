"""Three nodes, two PostgreSQL servers, Redis and another realm, some of which fail (`python -m tests.nodes`
makes many more faults)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.nodes.people import Size
from tests.nodes.run import Run
from tests.support import postgres, redis
from tests.support.order import long_test
from tests.support.processes import in_thread

FAULTS = 4
SEED = 83  # Redis and a node are killed, another one is paused, and the primary fails over
PACE = 0.3
SIZE = Size(writers=2, listeners=1, peers=1)


class FaultTests(TestCase):
    timeout = 180
    if postgres.find_programs() is None:
        skip = postgres.MISSING
    elif not redis.is_installed():
        skip = redis.MISSING

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-nodes-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    @long_test
    @in_thread
    def test_faults(self) -> None:
        """Nothing that was acknowledged is lost or stored twice, all logs are in order, and everybody has all
        of them in the end."""
        report = Run(self.folder, SEED, SIZE, pace=PACE).run(FAULTS)
        self.assertEqual(report.problems, [], str(report))
        self.assertEqual(sum(report.faults.values()), FAULTS)
        self.assertGreater(report.acknowledged, 50, str(report))
        self.assertGreater(report.live, 50, str(report))
