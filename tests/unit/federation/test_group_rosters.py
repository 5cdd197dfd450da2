"""Rosters of groups: signed by their homes, fetched by realms with members, and nobody else."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail, succeed

from chatd.base.errors import BadSignature, RealmDown, StorageFailed
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation import group_rosters
from chatd.federation.group_rosters import SECONDS, SOON
from chatd.federation.roster_pieces import RosterPiece
from chatd.federation.signing.group_rosters import (
    ADMIN,
    BANNED,
    MEMBER,
    RosterStatement,
    decode_roster_statement,
    decode_rows,
)
from chatd.simulate.servers import Server
from chatd.store import group_rosters as store
from chatd.store.group_rosters import StoredRoster
from chatd.store.groups import find_group
from chatd.store.schema import mirror_rosters
from tests.support.network import LinkedTestCase, lacks
from tests.support.restores import RestoredTestCase

LATER = 60.0  # seconds within which a small group gets a roster


class RosterTestCase(LinkedTestCase):
    """budi has made bagan in realm2; ana of realm1 is a member."""

    def setUp(self) -> None:
        super().setUp()
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")
        self.network.advance(LATER)

    def kept(
        self, server: Server | None = None, group: str = "bagan@realm2"
    ) -> StoredRoster | None:
        def read(connection: Any) -> StoredRoster | None:
            found = find_group(connection, group)
            if found is None:
                return None
            return store.roster_of_mirror(connection, found.id, found.realm or "")

        found: StoredRoster | None = (server or self.one).realm.database.now(read)
        return found

    def stated(self) -> RosterStatement:
        kept = self.kept()
        assert kept is not None
        return decode_roster_statement(kept.statement)

    def rows(self) -> dict[str, int]:
        kept = self.kept()
        assert kept is not None
        return {row.address: row.role for row in decode_rows(kept.rows or b"")}

    def leads(self, name: str, verb: Any = ask.PromoteMember) -> None:
        self.budi.does(verb(parse_address("bagan"), parse_address(name)))


class ExchangeTestCase(RosterTestCase):
    def test_members(self) -> None:
        self.assertEqual(self.rows(), {"budi@realm2": ADMIN, "ana@realm1": MEMBER})
        stated = self.stated()
        self.assertEqual((stated.home, stated.name), ("realm2", "bagan"))
        self.assertEqual(stated.founders, ("ana@realm1",))
        self.assertEqual(stated.seq, 2)

    def test_changes(self) -> None:
        """Admins, bans, members: a later roster says so."""
        before = self.stated().number
        self.citra.joins("bagan")
        self.leads("ana@realm1")
        self.leads("citra", ask.KickMember)
        self.network.advance(LATER)
        expected = {"budi@realm2": ADMIN, "ana@realm1": ADMIN, "citra@realm2": BANNED}
        self.assertEqual(self.rows(), expected)
        self.assertGreater(self.stated().number, before)
        self.assertEqual(self.stated().founders, ("ana@realm1",))

    def test_messages_change_nothing(self) -> None:
        before = self.kept()
        self.budi.posts("bagan", "halo")
        self.network.advance(LATER)
        self.assertEqual(self.kept(), before)

    def test_while_cut(self) -> None:
        """What has changed meanwhile is told over the next link, also after kills of both."""
        self.part()
        self.leads("ana@realm1")
        self.network.advance(LATER)
        self.one.kill()
        self.two.restart()
        self.one.open()
        self.meet()
        self.network.advance(LATER)
        self.assertEqual(self.rows()["ana@realm1"], ADMIN)

    def test_killed_between_statement_and_rows(self) -> None:
        self.leads("ana@realm1")
        self.network.advance(SOON - 1)
        before = self.stated().number
        while self.stated().number == before:
            if not self.network.step():
                self.network.advance(0.1)
        self.one.restart()
        self.network.advance(LATER)
        self.assertEqual(self.rows()["ana@realm1"], ADMIN)

    def test_coalesced(self) -> None:
        """Many changes in a short time are one roster."""
        before = self.stated().number
        rosters = self.two.realm.federation.rosters
        stores: list[int] = []
        store_one = rosters._store

        def count(*each: Any) -> int:
            stores.append(store_one(*each))
            return stores[-1]

        self.patch(rosters, "_store", count)
        for _ in range(20):
            self.leads("ana@realm1")
            self.leads("ana@realm1", ask.DemoteAdmin)
        self.network.advance(SOON + 1)
        self.assertEqual(len(stores), 1)
        self.assertGreater(self.stated().number, before)

    def test_large_groups_get_fewer(self) -> None:
        made = self.network.result(self.two.realm.database.read(store.made_at, self.stated().group))
        now = self.two.realm.service.context.now()
        wait = self.two.realm.database.now(
            lambda db: self.two.realm.federation.rosters._wait(db, self.stated().group, 10_000)
        )
        self.assertAlmostEqual(wait, SECONDS * 10_000 - (now - made) / 1000, places=2)

    def test_no_members_any_more(self) -> None:
        """A realm without members is given none."""
        self.ana.does(ask.LeaveGroup(parse_address("bagan@realm2")))
        self.network.advance(LATER)
        asking = self.one.realm.directory.roster("realm2", self.stated().group, 0)
        failed: list[Any] = []
        asking.addErrback(failed.append)
        self.network.settle()
        self.assertEqual(failed[0].value.code, "unknown-group")

    def test_in_pieces(self) -> None:
        self.patch(group_rosters, "PIECE", 7)
        self.leads("ana@realm1")
        self.network.advance(LATER)
        self.assertEqual(self.rows()["ana@realm1"], ADMIN)

    def test_bad_offsets(self) -> None:
        for offset in (-1, 10_000):
            failed: list[Any] = []
            asking = self.one.realm.directory.roster("realm2", self.stated().group, offset)
            asking.addErrback(failed.append)
            self.network.settle()
            self.assertEqual(failed[0].value.code, "unknown-group")


class WithoutTestCase(RosterTestCase):
    def setUp(self) -> None:
        lacks(self, "realm1", "rescues")
        super().setUp()

    def test_realm_that_takes_none(self) -> None:
        self.assertIsNone(self.kept())


class HostileHomeTestCase(RosterTestCase):
    def offers(self, **changed: bytes) -> None:
        """The home gives something else than it has signed."""
        rosters = self.two.realm.federation.rosters
        piece = rosters.piece

        async def altered(realm: str, group: int, offset: int) -> Any:
            found = await piece(realm, group, offset)
            for name, value in changed.items():
                found = type(found)(**{**_fields(found), name: value})
            return found

        self.patch(rosters, "piece", altered)
        self.before = self.kept()
        self.leads("ana@realm1")
        self.network.advance(LATER)

    def test_other_rows(self) -> None:
        for rows in (b"\x90", b"x" * 100_000, b""):
            self.offers(rows=rows)
            assert self.kept() is not None
            self.assertIsNone(self.kept().rows)  # type: ignore[union-attr]

    def test_other_statement(self) -> None:
        self.offers(statement=b"\x93\x01\x02\x03")
        self.assertEqual(self.kept(), self.before)

    def test_other_proof(self) -> None:
        kept = self.kept()
        assert kept is not None
        self.offers(proof=kept.proof)
        self.assertEqual(self.kept(), self.before)

    def test_earlier_roster(self) -> None:
        """A roster that came before is no news: nobody is an admin again by it."""
        kept = self.kept()
        assert kept is not None
        self.leads("ana@realm1")
        self.network.advance(LATER)
        newer, group = self.kept(), self.stated().group
        stored = self.one.realm.database.now(
            lambda db: store.keep_theirs(db, "realm2", group, kept)
        )
        self.assertFalse(stored)
        self.assertEqual(self.kept(), newer)

    def test_too_many(self) -> None:
        self.patch(store, "MAX_KEPT", 10)
        self.leads("ana@realm1")
        self.network.advance(LATER)
        assert self.kept() is not None
        self.assertIsNone(self.kept().rows)  # type: ignore[union-attr]
        self.assertEqual(self.stated().founders, ("ana@realm1",))


def _fields(piece: Any) -> dict[str, bytes]:
    return {name: getattr(piece, name) for name in piece.__struct_fields__}


class RestoredRosterTestCase(RestoredTestCase, RosterTestCase):
    def test_mirror(self) -> None:
        """A realm that was restored gets the newest roster again."""
        copy = self.back_up(self.one)
        self.leads("ana@realm1")
        self.network.advance(LATER)
        self.assertEqual(self.rows()["ana@realm1"], ADMIN)
        self.restore(self.one, copy)
        self.network.advance(LATER)
        self.assertEqual(self.rows()["ana@realm1"], ADMIN)

    def test_home(self) -> None:
        """The rosters of a home that was restored have higher numbers than those it has lost."""
        copy = self.back_up(self.two)
        self.leads("ana@realm1")
        self.network.advance(LATER)
        lost = self.stated().number
        self.restore(self.two, copy)
        self.network.advance(LATER)
        self.citra.joins("bagan")
        self.network.advance(LATER)
        self.assertGreater(self.stated().number, lost)
        self.assertIn("citra@realm2", self.rows())


class FailingTestCase(RosterTestCase):
    """What stops one roster does not stop the others."""

    def copies(self) -> Any:
        return self.one.realm.federation.roster_copies

    def answers(self, *answers: Any) -> None:
        """What the home answers to the next questions for rosters; the last one from then on."""
        left = [*answers]
        asked = self.copies()._links.roster

        def roster(*question: Any) -> Any:
            answer = left.pop(0) if len(left) > 1 else left[0]
            return asked(*question) if answer is None else answer()

        self.patch(self.copies()._links, "roster", roster)

    def test_signing_fails(self) -> None:
        supply = self.two.realm.federation.rosters
        before = self.stated().number
        self.patch(supply, "_sign", lambda _statement: 1 / 0)
        self.leads("ana@realm1")
        self.network.advance(LATER)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.stated().number, before)

    def test_too_large(self) -> None:
        """A roster beyond the bounds is not made; the one before stays."""
        before = self.kept()
        self.patch(group_rosters, "MAX_ROSTER", 1)
        self.leads("ana@realm1")
        self.network.advance(LATER)
        self.assertEqual(self.kept(), before)

    def test_large_group_waits(self) -> None:
        """The next roster of a large group is made once its time has come."""
        self.patch(group_rosters, "SECONDS", 40.0)
        before = self.stated().number
        self.leads("ana@realm1")
        self.network.advance(SOON + 1)
        self.leads("ana@realm1", ask.DemoteAdmin)
        self.network.advance(SOON + 1)
        self.assertEqual(self.stated().number, before)
        self.network.advance(200)
        self.assertGreater(self.stated().number, before)

    def test_many_groups(self) -> None:
        """The numbers are told in several pages."""
        self.patch(group_rosters, "LISTED", 1)
        self.budi.creates("nusa")
        self.ana.joins("nusa@realm2")
        self.network.advance(LATER)
        self.one.realm.database.now(lambda db: db.execute(mirror_rosters.delete()))
        self.part()
        self.meet()
        self.network.advance(LATER)
        for group in ("bagan@realm2", "nusa@realm2"):
            self.assertIsNotNone(self.kept(group=group), group)

    def test_link_lost_meanwhile(self) -> None:
        """The number is told again over the next link."""
        self.answers(lambda: fail(RealmDown(realm="realm2")), None)
        self.leads("ana@realm1")
        self.network.advance(LATER)
        self.part()
        self.meet()
        self.network.advance(LATER)
        self.assertEqual(self.rows()["ana@realm1"], ADMIN)

    def test_other_group(self) -> None:
        """A roster of one group does not come in place of that of another one."""
        kept = self.kept()
        assert kept is not None
        piece = RosterPiece(kept.statement, kept.proof, kept.rows or b"")
        copies = self.copies()
        self.patch(copies._links, "roster", lambda *_: succeed(piece))
        with self.assertRaises(BadSignature):
            self.network.result(copies._fetch("realm2", 1 << 40))

    def test_newer_one_meanwhile(self) -> None:
        """Between two pieces there is a newer roster, which is told and fetched after that."""
        kept = self.kept()
        assert kept is not None
        older = RosterPiece(kept.statement, kept.proof, (kept.rows or b"")[:3])
        newer = RosterPiece(b"newer", kept.proof, b"x")
        self.one.realm.database.now(lambda db: db.execute(mirror_rosters.delete()))
        self.answers(lambda: succeed(older), lambda: succeed(newer), None)
        self.network.result(self.copies()._fetch("realm2", self.group()))
        found = self.kept()
        assert found is not None
        self.assertIsNone(found.rows)

    def group(self) -> int:
        kept = self.kept()
        if kept is not None:
            return decode_roster_statement(kept.statement).group
        found = self.one.realm.database.now(lambda db: find_group(db, "bagan@realm2"))
        return int(found.home_id)

    def test_proofs(self) -> None:
        """One that can't be decoded, and one by a realm whose key was never announced."""
        kept = self.kept()
        assert kept is not None
        copies = self.copies()
        self.assertEqual(copies.check("realm2", kept.statement, kept.proof).group, self.group())
        with self.assertRaises(BadSignature):
            copies.check("realm2", kept.statement, b"\xc1")
        with self.assertRaises(BadSignature):
            copies.check("realm9", kept.statement, kept.proof)

    def test_full_disk(self) -> None:
        """That what is lacking can't be read is no failure: the number is told again."""
        before = self.kept()
        self.patch(self.copies()._database, "read", lambda *_: fail(StorageFailed()))
        self.network.result(self.copies().told("realm2", [(self.group(), 1 << 60)]))
        self.assertEqual(self.copies()._wanted, {})
        self.assertEqual(self.kept(), before)

    def test_too_many_wanted(self) -> None:
        """Numbers beyond the bound are left to the next link; a second hint does not start a second run."""
        self.patch(group_rosters, "MAX_WANTED", 0)
        asked: list[object] = []

        def roster(*question: Any) -> Any:
            asked.append(question)
            return fail(RealmDown(realm="realm2"))

        self.patch(self.copies()._links, "roster", roster)
        group = self.group()
        self.network.result(self.copies().told("realm2", [(group, 1 << 60)]))
        self.network.settle()
        self.assertEqual(asked, [])
