"""A daemon passes the conformance suite, with everything that the suite can check."""

from __future__ import annotations

import io
import json

from chatd.conformance.chatd_control import ChatdActor
from chatd.conformance.command import main
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
        more = ["--strangers", "--prefix", PREFIX, "--json"]
        code = main([*arguments, *more], actor, shown)
        results = [json.loads(line) for line in shown.getvalue().splitlines()]
        failed = [each for each in results if each["outcome"] != "pass"]
        self.assertEqual((failed, code), ([], 0))
