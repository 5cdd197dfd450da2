"""A kicked member is banned at the group's home, and gets nothing of the group any more."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from chatd.base.errors import (
    Banned,
    ChatError,
    NotAdmin,
    NotBanned,
    NotMember,
    NotTheirGroup,
    UnknownGroup,
)
from chatd.base.events import Deleted, MemberChange, PresenceChange
from chatd.base.names import Address, Place, parse_address
from chatd.commands import values as ask
from chatd.federation import questions
from chatd.federation.parcels import Post
from chatd.service.composed_sends import SendOptions
from chatd.service.idempotent_sends import name_for
from chatd.service.message_parts import MessageParts
from chatd.service.targets import group_target
from chatd.store import bans as ban_store
from chatd.store.schema import messages
from tests.support.inline import outcome_of, result_of
from tests.support.signing import SigningRealm
from tests.unit.federation.test_realm_groups import GroupTestCase
from tests.unit.service.test_groups import BAGAN, GroupsTestCase


class Kicked(GroupsTestCase):
    """Kicks in a group of this realm."""

    def setUp(self) -> None:
        super().setUp()
        self.group = self.create(self.ana)
        self.join(self.budi)
        self.join(self.citra)

    def kick(self, who: str = "budi") -> Any:
        return self.groups.kick(self.ana, BAGAN, Address(who))

    def begin_post(self, text: str, key: str | None = None) -> Any:
        return self.service.messages.post(self.budi, BAGAN, text, None, key)

    def history(self) -> list[str | None]:
        page = self.database.read(_texts, self.group.id)
        found: list[str | None] = result_of(page)
        return found

    def test_banned_user_cannot_join(self) -> None:
        """A banned user can't join by name or code, even after a restart."""
        result_of(self.kick())
        for _ in range(2):
            for name in ("bagan", "BAGAN", self.group.code):
                self.assertIs(self.join(self.budi, name), Banned)
            self.assertEqual(len(self.members(self.ana)), 2)
            self.reopen()

    def test_banned_user_cannot_post(self) -> None:
        """They are told why, as when they join. Of a private group they learn nothing, and somebody who was
        never a member is no member."""
        self.assertIs(
            outcome_of(self.service.messages.post(self.dewi, BAGAN, "x", None)), NotMember
        )
        result_of(self.kick())
        self.assertIs(outcome_of(self.begin_post("x")), Banned)
        compose = self.service.composed.to_place
        for place in (Place(group=BAGAN), Place(user=BAGAN, group=BAGAN)):
            composing = compose(self.budi, place, MessageParts("x"), SendOptions(None))
            self.assertIs(outcome_of(composing), Banned)
        result_of(self.groups.settings.set(self.ana, BAGAN, {"visibility": "private"}))
        self.assertIs(outcome_of(self.begin_post("x")), UnknownGroup)

    def test_lifted(self) -> None:
        """A ban is lifted by an admin's invitation or by unban, and by nobody else."""
        result_of(self.kick())
        for change in (self.groups.invite(self.citra, BAGAN, [Address("budi")]),
                       self.groups.unban(self.citra, BAGAN, Address("budi")),
                       self.groups.bans(self.citra, BAGAN)):  # fmt: skip
            self.assertIs(outcome_of(change), NotAdmin)
        result_of(self.groups.invite(self.ana, BAGAN, [Address("budi")]))
        self.assertEqual(result_of(self.groups.bans(self.ana, BAGAN)), ("bagan", ()))
        result_of(self.groups.leave(self.budi, BAGAN))
        self.assertNotIsInstance(self.join(self.budi), type)
        result_of(self.kick())
        _, (ban,) = result_of(self.groups.bans(self.ana, BAGAN))
        self.assertEqual(ban.username, "Budi")
        self.assertEqual(
            result_of(self.groups.unban(self.ana, BAGAN, Address("BUDI"))), ("bagan", "Budi")
        )
        self.assertNotIsInstance(self.join(self.budi), type)
        self.assertIs(outcome_of(self.groups.unban(self.ana, BAGAN, Address("budi"))), NotBanned)

    def test_unread_messages_are_dropped(self) -> None:
        """Messages that were unread at the kick do not count as unread, even after joining again."""
        self.post(self.ana, "before")
        self.assertEqual(len(result_of(self.service.reading.unread(self.budi, {}))), 1)
        result_of(self.kick())
        self.post(self.ana, "after")
        self.assertEqual(result_of(self.service.reading.unread(self.budi, {})), ())
        self.assertEqual(self.inbox(self.budi), [])
        result_of(self.groups.invite(self.ana, BAGAN, [Address("budi")]))
        self.assertEqual(result_of(self.service.reading.unread(self.budi, {})), ())

    def test_message_sent_after_the_kick(self) -> None:
        """No message that is sent after a kick was requested is stored after it, with a key or without."""
        for key in (None, "k1"):
            with self.subTest(key=key):
                kicked, posted = self.together(self.kick, lambda: self.begin_post("late", key))  # noqa: B023
                self.assertEqual((kicked, posted), (("bagan", True), Banned))
                self.assertEqual(self.history(), [])
                result_of(self.groups.invite(self.ana, BAGAN, [Address("budi")]))

    def test_message_that_waits_for_its_turn(self) -> None:
        """A message that waited for an earlier send with its key is checked again when its turn comes."""
        sends = self.service.messages.sends
        roster = result_of(self.rosters.find(BAGAN))
        turn = sends.turn([name_for(self.budi, "k1", group_target(roster))])
        result_of(turn.__aenter__())
        post = self.begin_post("late", "k1")
        result_of(self.kick())
        result_of(turn.__aexit__(None, None, None))
        self.assertIs(outcome_of(post), Banned)
        self.assertEqual(self.history(), [])

    def test_message_sent_before_the_kick(self) -> None:
        """A message that was sent before the kick is stored, even in the same transaction."""
        posted, kicked = self.together(lambda: self.begin_post("in time"), self.kick)
        self.assertEqual((posted.receipts[0].seq, kicked), (4, ("bagan", True)))
        self.assertEqual(self.inbox(self.citra), ["in time"])

    def test_failed_kick(self) -> None:
        """A kick whose transaction fails changes nothing."""
        self.database.held = True
        kicking = self.kick("nobody")
        self.assertIsInstance(outcome_of(kicking), type)
        self.database.held = False
        self.assertNotIsInstance(self.post(self.budi, "still here"), type)

    def test_kicking_oneself(self) -> None:
        """Someone who kicks themselves leaves, and can join again."""
        result_of(self.groups.kick(self.ana, BAGAN, Address("ana")))
        self.assertNotIsInstance(self.join(self.ana), type)

    def test_new_group_of_the_name(self) -> None:
        """The bans of a group end with the group."""
        result_of(self.kick())
        for who in (self.ana, self.citra):
            result_of(self.groups.leave(who, BAGAN))
        self.create(self.ana)
        self.assertNotIsInstance(self.join(self.budi), type)

    def test_bounded(self) -> None:
        """A group has a limited number of bans. The oldest is dropped, in memory and on disk."""
        self.patch(ban_store, "MAX_BANS", 1)
        result_of(self.kick("budi"))
        result_of(self.kick("citra"))
        for _ in range(2):
            self.assertIs(self.join(self.citra), Banned)
            self.reopen()
        self.assertNotIsInstance(self.join(self.budi), type)


def _texts(connection: Any, group: int) -> list[str | None]:
    rows = connection.execute(messages.select().where(messages.c.conversation_id == group))
    return [row.text for row in rows]


class KickedElsewhere(GroupTestCase):
    """budi of realm2 is kicked from the open group bagan of realm1."""

    def setUp(self) -> None:
        super().setUp()
        self.budi.joins("bagan@realm1")
        self.bela.joins("bagan@realm1")

    def unban(self, who: Any, user: str, group: str = "bagan") -> Any:
        return who.does(ask.LiftBan(parse_address(group), parse_address(user)))

    def bans(self, who: Any, group: str = "bagan") -> list[str]:
        return [each.username for each in who.does(ask.ListBans(parse_address(group))).items]

    def test_banned_user_cannot_join(self) -> None:
        """He can neither join by name or code nor post without being a member."""
        self.kick(self.ana, "budi@realm2")
        self.network.settle()
        for _ in range(2):
            for name in ("bagan@realm1", f"{self.code}@realm1"):
                with self.assertRaises(Banned):
                    self.budi.joins(name)
            with self.assertRaises(Banned):
                self.budi.posts("bagan@realm1", "halo")
            with self.assertRaises(Banned):
                self.budi.sends_file("#bagan@realm1", "a.txt", b"halo")
            self.one.restart()
            self.network.advance(3)
        self.assertEqual(self.ana.history(group="bagan"), [])
        self.ana.posts("bagan", "tanpa budi")
        self.assertEqual(self.bela.reads(), ["ana@realm1: tanpa budi"])
        self.assertEqual(self.budi.reads(), [])

    def test_earlier_messages_are_hidden(self) -> None:
        """The other realm no longer shows messages from before the kick."""
        self.ana.posts("bagan", "rahasia")
        code = self.ana.sends_file("#bagan", "peta.txt", b"peta").fields["code"]
        self.network.settle()
        (known,) = self.budi.files()
        self.kick(self.ana, "budi@realm2")
        self.network.settle()
        self.assertEqual(self.budi.reads(), [])
        self.assertEqual(self.budi.files(), [])
        self.assertEqual(self.budi.does(ask.SearchMessages("rahasia")).items, ())
        self.assertEqual(self.budi.does(ask.ListConversations()).items, ())
        self.assertEqual(self.budi.does(ask.CountUnread()).items, ())
        for name in (known.code, str(code), "peta.txt"):
            with self.assertRaises(ChatError):
                self.budi.does(ask.GetFile(name))
        with self.assertRaises(NotMember):
            self.budi.history(group="bagan@realm1")
        self.assertEqual(self.bela.reads(), ["ana@realm1: rahasia", "ana@realm1: file peta.txt"])

    def test_told(self) -> None:
        """Members are told when they are kicked, but not when they leave by themselves."""
        self.budi.events.clear()
        self.kick(self.ana, "budi@realm2")
        self.network.settle()
        (told,) = self.budi.events
        assert isinstance(told, MemberChange)
        self.assertEqual((told.group, told.who, told.what), ("bagan@realm1", "budi", "kicked"))
        self.assertEqual(self.bela.events, [])
        self.bela.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.settle()
        self.assertEqual(self.bela.events, [])

    def test_lifted(self) -> None:
        """The ban is lifted by an invitation from an admin at home, or by unban from a third realm."""
        self.kick(self.ana, "budi@realm2")
        with self.assertRaises(NotAdmin):
            self.invite(self.bela, "budi", group="bagan@realm1")
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        self.budi.accepts("bagan@realm1")
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])
        self.citra.joins("bagan@realm1")
        self.promote(self.ana, "citra@realm3")
        group = "bagan@realm1"
        self.kick(self.citra, "budi@realm2", group)
        self.kick(self.citra, "bela@realm2", group)
        self.assertEqual(self.bans(self.citra, group), ["bela@realm2", "budi@realm2"])
        self.assertEqual(self.bans(self.ana), ["bela@realm2", "budi@realm2"])
        self.assertEqual(
            self.unban(self.citra, "budi@realm2", group).fields,
            {"group": group, "user": "budi@realm2"},
        )
        with self.assertRaises(NotBanned):
            self.unban(self.citra, "budi@realm2", group)
        self.network.settle()
        self.budi.joins(group)
        with self.assertRaises(Banned):
            self.bela.joins(group)

    def test_bans_in_pages(self) -> None:
        """All bans are listed, even if one answer holds only a few."""
        self.patch(questions, "MAX_BANS_LISTED", 2)
        names = [f"m{number}" for number in range(5)]
        for name in names:
            self.two.person(name).joins("bagan@realm1")
            self.kick(self.ana, f"{name}@realm2")
        self.citra.joins("bagan@realm1")
        self.promote(self.ana, "citra@realm3")
        expected = [f"{name}@realm2" for name in names]
        self.assertEqual(self.bans(self.citra, "bagan@realm1"), expected)

    def test_kick_without_a_link(self) -> None:
        """Posts from before the link came up are refused, and their sender is told why."""
        self.part(self.two)
        self.kick(self.ana, "budi@realm2")
        self.budi.posts("bagan@realm1", "halo?")
        self.meet()
        self.assertEqual(self.ana.history(group="bagan"), [])
        (told,) = self.budi.reads()
        self.assertIn("was not delivered: You are banned from bagan", told)

    def test_changes_without_a_link(self) -> None:
        """Nobody hears or sees what somebody changes who was banned and does not know it yet. But they may
        delete what they have written."""
        group = parse_address("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.ana.posts("bagan", "satu")
        self.budi.posts("bagan@realm1", "dua")
        self.network.settle()
        place = Place(group=group)
        ours, theirs = [each.seq for each in self.budi.does(ask.ShowHistory(place, 9)).items]
        self.part(self.two)
        self.kick(self.ana, "budi@realm2")
        for command in (
            ask.ReactToMessage(place, ours, "\N{THUMBS UP SIGN}", True),
            ask.EditMessage(place, theirs, "tiga"),
            ask.DeleteMessage(place, theirs),
        ):
            self.budi.begins(command).addErrback(lambda failure: failure.trap(ChatError))
        self.network.settle()
        self.citra.does(ask.SetListening("all"))
        self.citra.events.clear()
        self.meet()
        told = [each for each in self.citra.events if not isinstance(each, PresenceChange)]
        self.assertEqual([type(each) for each in told], [Deleted])
        for person in (self.ana, self.citra):
            here = Place(group=parse_address("bagan") if person is self.ana else group)
            found = person.does(ask.ShowHistory(here, 9)).items
            self.assertEqual([each.reactions for each in found], [(), ()])
            self.assertEqual([each.text for each in found], ["satu", None])
            self.assertEqual([each.edited for each in found], [None, None])

    def test_ban_of_a_non_member(self) -> None:
        """Someone who posts to an open group from another realm can be banned without being a member."""
        self.citra.posts("bagan@realm1", "iklan")
        self.kick(self.ana, "citra@realm3")
        with self.assertRaises(Banned):
            self.citra.posts("bagan@realm1", "iklan lagi")
        with self.assertRaises(NotTheirGroup):
            self.kick(self.ana, "citra@realm3")
        self.ana.does(ask.CloseGroup(parse_address("bagan")))
        with self.assertRaises(Banned):
            self.citra.posts("bagan@realm1", "iklan")
        with self.assertRaises(Banned):
            self.citra.joins("bagan@realm1")

    def test_post_checked_before_the_kick(self) -> None:
        """A post that was checked before the kick and handed over after it is refused. A lookup for its
        neighbour delays it here."""
        self.agus.creates("lain")
        self.agus.does(ask.OpenGroup(parse_address("lain")))
        self.one.restart()
        self.network.advance(3)
        self.ana.members("bagan")
        realm2 = SigningRealm("realm2", self.two.realm.keys.signing_key)
        both = [(10_000 + n, Post(realm2.says("late", author="budi", group=group), group))
                for n, group in enumerate(("bagan", "lain"))]  # fmt: skip
        receiving = Deferred.fromCoroutine(self.one.federation.receiver.receive("realm2", both))
        kicking = self.ana.begins(
            ask.KickMember(parse_address("bagan"), parse_address("budi@realm2"))
        )
        self.network.result(kicking)
        verdicts = self.network.result(receiving)
        self.assertEqual([each.code for each in verdicts], ["banned", ""])
        self.assertEqual(self.ana.history(group="bagan"), [])

    def test_post_during_the_kick(self) -> None:
        """A post that arrives while the kick is being stored is refused."""
        kicking = self.ana.begins(
            ask.KickMember(parse_address("bagan"), parse_address("budi@realm2"))
        )
        realm2 = SigningRealm("realm2", self.two.realm.keys.signing_key)
        posted = Post(realm2.says("late", author="budi"), "bagan")
        verdicts = self.one.receives("realm2", (10_000, posted))
        self.network.result(kicking)
        self.assertEqual([each.code for each in verdicts], ["banned"])
        self.assertEqual(self.ana.history(group="bagan"), [])
