"""Messages that were stored lately are kept in memory, within bounds."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.model import Opaque
from chatd.base.names import Address
from chatd.service.composed_sends import SendOptions
from chatd.service.message_parts import MessageParts
from chatd.store.search import fresh
from chatd.store.search.fresh import FreshMessages, Row
from tests.support.inline import result_of
from tests.unit.service.test_messages import MessagesTestCase


def row(ident: int, conversation: int = 1, text: str = "halo") -> Row:
    return ident, conversation, ident, 1, "ana", 0, text


def rows(first: int, last: int) -> Sequence[Row]:
    return [row(ident) for ident in range(first, last + 1)]


class Keeping(SynchronousTestCase):
    def setUp(self) -> None:
        self.fresh = FreshMessages()

    def taken(self, after: int, upto: int) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of what there is, and the gaps."""
        taken = self.fresh.take(after, upto)
        return [each[0] for found in taken.rows.values() for each in found], taken.gaps

    def test_by_conversation(self) -> None:
        self.fresh.add([row(1), row(2, 5), row(3)])
        self.fresh.add([row(4, 5), row(5, 6)], [6])
        taken = self.fresh.take(0, 5)
        self.assertEqual(
            taken.rows, {1: [row(1), row(3)], 5: [row(2, 5), row(4, 5)], 6: [row(5, 6)]}
        )
        self.assertEqual((taken.others, taken.gaps), ({6}, []))

    def test_gaps(self) -> None:
        """What was not added, or is asked for beyond it, is named."""
        self.assertEqual(self.taken(3, 9), ([], [(3, 9)]))
        self.fresh.add(rows(5, 6))
        self.fresh.add(rows(7, 8))
        self.fresh.add(rows(10, 11))
        self.assertEqual(self.taken(3, 12), ([5, 6, 7, 8, 10, 11], [(3, 4), (8, 9), (11, 12)]))
        self.assertEqual(self.taken(5, 7), ([6, 7], []))
        self.assertEqual(self.taken(8, 10), ([10], [(8, 9)]))
        self.assertEqual(self.taken(11, 11), ([], []))

    def test_release(self) -> None:
        """A batch stays until all of it is in the index."""
        self.fresh.add(rows(1, 3))
        self.fresh.add(rows(4, 6))
        self.fresh.release(4)
        self.assertEqual(self.taken(3, 6), ([4, 5, 6], []))
        self.assertEqual(self.taken(0, 6), ([4, 5, 6], [(0, 3)]))
        self.fresh.release(6)
        self.assertEqual(self.taken(3, 6), ([], [(3, 6)]))

    def test_pauses(self) -> None:
        """Other threads get Python's lock while many messages are taken."""
        self.patch(fresh, "STEP", 4)
        pauses: list[None] = []
        for first in range(1, 13, 2):
            self.fresh.add(rows(first, first + 1))
        taken = self.fresh.take(0, 12, lambda: pauses.append(None))
        self.assertEqual(sum(map(len, taken.rows.values())), 12)
        self.assertEqual(len(pauses), 2)

    def test_clear(self) -> None:
        """After a rollback, other messages get the same ids."""
        self.fresh.add(rows(1, 3))
        self.fresh.clear()
        self.fresh.add([row(2, 7)])
        self.assertEqual(self.fresh.take(0, 2).rows, {7: [row(2, 7)]})
        self.assertEqual(self.fresh.take(0, 2).gaps, [(0, 1)])

    def test_bounds(self) -> None:
        """What does not fit is left out, by number and by size, and there is room again later."""
        self.patch(fresh, "MAX_MESSAGES", 10)
        self.patch(fresh, "MANY_MESSAGES", 7)
        self.fresh.add(rows(1, 6))
        self.assertFalse(self.fresh.are_many)
        self.fresh.add(rows(7, 10))
        self.assertTrue(self.fresh.are_many)
        self.fresh.add(rows(11, 11))
        self.assertEqual(self.taken(9, 11), ([10], [(10, 11)]))
        self.fresh.release(6)
        self.assertFalse(self.fresh.are_many)
        self.fresh.add(rows(12, 14))
        self.assertEqual(self.taken(9, 14), ([10, 12, 13, 14], [(10, 11)]))
        self.patch(fresh, "MAX_BYTES", 1000)
        self.patch(fresh, "MANY_BYTES", 500)
        self.fresh.release(14)
        self.fresh.add([row(15, text="h" * 600)])
        self.assertTrue(self.fresh.are_many)
        self.fresh.add([row(16, text="h" * 600)])
        self.assertEqual(self.taken(14, 16), ([15], [(15, 16)]))


class AsStored(MessagesTestCase):
    """What the writer keeps is what it has stored."""

    def check(self) -> None:
        """Each message is in memory as it is stored, or the index knows that it has to read it."""
        columns = "id, conversation_id, seq, sender_id, sender, at, text"
        query = f"SELECT {columns}, attachment_id, media FROM messages ORDER BY id"  # noqa: S608
        stored = self.database.now(lambda connection: connection.exec_driver_sql(query).all())
        newest = stored[-1].id
        taken = self.service.context.writers.messages.fresh.take(0, newest)
        kept = {each[0]: each[:7] for found in taken.rows.values() for each in found}
        self.assertLessEqual(kept.keys(), {each.id for each in stored})
        for each in stored:
            if any(after < each.id <= upto for after, upto in taken.gaps):
                self.assertNotIn(each.id, kept)
            elif each.conversation_id not in taken.others:
                self.assertEqual(kept[each.id], tuple(each[:7]))
                self.assertEqual((each.attachment_id, each.media), (None, None))

    def in_memory(self) -> int:
        taken = self.service.context.writers.messages.fresh.take(0, 1000)
        return sum(map(len, taken.rows.values()))

    def test_kinds(self) -> None:
        """Texts, replies and opaque messages; those of one transaction together."""
        composed = self.service.composed
        self.send(self.ana, "budi", "satu")
        self.database.held = True
        for number in range(3):
            self.sending(self.ana, "budi", f"halo {number}")
        self.database.held = False
        self.send(self.ana, "budi,citra", "dua")
        reply, opaque = MessageParts("tiga"), MessageParts(opaque=Opaque("a/b", b"x"))
        to = (Address("budi"),)
        for parts, target in ((reply, 1), (opaque, None)):
            options = SendOptions(None, None, True, target)
            coroutine = composed.to_people(self.ana, to, parts, options)
            result_of(Deferred.fromCoroutine(coroutine))
        self.check()
        self.assertEqual(self.in_memory(), 8)

    def test_rollback(self) -> None:
        """A job that fails undoes others of its transaction. They are stored again, with the same numbers."""
        self.send(self.ana, "budi", "satu")
        self.database.held = True
        sends = [self.sending(self.ana, "budi", "dua")]
        failing = self.database.run(lambda _connection: 1 // 0)
        sends.append(self.sending(self.ana, "budi", "tiga"))
        self.database.settle()
        self.database.held = False
        self.failureResultOf(failing, ZeroDivisionError)
        for each in sends:
            result_of(each)
        self.send(self.ana, "citra", "empat")
        self.check()
        self.assertGreater(self.in_memory(), 0)
