"""Many messages to another realm: order, batches, and failures in between."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec
from twisted.internet.defer import Deferred

from chatd.base import config
from chatd.federation import parcels
from chatd.federation.amp import send_queue, wire
from chatd.federation.amp.link_sender import MAX_FAILURES, WINDOW
from chatd.federation.parcels import encode
from chatd.store.outbox import NewParcel
from tests.support.network import LinkedTestCase, outcome


class OrderTestCase(LinkedTestCase):
    """The messages of one sender in one conversation arrive in order."""

    def send_many(self, count: int, size: int = 1) -> list[list[Any]]:
        text = "x" * size
        return [
            outcome(self.ana.begins_to_send("budi@realm2", f"{number} {text}"))
            for number in range(count)
        ]

    def arrived(self) -> list[int]:
        return [int((each.text or "").split()[0]) for each in self.budi.inbox()]

    def test_while_it_comes_up(self) -> None:
        """Messages sent before, while and after the link comes up."""
        self.part()
        self.send_many(3)
        self.network.settle()
        self.network.refusing.clear()
        sent = 3
        while self.one.peers()["realm2"].state != "up":
            self.network.advance(0.1)
        for _ in range(20):
            self.ana.begins_to_send("budi@realm2", f"{sent} halo")
            sent += 1
            self.network.step()
        self.network.settle()
        self.assertEqual(self.arrived(), list(range(sent)))

    def test_batches_by_count(self) -> None:
        self.patch(wire, "MAX_BATCH", 16)
        count = 16 * (WINDOW + 3) + 1
        self.part()
        self.send_many(count)
        self.network.settle()
        self.meet()
        self.assertEqual(self.arrived(), list(range(count)))
        self.assertEqual(self.connection.near.log.count("Deliver"), WINDOW + 4)

    def test_batches_by_size(self) -> None:
        """A batch of long messages fits into an AMP value."""
        self.part()
        self.send_many(40, 8000)
        self.network.settle()
        self.meet()
        self.assertEqual(self.arrived(), list(range(40)))
        sizes = [len(box[b"parcels"]) for box in self.connection.near.boxes if b"parcels" in box]
        self.assertEqual(len(sizes), 6)
        self.assertLessEqual(max(sizes), wire.MAX_BATCH_BYTES)
        self.assertGreater(sizes[0], wire.MAX_BATCH_BYTES - 8100)

    def test_longest(self) -> None:
        """The longest message that the configuration allows is delivered."""
        for server in (self.one, self.two):
            settings = server.service.config
            limits = msgspec.structs.replace(settings.limits, message=config.MAX_MESSAGE)
            server.service.context.use(msgspec.structs.replace(settings, limits=limits))
        self.ana.sends("budi@realm2", "x" * config.MAX_MESSAGE)
        (message,) = self.budi.inbox()
        self.assertEqual(len(message.text or ""), config.MAX_MESSAGE)

    def test_window(self) -> None:
        """At most `WINDOW` batches are under way."""
        self.part()
        self.send_many(WINDOW * 8 + 20, 7900)
        self.network.settle()
        far_held: list[Any] = []

        def hold(connection: Any) -> None:
            connection.far.holding = {"Deliver answer"}
            far_held.append(connection.far)

        self.network.on_connection = hold
        self.meet()
        self.assertEqual(self.connection.near.log.count("Deliver"), WINDOW)
        far_held[-1].holding = set()
        far_held[-1].deliver()
        far_held[-1].holding = {"Deliver answer"}
        self.network.settle()
        self.assertEqual(self.connection.near.log.count("Deliver"), WINDOW + 1)
        far_held[-1].holding = set()
        self.network.settle()
        self.assertEqual(self.arrived(), list(range(WINDOW * 8 + 20)))

    def test_more_than_fits_into_memory(self) -> None:
        """Parcels beyond the limit in memory are read from the disk: none is lost or duplicated."""
        self.patch(send_queue, "MAX_READY", 20)
        self.patch(send_queue, "PAGE", 7)
        self.connection.near.held = True
        self.send_many(100)
        self.network.settle()
        sender = self.one.realm.directory.peers.by_key["realm2"].delivery._sender
        assert sender is not None
        self.assertLessEqual(len(sender._queue.ready), 20)
        self.connection.near.held = False
        self.network.settle()
        self.assertEqual(self.arrived(), list(range(100)))
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_more_while_reading(self) -> None:
        self.patch(send_queue, "MAX_READY", 10)
        self.patch(send_queue, "PAGE", 5)
        self.part()
        self.send_many(30)
        self.network.settle()
        self.network.refusing.clear()
        sent = 30
        while sent < 200:
            self.ana.begins_to_send("budi@realm2", f"{sent} halo")
            sent += 1
            self.network.step()
            if sent % 10 == 0:
                self.network.advance(0.2)
        self.network.advance(2)
        self.assertEqual(self.arrived(), list(range(200)))
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_out_of_turn(self) -> None:
        """A parcel is handed over after one with a higher number: both are delivered once."""
        self.ana.sends("budi@realm2", "0 first")
        directory = self.one.realm.directory
        real, kept = directory.dispatch, list[Any]()

        def late(*arguments: Any) -> None:
            kept.append(arguments)
            if len(kept) == 2:
                real(*kept[1])
                real(*kept[0])

        with mock.patch.object(directory, "dispatch", late):
            replies = [
                outcome(self.ana.begins_to_send("budi@realm2", "1 satu")),
                outcome(self.ana.begins_to_send("citra@realm2", "dua")),
            ]
            self.network.settle()
        self.assertEqual([each[0].message for each in replies], ["Message sent"] * 2)
        self.assertEqual(self.arrived(), [0, 1])
        self.assertEqual(self.citra.reads(), ["ana@realm1: dua"])
        self.network.advance(1)
        self.assertEqual(self.one.parcels_waiting(), 0)


class TroubleTestCase(LinkedTestCase):
    """Failures of the other realm."""

    def test_disk_full(self) -> None:
        """Nothing is lost: it is sent again over the next link."""
        self.two.realm.database.full = True
        replies = [
            outcome(self.ana.begins_to_send("budi@realm2", str(number))) for number in range(5)
        ]
        self.network.advance(20)
        self.assertTrue(all("queued" in each[0].message for each in replies))
        self.assertEqual(self.one.parcels_waiting(), 5)
        self.two.realm.database.full = False
        self.network.advance(20)
        self.assertEqual(self.budi.reads(), [f"ana@realm1: {number}" for number in range(5)])
        self.assertEqual(self.ana.inbox(), [])

    def test_disk_full_for_a_moment(self) -> None:
        """The second of several batches fails, and no other overtakes it."""
        self.part()
        for number in range(40):
            self.ana.begins_to_send("budi@realm2", f"{number} {'x' * 8000}")
        self.network.settle()
        answers = iter([False, False, True])
        self.two.realm.database.failing = lambda: next(answers, False)
        self.meet()
        self.network.advance(5)
        arrived = [int((each.text or "").split()[0]) for each in self.budi.inbox()]
        self.assertEqual(arrived, list(range(40)))

    def poison(self, text: str = "poison") -> None:
        """Make realm2 fail on every message with that text."""
        reader = self.two.federation.receiver._reader
        real = reader.direct

        def fails(realm: str, number: int, parcel: parcels.Direct, barred: Any) -> Any:
            if parcel.text == text:
                raise ZeroDivisionError
            return real(realm, number, parcel, barred)

        self.patch(reader, "direct", fails)

    def test_internal_error(self) -> None:
        """One message makes the other realm fail: it is isolated and bounced, and the others arrive."""
        self.poison()
        for number in range(10):
            self.ana.begins_to_send("budi@realm2", str(number))
        self.ana.begins_to_send("citra@realm2", "poison")
        for number in range(10, 20):
            self.ana.begins_to_send("budi@realm2", str(number))
        self.network.advance(30)
        self.assertEqual(self.budi.reads(), [f"ana@realm1: {number}" for number in range(20)])
        self.assertEqual(self.citra.inbox(), [])
        self.assertEqual(
            self.ana.reads(),
            [
                (
                    'system: Your message "poison" of 2026-11-20T10:15:03Z to citra@realm2 was not '
                    "delivered: realm2 could not accept this and gave no reason; tell its operator"
                )
            ],
        )
        self.assertEqual(self.one.parcels_waiting(), 0)
        failed = len(self.flushLoggedErrors(ZeroDivisionError))
        self.assertIn(failed, range(MAX_FAILURES, MAX_FAILURES + 3))
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.ana.sends("budi@realm2", "halo")

    def test_internal_error_alone(self) -> None:
        """The waiting sender is told the outcome, or that the message is queued."""
        self.poison()
        reply = outcome(self.ana.begins_to_send("citra@realm2", "poison"))
        self.network.advance(30)
        self.assertEqual(len(reply), 1)
        self.assertEqual(len(self.ana.inbox()), 1)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_undeclared_error(self) -> None:
        """The other realm does not know the command, or answers nonsense: nothing is stuck."""
        far = self.connection.far.protocol
        real = far.locator.locateResponder
        self.patch(
            far.locator, "locateResponder", lambda name: None if name == b"Deliver" else real(name)
        )
        reply = outcome(self.ana.begins_to_send("budi@realm2", "halo"))
        self.network.advance(10)
        self.assertIn("queued", reply[0].message)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        for answer in (b"nonsense", encode([1, 2, 3]), encode([])):
            far = self.connection.far.protocol

            def answers(
                name: bytes, said: bytes = answer, real: Any = far.locator.locateResponder
            ) -> Any:
                if name != b"Deliver":
                    return real(name)
                return lambda _box: wire.DeliverCommand.makeResponse({"verdicts": said}, None)

            self.patch(far.locator, "locateResponder", answers)
            self.ana.begins_to_send("budi@realm2", "lagi")
            self.network.advance(10)
        self.assertEqual(self.budi.reads(), ["ana@realm1: lagi"] * 3)
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_outbox_unreadable(self) -> None:
        """The outbox can't be read: the link is dropped, and the next one tries again."""
        self.part()
        self.ana.sends("budi@realm2", "halo")
        outbox = self.one.federation.outbox
        real, tries = outbox.waiting, list[int]()

        def waiting(*arguments: Any) -> Any:
            tries.append(1)
            if len(tries) < 3:
                failed: Deferred[Any] = Deferred()
                failed.errback(ZeroDivisionError())
                return failed
            return real(*arguments)

        self.patch(outbox, "waiting", waiting)
        self.meet()
        self.network.advance(10)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_unreadable_parcel(self) -> None:
        """A parcel in the outbox that this version can't decode does not hold up the others."""
        self.part()
        item = NewParcel("realm2", encode(["sticker", 1]), 0, self.ana.account.id)
        self.network.result(self.one.federation.outbox.put(item))
        self.ana.sends("budi@realm2", "halo")
        self.meet()
        self.network.advance(60)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
