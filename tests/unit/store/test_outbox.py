"""The numbers of what goes to other realms, over restarts and restores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.store import outbox as store
from chatd.store.macs import begin_macs
from chatd.store.outbox import NO_PARCEL, NewParcel, OutboxWriter
from chatd.store.parcel_numbers import SPREAD, TERM_BITS
from chatd.store.peer_marks import PeerMark, raise_mark
from chatd.store.schema import outbox, payloads
from chatd.store.settings import get_or_add_setting, put_setting
from chatd.store.starts import gaps_since
from tests.support.engines import new_database
from tests.support.query_plans import plans

NOW = 1_795_169_000_000  # ms since 1970 UTC


class Numbers(SynchronousTestCase):
    def setUp(self) -> None:
        engine = new_database(self)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)

    def start(self, now: int, random: int = 7) -> OutboxWriter:
        """The writer of a start at that time."""
        writer = OutboxWriter(lambda: now, lambda size: random.to_bytes(size))
        writer.term(self.connection)
        return writer

    def test_in_a_start(self) -> None:
        writer = self.start(NOW)
        numbers = [writer.take(self.connection) for _ in range(3)]
        self.assertEqual(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2])

    def test_starts(self) -> None:
        """Each start has higher numbers than the earlier ones, also if the clock is behind."""
        numbers = [self.start(now).take(self.connection) for now in (NOW, NOW, NOW - 5000, NOW + 1)]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_many_in_a_start(self) -> None:
        """A million messages a second leave the later start its own numbers."""
        earlier = self.start(NOW)
        last = earlier.take(self.connection) + 1_000_000
        self.assertGreater(self.start(NOW + 1000).take(self.connection), last)

    def test_restored(self) -> None:
        """Three starts in one second, the last one from a backup that was made before the second."""
        self.start(NOW)
        backup = get_or_add_setting(self.connection, "term", "0")
        lost = self.start(NOW + 300).take(self.connection)
        put_setting(self.connection, "term", backup)
        self.assertGreater(self.start(NOW + 600).take(self.connection), lost)

    def test_restored_while_the_clock_is_behind(self) -> None:
        """The numbers differ from those of lost starts. Once a lost number is proved, later ones are higher,
        and the numbers in between may be lost, too."""
        self.start(NOW)
        backup = get_or_add_setting(self.connection, "term", "0")
        lost = self.start(NOW - 5000, random=90_000).take(self.connection)
        put_setting(self.connection, "term", backup)
        writer = self.start(NOW - 9000, random=SPREAD + 5)
        own = writer.take(self.connection)
        self.assertLess(own, lost)
        writer.given(self.connection, own)
        self.assertEqual(writer.take(self.connection), own + 1)
        writer.given(self.connection, lost)
        later = writer.take(self.connection)
        self.assertGreater(later, lost)
        self.assertEqual(gaps_since(self.connection, lost), [(own + 2, later - 1)])
        self.assertEqual(writer.span(self.connection), (later - 1, later))
        writer.forget()
        self.assertEqual(writer.take(self.connection), later + 1)
        self.assertGreater(self.start(NOW - 20_000).take(self.connection), later)

    def test_beyond_all_that_were_given(self) -> None:
        """A start may give more numbers than the bits of its counter hold. If the clock is behind at the next
        one, its numbers are higher nevertheless, also once the parcels are gone."""
        begin_macs(self.connection, bytes)
        earlier = self.start(NOW)
        many = earlier.take(self.connection) + (5 << TERM_BITS)
        earlier.store(self.connection, [NewParcel("a", b"x", NOW, number=many)])
        self.assertGreater(self.start(NOW - 5000, random=0).next(self.connection), many)
        raise_mark(self.connection, "a", PeerMark(acknowledged=many))
        store.done(self.connection, "a", [many])
        put_setting(self.connection, "term", str(many - (5 << TERM_BITS) >> TERM_BITS))
        self.assertGreater(self.start(NOW - 5000, random=0).next(self.connection), many)

    def test_restored_twice_while_the_clock_is_behind(self) -> None:
        """After each restore the same lost number is proved. What is given after that differs."""
        self.start(NOW)
        lost = self.start(NOW + 900_000).take(self.connection)
        since = []
        for random in (5, 6):
            put_setting(self.connection, "term", "0")
            writer = self.start(NOW + 1000 * random, random=random)
            writer.given(self.connection, lost)
            since.append(writer.take(self.connection))
        self.assertEqual(len({number >> TERM_BITS for number in since}), 2)
        self.assertGreater(min(since), lost)


class Payloads(SynchronousTestCase):
    """A parcel that goes to several realms is stored once."""

    REALMS = ("a", "b", "c")

    def setUp(self) -> None:
        engine = new_database(self)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        begin_macs(self.connection, bytes)
        self.writer = OutboxWriter(lambda: NOW, lambda size: bytes(size))

    def put(self, *parcels: tuple[str, bytes], number: int = 7) -> None:
        items = [NewParcel(realm, parcel, NOW, number=number) for realm, parcel in parcels]
        self.writer.store(self.connection, items)

    def waiting(self) -> dict[str, list[bytes]]:
        return {
            realm: [each.parcel for each in store.waiting(self.connection, realm, 0, 9)]
            for realm in self.REALMS
        }

    def stored(self) -> tuple[int, int]:
        """How many bytes of parcels are in the outbox, and how many in payloads."""
        sums = (
            self.connection.scalar(sa.select(sa.func.sum(sa.func.length(column))))
            for column in (outbox.c.parcel, payloads.c.parcel)
        )
        here, there = (int(each or 0) for each in sums)
        return here, there

    def test_once(self) -> None:
        self.put(*((realm, b"x" * 100) for realm in self.REALMS))
        self.assertEqual(self.stored(), (0, 100))
        self.assertEqual(self.waiting(), {realm: [b"x" * 100] for realm in self.REALMS})
        found = store.get(self.connection, "b", 7)
        self.assertEqual(found and found.parcel, b"x" * 100)

    def test_one_realm(self) -> None:
        self.put(("a", b"x" * 100))
        self.put(("a", b"y"), ("b", b"z"), number=0)
        self.assertEqual(self.stored(), (102, 0))

    def test_kept_until_the_last(self) -> None:
        """It goes with the parcel that is acknowledged or given up last."""
        self.put(*((realm, b"x" * 100) for realm in self.REALMS))
        store.done(self.connection, "a", [7])
        self.assertTrue(store.remove(self.connection, "b", 7))
        self.assertEqual(self.stored(), (0, 100))
        self.assertEqual(self.waiting(), {"a": [], "b": [], "c": [b"x" * 100]})
        store.done(self.connection, "c", [7, 8, 9])
        self.assertEqual(self.stored(), (0, 0))

    def test_others_with_that_number(self) -> None:
        """What differs for a realm is not shared, nor what comes later with the same number."""
        self.put(("a", b"x" * 100), ("b", b"x" * 100), ("c", b"other"))
        self.assertEqual(self.stored(), (5, 100))
        store.done(self.connection, "a", [7])
        store.done(self.connection, "c", [7])
        self.put(("a", b"later"), ("c", b"later"))
        self.assertEqual(self.waiting(), {"a": [b"later"], "b": [b"x" * 100], "c": [b"later"]})

    def test_blanked(self) -> None:
        """The content is gone from both tables."""
        self.put(*((realm, b"secret") for realm in self.REALMS))
        found = store.blank(self.connection, [7], lambda _parcel: b"blank")
        self.assertEqual({each.realm for each in found}, {*self.REALMS})
        self.assertEqual(self.waiting(), {realm: [b"blank"] for realm in self.REALMS})
        self.assertEqual(self.stored()[1], 0)

    def test_altered(self) -> None:
        """A payload that was altered on disk is sent to no realm."""
        self.put(*((realm, b"x" * 100) for realm in self.REALMS))
        self.connection.execute(sa.update(payloads).values(parcel=b"forged"))
        self.assertEqual(self.waiting(), {realm: [NO_PARCEL] for realm in self.REALMS})
        self.flushLoggedErrors()


class ManyRealms(SynchronousTestCase):
    """Parcels wait for many realms, which may be gone for good."""

    def setUp(self) -> None:
        self.engine = new_database(self)
        self.connection = self.engine.connect()
        self.addCleanup(self.connection.close)
        begin_macs(self.connection, bytes)
        self.writer = OutboxWriter(lambda: NOW, bytes)
        self.realms = [f"realm{each:03}" for each in range(200)]
        for each in self.realms:
            self.put((each,), b"first")
        self.shared = self.put(self.realms[50:60], b"shared", NOW + 1000)
        self.connection.commit()

    def put(self, realms: Sequence[str], parcel: bytes, at: int = NOW) -> int:
        number = self.writer.next(self.connection)
        items = [NewParcel(each, parcel, at, number=number) for each in realms]
        self.writer.store(self.connection, items)
        return number

    def statements(self, read: Callable[[], object]) -> int:
        """How many statements `read` executes; none of them reads the whole outbox."""
        steps = plans(self.engine, read, "outbox")
        self.assertEqual([step for step in steps if step.startswith("SCAN outbox")], [])
        seen: list[object] = []
        sa.event.listen(self.engine, "before_cursor_execute", lambda *each: seen.append(each))
        read()
        return len(seen)

    def test_realms(self) -> None:
        self.assertEqual(store.waiting_realms(self.connection), self.realms)
        self.connection.execute(sa.delete(outbox))
        self.assertEqual(store.waiting_realms(self.connection), [])

    def test_blank(self) -> None:
        """Deleting a message costs the same however many realms something else waits for."""

        def blank() -> None:
            found = store.blank(self.connection, [self.shared], bytes.upper)
            self.assertEqual([each.realm for each in found], self.realms[50:60])

        self.assertLess(self.statements(blank), 30)
        parcels = [
            store.waiting(self.connection, each, 0, 5)[-1].parcel for each in self.realms[49:61]
        ]
        self.assertEqual(parcels, [b"first", *[b"SHARED"] * 10, b"first"])

    def test_too_old(self) -> None:
        """Only the realms are looked at whose first parcel is too old."""
        self.assertEqual(store.too_old(self.connection, NOW, 10), [])
        self.assertLess(self.statements(lambda: store.too_old(self.connection, NOW, 10)), 3)
        self.connection.execute(
            sa.update(outbox).where(outbox.c.realm == "realm055").values(created_at=NOW - 1)
        )
        old = store.too_old(self.connection, NOW, 10)
        self.assertEqual([each for each, _ in old], ["realm055"] * 2)
        every = store.too_old(self.connection, NOW + 1, 1000)
        self.assertEqual(len(every), 200 + 1)
        self.assertEqual(len(store.too_old(self.connection, NOW + 1, 7)), 7)
