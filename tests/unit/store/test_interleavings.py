"""Nodes that write to one database, stepped statement by statement: see tests.support.interleavings."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from chatd.store.node_turns import NodeTurns
from tests.support.interleavings.runs import run_seed
from tests.support.order import long_test
from tests.support.postgres import MISSING, server

SEEDS = range(1, 17)


class Interleavings(SynchronousTestCase):
    def setUp(self) -> None:
        if server() is None:
            raise SkipTest(MISSING)

    @long_test
    def test_seeds(self) -> None:
        for seed in SEEDS:
            problems = run_seed(seed).problems
            self.flushLoggedErrors()
            self.assertEqual(problems, [], f"python -m tests.support.interleavings --seeds {seed}")

    def test_repeated(self) -> None:
        """A seed decides the whole run."""
        seed = SEEDS[1]
        self.assertEqual(run_seed(seed).trace, run_seed(seed).trace)

    def test_finds_a_fault(self) -> None:
        """A node that does not notice what others have committed is found."""
        begin = NodeTurns.begin

        def notice_nothing(turns: NodeTurns, *args: Any) -> bool:
            begin(turns, *args)
            return False

        self.patch(NodeTurns, "begin", notice_nothing)
        problems = [problem for seed in SEEDS[:3] for problem in run_seed(seed).problems]
        self.flushLoggedErrors()
        self.assertIn("the entries of a log", "\n".join(problems))
