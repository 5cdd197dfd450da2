"""Tests that are not measured run without any measurement."""

from __future__ import annotations

import os
from unittest import mock

from coverage import Coverage
from twisted.trial.unittest import SynchronousTestCase

from tests.support import ROOT
from tests.support.measuring import AGAIN, OF_PROCESSES, UNMEASURED, measured


class MeasuredTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """Measure twice, as in a worker of pytest-xdist, and processes too."""
        environment = mock.patch.dict(os.environ, {OF_PROCESSES: "as set"})
        environment.start()
        self.addCleanup(environment.stop)
        self.found = [Coverage(data_file=None, config_file=False) for _ in range(2)]
        for each in self.found:
            each.start()
            self.addCleanup(each.stop)

    def test_of_an_unmeasured_test(self) -> None:
        """Nothing is measured as long as it runs, and all that was afterwards."""
        for name in (
            f"{UNMEASURED[0]}test_any.py::Any::test",
            f"tests/unit/test_any.py::Any::test{AGAIN}",
        ):
            with measured(name):
                self.assertIsNone(Coverage.current())
                self.assertNotIn(OF_PROCESSES, os.environ)
        self.assertIs(Coverage.current(), self.found[1])
        self.found[1].stop()
        self.assertIs(Coverage.current(), self.found[0])
        self.assertEqual(os.environ[OF_PROCESSES], "as set")

    def test_of_another(self) -> None:
        with measured("tests/unit/test_any.py::Any::test"):
            self.assertIs(Coverage.current(), self.found[1])
            self.assertEqual(os.environ[OF_PROCESSES], "as set")

    def test_the_names_are_of_tests(self) -> None:
        for name in UNMEASURED:
            file, *parts = name.split("::")
            self.assertTrue((ROOT / file).exists(), name)
            for part in parts:
                self.assertRegex((ROOT / file).read_text(), rf"\n *(class|def) {part}")
