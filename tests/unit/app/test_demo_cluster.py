"""Where three nodes on a throw-away PostgreSQL server can't be started."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from chatd.app import demo_cluster
from chatd.app.demo import DemoFailed, Screen
from chatd.app.postgres_programs import find_postgres


class WaitingTests(SynchronousTestCase):
    """Processes of the cluster on a port that another program has, which never answers."""

    async def wait(self, command: list[str]) -> None:
        """Start a process and wait for an answer on its port."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            screen = mock.Mock(spec=Screen)
            cluster = demo_cluster.DemoCluster(screen, Path())
            self.addCleanup(cluster.folder.rmdir)
            part = demo_cluster.ClusterPart(screen, "node2", command)
            await part.start(cluster.folder)
            port = other.getsockname()[1]
            try:
                await cluster._wait(part, demo_cluster._ping(port), port)
            finally:
                await part.stop(signal.SIGKILL)

    def test_ended(self) -> None:
        """It says at once that the process has ended."""
        with self.assertRaisesRegex(DemoFailed, "node2 can't start"):
            asyncio.run(self.wait(["false"]))

    def test_silent(self) -> None:
        self.patch(demo_cluster, "STARTING_TIME", 0.05)
        with self.assertRaisesRegex(DemoFailed, "node2 does not answer on port"):
            asyncio.run(self.wait(["sleep", "60"]))


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
            self.assertEqual(find_postgres(), folder)
