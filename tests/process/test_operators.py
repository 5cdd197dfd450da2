"""Where a real daemon shows the code for the first operator."""

from __future__ import annotations

import os
import pty

from tests.support.processes import DaemonTestCase, in_thread, wait_until


class Daemons(DaemonTestCase):
    @in_thread
    def test_the_log_names_the_file_and_not_the_code(self) -> None:
        daemon = self.start()
        path = self.root / "state" / "operator-code"
        code = path.read_text().strip()
        self.assertIn(f"send claim with the code in {path}", daemon.out)
        self.assertNotIn(code, daemon.out + daemon.err)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        with daemon.register("messi") as messi:
            messi.must(command="claim", code=code)
        self.assertNotIn(code, daemon.out + daemon.err)
        self.assertFalse(path.exists())

    @in_thread
    def test_a_terminal_shows_it(self) -> None:
        """An operator who starts the daemon on a terminal sees the code there."""
        port = self.configure()
        leader, follower = pty.openpty()
        for end in (leader, follower):
            self.addCleanup(os.close, end)
        daemon = self.launch(port, "--config", "../chatd.ini", stdout=os.ttyname(follower))
        seen = bytearray()

        def read() -> bool:
            seen.extend(os.read(leader, 4096))
            return b"type: claim " in seen

        wait_until(read, lambda: f"the code: {bytes(seen)!r}")
        code = (self.root / "state" / "operator-code").read_text().strip()
        self.assertIn(f"type: claim {code}".encode(), bytes(seen))
        daemon.kill()
