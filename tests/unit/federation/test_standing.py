"""What realms tell each other of what they have, and how they send again what is lacking."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec
from twisted.internet.defer import fail

from chatd.base.errors import RealmDown, RealmQuota, StorageFailed
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation import restores
from chatd.federation.amp import delivery
from chatd.federation.amp.return_link import ReturnLink
from chatd.federation.amp.wire import Refused
from chatd.federation.standing import Standing, decode_standing, encode
from chatd.store import held, losses
from chatd.store.losses import Lost, SharedDirect
from chatd.store.peer_marks import PeerMark
from chatd.store.schema import changes
from tests.support.restores import RestoredTestCase


class StandingTestCase(RestoredTestCase):
    def test_decoding(self) -> None:
        told = Standing(5, 9, 3, ((1, 2),))
        self.assertEqual(decode_standing(encode(told)), told)
        for data in (None, b"", b"\xc1", msgspec.msgpack.encode([1, 2, "x"]), encode([-1, 2, 3])):
            self.assertIsNone(decode_standing(data))

    def test_of_two_realms(self) -> None:
        """Both know what the other has got. After a clean stop nothing is told again."""
        self.ana.sends("budi@realm2", "halo")
        self.network.advance(5)
        one, two = self.one.federation.standings, self.two.federation.standings
        self.assertEqual(one.of("realm2").acknowledged, two.of("realm1").received)
        told = self.network.result(two.tell("realm1"))
        self.assertTrue(told.is_settled)
        self.assertFalse(self.one.federation.restores.is_needed("realm2", told))
        self.assertEqual(two.of("realm3"), PeerMark())
        self.two.close()
        self.two.open()
        self.network.advance(5)
        again = self.two.federation.standings
        self.assertEqual(two.of("realm1").received, again.of("realm1").received)

    def test_a_realm_that_tells_nothing(self) -> None:
        self.assertFalse(self.one.federation.restores.is_needed("realm2", None))

    def test_forgotten(self) -> None:
        """Nothing is known of a forgotten realm, also if it still returns something over its last link."""
        self.ana.sends("budi@realm2", "halo")
        self.network.advance(5)
        standings = self.two.federation.standings
        self.network.result(self.two.realm.directory.forget("realm1"))
        self.network.result(standings.settle("realm1", 5))
        self.assertEqual(standings.of("realm1"), PeerMark())

    def test_full_disk(self) -> None:
        """Marks that are not stored are lost with a crash, and more is sent again than is lacking."""
        self.ana.sends("budi@realm2", "satu")
        self.network.advance(5)
        self.ana.sends("budi@realm2", "dua")
        self.two.realm.database.full = True
        self.network.advance(5)
        self.two.realm.database.full = False
        self.two.restart()
        self.network.advance(5)
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu", "ana@realm1: dua"])

    def test_a_start_without_a_loss(self) -> None:
        """Nothing is searched that the other realm has acknowledged, however old that is."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.ana.posts("bagan", "satu")
        self.ana.sends("budi@realm2", "dua")
        self.network.advance(5)
        searched: list[Any] = []
        page = held.group_page

        def group_page(connection: Any, group: Any, lost: Any, after: int) -> Any:
            if lost is not None:
                searched.append(group)
            return page(connection, group, lost, after)

        self.patch(held, "group_page", group_page)
        self.two.restart()
        self.network.advance(5)
        self.assertEqual(searched, [])
        mark = self.one.federation.standings.of("realm2")
        lost = Lost("realm2", mark.acknowledged, mark.acknowledged)
        self.assertEqual(self.one.realm.database.now(lambda db: losses.directs(db, lost)), [])
        lost = Lost("realm2", 0, mark.acknowledged)
        self.assertEqual(
            self.one.realm.database.now(lambda db: losses.directs(db, lost)),
            [SharedDirect(mock.ANY, "ana", "budi")],
        )

    def test_a_bug(self) -> None:
        self.patch(self.two.realm.database, "run", lambda *_: fail(ZeroDivisionError()))
        self.two.federation.standings.received("realm1", 1 << 60)
        self.network.advance(2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class AgainTestCase(RestoredTestCase):
    """realm2 is restored to a time before four messages of ana."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.sends("budi@realm2", "0")
        self.copy = self.back_up(self.two)
        for number in range(1, 5):
            self.ana.sends("budi@realm2", str(number))
            self.budi.sends("ana@realm1", f"jawab {number}")
        self.network.advance(5)

    def all_there(self) -> None:
        texts = ["ana@realm1: 0"]
        for number in range(1, 5):
            texts += [f"ana@realm1: {number}", f"budi: jawab {number}"]
        self.assertEqual(self.budi.history("ana@realm1"), texts)

    def test_in_pages(self) -> None:
        self.patch(held, "PAGE", 3)
        self.patch(restores, "MAX_ITEMS", 2)
        self.restore(self.two, self.copy)
        self.all_there()

    def test_large(self) -> None:
        self.patch(restores, "MAX_BYTES", 10)
        self.restore(self.two, self.copy)
        self.all_there()

    def fails(self, *errors: Exception) -> None:
        """Let realm2 refuse what is returned, with these errors, one after another."""
        left = list(errors)
        kind = type(self.two.federation.returned)
        take = kind.take

        async def taking(*arguments: Any) -> None:
            if left:
                raise left.pop(0)
            await take(*arguments)

        self.patch(kind, "take", taking)

    def test_too_much_for_now(self) -> None:
        """What exceeds a quota is sent again later, beginning with it, and what is new waits behind it."""
        self.patch(restores, "MAX_ITEMS", 3)
        returned: list[int] = []
        give = ReturnLink.give_back

        async def give_back(link: Any, items: Any, upto: Any = None) -> None:
            if link._link.host is self.one.realm.directory.manager:
                returned.append(len(items))
            await give(link, items, upto)

        self.patch(ReturnLink, "give_back", give_back)
        self.fails(RealmQuota(limit=5, minutes=5))
        self.restore(self.two, self.copy)
        self.ana.begins_to_send("budi@realm2", "5")
        self.network.advance(5)
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: 0"])
        self.network.advance(60)
        self.assertEqual(self.budi.history("ana@realm1")[-1], "ana@realm1: 5")
        self.assertEqual(len(self.budi.history("ana@realm1")), 10)
        self.assertEqual(returned, [3, 3, 2])

    def test_full_disk_there(self) -> None:
        """The link ends, and the next one begins anew."""
        self.fails(StorageFailed(), Refused("storage-failed"))
        self.restore(self.two, self.copy)
        self.network.advance(30)
        self.all_there()

    def test_broken_there(self) -> None:
        """A realm that can't take it back gets what is new nevertheless."""
        self.fails(*[ZeroDivisionError()] * 3)
        self.restore(self.two, self.copy)
        self.ana.sends("budi@realm2", "5")
        self.assertEqual(self.budi.history("ana@realm1")[-1], "ana@realm1: 5")
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_bug(self) -> None:
        """A restore that fails here does not hold up what is new."""
        self.patch(restores.Restores, "run", lambda *_: fail(ZeroDivisionError()))
        self.restore(self.two, self.copy)
        self.ana.sends("budi@realm2", "5")
        self.assertEqual(self.budi.history("ana@realm1")[-1], "ana@realm1: 5")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_claimed_again_and_again(self) -> None:
        """A realm that claims a loss over each of many links gets no search for each of them."""
        searches: list[str] = []

        async def run(_: Any, link: Any, realm: str, __: Any) -> None:
            if link._link.host is self.one.realm.directory.manager:
                searches.append(realm)

        self.patch(restores.Restores, "run", run)
        self.patch(restores.Restores, "is_needed", lambda *_: True)
        self.network.advance(60 * 60)
        for _ in range(2 * delivery.BURST):
            self.network.cut()
            self.network.advance(3)
        self.assertGreaterEqual(len(searches), delivery.BURST)
        self.assertLess(len(searches), 2 * delivery.BURST)
        self.ana.begins_to_send("budi@realm2", "5")
        self.network.advance(3 * delivery.EVERY)
        self.assertEqual(self.budi.history("ana@realm1")[-1], "ana@realm1: 5")

    def test_link_lost(self) -> None:
        self.fails(RealmDown(realm="realm2"))
        self.restore(self.two, self.copy)
        self.network.advance(30)
        self.network.cut()
        self.network.advance(30)
        self.all_there()

    def test_killed_in_between(self) -> None:
        """Either side may be killed before all is returned."""
        self.patch(restores, "MAX_ITEMS", 1)
        for server in (self.one, self.two):
            self.restore(self.two, self.copy)
            server.restart()
            self.network.advance(30)
            self.all_there()

    def test_queued_meanwhile(self) -> None:
        """What the outbox holds is not sent twice."""
        self.part()
        self.ana.sends("budi@realm2", "5")
        self.restore(self.two, self.copy)
        self.meet()
        self.network.advance(5)
        self.assertEqual(len(self.budi.history("ana@realm1")), 10)
        self.assertEqual(self.one.parcels_waiting(), 0)


class FactsTestCase(RestoredTestCase):
    def test_mirror(self) -> None:
        """Who has joined, and what a group has become, comes back under the same numbers."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.network.advance(5)
        copy = self.back_up(self.two)
        self.one.person("dewi").joins("bagan")
        self.ana.does(ask.CloseGroup(parse_address("bagan")))
        self.network.advance(5)
        self.restore(self.two, copy)
        self.network.advance(5)
        here, there = (self.facts(server) for server in (self.one, self.two))
        self.assertEqual(here[-2:], there[-2:])
        self.assertEqual([kind for _, kind in there[-2:]], ["member", "group"])

    def facts(self, server: Any) -> list[tuple[int, str]]:
        table = changes.select().order_by(changes.c.seq)
        return [
            (row.seq, row.kind)
            for row in server.realm.database.now(lambda db: db.execute(table).all())
        ]
