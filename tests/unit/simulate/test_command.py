"""The simulator as a program: the seeds that every run of the tests tries, and what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import chatd

ROOT = Path(chatd.__file__).parents[1]


def simulate(*arguments: str) -> tuple[int, str]:
    """Run the program. Returns its status, and what it has written."""
    command = [sys.executable, "-m", "chatd.simulate", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class CommandTestCase(SynchronousTestCase):
    def test_seeds(self) -> None:
        """No promise is broken."""
        status, said = simulate("--seeds", "1-8", "--jobs", "1")
        self.assertEqual(status, 0, said)
        self.assertIn("8 runs, 0 failed", said)

    def test_seed_of_nodes(self) -> None:
        """Nor is any if a realm has several nodes."""
        status, said = simulate("--seed", "1", "--nodes", "2", "--realms", "2")
        self.assertEqual(status, 0, said)
        self.assertIn("1 runs, 0 failed", said)

    def test_replay(self) -> None:
        """The same seed is the same run, to the letter."""
        one, two = (simulate("--seed", "2", "--realms", "2", "--trace") for _ in range(2))
        self.assertEqual(one[0], 0, one[1])
        self.assertRegex(one[1], r"seed 2: digest \w{16} of \d{3,} lines")
        first, second = (re.sub(r"\d+ s$", "", said.strip()) for _, said in (one, two))
        self.assertEqual(first, second)

    def test_stop_without_power(self) -> None:
        """With this seed, a realm would be stopped in order just after its machine has lost its power."""
        status, said = simulate("--seed", "442", "--faults", "kill,stop,full,fail,errors,power")
        self.assertEqual(status, 0, said)

    def test_unknown_fault(self) -> None:
        status, said = simulate("--seed", "1", "--faults", "kill,flood")
        self.assertNotEqual(status, 0)
        self.assertIn("flood: no such faults", said)

    def test_without_syncs(self) -> None:
        """If SQLite did not sync, the power would lose what was acknowledged, and the simulation says so."""
        options = ("--seeds", "42-45", "--jobs", "1", "--faults", "power", "--synchronous", "OFF")
        status, said = simulate(*options)
        self.assertEqual(status, 1, said)
        promise = "(both sides of a direct see the same|nothing acknowledged is lost)"
        self.assertRegex(said, rf"seed \d+: Violation: {promise}")
