"""/metrics: each event is counted once, and the format can be parsed."""

from __future__ import annotations

import re
from typing import Any

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import every_error
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.web import metrics
from chatd.web.metric_families import FAMILIES
from tests.support.common import sleep
from tests.support.metrics import MetricsTestCase, read


class Rows(SynchronousTestCase):
    """FAMILIES"""

    def test_names(self) -> None:
        """Names follow https://prometheus.io/docs/practices/naming/."""
        self.assertEqual(len({family.name for family in FAMILIES}), len(FAMILIES))
        for family in FAMILIES:
            self.assertRegex(family.name, r"\Achatd(_[a-z]+)+\Z")
            self.assertEqual(family.kind == "counter", family.name.endswith("_total"), family.name)
            self.assertIn(family.kind, ("gauge", "counter", "histogram"))
            self.assertNotRegex(family.name, r"milli|kilo|_ms\b|_kib", family.name)

    def test_helps(self) -> None:
        for family in FAMILIES:
            self.assertRegex(family.help, r"\A[A-Z1].*[^.]\Z", family.name)


class Format(MetricsTestCase):
    async def test_every_row_is_there(self) -> None:
        """Each metric is there with its help and type, beside those of the process and of Python."""
        answer = await self.served.ask("/metrics")
        self.assertEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        for family in FAMILIES:
            self.assertIn(f"# HELP {family.name} {family.help}\n", answer.body)
            self.assertIn(f"# TYPE {family.name} {family.kind}\n", answer.body)
        values = read(answer.body)
        self.assertGreater(values["process_resident_memory_bytes"], 1 << 20)
        self.assertTrue(any(name.startswith("python_info{") for name in values))
        self.assertTrue(any(re.match(r"chatd_build_info\{realm=realm1", each) for each in values))

    async def test_open_metrics(self) -> None:
        """The OpenMetrics format, for clients that prefer it."""
        answer = await self.served.ask(
            "/metrics", Accept="application/openmetrics-text;version=1.0.0,*/*;q=0.1"
        )
        self.assertTrue(answer.headers["content-type"].startswith("application/openmetrics-text;"))
        names = {family.name for family in open_metrics(answer.body)}
        self.assertLessEqual({family.name.removesuffix("_total") for family in FAMILIES}, names)

    async def test_a_version_that_is_none(self) -> None:
        for accept in ("application/openmetrics-text;version=x", "text/plain;version=x", ";;,"):
            answer = await self.served.ask("/metrics", Accept=accept)
            self.assertEqual(answer.status, 200, accept)
            self.assertIn("chatd_sessions", read(answer.body))

    async def test_nothing_else_is_there(self) -> None:
        for path in ("/", "/metrics/", "/metrics/x", "/Metrics", "/healthz", "/%6detrics/.."):
            self.assertEqual((await self.served.ask(path)).status, 404, path)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            self.assertEqual((await self.served.ask("/metrics", method)).status, 404, method)

    async def test_head(self) -> None:
        answer = await self.served.ask("/metrics", "HEAD")
        self.assertEqual((answer.status, answer.body), (200, ""))

    async def test_looking_is_not_logged(self) -> None:
        logged: list[Any] = []
        self.patch(metrics.log, "observer", logged.append)
        await self.values()
        self.assertEqual(logged, [])


class Counting(MetricsTestCase):
    async def test_nothing_yet(self) -> None:
        """Events that have not happened count as 0, and are not missing."""
        self.realm.door(PlainDialect())
        values = await self.values()
        zero = (
            "connections{door=plain}",
            "connections_opened_total{door=plain}",
            "sessions",
            "listeners",
        )
        more = ("accounts_online", "messages_delivered_total", "files_given_bytes_total")
        self.check(values, **dict.fromkeys((*zero, *more, "transactions_failed_total"), 0))
        for error in every_error():
            self.assertEqual(values[f"chatd_errors_total{{code={error.code}}}"], 0)

    async def test_connections(self) -> None:
        wires = [self.connect(JsonDialect()) for _ in range(3)] + [self.connect(PlainDialect())]
        wires[0].lose(Failure(ConnectionDone()))
        values = await self.values()
        self.check(
            values,
            **{
                "connections{door=json}": 2,
                "connections{door=plain}": 1,
                "connections_opened_total{door=json}": 3,
            },
        )

    async def test_people(self) -> None:
        """A session on two connections is one; an account with two sessions is one, too."""
        messi, lineker = await self.register("messi"), await self.register("lineker")
        again = self.connect(JsonDialect())
        reply = await again.ask(command="auth", username="messi", password="messi-password")
        third = self.connect(JsonDialect())
        await third.ask(command="resume", tokenId=reply["tokenId"], token=reply["tokenId"])
        for wire in (messi, again):
            await wire.ask(command="listen", on=True)
        self.check(await self.values(), sessions=3, accounts_online=2, listeners=2)
        await lineker.ask(command="logout")
        await messi.ask(command="listen", on=False)
        self.check(await self.values(), sessions=2, accounts_online=1, listeners=1)

    async def test_messages(self) -> None:
        """A message counts once, however many listeners get it; deliveries count for each listener."""
        messi, lineker = await self.register("messi"), await self.register("lineker")
        ears = []
        for _ in range(2):
            ear = self.connect(JsonDialect())
            await ear.ask(command="auth", username="lineker", password="lineker-password")
            await ear.ask(command="listen", on=True)
            ears.append(ear)
        await messi.ask(command="addgroup", group="bagan")
        await lineker.ask(command="joingroup", group="bagan")
        for _ in range(3):
            await messi.ask(command="send", to="lineker", text="halo")
        await messi.ask(command="sendgroup", group="bagan", text="halo")
        await messi.ask(command="send", to="nobody", text="halo")
        self.check(
            await self.values(),
            **{
                "messages_stored_total{kind=direct}": 3,
                "messages_stored_total{kind=group}": 1,
                "messages_delivered_total": 8,
            },
        )

    async def test_sent_again(self) -> None:
        """A repeated send with the same key does not count again."""
        messi = await self.register("messi")
        await self.register("lineker")
        for _ in range(2):
            await messi.ask(command="send", to="lineker", text="halo", key="k1")
        self.check(await self.values(), **{"messages_stored_total{kind=direct}": 1})

    async def test_senders_do_not_get_their_own(self) -> None:
        """Senders do not get their own message: of 2 messages passed together to 3 listeners, each sender
        gets one less."""
        names = ("messi", "lineker", "henderson")
        wires = [await self.register(name) for name in names]
        await wires[0].ask(command="addgroup", group="bagan")
        for wire in wires:
            await wire.ask(command="joingroup", group="bagan")
            await wire.ask(command="listen", on=True)
        for wire in wires[:2]:
            wire.feed(b'{"command":"sendgroup","group":"bagan","text":"halo"}\r\n')
        await sleep(0.05)
        values = await self.values()
        self.check(
            values, **{"messages_stored_total{kind=group}": 2, "messages_delivered_total": 4}
        )

    async def test_errors(self) -> None:
        """Errors of commands and of malformed lines, in any dialect, answered at once or later."""
        messi, plain = await self.register("messi"), self.connect(PlainDialect())
        await messi.ask(command="send", to="nobody", text="halo")
        await messi.ask(command="nonsense")
        messi.feed(b"nonsense\r\n")
        await messi.line()
        plain.feed(b"nonsense\r\n")
        plain.feed(b"inbox\r\n")
        await plain.until(lambda data: b"not-logged-in" in data)
        self.check(
            await self.values(),
            **{
                "errors_total{code=unknown-user}": 1,
                "errors_total{code=unknown-command}": 2,
                "errors_total{code=bad-syntax}": 1,
                "errors_total{code=not-logged-in}": 1,
                "errors_total{code=usage}": 0,
            },
        )

    async def test_files(self) -> None:
        """Bytes from and to people of this realm."""
        messi = await self.register("messi")
        data = b"x" * 100_000
        await messi.ask(command="sendfile", to="messi", filename="a.bin", size=len(data))
        messi.feed(data)
        code = (await messi.line())["code"]
        messi.feed(b'{"command":"getfile","code":"%s"}\r\n' % code.encode())
        await messi.until(lambda found: found.endswith(b"x"))
        await sleep(0.05)
        self.check(
            await self.values(),
            files_received_bytes_total=len(data),
            files_given_bytes_total=len(data),
        )
