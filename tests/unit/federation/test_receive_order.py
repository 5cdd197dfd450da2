"""The order in which parcels of a link are stored, if the disk does not take one of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from chatd.base.errors import StorageFailed
from chatd.commands import values as ask
from chatd.federation.parcels import Joined, Parcel, Relay, Removed
from chatd.store.new_entries import NewMessage
from chatd.store.parcel_stream import ParcelStream
from tests.unit.federation.test_receive import InboundTestCase


class OrderTestCase(InboundTestCase):
    """ana is a member of bagan@realm2, and the test makes up what that realm sends."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.has_asked_for("bagan@realm2")
        self.says(Joined("bagan", 5, "ana", 10))
        signer = self.signers["realm2"]
        said = signer.says("halo", home="realm2", group=5)
        promoted = signer.happened("promoted", "ana@realm1", author="citra", home="realm2", group=5)
        self.text = (2, Relay(said, "bagan", 5, 11))
        self.fact = (3, Relay(promoted, "bagan", 5, 12))

    def fails_once(self) -> None:
        """Let the next transaction fail, and those after it succeed. Each job is a transaction."""
        database, outcomes = self.one.realm.database, iter([True])
        self.patch(database, "failing", lambda: next(outcomes, False))
        self.patch(database, "step", partial(database.step, 1))

    def begins_to_receive(
        self, stream: ParcelStream, *batch: tuple[int, Parcel]
    ) -> Deferred[object]:
        receiving = self.one.federation.receiver.receive("realm2", list(batch), stream)
        return Deferred.fromCoroutine(receiving)

    def log(self) -> list[int]:
        """The numbers of the entries of the group that ana has."""
        return [each.entry.seq for each in self.ana.does(ask.SyncLog(1, 0)).items]

    def test_fact_in_the_same_batch(self) -> None:
        """What has happened to a group is not stored before a message that was not."""
        self.fails_once()
        receiving = self.begins_to_receive(ParcelStream(), self.text, self.fact)
        self.network.settle()
        self.failureResultOf(receiving, StorageFailed)
        self.assertEqual(self.log(), [])
        self.one.receives("realm2", self.text, self.fact)
        self.assertEqual(self.log(), [11, 12])

    def test_fact_in_the_next_batch(self) -> None:
        """Neither if it came in a batch that did not wait for the end of the other."""
        self.fails_once()
        stream = ParcelStream()
        batches = [self.begins_to_receive(stream, each) for each in (self.text, self.fact)]
        self.network.settle()
        for each in batches:
            self.failureResultOf(each, StorageFailed)
        self.assertEqual(self.log(), [])
        self.one.receives("realm2", self.text, self.fact)
        self.assertEqual(self.log(), [11, 12])

    def test_unexpected_exception(self) -> None:
        """The other realm is to find out which message it was, so the failure of that one is raised."""

        def fails(*_: object) -> None:
            raise ZeroDivisionError

        self.patch(self.one.service.context.writers.messages, "_receive", fails)
        receiving = self.begins_to_receive(ParcelStream(), self.text, self.fact)
        self.network.settle()
        self.failureResultOf(receiving, ZeroDivisionError)
        self.assertEqual(self.log(), [])

    def test_report_of_the_home(self) -> None:
        """Nobody loses a membership before they have got the last message of it."""
        self.fails_once()
        removed = (3, Removed("bagan", 5, "ana"))
        receiving = self.begins_to_receive(ParcelStream(), self.text, removed)
        self.network.settle()
        self.failureResultOf(receiving, StorageFailed)
        self.assertEqual(self.ana.mine(), ["bagan@realm2"])
        self.one.receives("realm2", self.text, removed)
        self.assertEqual(self.ana.mine(), [])


class RepeatedTestCase(InboundTestCase):
    """One of the jobs of a transaction fails, so all of them run again."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.has_asked_for("bagan@realm2")
        self.says(Joined("bagan", 5, "ana", 10))
        signer = self.signers["realm2"]
        self.texts = [
            (seq, Relay(signer.says(f"{seq}", home="realm2", group=5), "bagan", 5, seq))
            for seq in (11, 12, 13, 14)
        ]

    def fails(self, *times: int) -> None:
        """Let the runs of jobs with these numbers fail. Each run counts, also of a job that runs again."""
        writer, count = self.one.service.context.writers.messages, 0
        usual = writer._receive

        def receive(connection: Any, items: Sequence[NewMessage]) -> object:
            nonlocal count
            count += 1
            if count in times:
                raise StorageFailed
            return usual(connection, items)

        self.patch(writer, "_receive", receive)

    def results(self) -> list[str]:
        """Receive one text in each batch of a stream, all in one transaction. Returns the name of the error
        of each batch, or ""."""
        stream, receiver = ParcelStream(), self.one.federation.receiver
        receiving = [
            Deferred.fromCoroutine(receiver.receive("realm2", [each], stream))
            for each in self.texts
        ]
        gathered = DeferredList(receiving, consumeErrors=True)
        self.network.settle()
        return [
            type(result.value).__name__ if isinstance(result, Failure) else ""
            for _, result in self.successResultOf(gathered)
        ]

    def log(self) -> list[tuple[int, str | None]]:
        """The seqs and texts of the group that ana has."""
        entries = [each.entry for each in self.ana.does(ask.SyncLog(1, 0)).items]
        return [(each.seq, each.text) for each in entries]

    def test_later_job(self) -> None:
        """What came before the job that was to blame is stored before it."""
        self.fails(3)
        self.assertEqual(self.results(), [""] * 4)
        self.assertEqual(self.log(), [(11, "11"), (12, "12"), (13, "13"), (14, "14")])

    def test_again(self) -> None:
        """If that job fails again, what came before it is stored, and nothing that came after it."""
        self.fails(3, 6)
        self.assertEqual(self.results(), ["", "", *["StorageFailed"] * 2])
        self.assertEqual(self.log(), [(11, "11"), (12, "12")])

    def test_earlier_job(self) -> None:
        """The second time, a job before it fails."""
        self.fails(3, 5)
        self.assertEqual(self.results(), ["", *["StorageFailed"] * 3])
        self.assertEqual(self.log(), [(11, "11")])
