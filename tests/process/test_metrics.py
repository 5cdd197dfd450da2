"""/metrics: what is counted is counted once, and what is shown can be read."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Sequence
from typing import Any

import msgspec
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.counters import JOBS
from chatd.base.errors import StorageFailed, every_error
from chatd.base.model import RealmInfo
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.web import metrics
from chatd.web.metrics import FAMILIES, MAX_REALMS
from chatd.web.metrics_site import MetricsSite
from tests.support.common import Realm, RealmTestCase, Wire, sleep
from tests.support.peering import PeeringTestCase, until
from tests.support.processes import DaemonTestCase, free_port, in_thread
from tests.support.websites import SiteTestCase

PATIENCE = 10.0  # seconds that an answer may take

Values = dict[str, float]


class Answer(msgspec.Struct, frozen=True):
    """What came back. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def fetch(port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    """Ask on a connection of one's own. Blocks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        names = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, names, reply.read().decode())
    finally:
        connection.close()


class Served:
    """`site` on a port that is closed when the test ends."""

    def __init__(self, test: Any, site: Any) -> None:
        net: Any = reactor
        listening = net.listenTCP(0, site, interface="127.0.0.1")
        test.addCleanup(listening.stopListening)
        self.port: int = listening.getHost().port

    def ask(self, path: str, method: str = "GET", **headers: str) -> Deferred[Answer]:
        return deferToThread(fetch, self.port, path, method, **headers)


def read(text: str) -> Values:
    """The samples, by their names with the labels in order."""
    return {
        _shown(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _shown(name: str, labels: dict[str, str]) -> str:
    inner = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
    return f"{name}{{{inner}}}" if inner else name


def site_of(realm: Realm) -> MetricsSite:
    return MetricsSite(realm.environment.reactor, realm.service, realm.sessions, realm.connections)


class MetricsTestCase(RealmTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.served = Served(self, site_of(self.realm))

    def connect(self, dialect: Dialect, host: str = "127.0.0.1") -> Wire:
        wire = super().connect(dialect, host)

        def leave() -> None:
            if wire.transport.connected:
                wire.lose(Failure(ConnectionDone()))

        self.addCleanup(leave)
        return wire

    async def values(self) -> Values:
        answer = await self.served.ask("/metrics")
        self.assertEqual(answer.status, 200, answer)
        return read(answer.body)

    async def register(self, name: str) -> Wire:
        wire = self.connect(JsonDialect())
        reply = await wire.ask(command="register", username=name, password=f"{name}-password")
        self.assertEqual(reply["status"], "OK", reply)
        return wire

    def check(self, values: Values, **expected: float) -> None:
        """These have these values; their names are given without `chatd_`."""
        found = {name: values[f"chatd_{name}"] for name in expected}
        self.assertEqual(found, expected)


class Rows(SynchronousTestCase):
    """FAMILIES"""

    def test_names(self) -> None:
        """As Prometheus would have them: https://prometheus.io/docs/practices/naming/"""
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
        """With its help and its type, beside what is told of the process and of Python."""
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
        """For who prefers it."""
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
        """What has not happened is 0, and not missing."""
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
        """A message counts once, however many hear it; and those once each."""
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
        """Under the same key it is no message more."""
        messi = await self.register("messi")
        await self.register("lineker")
        for _ in range(2):
            await messi.ask(command="send", to="lineker", text="halo", key="k1")
        self.check(await self.values(), **{"messages_stored_total{kind=direct}": 1})

    async def test_those_who_said_it_themselves(self) -> None:
        """Of what goes out together each is given what others said: 2 messages to 3, less each his own."""
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
        """Of commands and of lines, in any dialect, whether they were asked for at once or later."""
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
        """Bytes in and out, of people here."""
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


class OverHttp(SiteTestCase):
    """The browser's door."""

    async def test_refusals_and_connections(self) -> None:
        """Refusals over HTTP count as others do, and a connection counts at the door that it is at."""
        counters, connections = self.realm.service.counters, self.connections
        await self.ask("GET", "/nowhere")
        await self.ask("POST", "/session", {"username": "nobody", "password": "x"})
        self.assertEqual(counters.errors, {"unknown-page": 1, "unknown-user": 1})
        cookie = (await self.register("messi")).cookie
        await until(lambda: connections.by_door["web"] == 0)
        opened = connections.opened["web"]
        socket = await self.open(cookie)
        await socket.ask(command="nonsense")
        self.assertEqual(counters.errors["unknown-command"], 1)
        self.assertEqual(connections.by_door, {"web": 1})
        self.assertEqual(connections.opened["web"], opened + 2)  # as HTTP, and as a WebSocket

    async def test_files(self) -> None:
        """Bytes that go over HTTP count as others do."""
        counters = self.realm.service.counters
        cookie = (await self.register("messi")).cookie
        path = f"/uploads/{'k' * 22}?to=messi&filename=a.bin&size=5000"
        kept = await self.ask("PUT", path, b"x" * 5000, cookie=cookie)
        self.assertEqual(kept.code, 200, kept)
        fetched = await self.ask("GET", f"/files/{kept.json['code']}", cookie=cookie)
        self.assertEqual(len(fetched.body), 5000)
        self.assertEqual((counters.received, counters.given, counters.direct), (5000, 5000, 1))


class Transactions(MetricsTestCase):
    async def test_jobs_in_one(self) -> None:
        """What one turn brings is one transaction, and counts as one."""
        before = await self.values()

        def job(_connection: Connection) -> None: ...

        await gatherResults([self.realm.database.run(job) for _ in range(30)])
        after = await self.values()
        for name in ("transaction_jobs_count", "transaction_seconds_count"):
            self.assertEqual(after[f"chatd_{name}"] - before[f"chatd_{name}"], 1, name)
        self.assertEqual(
            after["chatd_transaction_jobs_sum"], before["chatd_transaction_jobs_sum"] + 30
        )
        bucket = "chatd_transaction_jobs_bucket{le=%s}"
        rises = [after[bucket % float(le)] - before[bucket % float(le)] for le in JOBS]
        self.assertEqual(rises, [float(le >= 30) for le in JOBS])
        self.assertEqual(after[bucket % "+Inf"], after["chatd_transaction_jobs_count"])
        self.assertGreater(after["chatd_transaction_seconds_sum"], 0)

    async def test_failed(self) -> None:
        """One of which nothing was kept; not one of whose jobs one was refused."""

        def full(_connection: Connection) -> None:
            raise OperationalError("INSERT", (), Exception("database or disk is full"))

        def refuse(_connection: Connection) -> None:
            raise StorageFailed

        for job in (full, refuse):
            await self.assertFailure(self.realm.database.run(job), StorageFailed)
        self.check(await self.values(), transactions_failed_total=1, database_queue_jobs=0)

    async def test_queue(self) -> None:
        """Those of this turn, and those that the writer has."""

        def job(_connection: Connection) -> None: ...

        first = self.realm.database.run(job)
        self.assertEqual(self.realm.database.queued, 1)
        await sleep(0)  # it is handed over
        second = self.realm.database.run(job)
        self.assertIn(self.realm.database.queued, (1, 2))
        await gatherResults([first, second])
        self.assertEqual(self.realm.database.queued, 0)


class Realms(MetricsTestCase):
    """Other realms, as `realms` has them."""

    def setUp(self) -> None:
        self.known: Deferred[Sequence[RealmInfo]] = succeed(())
        self.asked = 0
        super().setUp()

    def show(self, realms: Deferred[Sequence[RealmInfo]]) -> None:
        """These are known from now on."""

        def all_realms() -> Deferred[Sequence[RealmInfo]]:
            self.asked += 1
            return realms

        self.patch(self.realm.directory, "all", all_realms)
        self.served = Served(self, site_of(self.realm))

    def info(self, name: str, state: str = "down", queued: int = 0, age: float = 0) -> RealmInfo:
        """`age` is for how many seconds something waits already."""
        oldest = int((self.realm.clock.seconds() - age) * 1000) if queued else None
        return RealmInfo(name, state, 0, None, f"{name}:8890", queued, oldest, None, None)

    async def test_states_and_what_waits(self) -> None:
        self.show(
            succeed([self.info("realm2", "up"), self.info("realm3", "connecting", 3, age=60)])
        )
        values = await self.values()
        self.check(
            values,
            **{
                "database_answers": 1,
                "link_state{realm=realm2,state=up}": 1,
                "link_state{realm=realm2,state=down}": 0,
                "link_state{realm=realm3,state=up}": 0,
                "link_state{realm=realm3,state=connecting}": 1,
                "outbox_parcels{realm=realm2}": 0,
                "outbox_parcels{realm=realm3}": 3,
                "outbox_oldest_seconds{realm=realm2}": 0,
            },
        )
        age = values["chatd_outbox_oldest_seconds{realm=realm3}"]
        self.assertTrue(60 <= age < 70, age)

    async def test_labels_come_to_an_end(self) -> None:
        """However many come by: the rest is added up, and who was added here is not among it."""
        strangers = [
            RealmInfo(f"a{n}", "up", 0, "in", None, 1, 0, None, None) for n in range(MAX_REALMS + 9)
        ]
        self.show(succeed([*strangers, self.info("zz", "down", 2)]))
        values = await self.values()
        labels = {name for name in values if name.startswith("chatd_outbox_parcels")}
        self.assertEqual(len(labels), MAX_REALMS + 1)
        self.check(
            values,
            **{
                "outbox_parcels{realm=zz}": 2,
                "outbox_parcels{realm=(others)}": 10,
                "link_state{realm=(others),state=up}": 10,
                "link_state{realm=(others),state=down}": 0,
            },
        )

    async def test_a_stuck_database(self) -> None:
        """All else is told in time, and the question is put once, however often somebody looks."""
        self.patch(metrics, "PATIENCE", 0.1)
        self.show(Deferred())
        for _ in range(2):
            answers = await gatherResults([self.served.ask("/metrics") for _ in range(3)])
            for answer in answers:
                values = read(answer.body)
                self.check(values, database_answers=0, sessions=0)
                self.assertFalse(
                    [name for name in values if "realm=" in name and "build" not in name]
                )
        self.assertEqual(self.asked, 1)

    async def test_a_database_that_fails(self) -> None:
        await self.realm.database.stop()
        self.check(await self.values(), database_answers=0, sessions=0)

    async def test_who_looked_is_gone(self) -> None:
        """Nobody is answered, and nothing is logged."""
        known: Deferred[Sequence[RealmInfo]] = Deferred()
        self.show(known)

        def ask_and_go() -> None:
            with socket.create_connection(("127.0.0.1", self.served.port)) as connection:
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")

        await deferToThread(ask_and_go)
        await until(lambda: self.asked)
        await sleep(0.05)
        known.callback(())
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_foreign_host(self) -> None:
        """A page whose name was rebound to this machine reads nothing."""
        for head, status in (
            (b"GET /metrics HTTP/1.1\r\nHost: evil.example:8551\r\n\r\n", b"421"),
            (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
            (b"GET /metrics HTTP/1.1\r\nHost: realm1:8551\r\n\r\n", b"200"),
        ):
            found = await deferToThread(self.ask_raw, head)
            self.assertEqual(found.split()[1], status)
            self.assertEqual(b"chatd_" in found, status == b"200")

    def ask_raw(self, head: bytes) -> bytes:
        """The beginning of the answer."""
        with socket.create_connection(("127.0.0.1", self.served.port), 10) as connection:
            connection.sendall(head)
            found = b""
            while b"\r\n\r\n" not in found or found.endswith(b"\r\n\r\n"):
                found += connection.recv(65536)
            return found

    async def test_a_mistake(self) -> None:
        """Is logged, and whoever looked is not left to wait."""

        def fail(*_arguments: Any) -> Any:
            raise ZeroDivisionError

        self.patch(self.realm.service.presence, "listeners", fail)
        answer: Answer = await self.served.ask("/metrics")
        self.assertEqual(answer.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Linked(PeeringTestCase):
    """Two real realms."""

    async def test_up_and_down(self) -> None:
        """The link, and what waits while there is none; what was refused is not stored."""
        one, two = self.make("realm1"), self.make("realm2")
        served = Served(self, site_of(one))
        ana, _budi = await self.pair()
        await ana.must("send", to="budi@realm2", text="halo")
        await ana.ask("send", to="nobody@realm2", text="halo")
        values = read((await served.ask("/metrics")).body)
        self.assertEqual(values["chatd_link_state{realm=realm2,state=up}"], 1)
        self.assertEqual(values["chatd_outbox_parcels{realm=realm2}"], 0)
        self.assertEqual(values["chatd_messages_stored_total{kind=direct}"], 1)
        arrived = two.service.counters
        self.assertEqual((arrived.direct, arrived.group), (1, 0))
        await self.close(two)
        await until(lambda: not one.links)
        await ana.must("send", to="budi@realm2", text="halo lagi")
        values = read((await served.ask("/metrics")).body)
        self.assertEqual(values["chatd_link_state{realm=realm2,state=up}"], 0)
        self.assertEqual(values["chatd_outbox_parcels{realm=realm2}"], 1)
        self.assertEqual(values["chatd_messages_stored_total{kind=direct}"], 2)


class DaemonTests(DaemonTestCase):
    """The door of a real daemon."""

    @in_thread
    def test_a_real_port(self) -> None:
        """It is where the configuration says, the log says so, and a look leaves no trace in that."""
        port = free_port()
        json_port = self.configure(metrics=port)
        daemon = self.launch(json_port, "--config", "../chatd.ini").listening()
        with daemon.register("messi") as messi:
            messi.must(command="send", to="messi", text="halo")
            values = read(fetch(port, "/metrics").body)
        self.assertEqual(values["chatd_connections{door=json}"], 1)
        self.assertEqual(values["chatd_messages_stored_total{kind=direct}"], 1)
        self.assertEqual(fetch(port, "/").status, 404)
        daemon.stop()
        self.assertIn(f"metrics: http://localhost:{port}/metrics", daemon.out)
        self.assertNotIn("GET", daemon.out)
