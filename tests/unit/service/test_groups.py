"""Groups: membership, rights, and concurrent changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import Connection, text
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import (
    AlreadyMember,
    BadName,
    Banned,
    GroupClosed,
    GroupExists,
    NotAdmin,
    NotMember,
    NotTheirGroup,
    PeerFailed,
    RealmDown,
    ReservedName,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
    UserExists,
)
from chatd.base.group_settings import settings_of
from chatd.base.model import Account, Group, Party
from chatd.base.names import UNFILTERED, Address, Place, is_code, parse_address, parse_name
from chatd.base.replies import GroupInfo, Member
from chatd.federation import parcels
from chatd.federation.outbox import Outbox
from chatd.federation.signing.statements import MemberAttributes
from chatd.service import groups as module
from chatd.service import home_groups as homegroups
from chatd.service.home_invites import Invited
from chatd.service.remote import Membership
from chatd.service.rosters import Actor, RosterChange
from chatd.store.members import set_admin
from tests.support.common import same_bytes
from tests.support.inline import InlineDatabase, open_inline, outcome_of, result_of
from tests.support.no_realms import NoRealms

BAGAN = Address("bagan")


class GroupsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000.0)
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.random_bytes = same_bytes()
        self.database: InlineDatabase
        self.open()
        self.addCleanup(lambda: self.database.stop())
        self.ana, self.budi, self.citra, self.dewi = (
            self.account(name) for name in ("ana", "Budi", "citra", "dewi")
        )

    def open(self) -> None:
        self.service, self.database = open_inline(self.folder, self.clock, self.random_bytes)
        self.groups = self.service.groups
        self.homes = self.groups._homes
        self.rosters = self.groups._rosters

    def reopen(self) -> None:
        self.database.stop()
        self.open()

    def account(self, name: str) -> Account:
        login = result_of(self.service.accounts.register(name, "surabaya", None, None))
        account: Account = login.account
        return account

    def signing_up(self, name: str) -> Any:
        return self.service.accounts.sign_up(name, "surabaya", None, None)

    def create(self, who: Account, name: str = "bagan") -> Group:
        group: Group = result_of(self.groups.create(who, name))
        return group

    def join(self, who: Account, name: str = "bagan") -> Any:
        self.clock.advance(1)
        return outcome_of(self.groups.join(who, Address(name)))

    def members(self, who: Account, name: str = "bagan") -> list[tuple[str, bool]]:
        """The members' names, and whether each is an admin."""
        _, members = result_of(self.groups.members(who, Address(name)))
        return [(each.username, each.admin) for each in members]

    def post(self, who: Account, words: str, name: str = "bagan") -> Any:
        return outcome_of(self.service.messages.post(who, Address(name), words, None))

    def inbox(self, who: Account) -> list[str | None]:
        page = result_of(self.service.reading.inbox(who, UNFILTERED, {}))
        return [message.text for message in page.messages]

    def together(self, *calls: Callable[[], Any]) -> list[Any]:
        """The outcomes of calls that are made in one turn and stored in one transaction."""
        self.database.held = True
        waiting = []
        for call in calls:
            asked = call()
            waiting.append(asked if isinstance(asked, Deferred) else Deferred.fromCoroutine(asked))
        self.database.settle()
        self.database.held = False
        self.database.settle()
        return [outcome_of(each) for each in waiting]


class Creating(GroupsTestCase):
    def test_creator_is_admin(self) -> None:
        self.create(self.ana)
        self.assertEqual(self.members(self.ana), [("ana", True)])

    def test_code(self) -> None:
        """A group has a code of six unambiguous characters, in a form that no name has."""
        codes = {self.create(self.ana, f"g{n}").code for n in range(50)}
        self.assertEqual(len(codes), 50)
        for code in codes:
            self.assertRegex(code, r"\A[a-km-np-z2-9]{3}:[a-km-np-z2-9]{3}\Z")
            self.assertTrue(is_code(code))
            with self.assertRaises(BadName):
                parse_name(code)

    def test_code_that_is_taken(self) -> None:
        """If a new code belongs to another group already, the next one is used."""
        codes = ["aaa:aaa", "aaa:aaa", "bbb:bbb"]
        with mock.patch.object(homegroups, "new_group_code", side_effect=codes):
            first, second = self.create(self.ana, "one"), self.create(self.ana, "two")
        self.assertEqual((first.code, second.code), ("aaa:aaa", "bbb:bbb"))

    def test_name_is_taken(self) -> None:
        self.create(self.ana, "Bagan")
        for name in ("Bagan", "BAGAN"):
            self.assertIs(outcome_of(self.groups.create(self.budi, name)), GroupExists)

    def test_name_of_an_account(self) -> None:
        """Accounts and groups share one namespace, and a name that looks like a taken one is taken."""
        for name in ("ana", "ANA", "Budi"):
            self.assertIs(outcome_of(self.groups.create(self.ana, name)), GroupExists)
        self.create(self.ana, "modern")
        for name in ("modern", "modem", "MODEM", "Modem"):
            self.assertIs(outcome_of(self.signing_up(name)), UserExists)
            self.assertIs(outcome_of(self.groups.create(self.ana, name)), GroupExists)

    def test_name_is_free_again(self) -> None:
        """A name is free again after its group has ended."""
        self.create(self.ana, "sate")
        result_of(self.groups.leave(self.ana, parse_address("sate")))
        result_of(self.signing_up("Sate"))

    def test_code_of_an_earlier_version(self) -> None:
        """It looks like a name, and stays a code: nobody can register it."""
        with mock.patch.object(homegroups, "new_group_code", return_value="abc234"):
            self.create(self.ana)
        self.assertIs(outcome_of(self.groups.create(self.budi, "ABC234")), GroupExists)
        self.assertIs(outcome_of(self.signing_up("abc234")), UserExists)
        self.assertEqual(self.join(self.budi, "ABC234").name, "bagan")

    def test_new_name_is_checked(self) -> None:
        for name in ("mеssi", "a\u3164b"):
            self.assertIs(outcome_of(self.groups.create(self.ana, name)), BadName)

    def test_reserved(self) -> None:
        for name in ("system", "SYSTEM", "Realm1", "ADMlN", "aII", "here", "reaIm1"):
            self.assertIs(outcome_of(self.groups.create(self.ana, name)), ReservedName)

    def test_titles(self) -> None:
        """A group with only a title gets a name made of it, with a number if that is taken or not allowed."""
        titled = lambda title: result_of(self.groups.create(self.ana, None, title))  # noqa: E731
        expected = [
            ("Tim Bola", "Tim_Bola"),
            ("tim bola", "tim_bola_2"),
            ("tim bo1a", "tim_bo1a_3"),  # looks like the others
            ("Ana", "Ana_2"),
            ("admin!", "admin_2"),
            ("realm1", "realm1_2"),
            ("\U0001f389", "group"),
            ("\U0001f389", "group_2"),
        ]
        for title, name in expected:
            group = titled(title)
            self.assertEqual((group.name, group.title), (name, title))
        self.reopen()
        listed, _ = result_of(self.groups.list(self.ana, mine=True))
        self.assertEqual(
            sorted((each.title or "", each.group) for each in listed), sorted(expected)
        )
        roster = result_of(self.rosters.find(Address("tim_bola_2")))
        self.assertEqual(roster.group.title, "tim bola")

    def test_title_that_is_popular(self) -> None:
        """After some names a group gets a random number, and a creation that finds none fails."""
        with mock.patch("chatd.base.titles._NUMBERS", range(2, 3)):
            names = [result_of(self.groups.create(self.ana, None, "a b")).name for _ in range(4)]
            self.assertEqual(names[:2], ["a_b", "a_b_2"])
            for name in names[2:]:
                self.assertRegex(name, r"\Aa_b_\d{6}\Z")
            with mock.patch("chatd.base.titles._RANDOM", 0):
                failed = outcome_of(self.groups.create(self.ana, None, "a b"))
                self.assertIs(failed, GroupExists)

    def test_name_and_title(self) -> None:
        group = result_of(self.groups.create(self.ana, "bola", "Tim Bola"))
        self.assertEqual((group.name, group.title), ("bola", "Tim Bola"))
        failed = outcome_of(self.groups.create(self.ana, "bola", "Tim Bola"))
        self.assertIs(failed, GroupExists)
        group = result_of(self.groups.create(self.ana, None, "musik"))
        self.assertEqual((group.name, group.title), ("musik", None))

    def test_kept(self) -> None:
        self.create(self.ana, "Bagan")
        self.join(self.budi)
        self.reopen()
        self.assertEqual(self.members(self.budi, "BAGAN"), [("ana", True), ("Budi", False)])


class Joining(GroupsTestCase):
    def test_by_name_or_code(self) -> None:
        """Neither is case-sensitive."""
        group = self.create(self.ana, "Bagan")
        for who, name in (
            (self.budi, "bAGAN"),
            (self.citra, group.code),
            (self.dewi, group.code.upper()),
        ):
            self.assertEqual(self.join(who, name), group)
        self.assertEqual(len(self.members(self.ana)), 4)

    def test_refused(self) -> None:
        self.create(self.ana)
        self.assertIs(self.join(self.ana), AlreadyMember)
        self.assertIs(self.join(self.budi, "zzzzzz"), UnknownGroup)

    def test_twice_at_the_same_moment(self) -> None:
        self.create(self.ana)
        outcomes = self.together(
            lambda: self.groups.join(self.budi, BAGAN),
            lambda: self.groups.join(self.budi, BAGAN),
        )
        self.assertEqual(outcomes[1], AlreadyMember)
        self.assertEqual(self.members(self.ana), [("ana", True), ("Budi", False)])

    def test_nothing_unread_yet(self) -> None:
        """Messages from before the join are in the new member's history, and not unread."""
        self.create(self.ana)
        self.post(self.ana, "before")
        self.join(self.budi)
        self.post(self.ana, "after")
        self.assertEqual(self.inbox(self.budi), ["after"])
        page = result_of(self.service.reading.history(self.budi, Place(group=BAGAN), 10))
        self.assertEqual([message.text for message in page.messages], ["before", "after"])

    def test_posted_while_joining(self) -> None:
        """A message stored before the join is not unread for the new member, and one stored after it is, even
        if all were requested at the same moment."""
        self.create(self.ana)
        self.post(self.ana, "long before")
        result_of(self.service.reading.inbox(self.budi, UNFILTERED, {}))
        post = self.service.messages.post
        outcomes = self.together(
            lambda: post(self.ana, BAGAN, "just before", None),
            lambda: self.groups.join(self.budi, BAGAN),
            lambda: post(self.ana, BAGAN, "just after", None),
        )
        self.assertEqual([outcomes[0].receipts[0].seq, outcomes[2].receipts[0].seq], [3, 5])
        self.assertEqual(self.inbox(self.budi), ["just after"])

    def test_joined_while_it_is_stored(self) -> None:
        """Someone who has joined when a message is stored has it unread, even if the cache says that they
        have nothing unread."""
        self.create(self.ana)
        result_of(self.rosters.find(BAGAN))
        self.assertEqual(self.inbox(self.budi), [])
        outcomes = self.together(
            lambda: self.groups.join(self.budi, BAGAN),
            lambda: self.service.messages.post(self.ana, BAGAN, "halo", None),
        )
        self.assertNotIn(NotMember, outcomes)
        self.assertEqual(self.inbox(self.budi), ["halo"])

    def test_group_that_ends_meanwhile(self) -> None:
        """Nobody can join a group whose last member is leaving."""
        self.create(self.ana)
        result_of(self.rosters.find(BAGAN))
        outcomes = self.together(
            lambda: self.groups.leave(self.ana, BAGAN),
            lambda: self.groups.join(self.budi, BAGAN),
        )
        self.assertIs(outcomes[1], UnknownGroup)
        self.assertEqual(result_of(self.groups.list(self.budi, mine=True)), ((), 0))

    def test_invited_to_a_group_that_ends_meanwhile(self) -> None:
        self.create(self.ana)
        result_of(self.rosters.find(BAGAN))
        outcomes = self.together(
            lambda: self.groups.leave(self.ana, BAGAN),
            lambda: self.groups.invite(self.ana, BAGAN, [Address("Budi")]),
        )
        self.assertIn(outcomes[1], (UnknownGroup, NotMember))
        self.assertEqual(result_of(self.groups.list(self.budi, mine=True)), ((), 0))


class Leaving(GroupsTestCase):
    def test_left(self) -> None:
        """A former member can neither post nor read, and can join again."""
        self.create(self.ana)
        self.join(self.budi)
        self.post(self.ana, "halo")
        result_of(self.groups.leave(self.budi, Address("BAGAN")))
        self.assertIs(self.post(self.budi, "x"), NotMember)
        self.assertEqual(self.inbox(self.budi), [])
        place = Place(group=BAGAN)
        self.assertIs(outcome_of(self.service.reading.history(self.budi, place, 5)), NotMember)
        self.assertEqual(result_of(self.service.reading.search(self.budi, "halo")).messages, [])
        self.join(self.budi)
        self.assertEqual(self.members(self.ana), [("ana", True), ("Budi", False)])

    def test_refused(self) -> None:
        self.create(self.ana)
        self.assertIs(outcome_of(self.groups.leave(self.budi, BAGAN)), NotMember)
        self.assertIs(outcome_of(self.groups.leave(self.budi, Address("nowhere"))), UnknownGroup)

    def test_last_admin(self) -> None:
        """The last admin's role passes to the longest-standing member."""
        self.create(self.citra)
        for who in (self.dewi, self.ana, self.budi):
            self.join(who)
        result_of(self.groups.leave(self.citra, BAGAN))
        expected = [("dewi", True), ("ana", False), ("Budi", False)]
        self.assertEqual(self.members(self.ana), expected)
        self.reopen()
        self.assertEqual(self.members(self.ana), expected)

    def test_longest_standing_of_one_moment(self) -> None:
        """Of those who joined in the same millisecond, the first one counts as longest-standing."""
        self.create(self.citra)
        for who in (self.dewi, self.ana):
            result_of(self.groups.join(who, BAGAN))
        result_of(self.groups.leave(self.citra, BAGAN))
        self.assertEqual(self.members(self.ana), [("dewi", True), ("ana", False)])

    def test_another_admin_stays(self) -> None:
        """While there is another admin, the role does not pass on."""
        self.create(self.ana)
        self.join(self.budi)
        self.join(self.citra)
        result_of(self.groups.settings.promote(self.ana, BAGAN, Address("citra")))
        result_of(self.groups.leave(self.ana, BAGAN))
        self.assertEqual(self.members(self.budi), [("Budi", False), ("citra", True)])

    def test_both_admins_at_the_same_moment(self) -> None:
        self.create(self.ana)
        self.join(self.budi)
        self.join(self.citra)
        result_of(self.groups.settings.promote(self.ana, BAGAN, Address("Budi")))
        self.together(
            lambda: self.groups.leave(self.ana, BAGAN),
            lambda: self.groups.leave(self.budi, BAGAN),
        )
        self.assertEqual(self.members(self.citra), [("citra", True)])

    def test_last_member(self) -> None:
        """The group ends with its last member. Its name and code can be used for a new group, which inherits
        nothing."""
        code = self.create(self.ana).code
        self.post(self.ana, "old")
        result_of(self.groups.leave(self.ana, BAGAN))
        self.assertIs(self.join(self.budi), UnknownGroup)
        self.assertIs(self.join(self.budi, code), UnknownGroup)
        self.assertEqual(result_of(self.groups.list(self.ana, mine=False)), ((), 0))
        with mock.patch.object(homegroups, "new_group_code", return_value=code):
            again = self.create(self.budi, "BAGAN")
        self.assertEqual(again.code, code)
        self.assertEqual(self.post(self.budi, "new").receipts[0].seq, 2)
        page = result_of(self.service.reading.history(self.budi, Place(group=BAGAN), 5))
        self.assertEqual([message.text for message in page.messages], ["new"])
        self.reopen()
        self.assertEqual(self.members(self.budi), [("Budi", True)])


class Ruling(GroupsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.create(self.ana)
        self.join(self.budi)

    def test_invite(self) -> None:
        """The reply tells apart new members, existing members and unknown names."""
        done = self.groups.invite(
            self.ana,
            BAGAN,
            [Address("CITRA"), Address("budi"), Address("nobody"), Address("dewi", "realm1")],
        )
        invited = Invited(("citra", "dewi"), ("budi",), ("nobody",))
        self.assertEqual(result_of(done), ("bagan", invited))
        self.assertEqual(len(self.members(self.dewi)), 4)

    def test_invite_unknown_only(self) -> None:
        done = self.groups.invite(self.ana, BAGAN, [Address("x"), Address("y")])
        self.assertIs(outcome_of(done), UnknownUser)

    def test_invite_from_elsewhere(self) -> None:
        """People of a realm that is not known here are reported; the others join."""
        elsewhere = Address("citra", "realm2")
        done = self.groups.invite(self.ana, BAGAN, [elsewhere, Address("dewi")])
        invited = Invited(("dewi",), (), ("citra@realm2",))
        self.assertEqual(result_of(done), ("bagan", invited))
        self.assertIs(outcome_of(self.groups.invite(self.ana, BAGAN, [elsewhere])), UnknownRealm)

    def test_kick(self) -> None:
        result_of(self.groups.kick(self.ana, BAGAN, Address("BUDI")))
        self.assertEqual(self.members(self.ana), [("ana", True)])
        self.assertIs(self.post(self.budi, "x"), Banned)

    def test_promote(self) -> None:
        result_of(self.groups.settings.promote(self.ana, BAGAN, Address("budi")))
        self.assertEqual(self.members(self.budi), [("ana", True), ("Budi", True)])
        result_of(self.groups.kick(self.budi, BAGAN, Address("ana")))
        self.assertEqual(self.members(self.budi), [("Budi", True)])

    def test_close_and_open(self) -> None:
        for change, closed in ((True, True), (True, True), (False, False)):
            shown = result_of(self.groups.settings.set_closed(self.ana, Address("BAGAN"), change))
            self.assertEqual(shown, "bagan")
            (info,), _ = result_of(self.groups.list(self.budi, mine=True))
            self.assertEqual(info.closed, closed)
        self.reopen()
        self.assertFalse(result_of(self.rosters.find(BAGAN)).group.closed)

    def test_admins_only(self) -> None:
        citra = Address("citra")
        for done in (
            self.groups.invite(self.budi, BAGAN, [citra]),
            self.groups.kick(self.budi, BAGAN, Address("ana")),
            self.groups.settings.promote(self.budi, BAGAN, Address("budi")),
            self.groups.settings.set_closed(self.budi, BAGAN, True),
        ):
            self.assertIs(outcome_of(done), NotAdmin)
        self.assertEqual(self.members(self.ana), [("ana", True), ("Budi", False)])

    def test_members_only(self) -> None:
        for done in (
            self.groups.members(self.citra, BAGAN),
            self.groups.invite(self.citra, BAGAN, [Address("dewi")]),
            self.groups.kick(self.citra, BAGAN, Address("ana")),
            self.groups.settings.set_closed(self.citra, BAGAN, True),
        ):
            self.assertIs(outcome_of(done), NotMember)
        self.assertIs(self.post(self.citra, "x"), NotMember)

    def test_unknown_and_non_members(self) -> None:
        for change in (self.groups.kick, self.groups.settings.promote):
            self.assertIs(outcome_of(change(self.ana, BAGAN, Address("citra"))), NotTheirGroup)
            self.assertIs(outcome_of(change(self.ana, BAGAN, Address("nobody"))), UnknownUser)
            elsewhere = Address("budi", "realm2")
            self.assertIs(outcome_of(change(self.ana, BAGAN, elsewhere)), UnknownRealm)
            self.assertIs(
                outcome_of(change(self.ana, Address("nowhere"), Address("budi"))), UnknownGroup
            )


class Guests(GroupsTestCase):
    """Members from another realm, in a group that lives here."""

    def setUp(self) -> None:
        super().setUp()
        self.group = self.create(self.ana)
        self.emma = Party("emma@realm2", "Emma@Realm2", realm="realm2")
        self.finn = Party("finn@realm3", "Finn@Realm3", realm="realm3")

    def waiting(self, realm: str) -> list[parcels.Parcel]:
        found = result_of(Outbox(self.service.context).waiting(realm, 0, 100))
        return [parcels.decode(each.parcel) for each in found]

    def admit(self, guest: Party, name: str = "bagan") -> None:
        self.clock.advance(1)
        result_of(self.homes.join(Actor(guest), Address(name)))

    def test_join(self) -> None:
        """They are members like all others, longest-standing first, and their realms are told."""
        self.post(self.ana, "before")
        self.admit(self.emma)
        self.join(self.budi)
        self.admit(self.finn, self.group.code)
        for _ in range(2):
            self.assertEqual(
                self.members(self.budi),
                [("ana", True), ("Emma@Realm2", False), ("Budi", False), ("Finn@Realm3", False)],
            )
            _, members = result_of(self.homes.members(self.emma, BAGAN))
            self.assertEqual(len(members), 4)
            (info,), _ = result_of(self.groups.list(self.ana, mine=False))
            self.assertEqual(info.members, 4)
            self.reopen()
        about = settings_of(self.group)
        joined = parcels.Joined("bagan", self.group.id, "Emma", 2, 0, dict(about), at=1_000_001_000)
        self.assertEqual(self.waiting("realm2")[0], joined)
        told = [each for each in self.waiting("realm2") if isinstance(each, parcels.Relay)]
        self.assertEqual(
            [(each.seq, each.opened and each.opened.attributes) for each in told],
            [
                (3, MemberAttributes("joined", "Emma@Realm2")),
                (4, MemberAttributes("joined", "Budi@realm1")),
                (5, MemberAttributes("joined", "Finn@Realm3")),
            ],
        )
        joined = parcels.Joined("bagan", self.group.id, "Finn", 4, 0, dict(about), at=1_000_003_000)
        self.assertEqual(self.waiting("realm3"), [joined, told[-1]])
        self.assertIs(outcome_of(self.homes.join(Actor(self.emma), BAGAN)), AlreadyMember)

    def test_messages_go_there(self) -> None:
        """Each realm gets one copy, in the transaction that stores the message, however many members it
        has."""
        self.admit(self.emma)
        self.admit(Party("gita@realm2", "gita@Realm2", realm="realm2"))
        self.admit(self.finn)
        self.post(self.ana, "halo")
        relay = self.waiting("realm2")[-1]
        assert isinstance(relay, parcels.Relay)
        self.assertEqual((relay.group_id, relay.seq), (self.group.id, 5))
        self.assertEqual((relay.sender, relay.text), ("ana@realm1", "halo"))
        self.assertEqual(self.waiting("realm3")[-1], relay)

    def test_leave(self) -> None:
        """After they leave, their realm gets no more messages."""
        self.admit(self.emma)
        result_of(self.homes.leave(Actor(self.emma), BAGAN))
        self.post(self.ana, "halo")
        kinds = [type(each) for each in self.waiting("realm2")]
        self.assertEqual(kinds, [parcels.Joined, parcels.Relay, parcels.Removed])
        self.assertEqual(self.members(self.ana), [("ana", True)])
        self.assertIs(outcome_of(self.homes.leave(Actor(self.emma), BAGAN)), NotMember)

    def test_last_admin(self) -> None:
        """The role passes to and from them, and the group exists until they leave."""
        self.admit(self.emma)
        self.join(self.budi)
        result_of(self.groups.leave(self.ana, BAGAN))
        self.assertEqual(self.members(self.budi), [("Emma@Realm2", True), ("Budi", False)])
        result_of(self.groups.leave(self.budi, BAGAN))
        _, members = result_of(self.homes.members(self.emma, BAGAN))
        self.assertEqual([each.username for each in members], ["Emma@Realm2"])
        result_of(self.homes.leave(Actor(self.emma), BAGAN))
        self.assertIs(self.join(self.budi), UnknownGroup)

    def test_admin_from_elsewhere(self) -> None:
        """They have all rights of an admin, but none before they are one."""
        self.admit(self.emma)
        kick = self.homes.kick
        self.assertIs(outcome_of(kick(Actor(self.emma), BAGAN, Address("ana"))), NotAdmin)
        self.assertIs(outcome_of(kick(Actor(self.finn), BAGAN, Address("ana"))), NotMember)
        self.admit(self.finn)
        roster = result_of(self.rosters.find(BAGAN))
        result_of(
            self.rosters.change(lambda db: RosterChange(set_admin(db, roster.group, self.emma)))
        )
        result_of(self.groups.home_invites.invite(Actor(self.emma), BAGAN, [Address("budi")]))
        result_of(self.groups.accept(self.budi, BAGAN))
        result_of(kick(Actor(self.emma), BAGAN, Address("ANA")))
        result_of(self.groups.settings.of_homes.set(Actor(self.emma), BAGAN, {"closed": True}))
        self.assertEqual(
            self.members(self.budi),
            [("Emma@Realm2", True), ("Finn@Realm3", False), ("Budi", False)],
        )

    def test_made_public(self) -> None:
        """A group that was created private stays closed when it becomes public, until an admin opens it."""
        result_of(self.groups.create(self.ana, "rahasia", private=True))
        name, change = Address("rahasia"), self.groups.settings.set
        result_of(change(self.ana, name, {"visibility": "public"}))
        posting = self.homes.find_postable
        self.assertIs(outcome_of(posting(self.finn, name)), GroupClosed)
        result_of(change(self.ana, name, {"post": "anyone"}))
        self.assertNotIsInstance(outcome_of(posting(self.finn, name)), type)

    def test_what_a_refusal_names(self) -> None:
        """Its details are plain words, because they are sent to the realm that asked."""
        for name in (Address("nowhere"), Address("NOWHERE", "realm1")):
            with self.assertRaises(UnknownGroup) as caught:
                result_of(self.homes.join(Actor(self.emma), name))
            self.assertEqual(caught.exception.details, {"name": name.name})
            self.assertIs(type(caught.exception.details["name"]), str)


class OneRealm(NoRealms):
    """Realm2 gives the answers about its groups that the test sets."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name_of(self, _realm: str) -> str:
        return "Realm2"

    def find(self, _realm: str, *_args: object) -> Deferred[Any]:
        return succeed(Membership(self._name, 7))

    def join(self, realm: str, *_args: object) -> Deferred[Any]:
        return self.find(realm)

    def members(self, _realm: str, *_args: object) -> Deferred[Any]:
        return succeed([Member(self._name, True, True)])

    def change(self, _realm: str, *_args: object) -> Deferred[Any]:
        return succeed({"joined": [self._name]})

    def presence(self, realm: str, *_args: object) -> Deferred[Any]:
        return fail(RealmDown(realm=realm))


class Elsewhere(GroupsTestCase):
    """Requests to a group of another realm."""

    def saying(self, name: str) -> Any:
        realm = OneRealm(name)
        self.patch(self.service.mirrors, "_realms", realm)
        self.patch(self.groups._there, "_realms", realm)
        self.patch(self.groups._unknown, "_realms", realm)
        return mock.patch.object(self.groups, "_realms", realm)

    def test_names_as_written_here(self) -> None:
        """People of that realm are shown with its name, and people of this realm without one."""
        there = Address("bola", "realm2")
        for said, shown in (
            ("emma", "emma@realm2"),
            ("ana@Realm1", "ana"),
            ("finn@realm3", "finn@realm3"),
        ):
            with self.saying(said):
                _, (member,) = result_of(self.groups.members(self.ana, there))
                _, invited = result_of(self.groups.invite(self.ana, there, [Address("budi")]))
            self.assertEqual(member.username, shown)
            self.assertEqual(invited, Invited((shown,)))

    def test_malformed_names(self) -> None:
        """Text from another realm that is not a name is not shown."""
        there = Address("bola", "realm2")
        for said in ("a\r\n* fake", "\x1b[2J", "", "a b", "a@b@c"):
            with self.saying(said):
                for asked in (
                    self.groups.join(self.ana, there),
                    self.groups.members(self.ana, there),
                    self.groups.invite(self.ana, there, [Address("budi")]),
                ):
                    self.assertIs(outcome_of(asked), PeerFailed, said)


class Listing(GroupsTestCase):
    def test_mine_and_all(self) -> None:
        """Groups are sorted by name, with their size and the account's role. Only members see codes."""
        first = self.create(self.ana, "b")
        self.create(self.budi, "A")
        self.join(self.budi, "b")
        mine = GroupInfo("b", first.code, 2, closed=False, member=True, admin=True)
        other = GroupInfo("A", "", 1, closed=False, member=False, admin=False)
        self.assertEqual(result_of(self.groups.list(self.ana, mine=False)), ((other, mine), 0))
        self.assertEqual(result_of(self.groups.list(self.ana, mine=True)), ((mine,), 0))
        self.assertEqual(result_of(self.groups.list(self.citra, mine=True)), ((), 0))

    def test_long_lists_are_cut(self) -> None:
        for number in range(5):
            self.create(self.ana, f"g{number}")
        with mock.patch.object(module, "MAX_LISTED", 3):
            for mine in (True, False):
                found, more = result_of(self.groups.list(self.ana, mine=mine))
                self.assertEqual([each.group for each in found], ["g0", "g1", "g2"])
                self.assertEqual(more, 2)


class Remembering(GroupsTestCase):
    def test_roster_is_read_once(self) -> None:
        """A roster is read once, and then used from memory."""
        self.create(self.ana)
        result_of(self.rosters.find(BAGAN))
        with mock.patch.object(InlineDatabase, "run", side_effect=AssertionError):
            result_of(self.rosters.find_mine(self.ana, Address("BAGAN")))

    def test_failed_change_is_not_cached(self) -> None:
        """A change that the database did not store is not in memory either."""
        self.create(self.ana)
        result_of(self.rosters.find(BAGAN))

        def broken(_connection: Connection) -> RosterChange:
            _connection.execute(text("UPDATE participants SET admin = FALSE"))
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            result_of(self.rosters.change(broken))
        self.assertEqual(self.members(self.ana), [("ana", True)])
        self.assertTrue(result_of(self.rosters.find(BAGAN)).members[self.ana.id])


class OneNamespace(GroupsTestCase):
    def test_at_the_same_moment(self) -> None:
        """An account and a group are created with one name in one transaction: the first gets it."""
        for group_first in (True, False):
            name = "keluarga" if group_first else "tetangga"
            self.database.held = True
            asked: dict[str, Any] = {}
            for kind in ("group", "user") if group_first else ("user", "group"):
                making = (
                    self.groups.create(self.ana, name) if kind == "group" else self.signing_up(name)
                )
                asked[kind] = Deferred.fromCoroutine(making)
            self.database.settle()
            self.database.held = False
            lost, error = ("user", UserExists) if group_first else ("group", GroupExists)
            self.assertIs(outcome_of(asked.pop(lost)), error)
            result_of(asked.popitem()[1])
