"""What a realm makes of rescues, verdicts and rosters that it is told, and of answers that fail."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import fail, succeed

from chatd.base.errors import (
    BadSignature,
    ChatError,
    GroupExists,
    GroupLivesHere,
    NoRoster,
    RealmDown,
    RescueExists,
    StorageFailed,
    UnknownGroup,
)
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation import entry_handover, rescue_founding
from chatd.federation import rescues as rescues_module
from chatd.federation.group_rosters import SOON as ROSTER_SOON
from chatd.federation.rescue_founding import known_rescue
from chatd.federation.rescue_parts import (
    Branch,
    FollowAnswer,
    SignedRoster,
    branch_of,
    decode_proof,
    decode_rescue,
)
from chatd.federation.signing.group_rosters import (
    ADMIN,
    RosterPlace,
    RosterRow,
    decode_roster_statement,
    state_roster,
)
from chatd.federation.signing.rescues import (
    Rescue,
    RescueStatement,
    RescueVerdict,
    VerdictStatement,
    open_rescue,
)
from chatd.federation.signing.statements import StatedRef, Statement, encode
from chatd.simulate.servers import Server
from chatd.store import group_rosters as roster_store
from chatd.store import held as held_store
from chatd.store import rescues as store
from chatd.store.groups import find_group
from chatd.store.rescues import KnownRescue, RescueState
from chatd.store.schema import mirror_rosters
from tests.unit.federation.test_rescues import LONG, SOON, RescueTestCase


class CraftedTestCase(RescueTestCase):
    """Rescues that nobody has founded. All realms are linked."""

    realms = 3

    def setUp(self) -> None:
        super().setUp()
        self.network.advance(2 * ROSTER_SOON)

    def crafted(self, by: Server, founder: str, group: str = "bagan@realm1") -> Rescue:
        """A rescue by a realm that has a copy of the group."""

        def read(connection: Any) -> Rescue:
            copy = find_group(connection, group)
            assert copy is not None
            kept = roster_store.roster_of_mirror(connection, copy.id, copy.realm or "")
            assert kept is not None
            roster = decode_roster_statement(kept.statement)
            about = roster.home, roster.group, roster.number
            now = int(self.network.now * 1000)
            said = RescueStatement(by.name, 1, *about, founder, 9, "bagan", roster.seq, now)
            statement = encode(said)
            proof = by.realm.federation.forwarder.sign(statement)
            return Rescue(statement, proof, kept.statement, decode_proof(kept.proof))

        found: Rescue = by.realm.database.now(read)
        return found

    def place(self, server: Server, group: str = "bagan@realm1") -> int:
        found = server.realm.database.now(lambda db: find_group(db, group))
        return int(found.id)

    def keep(self, server: Server, rescue: Rescue, state: RescueState) -> KnownRescue:
        """Let a realm know a rescue."""
        known = known_rescue(self.place(server), open_rescue(rescue), state)
        self.assertTrue(server.realm.database.now(lambda db: store.add_rescue(db, known)))
        return known

    def state(self, server: Server, rescue: Rescue, place: int | None = None) -> str | None:
        where = place or self.place(server)
        found = server.realm.database.now(lambda db: store.rescue_with(db, where, rescue.hash))
        return None if found is None else found.state

    def offer(self, rescue: Rescue, to: Server, by: str = "realm2") -> Any:
        """Tell a realm of a rescue. Returns the answer."""
        answer = self.network.result(to.realm.federation.rescues.offered(by, rescue), 5.0)
        self.network.advance(1)
        return answer

    def verdict(self, about: Rescue, yields: bool, **changed: Any) -> RescueVerdict:
        """What realm1 signs about a rescue."""
        stated = open_rescue(about).stated
        said = VerdictStatement("realm1", stated.group, 1, about.hash, yields, 5)
        statement = encode(msgspec.structs.replace(said, **changed))
        return RescueVerdict(statement, self.home.realm.federation.forwarder.sign(statement))


class ToldTestCase(CraftedTestCase):
    def test_verdicts_about_something_else(self) -> None:
        rescue = self.crafted(self.second, "budi")
        judge = self.third.realm.federation.rescues._judge
        opened = open_rescue(rescue)
        self.assertTrue(judge.check_verdict(opened, self.verdict(rescue, True)).yields)
        for changed in ({"group": 1 << 40}, {"rescue": b"x" * 32}, {"home": "realm2"}):
            with self.assertRaises(BadSignature):
                judge.check_verdict(opened, self.verdict(rescue, True, **changed))

    def test_roster_of_an_unknown_realm(self) -> None:
        judge = self.third.realm.federation.rescues._judge
        rows = (RosterRow("budi@realm2", ADMIN, 1),)
        statement, _ = state_roster(RosterPlace("realm9", 1, "bagan", 4), rows, 7, 5)
        signed = SignedRoster(statement, self.second.realm.federation.forwarder.sign(statement))
        with self.assertRaises(BadSignature):
            judge.check_roster(decode_roster_statement(statement), signed)

    def test_unknown_group(self) -> None:
        rescue = self.crafted(self.second, "budi")
        other = self.network.server("realm9")
        self.network.settle()
        answer = self.network.result(other.realm.federation.rescues.offered("realm2", rescue))
        self.assertEqual(answer.state, "unknown")

    def test_no_room(self) -> None:
        """A realm that has told of too many rescues is not followed, and gets no other answer."""
        rescue = self.crafted(self.second, "budi")
        self.patch(store, "MAX_OF_REALM", 0)
        self.assertEqual(self.offer(rescue, self.third).state, "unknown")
        reached = self.third.realm.federation.rescues._reached
        self.patch(reached, "away", lambda _realm: succeed(LONG * 1000))
        self.assertEqual(self.offer(rescue, self.third).state, "unknown")
        self.assertIsNone(self.state(self.third, rescue))
        answer = self.offer(rescue, self.home)
        self.assertEqual((answer.state, answer.verdict is None), ("ended", False))

    def test_kicked_by_the_log(self) -> None:
        """No roster says it yet: the entry is enough, also for the home."""
        rescue = self.crafted(self.second, "budi")
        self.ana.does(ask.KickMember(parse_address("bagan"), parse_address("budi@realm2")))
        self.network.settle()
        with self.assertRaises(BadSignature):
            self.offer(rescue, self.third)
        self.assertEqual(self.offer(rescue, self.home).state, "ended")

    def test_verdict_on_an_ended_rescue(self) -> None:
        """It is kept, and changes nothing else. A second one does nothing."""
        rescue = self.crafted(self.second, "budi")
        self.keep(self.third, rescue, "ended")
        for yields in (False, True):
            judged = self.network.result(
                self.third.realm.federation.rescues._take_verdict(
                    open_rescue(rescue), self.verdict(rescue, yields)
                )
            )
            self.assertEqual(judged.effect, "none")
        place = self.place(self.third)
        [known] = self.third.realm.database.now(lambda db: store.rescues_of(db, place))
        self.assertEqual(known.state, "ended")
        self.assertIsNotNone(known.verdict)

    def test_yielding_is_kept(self) -> None:
        """The home yields to a rescue that is not the one that counts."""
        worse = self.crafted(self.third, "citra")
        self.keep(self.second, worse, "ended")
        taking = self.second.realm.federation.rescues._take_verdict(
            open_rescue(worse), self.verdict(worse, True)
        )
        self.assertEqual(self.network.result(taking).effect, "none")
        self.assertEqual(self.state(self.second, worse), "ended")

    def test_linked_home_is_asked_at_once(self) -> None:
        """It has reached others, so it recalls the rescue, and members are told."""
        rescue = self.crafted(self.second, "budi")
        self.assertEqual(self.offer(rescue, self.third).state, "pending")
        self.network.advance(SOON)
        self.assertEqual(self.state(self.third, rescue), "ended")
        events = ["pending bagan@realm1 bagan@realm2", "void bagan@realm1 bagan@realm2"]
        self.assertEqual(self.events("citra"), events)

    def test_pending_when_the_group_moves(self) -> None:
        """The home hands the group over as planned: nobody waits for the rescue any more."""
        self.promote("citra@realm3")
        rescue = self.crafted(self.second, "budi")
        self.keep(self.second, rescue, "pending")
        self.ana.does(ask.MoveGroup(parse_address("bagan"), "realm3"))
        self.network.advance(SOON)
        self.citra.does(ask.MoveGroup(parse_address("bagan@realm1"), "realm3"))
        self.network.advance(6 * SOON)
        self.assertEqual(self.address("budi"), "bagan@realm3")
        place = self.place(self.second, "bagan@realm3")
        self.assertEqual(self.offer(rescue, self.second).state, "ended")
        self.assertEqual(self.state(self.second, rescue, place), "ended")
        self.assertEqual(self.events("budi")[-1], "void bagan@realm3 bagan@realm2")

    def test_pending_that_fails(self) -> None:
        """One that is not signed rightly is given up, and one that fails does not stop the others."""
        good, bad = self.crafted(self.second, "budi"), self.crafted(self.third, "citra")
        wrong = msgspec.structs.replace(bad, proof=good.proof)
        rescues = self.third.realm.federation.rescues
        self.keep(self.third, wrong, "pending")
        self.network.result(rescues._check_pending())
        self.assertEqual(self.state(self.third, wrong), "ended")
        self.keep(self.third, good, "pending")
        for error, logged in ((StorageFailed(), 0), (ZeroDivisionError(), 1)):
            self.patch(rescues, "offered", lambda *_, error=error: fail(error))
            self.network.result(rescues._check_pending())
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), logged)
        self.assertEqual(self.state(self.third, good), "pending")

    def test_stopped(self) -> None:
        rescues = self.third.realm.federation.rescues
        self.keep(self.third, self.crafted(self.third, "citra"), "pending")
        self.patch(rescues_module, "CHECK_EVERY", 5.0)
        rescues.stop()
        rescues.link_up("realm2")
        rescues._check()
        self.patch(rescues, "offered", lambda *_: self.fail("it is looked at"))
        self.network.advance(SOON)


class FoundingTestCase(CraftedTestCase):
    def test_group_of_this_realm(self) -> None:
        with self.assertRaises(GroupLivesHere):
            self.rescues("ana", "bagan")

    def test_no_rows(self) -> None:
        self.away(self.home)
        self.second.realm.database.now(lambda db: db.execute(mirror_rosters.delete()))
        with self.assertRaises(NoRoster):
            self.rescues("budi")

    def test_no_name(self) -> None:
        self.away(self.home)
        self.patch(rescue_founding, "MAX_NAMES", 1)
        with self.assertRaises(GroupExists):
            self.rescues("budi")

    def test_another_is_pending(self) -> None:
        """The rescue of the admin who is that longer counts; the other one ends."""
        first = self.crafted(self.second, "budi")
        self.keep(self.third, first, "pending")
        second = self.crafted(self.third, "citra")
        self.keep(self.second, second, "pending")
        self.away(self.home)
        with self.assertRaises(RescueExists):
            self.rescues("citra")
        place = self.place(self.second)
        self.rescues("budi")
        self.assertEqual(self.state(self.second, second, place), "ended")

    def test_founding_again_elsewhere(self) -> None:
        """A rescue of a group that is not here any more, or does not live in the lost home."""
        rescue = open_rescue(self.crafted(self.second, "budi"))
        before = self.address("budi")
        stated = msgspec.structs.replace(rescue.stated, new_group=1 << 40)
        for wrong in (
            stated,
            msgspec.structs.replace(stated, new_group=self.place(self.second), group=1 << 40),
        ):
            opened = msgspec.structs.replace(rescue, stated=wrong)
            self.network.result(self.second.realm.federation.rescues.founding.found_again(opened))
        self.assertEqual(self.address("budi"), before)

    def test_posts_that_fail(self) -> None:
        """That what waits is not taken, for whatever reason, does not stop a rescue."""
        self.away(self.home)
        rescues = self.second.realm.federation.rescues
        self.patch(rescues._posts, "adopt_waiting", lambda *_: fail(ZeroDivisionError()))
        self.rescues("budi")
        self.assertEqual(self.address("budi"), "bagan")
        self.network.advance(SOON)
        self.assertGreater(len(self.flushLoggedErrors(ZeroDivisionError)), 0)
        self.assertEqual(self.address("citra"), "bagan@realm2")
        self.patch(rescues._posts, "adopt_waiting", lambda *_: fail(StorageFailed()))
        self.assertTrue(self.network.result(_caught(rescues._adopt_all())))


class FollowingTestCase(CraftedTestCase):
    def following(self) -> Any:
        return self.third.realm.federation.rescues._following

    def test_unknown_realm(self) -> None:
        self.assertEqual(self.following().name_of("nowhere"), "nowhere")

    def test_better_one_comes_meanwhile(self) -> None:
        """While the new home takes the members, a rescue comes that outranks its own."""
        worse = self.keep(self.second, self.crafted(self.third, "citra"), "following")
        self.keep(self.second, self.crafted(self.second, "budi"), "own")
        following = self.second.realm.federation.rescues._following
        answer = succeed(FollowAnswer(True))
        self.patch(following._links, "follow", lambda *_: answer)
        self.assertIsNone(self.network.result(following.follow(worse)))
        self.assertEqual(self.state(self.second, decode_rescue(worse.rescue)), "ended")
        self.assertEqual(self.address("budi"), "bagan@realm1")

    def test_not_taken(self) -> None:
        """The realm that has founded the group knows nothing of that: members are told."""
        known = self.keep(self.third, self.crafted(self.second, "budi"), "following")
        self.network.result(self.third.realm.federation.rescues._follow(known))
        self.assertEqual(self.state(self.third, decode_rescue(known.rescue)), "ended")
        self.network.settle()
        self.assertEqual(self.events("citra"), ["void bagan@realm1 bagan@realm2"])

    def test_new_home_is_down(self) -> None:
        """It is asked over the next link."""
        known = self.keep(self.third, self.crafted(self.second, "budi"), "following")
        rescues = self.third.realm.federation.rescues
        self.patch(rescues._links, "follow", lambda *_: fail(RealmDown(realm="realm2")))
        self.network.result(rescues._follow_when_linked(known))
        self.assertEqual(self.state(self.third, decode_rescue(known.rescue)), "following")

    def test_answers_that_fail(self) -> None:
        """What a realm refuses leaves the other rescues to be settled; a lost link does not."""
        self.keep(self.third, self.crafted(self.second, "budi"), "pending")
        rescues = self.third.realm.federation.rescues
        asked: list[str] = []

        def refused(error: ChatError) -> Any:
            def ask_realm(realm: str, _rescue: Rescue) -> Any:
                asked.append(realm)
                return fail(error)

            return ask_realm

        for error in (BadSignature(reason="x"), RealmDown(realm="realm1")):
            self.patch(rescues._links, "rescue", refused(error))
            self.network.result(rescues._meet("realm1"))
        self.assertEqual(asked, ["realm1", "realm1"])

    def test_unknown_conversation(self) -> None:
        known = known_rescue(1 << 40, open_rescue(self.crafted(self.second, "budi")), "pending")
        self.network.result(self.following().tell_pending(known))
        self.network.result(self.following().go_back(known))
        self.assertEqual(self.events("citra"), [])

    def test_rosters_that_end_no_rescue(self) -> None:
        """An older roster, one that names the founder, or one of another group."""
        rescue = self.crafted(self.second, "budi")
        known = self.keep(self.second, rescue, "own")
        rescues = self.second.realm.federation.rescues
        opened = open_rescue(rescue)

        def withdraw(rows: tuple[RosterRow, ...], number: int, about: int | None = None) -> None:
            group = opened.stated.group if about is None else about
            place = RosterPlace("realm1", group, "bagan", 9)
            statement, _ = state_roster(place, rows, number, opened.roster.at)
            signed = SignedRoster(statement, self.home.realm.federation.forwarder.sign(statement))
            self.network.result(rescues._following.withdraw(opened, signed, rescues._judge))

        budi, citra = (RosterRow(f"{who}", ADMIN, 1) for who in ("budi@realm2", "citra@realm3"))
        newer = opened.roster.number + 1
        withdraw((citra,), opened.roster.number)
        withdraw((budi, citra), newer)
        withdraw((citra,), newer, about=1 << 40)
        self.assertEqual(self.state(self.second, rescue), "own")
        withdraw((citra,), newer)
        self.assertEqual(self.state(self.second, rescue), "ended")
        withdraw((citra,), newer + 1)  # it is over already
        self.assertEqual(known.state, "own")

    def test_switch_to_the_same_home(self) -> None:
        """Going back to the home that the copy has changes nothing."""
        known = self.keep(self.third, self.crafted(self.second, "budi"), "ended")
        self.network.result(self.following().go_back(known))
        self.assertEqual(self.address("citra"), "bagan@realm1")
        self.assertEqual(self.events("citra"), [])


class HandingOverTestCase(RescueTestCase):
    """realm3 has many entries that the new home lacks."""

    realms = 3

    def test_in_batches_over_several_links(self) -> None:
        self.patch(entry_handover, "MAX_ITEMS", 2)
        self.patch(held_store, "PAGE", 3)
        self.partition([self.second], [self.home, self.third])
        for number in range(7):
            self.posts("ana", f"only there {number}")
        self.home.kill()
        self.away()
        following = self.third.realm.federation.rescues._following
        hand_over = following._links.hand_over
        batches: list[int] = []

        def once(realm: str, posts: Any) -> Any:
            batches.append(len(posts))
            return fail(RealmDown(realm=realm)) if len(batches) == 2 else hand_over(realm, posts)

        self.patch(following._links, "hand_over", once)
        self.partition()
        self.rescues("budi")
        self.network.until(lambda: len(batches) >= 2)
        self.network.settle()
        self.assertLess(len(self.shown("budi", "bagan")), 8)
        for connection in self.network.open_connections(self.second, self.third):
            connection.cut()
        self.network.until(lambda: len(batches) >= 6)
        self.network.advance(SOON)
        self.assertEqual(len(self.same("budi", "citra")), 8)
        self.assertTrue(all(1 <= each <= 2 for each in batches))

    def test_people_who_are_refused(self) -> None:
        """The new home does not know that somebody had joined just before: they are told that they left."""
        self.partition([self.second], [self.home, self.third])
        eko = self.third.person("eko")
        eko.joins("bagan@realm1")
        eko.does(ask.SetListening("all"))
        self.home.kill()
        self.away()
        self.partition()
        self.rescues("budi")
        self.network.until(lambda: self.address("citra") == "bagan@realm2")
        self.network.settle()
        self.assertEqual(eko.mine(), [])
        found = sorted(each.rstrip("+") for each in self.budi.members("bagan"))
        self.assertEqual(found, ["*budi", "*citra@realm3"])
        eko.joins("bagan@realm2")
        self.assertEqual(eko.mine(), ["bagan@realm2"])


class LineageTestCase(CraftedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.lineage = self.third.realm.federation.lineage
        self.group = self.third.realm.database.now(lambda db: find_group(db, "bagan@realm1"))

    def stated(self, home: str = "realm2", group: Any = 99) -> Statement:
        return Statement(
            "realm2", 1, home, group, "message", "budi", StatedRef("realm2", 1), 5, b"x" * 32
        )

    def learns(self, answer: Any, stated: Statement | None = None) -> bool:
        asked: list[str] = []

        def lineage(realm: str, home: str, group: int) -> Any:
            asked.append(realm)
            return fail(answer) if isinstance(answer, Exception) else succeed(answer)

        self.patch(self.lineage._links, "lineage", lineage)
        self.lineage._asked.clear()
        learning = self.lineage.learn("realm2", self.group, stated or self.stated())
        self.asked = asked
        return bool(self.network.result(learning))

    def test_answers(self) -> None:
        """Only signed rescues that are connected with a known home teach something."""
        good = branch_of(self.crafted(self.second, "budi"))
        bad = branch_of(self.crafted(self.third, "citra"))
        self.assertFalse(self.learns(BadSignature(reason="x")))
        self.assertFalse(self.learns((Branch(b"x", good.proof),)))
        self.assertFalse(self.learns((Branch(good.statement, bad.proof),)))
        with self.assertRaises(StorageFailed):
            self.learns(RealmDown(realm="realm2"))
        self.assertFalse(self.learns((), self.stated(group="bagan")))
        self.assertEqual(self.asked, [])
        self.assertTrue(self.learns((good, good), self.stated(group=9)))

    def test_unknown_conversation(self) -> None:
        found = self.third.realm.database.now(lambda db: self.lineage._add(db, 1 << 40, []))
        self.assertEqual(found, [])

    def test_answering(self) -> None:
        """Only realms that have to do with the group are told, and only of groups that there are."""
        here = self.home.realm.federation.lineage
        ident = self.group.home_id
        self.assertEqual(self.network.result(here.answer("realm2", "realm1", ident)), ())
        self.assertEqual(self.network.result(self.lineage.answer("realm1", "realm1", ident)), ())
        for asked in (("realm9", "realm1", ident), ("realm2", "realm1", 1 << 40)):
            for lineage in (here, self.lineage):
                with self.assertRaises(UnknownGroup):
                    self.network.result(lineage.answer(*asked))


async def _caught(waiting: Any) -> bool:
    """Whether StorageFailed came."""
    try:
        await waiting
    except StorageFailed:
        return True
    return False
