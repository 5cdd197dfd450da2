"""A daemon that was killed refuses to start on a database that has lost its log."""

from __future__ import annotations

from tests.support.processes import DaemonTestCase, in_thread


class DaemonIntegrity(DaemonTestCase):
    @in_thread
    def test_kill_and_lost_log(self) -> None:
        """The error is one sentence, and the daemon starts with --accept-loss."""
        daemon = self.start()
        with daemon.register("ana") as talker:
            talker.must(command="send", to="ana", text="halo")
        daemon.kill()
        (self.root / "state" / "chatd.db-wal").unlink()
        refused = self.launch(daemon.port, "--config", "../chatd.ini")
        self.assertEqual(refused.ended(), 1)
        self.assertEqual(refused.err.count("\n"), 1, refused.err)
        self.assertIn("--accept-loss", refused.err)
        self.launch(daemon.port, "--config", "../chatd.ini", "--accept-loss").listening().stop()
        self.launch(daemon.port, "--config", "../chatd.ini").listening().stop()
