"""Thread pools end with the process."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.thread_pools import DaemonPool
from tests.support import ROOT

PROGRAM = """
import threading
from chatd.base.thread_pools import DaemonPool

pool, done = DaemonPool(0, 1, name="it"), threading.Event()
pool.start()
pool.callInThread(done.set)
done.wait(10)
raise SystemExit(1)
"""


class DaemonPools(SynchronousTestCase):
    def test_idle_thread(self) -> None:
        """A process that ends does not wait for it."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, timeout=20, capture_output=True, check=False
        )
        self.assertEqual(done.returncode, 1, done.stderr)

    def test_names(self) -> None:
        """Threads have the name of their pool."""
        pool, found = DaemonPool(0, 1, name="it"), list[str]()
        pool.start()
        self.addCleanup(pool.stop)
        pool.callInThread(lambda: found.append(pool.threads[0].name))
        while not found:
            pass
        self.assertIn("it", found[0])
        self.assertTrue(pool.threads[0].daemon)
