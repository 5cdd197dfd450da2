"""Connections of the older dialects may wait for a login for any time, until their places are needed."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.pychat import PychatDialect
from chatd.lines.dialects.registry import DIALECTS
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from chatd.lines.waiting import LOOK, Waiting
from tests.support.common import Wire
from tests.unit.lines.cases import PASSWORD, ManualClock, ProtocolTestCase, settle

HERE, THERE = ("bagan", "10.0.0.1"), ("bagan", "10.0.0.2")
OLDER = (
    Kelompok3Dialect,
    BaganDialect,
    UrlencodedDialect,
    PychatDialect,
    Tugas4Dialect,
)


class FakePatient:
    def __init__(self) -> None:
        self.is_waiting = True
        self.is_busy = False
        self.closed = False

    def give_way(self) -> None:
        self.closed = True
        self.is_waiting = False


class Queue(SynchronousTestCase):
    def setUp(self) -> None:
        self.waiting = Waiting()

    def arrive(self, count: int, key: tuple[str, str] = HERE) -> list[FakePatient]:
        found = [FakePatient() for _ in range(count)]
        for each in found:
            self.waiting.add(each, key)
        return found

    def test_oldest_makes_room(self) -> None:
        one, two, three = self.arrive(3)
        self.assertTrue(self.waiting.make_room())
        self.assertTrue(self.waiting.make_room(HERE))
        self.assertEqual([one.closed, two.closed, three.closed], [True, True, False])
        self.assertEqual(len(self.waiting), 1)

    def test_oldest_of_an_address(self) -> None:
        (far,), (near,) = self.arrive(1, THERE), self.arrive(1, HERE)
        self.assertTrue(self.waiting.make_room(HERE))
        self.assertEqual([far.closed, near.closed], [False, True])
        self.assertFalse(self.waiting.make_room(HERE))
        self.assertTrue(self.waiting.make_room())
        self.assertFalse(self.waiting.make_room())

    def test_adding_again_changes_nothing(self) -> None:
        one, two = self.arrive(2)
        self.waiting.add(one, HERE)
        self.waiting.make_room()
        self.assertEqual([one.closed, two.closed], [True, False])

    def test_logged_in_connection_stays(self) -> None:
        one, two = self.arrive(2)
        one.is_waiting = False
        self.assertTrue(self.waiting.make_room())
        self.assertEqual([one.closed, two.closed], [False, True])
        self.assertEqual(len(self.waiting), 0)

    def test_request_under_way_is_passed_over(self) -> None:
        one, two = self.arrive(2)
        one.is_busy = True
        self.assertTrue(self.waiting.make_room())
        self.assertFalse(self.waiting.make_room())
        self.assertEqual([one.closed, two.closed], [False, True])
        one.is_busy = False
        self.assertTrue(self.waiting.make_room())
        self.assertTrue(one.closed)

    def test_bounded_number_is_looked_at(self) -> None:
        """Those that were passed over come last, so the next attempt looks at others."""
        found = self.arrive(LOOK + 1)
        for each in found[:-1]:
            each.is_busy = True
        self.assertFalse(self.waiting.make_room())
        self.assertTrue(self.waiting.make_room())
        self.assertTrue(found[-1].closed)

    def test_forgetting(self) -> None:
        one, _two = self.arrive(2)
        self.waiting.discard(one)
        self.waiting.discard(one)
        self.assertTrue(self.waiting.make_room(HERE))
        self.assertFalse(one.closed)
        self.assertEqual(self.waiting._by_key, {})


class PatientDialects(ProtocolTestCase):
    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    def limit(self, **limits: int) -> None:
        self.realm.config = self.with_limits(**limits)
        self.realm.service.context.use(self.realm.config)

    def is_open(self, *wires: Wire) -> list[bool]:
        return [not (each.transport.disconnecting or each.transport.aborted) for each in wires]

    async def log_in(self, wire: Wire) -> None:
        wire.feed(f"auth messi {PASSWORD} \r\n".encode())
        await wire.until(b"\r\n\r\n")

    def test_which_they_are(self) -> None:
        self.assertEqual({each for each in DIALECTS.values() if each.patient}, set(OLDER))

    async def test_silence_before_login(self) -> None:
        wires = [self.wire(dialect) for dialect in OLDER]
        for _ in range(24):
            self.clock.advance(3600)
        self.assertEqual(self.is_open(*wires), [True] * len(OLDER))
        wires[0].feed(b"info\r\n")
        self.assertIn(b"Session Tidak Ditemukan", await wires[0].until(b"\r\n\r\n"))

    async def test_the_limit_after_a_login_holds(self) -> None:
        self.limit(idle=100)
        wire = self.wire(BaganDialect)
        await self.log_in(wire)
        for _ in range(12):
            self.clock.advance(10)
        self.assertEqual(self.is_open(wire), [False])

    async def test_oldest_of_an_address_makes_room(self) -> None:
        self.limit(connections_per_address=2)
        other = self.wire(BaganDialect, host="10.0.0.2")
        one, two = (self.wire(BaganDialect, host="10.0.0.1") for _ in range(2))
        three = self.wire(BaganDialect, host="10.0.0.1")
        self.assertEqual(self.is_open(other, one, two, three), [True, False, True, True])
        await self.log_in(three)

    async def test_logged_in_connections_keep_their_places(self) -> None:
        self.limit(connections_per_address=2)
        one, two = (self.wire(BaganDialect, host="10.0.0.1") for _ in range(2))
        await self.log_in(one)
        await self.log_in(two)
        three = self.wire(BaganDialect, host="10.0.0.1")
        await settle()
        self.assertEqual(self.is_open(one, two, three), [True, True, False])

    async def test_after_a_logout_it_makes_room(self) -> None:
        self.limit(connections_per_address=1)
        one = self.wire(BaganDialect, host="10.0.0.1")
        await self.log_in(one)
        self.clock.advance(60)
        one.feed(b"logout \r\n")
        await one.until(b"\r\n\r\n")
        self.clock.advance(60)
        two = self.wire(BaganDialect, host="10.0.0.1")
        self.assertEqual(self.is_open(one, two), [False, True])

    async def test_login_under_way_is_passed_over(self) -> None:
        self.limit(connections_per_address=2)
        one, two = (self.wire(BaganDialect, host="10.0.0.1") for _ in range(2))
        one.feed(f"auth messi {PASSWORD} \r\n".encode())
        three = self.wire(BaganDialect, host="10.0.0.1")
        self.assertEqual(self.is_open(one, two, three), [True, False, True])
        self.assertIn(b"tokenid", await one.until(b"\r\n\r\n"))

    async def test_oldest_in_all_makes_room_for_any_door(self) -> None:
        self.limit(connections=3)
        plain = self.wire(PlainDialect, host="10.0.0.1")
        one = self.wire(PychatDialect, host="10.0.0.2")
        two = self.wire(UrlencodedDialect, host="10.0.0.3")
        newcomer = self.wire(JsonDialect, host="10.0.0.4")
        self.assertEqual(self.is_open(plain, one, two, newcomer), [True, False, True, True])

    async def test_one_connection_makes_room_for_one(self) -> None:
        """Even if both limits are exceeded, and before the closed connection is gone."""
        self.limit(connections=3, connections_per_address=3)
        wires = [self.wire(BaganDialect, host="10.0.0.1") for _ in range(5)]
        self.assertEqual(self.is_open(*wires), [False, False, True, True, True])

    async def test_who_does_not_let_go_is_dropped(self) -> None:
        self.limit(connections=1)
        one: Any = self.wire(BaganDialect, host="10.0.0.1")
        self.wire(BaganDialect, host="10.0.0.2")
        self.assertFalse(one.transport.aborted)
        self.clock.advance(2)
        self.assertTrue(one.transport.aborted)

    async def test_nothing_is_kept_of_connections_that_are_gone(self) -> None:
        wires = [self.wire(dialect) for dialect in OLDER]
        self.assertEqual(len(self.realm.connections.waiting), len(OLDER))
        for wire in wires:
            self.lose(wire)
        self.assertEqual(len(self.realm.connections.waiting), 0)
