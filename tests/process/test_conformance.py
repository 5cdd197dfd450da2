"""A daemon passes the conformance suite, with everything that the suite can check."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys

from chatd.conformance.chatd_control import ChatdActor
from chatd.conformance.command import main
from tests.support import ROOT
from tests.support.processes import DaemonTestCase, Home, in_thread

PREFIX = "conformance"
MORE = """

[peer conformance-one.example]

[peer conformance-two.example]

[peer conformance_three]
"""


class ConformanceTests(DaemonTestCase):
    @in_thread
    def test_chatd(self) -> None:
        home = Home(self.root, "tested.example", MORE)
        self.addCleanup(home.close)
        home.start()
        with home.daemon.talk() as talker:
            talker.must(command="register", username="ana", password="ana-secret")
            talker.must(command="addgroup", group="futsal")

        def restart() -> None:
            home.kill()
            home.start()

        actor = ChatdActor(("127.0.0.1", home.ports["json"]), "ana", "ana-secret", restart)
        self.addCleanup(actor.close)
        shown = io.StringIO()
        arguments = ["127.0.0.1", str(home.ports["peers"]), "--user", "ana", "--group", "futsal"]
        more = ["--strangers", "--prefix", PREFIX, "--patience", "20", "--json"]
        code = main([*arguments, *more], actor, shown)
        results = [json.loads(line) for line in shown.getvalue().splitlines()]
        failed = [each for each in results if each["outcome"] != "pass"]
        self.assertEqual((failed, code), ([], 0))
        self.command(home)

    def command(self, home: Home) -> None:
        """The same by the command line, with chatd's control program."""
        port = str(home.ports["json"])
        control = [sys.executable, "-m", "chatd.conformance.chatd_control", "127.0.0.1", port]
        words = "changes of a message | an edit and a deletion are sent"
        command = [sys.executable, "-m", "chatd.conformance", "127.0.0.1", str(home.ports["peers"])]
        options = ["--user", "ana", "--control", shlex.join([*control, "ana", "ana-secret"])]
        done = subprocess.run(
            [*command, *options, "--only", words], capture_output=True, text=True, cwd=ROOT
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        first, _, line, _, last = done.stdout.splitlines()
        self.assertRegex(first, "^tested.example takes lines, ")
        self.assertEqual(line, f"pass    edit, delete, react, pin: {words}")
        self.assertEqual(last, "1 passed, 0 failed, 0 skipped")
