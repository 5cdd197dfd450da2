"""The queue of a link: its order, and parcels that lose their content wherever they are in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatd.federation.amp import send_queue
from chatd.federation.amp.send_queue import Item, SendQueue
from chatd.store.outbox import QueuedParcel


class Disk:
    """An outbox whose pages come when the test says so."""

    def __init__(self) -> None:
        self.reading: Deferred[Sequence[QueuedParcel]] = Deferred()
        self.read_after: list[int] = []

    def tidy(self) -> None: ...

    def waiting(self, _realm: str, after: int, _count: int) -> Deferred[Sequence[QueuedParcel]]:
        self.read_after.append(after)
        self.reading = Deferred()
        return self.reading


class SendQueueTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = Disk()
        self.queue = SendQueue("realm2", cast(Any, self.disk), lambda: None, lambda: None)
        self.queue.fill()

    def add(self, *numbers: int) -> None:
        for number in numbers:
            self.queue.add(Item(number, b"text", number))

    def read(self, *numbers: int) -> None:
        page = [QueuedParcel(number, b"text", 0, None, number) for number in numbers]
        self.disk.reading.callback(page)

    def blank(self, *numbers: int) -> None:
        for number in numbers:
            self.queue.blanked(number, b"")

    def check(self, *expected: tuple[int, bytes]) -> None:
        self.assertEqual([(item.number, item.parcel) for item in self.queue.ready], [*expected])
        self.assertTrue(all(bool(item.parcel) is bool(item.file) for item in self.queue.ready))

    def test_while_reading(self) -> None:
        """What the disk still has with its content, and what was committed meanwhile."""
        self.add(8, 9)
        self.blank(3, 9, 11)
        self.read(3, 5, 8)
        self.check((3, b""), (5, b"text"), (8, b"text"), (9, b""))

    def test_in_another_order(self) -> None:
        """Parcels that are handed over in another order while the disk is read go in the order of their
        numbers."""
        self.add(9, 8)
        self.read(3)
        self.check((3, b"text"), (8, b"text"), (9, b"text"))

    def test_in_memory(self) -> None:
        self.read(3, 5)
        self.add(8, 9)
        self.blank(2, 5, 7, 9, 10)
        self.check((3, b"text"), (5, b""), (8, b"text"), (9, b""))

    def test_lower_numbers_while_reading(self) -> None:
        """What is sent again after a restore has low numbers, and is not on a page that was read before."""
        self.add(4, 5, 9)
        self.read(3, 5, 8)
        self.check(*((number, b"text") for number in (3, 4, 5, 8, 9)))
        self.add(10)
        self.assertEqual([item.number for item in self.queue.ready][-1], 10)

    def test_lower_numbers_between_two_pages(self) -> None:
        self.patch(send_queue, "PAGE", 2)
        self.add(4)
        self.read(3, 5)
        self.check(*((number, b"text") for number in (3, 4, 5)))
        self.add(2, 8)
        self.queue.ready.clear()  # they are on their way
        self.queue.fill()
        self.assertEqual(self.disk.read_after, [0, 1])

    def test_lower_numbers_of_too_many(self) -> None:
        """More than may be in memory are read from the disk."""
        self.patch(send_queue, "MAX_READY", 1)
        self.add(4, 9)
        self.read(3, 5)
        self.check((3, b"text"), (5, b"text"))
        self.queue.ready.clear()
        self.queue.fill()
        self.assertEqual(self.disk.read_after, [0, 3])
