"""chatctl and a real daemon: the first operator, a killed realm, and its socket."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.order import long_test
from tests.support.processes import DaemonTestCase, in_thread

ROOT = Path(__file__).parents[2]


class Chatctl(DaemonTestCase):
    def ctl(self, *words: str, typed: str = "") -> tuple[int, dict[str, Any]]:
        """The exit code and the reply."""
        command = [sys.executable, "-m", "chatd.ctl", "--json", "-c", str(self.root / "chatd.ini")]
        done = subprocess.run(
            [*command, *words],
            input=typed,
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
        return done.returncode, json.loads(done.stdout or "{}")

    @long_test
    @in_thread
    def test_from_the_first_operator_to_a_killed_realm(self) -> None:
        """The first operator of an empty realm is made before it runs. The socket of a killed realm is
        replaced, and what it has done stays in the log."""
        port = self.configure()
        adding = ("user", "add", "messi", "--role", "operator", "--password-stdin")
        self.assertEqual(self.ctl(*adding, typed="surabaya\n")[0], 0)
        daemon = self.launch(port, "--config", "../chatd.ini")
        daemon.listening()
        self.assertFalse((self.root / "state" / "operator-code").exists())
        code, reply = self.ctl("user", "disable", "messi", "testing")
        self.assertEqual((code, reply["status"]), (0, "OK"))
        daemon.kill()
        self.assertTrue((self.root / "state" / "control.sock").is_socket())
        self.assertEqual(self.ctl("audit")[0], 3)
        self.launch(port, "--config", "../chatd.ini").listening()
        _, reply = self.ctl("audit")
        found = [(each["act"], each["outcome"]) for each in reply["entries"]]
        self.assertEqual(found, [("admin.user.disable", "done"), ("admin.user.add", "done")])
        self.assertRegex(reply["entries"][0]["actor"], "^local:")
