"""Groups that the operators of their home close for everybody, with members of several realms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from chatd.base.errors import (
    ChatError,
    GroupElsewhere,
    GroupNotShut,
    GroupShut,
    NoGroupMove,
    UnknownGroup,
)
from chatd.base.events import GroupChange
from chatd.base.names import Address, Place, parse_address, parse_group
from chatd.base.principals import Principal
from chatd.base.roles import MODERATOR
from chatd.commands import values as ask
from chatd.federation import parcels
from chatd.federation.signing.statements import GroupAttributes
from chatd.service import managed_groups as managed_module
from chatd.store import managed_groups as managed_store
from chatd.store.groups import find_group
from chatd.store.managed_groups import GroupFilter
from chatd.store.schema import accounts, groups
from tests.support.managing import LOCAL, act_of, begin, close_at, open_at
from tests.support.network import Person, Server
from tests.support.restores import RestoredTestCase
from tests.unit.federation.test_group_moves import MovingTestCase
from tests.unit.federation.test_hostile_home import BAGAN, HomeTestCase
from tests.unit.federation.test_realm_groups import GroupTestCase
from tests.unit.federation.test_rescues import SOON, RescueTestCase
from tests.unit.federation.test_returned import ReturnedTestCase

THERE = parse_address("bagan@realm1")
PLACE = Place(None, parse_group("bagan@realm1"))


class ClosedTestCase(GroupTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.budi.joins("bagan@realm1")
        self.agus.joins("bagan")
        self.promote(self.ana, "budi@realm2")
        self.budi.posts("bagan@realm1", "satu")
        self.network.settle()

    def refused(self, who: Person, *commands: ask.Command) -> list[str]:
        """The codes with which these commands are refused."""
        found = []
        for command in commands:
            try:
                who.does(command)
            except ChatError as error:
                found.append(error.code)
            else:
                found.append("")
        return found

    def told(self, who: Person) -> list[Any]:
        return [
            each.fields["shut"]
            for each in who.events
            if isinstance(each, GroupChange) and "shut" in each.fields
        ]


class ClosedElsewhere(ClosedTestCase):
    def shown(self, who: Person, group: str) -> tuple[Any, Any]:
        """Why it is closed, as its description and the list of conversations say; True: it is not."""
        reply = who.does(ask.ShowGroup(parse_address(group)))
        listed = who.does(ask.ListConversations()).items
        infos = [each.group.shut for each in listed if each.group is not None]
        return reply.fields.get("shut", True), infos[0] if infos else None

    def test_how_it_is_shown(self) -> None:
        """Also to people who are no members, and of other realms."""
        for reason in ("spam", ""):
            close_at(self.one, reason=reason)
            self.network.settle()
            self.assertEqual(self.shown(self.ana, "bagan"), (reason, reason))
            self.assertEqual(self.shown(self.budi, "bagan@realm1"), (reason, reason))
            self.assertEqual(self.shown(self.citra, "bagan@realm1"), (reason, None))
        open_at(self.one)
        self.network.settle()
        for who, group in ((self.ana, "bagan"), (self.budi, "bagan@realm1")):
            self.assertEqual(self.shown(who, group), (True, None))

    def test_what_members_elsewhere_can_do(self) -> None:
        """Nothing but reading, deleting what they wrote, and leaving. They read why."""
        self.budi.does(ask.SetListening("all"))
        seq = self.budi.does(ask.ShowHistory(PLACE, 1)).items[0].seq
        close_at(self.one, reason="spam")
        self.network.settle()
        self.assertEqual(self.told(self.budi), ["spam"])
        with self.assertRaises(GroupShut) as caught:
            self.budi.posts("bagan@realm1", "dua")
        why = "bagan@realm1 was closed by the operators of its realm: spam; it can only be read"
        self.assertEqual(str(caught.exception), why)
        found = self.refused(
            self.budi,
            ask.EditMessage(PLACE, seq, "dua"),
            ask.ReactToMessage(PLACE, seq, "👍", True),
            ask.PinMessage(PLACE, seq, True),
            ask.InviteMembers(THERE, (Address("bela"),)),
            ask.SetGroup(THERE, title="Dua"),
            ask.KickMember(THERE, Address("agus", "realm1")),
            ask.DemoteAdmin(THERE, Address("ana", "realm1")),
            ask.RenewCode(THERE),
            ask.MoveGroup(THERE, "realm2"),
        )
        self.assertEqual(found, ["group-shut"] * 9)
        self.assertEqual(self.refused(self.bela, ask.JoinGroup(THERE)), ["group-shut"])
        self.assertEqual(self.refused(self.citra, ask.JoinGroup(THERE)), ["group-shut"])
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["budi: satu"])
        self.budi.does(ask.DeleteMessage(PLACE, seq))
        self.network.settle()
        self.assertNotIn("satu", str(self.ana.history(group="bagan")))
        self.budi.does(ask.LeaveGroup(THERE))
        self.network.settle()
        self.assertNotIn("budi", str(self.ana.members("bagan")))

    def test_guests_of_an_open_group(self) -> None:
        """People who are no members can't write either."""
        self.citra.posts("bagan@realm1", "tamu")
        close_at(self.one)
        with self.assertRaises(GroupShut) as caught:
            self.citra.posts("bagan@realm1", "lagi")
        why = "bagan@realm1 was closed by the operators of its realm; it can only be read"
        self.assertEqual(str(caught.exception), why)

    def test_opened_again(self) -> None:
        self.budi.does(ask.SetListening("all"))
        close_at(self.one)
        open_at(self.one)
        self.network.settle()
        self.assertEqual(self.told(self.budi), ["", None])
        self.budi.posts("bagan@realm1", "dua")
        self.bela.joins("bagan@realm1")
        with self.assertRaises(GroupNotShut):
            open_at(self.one)

    def test_while_the_realm_is_away(self) -> None:
        """A post that waited while the home closed the group is refused, and its author is told."""
        self.part(self.two)
        self.budi.posts("bagan@realm1", "dua")
        close_at(self.one, reason="spam")
        self.meet()
        [note] = self.budi.reads()
        self.assertIn("was not delivered: bagan@realm1 was closed by the operators", note)
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["budi: satu"])

    def test_opened_while_nobody_here_was_a_member(self) -> None:
        """The copy learns with the next join that it is open, and is not listed before."""
        close_at(self.one)
        self.network.settle()
        self.budi.does(ask.LeaveGroup(THERE))
        self.network.settle()
        managed = self.two.service.managed_groups
        with self.assertRaises(UnknownGroup):
            self.network.result(begin(managed.facts(LOCAL, THERE)))
        open_at(self.one)
        self.budi.joins("bagan@realm1")
        facts = self.network.result(begin(managed.facts(LOCAL, THERE)))
        self.assertIsNone(facts.shutting)

    def test_invitations_wait(self) -> None:
        """One from before can be accepted when the group is open again."""
        self.invite(self.ana, "citra@realm3")
        self.network.settle()
        close_at(self.one)
        with self.assertRaises(GroupShut):
            self.citra.accepts("bagan@realm1")
        open_at(self.one)
        self.citra.accepts("bagan@realm1")
        self.assertIn("citra@realm3", str(self.ana.members("bagan")))

    def test_posts_on_their_way(self) -> None:
        """Those that the home takes after it is closed are refused, whatever was checked before."""
        managed = self.one.service.managed_groups
        group = self.network.result(begin(managed.find_here(LOCAL, Address("bagan"))))
        posts = [self.budi.begins_to_post("bagan@realm1", "dua")]
        closing = begin(managed.close(act_of(self.one.service), group, ""))
        posts.append(self.agus.begins_to_post("bagan", "tiga"))
        self.network.settle()
        self.network.result(closing)
        for each in posts:
            with self.assertRaises(GroupShut):
                self.network.result(each)
        self.assertEqual(self.ana.history(group="bagan"), ["budi@realm2: satu"])

    def test_after_a_restart(self) -> None:
        close_at(self.one, reason="spam")
        self.one.restart()
        self.network.advance(5)
        with self.assertRaises(GroupShut):
            self.budi.posts("bagan@realm1", "dua")


class Known(ClosedTestCase):
    def listed(self, server: Server, **wanted: Any) -> list[str]:
        actor = wanted.pop("actor", LOCAL)
        listing = server.service.managed_groups.list(actor, GroupFilter(**wanted), 10)
        found, _ = self.network.result(begin(listing))
        return [each.group for each in found]

    def test_many_groups(self) -> None:
        """Their messages are counted a few groups at a time, between which others read. A group that is known
        no more by then is left out."""
        self.patch(managed_module, "LISTED", 2)
        for name in ("nusa", "pulau", "teluk"):
            self.ana.creates(name)
        counted, records_of = list[int](), managed_store.records_of

        def noted(connection: sa.Connection, found: Sequence[int], known_to: int | None) -> Any:
            counted.append(len(found))
            return records_of(connection, found, known_to)

        self.patch(managed_store, "records_of", noted)
        self.assertEqual(self.listed(self.one), ["bagan", "nusa", "pulau", "teluk"])
        self.assertEqual(counted, [2, 2])
        self.ana.does(ask.LeaveGroup(Address("teluk")))
        read = self.one.realm.database.now
        everything = sa.select(groups.c.conversation_id)
        ids = read(lambda db: list(db.scalars(everything)))
        found = read(lambda db: records_of(db, ids, None))
        self.assertEqual([each.group for each in found], ["bagan", "nusa", "pulau"])

    def test_groups_of_other_realms(self) -> None:
        """They are listed and shown. Nothing is decided about them."""
        self.budi.creates("nusa")
        self.assertEqual(self.listed(self.two), ["bagan@realm1", "nusa"])
        self.assertEqual(self.listed(self.two, home="elsewhere"), ["bagan@realm1"])
        self.assertEqual(self.listed(self.two, home="here"), ["nusa"])
        self.assertEqual(self.listed(self.two, text="BAGAN", after="b"), ["bagan@realm1"])
        close_at(self.one, reason="spam")
        self.network.settle()
        self.assertEqual(self.listed(self.two, state="closed"), ["bagan@realm1"])
        managed = self.two.service.managed_groups
        facts = self.network.result(begin(managed.facts(LOCAL, THERE)))
        self.assertEqual((facts.here, facts.named, facts.shutting.reason), (1, ["budi"], "spam"))
        for act in (close_at, open_at):
            with self.assertRaises(GroupElsewhere) as caught:
                act(self.two, "bagan@realm1")
            self.assertIn("bagan@realm1 lives in realm1: ask the oper", str(caught.exception))

    def test_members_by_realm(self) -> None:
        managed = self.one.service.managed_groups
        facts = self.network.result(begin(managed.facts(LOCAL, Address("bagan"))))
        self.assertEqual((facts.here, dict(facts.realms), facts.admins), (2, {"realm2": 1}, 2))
        self.assertEqual(facts.named, ["ana", "budi@realm2"])

    def test_what_moderators_know(self) -> None:
        """Public groups, and the private ones that they are in: by name and by code."""
        self.ana.does(ask.AddGroup("rahasia", visibility="private"))
        group = self.one.realm.database.now(lambda db: find_group(db, "rahasia"))
        assert group is not None
        ids = [self.one.realm.database.now(_id_of(name)) for name in ("agus", "ana")]
        outsider, member = (Principal("m", MODERATOR, account=each) for each in ids)
        self.assertEqual(self.listed(self.one, actor=outsider), ["bagan"])
        self.assertEqual(self.listed(self.one, actor=member), ["bagan", "rahasia"])
        managed = self.one.service.managed_groups
        for name in ("rahasia", group.code):
            with self.assertRaises(UnknownGroup):
                self.network.result(begin(managed.find_here(outsider, Address(name))))
            found = self.network.result(begin(managed.find_here(member, Address(name))))
            self.assertEqual(found.id, group.id)


def _id_of(name: str) -> Callable[[sa.Connection], int]:
    """A query for the id of an account."""
    return lambda db: db.execute(sa.select(accounts.c.id).filter_by(key=name)).scalar_one()


class Hostile(HomeTestCase):
    def test_by_somebody_else(self) -> None:
        """Only the home itself says that a group is closed, and none of its people."""
        for shut in ("spam", None):
            for realm, author in (("realm3", "dewi"), ("realm3", "system"), ("realm2", "budi")):
                fields: dict[str, Any] = {"shut": shut}
                entry = self.signers[realm].signs(
                    GroupAttributes(fields), home="realm2", group=BAGAN, author=author
                )
                self.refuses(entry)

    def test_by_the_home(self) -> None:
        """It may say so, with any reason, which controls no terminal and has a limit."""
        reasons = ("x\x1b[2J\u202ey", "s" * 2000, None, "", True, None)
        for number, shut in enumerate(reasons, start=700):
            entry = self.signers["realm2"].signs(
                GroupAttributes({"shut": shut}),
                home="realm2",
                group=BAGAN,
                author="system",
                number=number,
            )
            self.assertEqual(self.relays(entry).code, "")
            group = self.one.realm.database.now(lambda db: find_group(db, "bagan@realm2"))
            assert group is not None
            reason = group.shut or ""
            self.assertTrue(reason.isprintable() and len(reason) <= 501)
            self.assertEqual(group.shut is None, shut is None)


class Returned(ReturnedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        entry = self.signers["realm2"].joins("citra", group="bagan")
        questions = self.one.federation.questions
        self.network.result(questions.join("realm2", "citra", "bagan", entry))
        group = self.one.realm.database.now(lambda db: find_group(db, "bagan"))
        assert group is not None
        self.ident = group.id

    def shut(self) -> str | None:
        group = self.one.realm.database.now(lambda db: find_group(db, "bagan"))
        assert group is not None
        shut: str | None = group.shut
        return shut

    def test_later_settings(self) -> None:
        """A realm returns that operators had opened the group, before they closed it again."""
        self.network.advance(1)
        close_at(self.one, reason="spam")
        entry = self.signers["realm1"].signs(
            GroupAttributes({"shut": None}), author="system", group=self.ident, number=500
        )
        self.returns(0, parcels.Post(entry, "bagan"))
        self.assertEqual(self.shut(), "spam")

    def test_entries_of_admins(self) -> None:
        """An admin of another realm has signed that the group is open, which no home has taken."""
        close_at(self.one, reason="spam")
        entry = self.signers["realm2"].signs(
            GroupAttributes({"shut": None}), author="citra", group=self.ident, number=501
        )
        self.returns(0, parcels.Post(entry, "bagan"))
        self.assertEqual(self.shut(), "spam")


class Restored(RestoredTestCase):
    def test_the_home_has_forgotten_it(self) -> None:
        """It learns from a realm with members that it had closed the group, and takes what was there."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        copy = self.back_up(self.one)
        self.budi.posts("bagan@realm1", "satu")
        self.network.advance(5)
        close_at(self.one, reason="spam")
        self.network.advance(5)
        self.restore(self.one, copy)
        self.network.advance(5)
        with self.assertRaises(GroupShut):
            self.budi.posts("bagan@realm1", "dua")
        self.assertEqual(self.ana.history(group="bagan"), ["budi@realm2: satu"])
        with self.assertRaises(GroupShut):
            self.ana.posts("bagan", "dua")


class Moving(MovingTestCase):
    def test_planned_moves_end(self) -> None:
        """And none is planned while the group is closed."""
        self.assertEqual(self.move(self.ana, "bagan", "realm2"), "proposed")
        close_at(self.one)
        self.network.settle()
        with self.assertRaises(GroupShut):
            self.move(self.ana, "bagan", "realm2")
        with self.assertRaises(GroupShut):
            self.move(self.budi, "bagan@realm1", "realm2")
        open_at(self.one)
        with self.assertRaises(NoGroupMove):
            self.move(self.ana, "bagan", "none")
        self.moves()
        self.assertEqual(self.histories()[1], ["ana@realm1: before, ana", *self.histories()[1][1:]])

    def test_closed_when_it_is_handed_over(self) -> None:
        """The operators close it between the agreement and the handover: it stays."""
        self.assertEqual(self.move(self.ana, "bagan", "realm2"), "proposed")
        self.patch(self.one.federation.handing_over, "answer", self._late)
        self.move(self.budi, "bagan@realm1", "realm2")
        self.network.settle()
        close_at(self.one)
        self.patch(self.one.federation.handing_over, "answer", self._answer)
        self.network.advance(60)
        self.assertEqual(self.ana.mine(), ["bagan"])
        open_at(self.one)
        self.ana.posts("bagan", "still here")

    def setUp(self) -> None:
        super().setUp()
        self._answer = self.one.federation.handing_over.answer

    async def _late(self, *_asked: Any) -> Any:
        raise UnknownGroup(name="bagan")


class Rescued(RescueTestCase):
    realms = 3

    def test_stays_closed(self) -> None:
        """Until the operators of the new home open it."""
        close_at(self.home, reason="spam")
        self.network.advance(SOON)
        self.home.kill()
        self.away(self.home)
        self.rescues("budi")
        self.network.advance(SOON)
        with self.assertRaises(GroupShut) as caught:
            self.budi.posts("bagan", "back")
        self.assertIn(": spam;", str(caught.exception))
        with self.assertRaises(GroupShut):
            self.citra.posts("bagan@realm2", "back")
        open_at(self.second)
        self.network.advance(SOON)
        self.citra.posts("bagan@realm2", "back")
        group = self.third.realm.database.now(lambda db: find_group(db, "bagan@realm2"))
        assert group is not None
        self.assertIsNone(group.shut)
