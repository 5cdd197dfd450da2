"""/metrics: HTTP requests, transactions, the states of other realms, and slow or failing sources."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from typing import Any
from unittest import SkipTest, mock

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.threads import deferToThread

from chatd.base.counters import JOBS
from chatd.base.errors import StorageFailed
from chatd.base.realms import RealmInfo
from chatd.cluster.bus import BusCounts
from chatd.cluster.figures import ClusterFigures
from chatd.store.engine import connect, size_on_server
from chatd.store.files import all_bytes
from chatd.web import metrics, store_sizes
from chatd.web.metric_families import MAX_REALMS
from chatd.web.store_sizes import SizeMeasure
from tests import ON_POSTGRES
from tests.support.common import sleep
from tests.support.metrics import Answer, MetricsTestCase, Served, read, site_of
from tests.support.peering import PeeringTestCase, until
from tests.support.postgres import MISSING, find_programs, temporary_database
from tests.support.websites import SiteTestCase


class OverHttp(SiteTestCase):
    """The door for browsers."""

    async def test_refusals_and_connections(self) -> None:
        """Refusals over HTTP count like others, and a connection counts at its door."""
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
        """Bytes of files over HTTP count like others."""
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
        """The jobs of one turn are one transaction, and count as one."""
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
        """A transaction counts as failed if nothing of it was stored, and not if one of its jobs was
        refused."""

        def full(_connection: Connection) -> None:
            raise OperationalError("INSERT", (), Exception("database or disk is full"))

        def refuse(_connection: Connection) -> None:
            raise StorageFailed

        for job in (full, refuse):
            await self.assertFailure(self.realm.database.run(job), StorageFailed)
        self.check(await self.values(), transactions_failed_total=1, database_queue_jobs=0)

    async def test_queue(self) -> None:
        """The jobs of this turn, and those that the writer has."""

        def job(_connection: Connection) -> None: ...

        first = self.realm.database.run(job)
        self.assertEqual(self.realm.database.queued, 1)
        await sleep(0)  # it is handed over
        second = self.realm.database.run(job)
        self.assertIn(self.realm.database.queued, (1, 2))
        await gatherResults([first, second])
        self.assertEqual(self.realm.database.queued, 0)


class Sizes(MetricsTestCase):
    """The disk, the database and the files."""

    async def test_measured(self) -> None:
        await self.values()
        while "chatd_uploads_bytes" not in (values := await self.values()):
            await sleep(0.005)
        self.assertEqual(values["chatd_uploads_bytes"], 0)
        self.assertGreater(values["chatd_database_bytes"], 4096)
        self.assertEqual("chatd_database_log_bytes" in values, not ON_POSTGRES)
        self.assertGreaterEqual(values.get("chatd_database_log_bytes", 0), 0)
        free = values["chatd_disk_free_bytes"]
        self.assertTrue(0 < values["chatd_disk_room_bytes"] <= free, values)
        self.check(values, password_queue_jobs=0)

    async def test_files_are_added_up_now_and_then(self) -> None:
        """Not at each scrape, because that reads a row of each file."""
        measure = SizeMeasure(self.realm.service)
        reads: list[Deferred[int]] = []

        real = self.realm.database.read

        def read(query: Any, *args: Any) -> Deferred[Any]:
            if query is not all_bytes:  # the index for searching reads, too
                return real(query, *args)
            reads.append(Deferred())
            return reads[-1]

        self.patch(self.realm.database, "read", read)
        self.assertIsNone((await measure.measure()).uploads)
        reads[0].callback(7)
        for _ in range(3):
            self.assertEqual((await measure.measure()).uploads, 7)
        self.assertEqual(len(reads), 1)
        measure._due = 0.0
        await measure.measure()
        self.assertEqual(len(reads), 2)
        # If that fails, the last size is kept, and the log says why.
        reads[1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((await measure.measure()).uploads, 7)

    async def test_database_on_a_server(self) -> None:
        """It is asked by a reader for its size. The answer is kept until the next one, and an unanswered
        question keeps nobody waiting."""
        asked: list[Deferred[int]] = []
        real = self.realm.database.read

        def read(query: Any, *args: Any) -> Deferred[Any]:
            if query is not size_on_server:
                return real(query, *args)
            asked.append(Deferred())
            return asked[-1]

        self.patch(type(self.realm.database), "file", None)
        self.patch(self.realm.database, "read", read)
        measure = SizeMeasure(self.realm.service)
        for _ in range(2):
            self.assertIsNone((await measure.measure()).database)
        self.assertEqual(len(asked), 1)
        asked[0].callback(7)
        sizes = await measure.measure()
        self.assertEqual((sizes.database, sizes.log), (7, None))
        asked[1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNone((await measure.measure()).database)

    def test_size_on_a_server(self) -> None:
        if find_programs() is None:
            raise SkipTest(MISSING)
        engine = connect(temporary_database(self))
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            self.assertGreater(size_on_server(connection) or 0, 1 << 20)

    async def test_what_can_not_be_measured(self) -> None:
        """It is left out, and the rest is there."""
        self.patch(store_sizes, "measure", mock.Mock(side_effect=OSError(5, "I/O error")))
        self.patch(type(self.realm.database), "file", None)
        values = await self.values()
        for name in ("disk_free", "database", "database_log"):
            self.assertNotIn(f"chatd_{name}_bytes", values)
        self.assertIn("chatd_disk_room_bytes", values)

    async def test_database_that_is_gone(self) -> None:
        self.patch(type(self.realm.database), "file", self.folder / "none.db")
        values = await self.values()
        self.assertNotIn("chatd_database_bytes", values)
        self.assertEqual(values["chatd_database_log_bytes"], 0)

    async def test_hashing_queue(self) -> None:
        passwords = self.realm.passwords
        held = [passwords._threads.run((str(n), ""), 0, time.sleep, 0.05) for n in range(5)]
        self.check(await self.values(), password_queue_jobs=3)
        await gatherResults(held)


class Realms(MetricsTestCase):
    """Other realms, as `realms` has them."""

    def setUp(self) -> None:
        self.known: Deferred[Sequence[RealmInfo]] = succeed(())
        self.asked = 0
        super().setUp()

    def show(self, realms: Deferred[Sequence[RealmInfo]]) -> None:
        """Make these the known realms."""

        def all_realms() -> Deferred[Sequence[RealmInfo]]:
            self.asked += 1
            return realms

        self.patch(self.realm.directory, "all", all_realms)
        self.served = Served(self, site_of(self.realm))

    def info(self, name: str, state: str = "down", queued: int = 0, age: float = 0) -> RealmInfo:
        """`age` is for how many seconds the oldest parcel has waited."""
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
        """However many realms there are, the rest shares one label, and added realms are not among
        the rest."""
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
        """All other metrics are returned in time, and only one query waits, however many requests come."""
        self.patch(metrics, "DATABASE_TIME", 0.1)
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

    async def test_an_unexpected_failure(self) -> None:
        """It is logged, and all other metrics are returned."""
        self.show(fail(ZeroDivisionError()))
        values = read((await self.served.ask("/metrics")).body)
        self.check(values, database_answers=0, sessions=0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_client_is_gone(self) -> None:
        """A request whose connection is gone gets no answer, and nothing is logged."""
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
        """A page with a rebound host name can't read anything."""
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
        """An exception is logged, and the request is answered."""

        def fail(*_arguments: Any) -> Any:
            raise ZeroDivisionError

        self.patch(self.realm.service.presence, "listeners", fail)
        answer: Answer = await self.served.ask("/metrics")
        self.assertEqual(answer.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Linked(PeeringTestCase):
    """Two real realms."""

    async def test_up_and_down(self) -> None:
        """The state of the link, and the messages that wait while it is down."""
        one, two = self.make("realm1"), self.make("realm2")
        served = Served(self, site_of(one))
        ana, _budi = await self.pair()
        await ana.must("send", to="budi@realm2", text="halo")
        await ana.ask("send", to="nobody@realm2", text="halo")
        # A parcel may leave the outbox just after its sender is told.
        for _ in range(100):
            values = read((await served.ask("/metrics")).body)
            if not values["chatd_outbox_parcels{realm=realm2}"]:
                break
        self.assertEqual(values["chatd_link_state{realm=realm2,state=up}"], 1)
        self.assertEqual(values["chatd_outbox_parcels{realm=realm2}"], 0)
        self.assertEqual(values["chatd_messages_stored_total{kind=direct}"], 2)
        arrived = two.service.counters
        self.assertEqual((arrived.direct, arrived.group), (1, 0))
        await self.close(two)
        await until(lambda: not one.links)
        await ana.must("send", to="budi@realm2", text="halo lagi")
        values = read((await served.ask("/metrics")).body)
        self.assertEqual(values["chatd_link_state{realm=realm2,state=up}"], 0)
        self.assertEqual(values["chatd_outbox_parcels{realm=realm2}"], 1)
        self.assertEqual(values["chatd_messages_stored_total{kind=direct}"], 3)


class OfNodes(MetricsTestCase):
    async def test_one_process(self) -> None:
        """A realm without nodes has no values for them."""
        found = [name for name in await self.values() if re.match(r"chatd_(nodes?|bus)(_|$)", name)]
        self.assertEqual(found, [])

    async def test_node(self) -> None:
        counts = BusCounts(sent=5, received=7, gaps=1)
        figures = ClusterFigures("node1", 3, 0.4, 2, counts, 3.5, 0.002)
        self.realm.service.context.cluster_figures = lambda: figures
        expected = {"nodes": 3, "node_beat_seconds": 0.4, "node_leases": 2}
        bus = {"sent_total": 5, "received_total": 7, "gaps_total": 1, "quiet_seconds": 3.5}
        bus["delay_seconds"] = 0.002
        expected |= {f"bus_{name}": value for name, value in bus.items()}
        self.check(await self.values(), **expected)

    async def test_no_echo_yet(self) -> None:
        figures = ClusterFigures("node1", 1, 0.4, 0, BusCounts(), 0.0, None)
        self.realm.service.context.cluster_figures = lambda: figures
        self.assertNotIn("chatd_bus_delay_seconds", await self.values())
