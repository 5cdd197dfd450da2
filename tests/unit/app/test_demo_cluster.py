"""Where three nodes on a throw-away PostgreSQL server can't be started."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from chatd.app import demo_cluster


class ProgramTests(SynchronousTestCase):
    def test_no_server(self) -> None:
        """It says what to install."""
        self.patch(demo_cluster, "find_postgres", lambda: None)
        self.patch(sys, "argv", ["demo_cluster"])
        error = self.assertRaises(SystemExit, demo_cluster.main)
        self.assertIn("install Debian's postgresql", str(error))

    def test_on_the_path(self) -> None:
        """What is on the PATH goes first."""
        folder = Path(self.mktemp()).resolve()
        folder.mkdir()
        program = folder / "initdb"
        program.touch(0o755)
        with mock.patch.dict("os.environ", PATH=str(folder)):
            self.assertEqual(demo_cluster.find_postgres(), folder)
