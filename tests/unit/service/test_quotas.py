"""Limits on what is stored: bytes of messages a day, and free disk space."""

from __future__ import annotations

import math
from typing import Any
from unittest import mock

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import DiskFull, MessageQuota, RealmQuota, StorageFailed, TooManyUploads
from chatd.base.names import UNFILTERED, Address
from chatd.base.throttle import MAX_PAUSE, SenderRates
from chatd.federation.parcels import KEPT, Direct
from chatd.service.quotas import LEAST, cost
from chatd.store.sqlite import LOG_PAGES, LOG_PAGES_WHEN_LOW
from tests.support.common import ClockedTestCase
from tests.support.engines import only_sqlite
from tests.support.network import LinkedTestCase

KIB = 1 << 10


class Costs(SynchronousTestCase):
    def test_texts(self) -> None:
        """The cost is in bytes of UTF-8. A short message costs as much as its row takes."""
        self.assertEqual(cost("x" * 8000), 8000)
        self.assertEqual(cost("€" * 1000), 3000)
        self.assertEqual(cost("x"), LEAST)


class QuotaTestCase(ClockedTestCase):
    limits = {"account_messages": 10 * KIB, "account_uploads": 3}

    async def people(self, *names: str) -> list[Any]:
        accounts = self.realm.service.accounts
        return [(await accounts.register(name, "surabaya", None, None)).account for name in names]

    async def send(self, sender: Any, to: str, size: int, key: str | None = None) -> Any:
        people = [Address(each) for each in to.split(",")]
        return await self.realm.service.messages.send(sender, people, "x" * size, None, key)

    def used(self, account: Any) -> int:
        return self.realm.service.quotas._used.get(account.id, 0)

    def inbox_of(self, account: Any) -> Any:
        return self.realm.service.reading.inbox(account, UNFILTERED, {})


class AccountQuota(QuotaTestCase):
    async def test_says_when_to_try_again(self) -> None:
        ana, budi = await self.people("ana", "budi")
        for _ in range(10):
            await self.send(ana, "budi", KIB)
        with self.assertRaises(MessageQuota) as caught:
            await self.send(ana, "budi", 1)
        # The clock stands at 13:46:40 UTC.
        self.assertEqual(caught.exception.details, {"limit": 10 * KIB, "minutes": 614})
        self.assertEqual(self.used(ana), 10 * KIB)
        await self.send(budi, "ana", 1)  # others go on
        self.clock.advance(614 * 60)
        await self.send(ana, "budi", 1)
        self.assertEqual(self.used(ana), LEAST)

    async def test_a_charge_after_the_end_starts_no_timer(self) -> None:
        """While a realm closes, a request that is not over yet may still charge."""
        (ana,) = await self.people("ana")
        quotas = self.realm.service.quotas
        await quotas.stop()
        before = len(self.clock.getDelayedCalls())
        quotas.charge_account(ana.id, KIB, round(self.clock.seconds() * 1000))
        self.assertEqual(self.used(ana), KIB)
        self.assertEqual(len(self.clock.getDelayedCalls()), before)

    async def test_every_recipient_counts(self) -> None:
        """The message goes to as many recipients as the quota allows."""
        ana, *_ = await self.people("ana", "budi", "citra", "dewi")
        sent = await self.send(ana, "budi,citra,dewi", 4 * KIB)
        self.assertEqual(len(sent.receipts), 2)
        self.assertEqual([type(error) for error in sent.refused.values()], [MessageQuota])

    async def test_groups_count(self) -> None:
        (ana,) = await self.people("ana")
        await self.realm.service.groups.create(ana, "bola")
        post = self.realm.service.messages.post
        await post(ana, Address("bola"), "x" * 9 * KIB, None)
        with self.assertRaises(MessageQuota):
            await post(ana, Address("bola"), "x" * 2 * KIB, None)

    async def test_repeated_send_counts_once(self) -> None:
        """A repeated send under the key of a stored message is answered, and counts once."""
        ana, _ = await self.people("ana", "budi")
        first = await self.send(ana, "budi", 9 * KIB, "k")
        again = await self.send(ana, "budi", 9 * KIB, "k")
        self.assertEqual(first, again)
        with self.assertRaises(MessageQuota):
            await self.send(ana, "budi", 9 * KIB, "l")
        self.assertEqual(self.used(ana), 9 * KIB)

    async def test_unstored_messages_do_not_count(self) -> None:
        ana, _ = await self.people("ana", "budi")
        await self.send(ana, "budi", 1)
        full = mock.patch.multiple(
            self.realm.database,
            batch=lambda *_args: fail(StorageFailed()),
            submit=lambda _job, _item, done: done.errback(StorageFailed()),
        )
        for key in (None, "k"):
            with full:
                self.assertIs(await self.refused(self.send(ana, "budi", KIB, key)), StorageFailed)
        self.assertEqual(self.used(ana), LEAST)

    async def test_survives_a_restart(self) -> None:
        """It survives a kill too, because it is stored a second after each change."""
        ana, _ = await self.people("ana", "budi")
        await self.send(ana, "budi", 8 * KIB)
        await self.reopen()
        self.assertEqual(self.used(ana), 8 * KIB)
        await self.send(ana, "budi", KIB)
        self.clock.advance(1)
        await self.realm.database.run(lambda _connection: None)
        self.realm.service.quotas._unsaved.clear()  # what a kill would forget
        await self.reopen()
        self.assertEqual(self.used(ana), 9 * KIB)

    async def test_old_days_are_forgotten(self) -> None:
        ana, budi = await self.people("ana", "budi")
        await self.send(ana, "budi", 8 * KIB)
        await self.reopen()
        self.clock.advance(86400)
        await self.send(budi, "ana", 1)
        await self.reopen()
        rows = await self.realm.database.read(
            lambda connection: connection.exec_driver_sql(
                "SELECT account_id, bytes FROM message_bytes"
            ).all()
        )
        self.assertEqual([tuple(row) for row in rows], [(budi.id, LEAST)])

    async def test_clock_steps(self) -> None:
        """A step back over midnight gives no second quota. A step back from a wrong year starts a new day."""
        (ana,) = await self.people("ana")
        quotas = self.realm.service.quotas
        day = 86_400_000
        quotas.charge_account(ana.id, 9 * KIB, 20_000 * day)
        with self.assertRaises(MessageQuota):
            quotas.charge_account(ana.id, 9 * KIB, 20_000 * day - 1)
        quotas.charge_account(ana.id, 9 * KIB, 19_000 * day)


class Reserve(QuotaTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.realm.service.disk._next = math.inf  # measured by these tests alone

    def fill(self, room: int) -> None:
        """Leave that many bytes above the reserve."""
        disk = self.realm.service.disk
        self.patch(disk, "_measure", lambda: room)
        disk.look()

    async def test_below_it(self) -> None:
        """Messages and files are refused, while logins, reading and read marks work. With more room
        everything works."""
        ana, budi = await self.people("ana", "budi")
        await self.send(ana, "budi", 10)
        self.fill(-1)
        files = self.realm.service.files
        for done in (
            self.send(ana, "budi", 10),
            self.send(ana, "budi", 10, "key"),
            files.begin(ana, [Address("budi")], "a", 1, None),
            files.resume(ana, [Address("budi")], "a", 1, "k", None),
        ):
            self.assertIs(await self.refused(done), DiskFull)
        self.assertEqual(files.under_way.counts.files, {})
        accounts = self.realm.service.accounts
        login = await accounts.login("budi", "surabaya", "127.0.0.1")
        self.assertEqual(login.account, budi)
        self.fill(1)
        await self.send(ana, "budi", 10)

    async def test_a_file_that_would_not_fit(self) -> None:
        ana, _ = await self.people("ana", "budi")
        files = self.realm.service.files
        self.fill(100_000)
        upload = await files.begin(ana, [Address("budi")], "a", 60_000, None)
        begin = files.begin(ana, [Address("budi")], "b", 60_000, None)
        self.assertIs(await self.refused(begin), DiskFull)
        with self.assertRaises(DiskFull):  # all kinds of uploads count
            self.realm.service.avatars.receive(ana, "b", 60_000, mock.AsyncMock())
        upload.abort()
        self.assertEqual(self.realm.service.disk.expected, 0)
        upload = await files.begin(ana, [Address("budi")], "b", 60_000, None)
        upload.abort()

    async def test_a_disk_that_can_not_be_measured(self) -> None:
        """Nothing is refused then, and the log says so once."""
        ana, _ = await self.people("ana", "budi")
        disk = self.realm.service.disk
        self.fill(-1)
        del disk._measure  # of `fill`
        self.patch(disk, "_folders", [self.folder / "gone"])
        with capturedLogs() as logged:
            for _ in range(3):
                disk.look()
                self.assertFalse(disk.low)
        await self.send(ana, "budi", 10)
        told = [formatEvent(event) for event in logged if event.get("error")]
        self.assertEqual(len(told), 1, told)
        self.assertIn("can't be measured: [Errno 2]", told[0])

    async def test_default(self) -> None:
        """The smaller of 500 MiB and 5 % of the disk. 0 turns the reserve off."""
        disk = self.realm.service.disk
        self.assertEqual(disk._above_reserve(600 << 20, 1 << 40), 100 << 20)
        self.assertEqual(disk._above_reserve(60 << 20, 1000 << 20), 10 << 20)
        disk._reserve = 0
        self.assertEqual(disk._above_reserve(5, 1 << 40), 5)

    async def test_measured_once_a_second(self) -> None:
        ana, _ = await self.people("ana", "budi")
        disk = self.realm.service.disk
        measured: list[int] = []

        def measure() -> int:
            measured.append(1)
            return 1

        self.patch(disk, "_measure", measure)
        disk._next = self.clock.seconds() + 5
        self.clock.advance(5)
        for _ in range(20):
            await self.send(ana, "budi", 10)
        self.assertEqual(len(measured), 1)

    async def test_disk_filled_by_another_program(self) -> None:
        """The first message after another program has filled the disk is refused."""
        ana, _ = await self.people("ana", "budi")
        disk = self.realm.service.disk
        disk._next = 0.0
        self.patch(disk, "_measure", lambda: -1)
        measured: Deferred[None] = Deferred()
        disk.on_change(lambda _low: measured.callback(None))
        self.clock.advance(1)
        await measured
        self.assertIs(await self.refused(self.send(ana, "budi", 10)), DiskFull)

    @only_sqlite("the log")
    async def test_database_log_is_limited(self) -> None:
        """Below the reserve SQLite's log is checkpointed early; with room, as late as before."""

        def limit(connection: Connection) -> object:
            return connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar()

        for room, pages in ((-1, LOG_PAGES_WHEN_LOW), (1, LOG_PAGES)):
            self.fill(room)
            self.assertEqual(await self.realm.database.run(limit), pages)
        self.fill(-1)
        await self.reopen()  # with the measure of the true disk
        self.assertEqual(await self.realm.database.run(limit), LOG_PAGES)


class UploadsUnderWay(QuotaTestCase):
    async def test_over_all_doors(self) -> None:
        """Uploads over the line protocol and over HTTP count together."""
        ana, budi = await self.people("ana", "budi")
        files = self.realm.service.files
        to = [Address("budi")]
        uploads = [await files.begin(ana, to, f"{n}", 9, None) for n in range(2)]
        resumed = await files.resume(ana, to, "c", 9, "k", None)
        for more in (
            files.begin(ana, to, "d", 9, None),
            files.resume(ana, to, "d", 9, "l", None),
        ):
            self.assertIs(await self.refused(more), TooManyUploads)
        other = await files.begin(budi, [Address("ana")], "e", 9, None)
        await resumed.suspend()
        uploads.append(await files.begin(ana, to, "d", 9, None))
        for upload in (*uploads, other):
            upload.abort()
        self.assertEqual(files.under_way.counts.files, {})


class RealmQuotaTestCase(LinkedTestCase):
    """realm2 accepts 10 KiB a day from realm1."""

    settings = {"messages": 10 * KIB}

    def test_sender_is_told(self) -> None:
        for _ in range(10):
            self.ana.sends("budi@realm2", "x" * KIB)
        with self.assertRaises(RealmQuota) as caught:
            self.ana.sends("budi@realm2", "x")
        self.assertIn("realm2 accepts 10240 bytes of messages a day", str(caught.exception))
        self.assertEqual(len(self.budi.inbox()), 10)
        self.two.person("bela").sends("budi", "x")  # others go on

    def test_sender_is_told_later(self) -> None:
        self.part()
        for number in range(11):
            self.ana.begins_to_send("budi@realm2", f"{number} " + "x" * (KIB - 4))
        self.network.settle()
        self.meet()
        (notice,) = self.ana.reads()
        self.assertIn("was not delivered: realm2 accepts 10240 bytes", notice)
        self.assertEqual(len(self.budi.inbox()), 10)

    def test_repeated_parcel_counts_once(self) -> None:
        """A parcel whose verdict was lost with the link arrives again, and counts once."""
        parcels = [
            (number, Direct("ana", "budi", 0, "x" * 3 * KIB)) for number in range(9001, 9004)
        ]
        for _ in range(3):
            self.assertEqual(self.two.receives("realm1", *parcels), [KEPT] * 3)
        (verdict,) = self.two.receives("realm1", (9004, Direct("ana", "budi", 0, "x" * 3 * KIB)))
        self.assertEqual(verdict.code, "realm-quota")
        self.assertEqual(self.two.receives("realm1", *parcels), [KEPT] * 3)


class ReserveOfAnotherRealm(LinkedTestCase):
    def test_messages_wait(self) -> None:
        """Below the reserve nothing is acknowledged, and the other realm does not send again and again. With
        more room everything is delivered once, in order."""
        disk = self.two.service.disk
        self.patch(disk, "_measure", lambda: -1)
        disk.look()
        found = [self.ana.begins_to_send("budi@realm2", f"{number}") for number in range(5)]
        self.network.advance(60)
        self.assertEqual(self.budi.inbox(), [])
        self.assertEqual(self.one.parcels_waiting(), 5)
        tries = sum(connection.near.log.count("Deliver") for connection in self.network.connections)
        self.assertLessEqual(tries, 8)
        self.patch(disk, "_measure", lambda: 1)
        self.network.advance(60)
        self.assertEqual([each.text for each in self.budi.inbox()], list("01234"))
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(len(found), 5)


class Rates(SynchronousTestCase):
    def test_one_sender(self) -> None:
        """Five seconds' worth passes at once, the rest at the rate, with a limit that a link survives."""
        rates = SenderRates(100)
        self.assertEqual(rates.take("r", ["ana"] * 500, 10.0), 0.0)
        self.assertAlmostEqual(rates.take("r", ["ana"] * 50, 10.0), 0.5)
        self.assertEqual(rates.take("r", ["budi"] * 500, 10.0), 0.0)
        self.assertEqual(rates.take("s", ["ana"] * 500, 10.0), 0.0)
        self.assertEqual(rates.take("r", ["ana"] * 5000, 10.0), MAX_PAUSE)
        self.assertEqual(rates.take("r", ["ana"], 10.0 + 2 * MAX_PAUSE), 0.0)

    def test_no_limit(self) -> None:
        self.assertEqual(SenderRates(0).take("r", ["ana"] * 100_000, 1.0), 0.0)


class SlowedLink(LinkedTestCase):
    settings = {"limits": {"commands_per_second": 10}}

    def test_flood(self) -> None:
        """Nothing is refused, and everything arrives in order, but more slowly."""
        self.part()
        for number in range(600):
            self.ana.begins_to_send("budi@realm2", f"{number}")
        self.network.settle()
        self.network.refusing.clear()
        self.network.advance(1.5)
        some = len(self.budi.inbox())
        self.assertGreater(some, 0)
        self.assertLess(some, 600)
        self.network.advance(60)
        self.assertEqual(
            [int(each.text or "") for each in self.budi.inbox()], list(range(some, 600))
        )
