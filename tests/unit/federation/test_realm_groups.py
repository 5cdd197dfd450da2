"""Groups with members in several realms: membership, rights, and message delivery."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import (
    AlreadyMember,
    GroupClosed,
    Muted,
    NotMember,
    RealmDown,
    UnknownGroup,
    UnknownRealm,
)
from chatd.base.names import Place, parse_address
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.commands import values as ask
from chatd.federation.amp import wire
from chatd.service import awaited_joins as module
from chatd.store.disk_usage import usage_by_group
from chatd.store.groups import find_group
from chatd.store.mutes import EVERYWHERE
from tests.support.network import NetworkTestCase, PeerTransport, Person, Server, outcome


def addresses(*names: str) -> Any:
    return tuple(map(parse_address, names))


class GroupTestCase(NetworkTestCase):
    """ana of realm1 has created bagan. budi and bela are in realm2, citra is in realm3."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.pair()
        self.three = self.network.server("realm3")
        self.one.add(self.three)
        self.three.add(self.two)
        self.ana, self.agus = self.one.person("ana"), self.one.person("agus")
        self.budi, self.bela = self.two.person("budi"), self.two.person("bela")
        self.citra = self.three.person("citra")
        self.code = self.ana.creates("bagan")

    def part(self, server: Server) -> None:
        self.network.refusing[self.one.where] = self.network.refusing[server.where] = OSError()
        for connection in self.network.open_connections(self.one, server):
            connection.cut()
        self.network.settle()

    def meet(self) -> None:
        self.network.refusing.clear()
        self.network.advance(310)

    def invite(self, who: Person, *users: str, group: str = "bagan") -> str:
        reply = who.does(ask.InviteMembers(parse_address(group), addresses(*users)))
        return str(reply.message)

    def kick(self, who: Person, user: str, group: str = "bagan") -> None:
        who.does(ask.KickMember(parse_address(group), parse_address(user)))

    def promote(self, who: Person, user: str, group: str = "bagan") -> None:
        who.does(ask.PromoteMember(parse_address(group), parse_address(user)))


def hold_at_join(case: SynchronousTestCase, home: Server, end: PeerTransport) -> None:
    """Let nothing leave the home of a group from the moment when it is asked to let somebody join."""
    questions = home.federation.questions
    join = questions.join

    async def held(*asked: Any) -> Any:
        end.held = True
        return await join(*asked)

    case.patch(questions, "join", held)


class JoiningTestCase(GroupTestCase):
    def test_by_name(self) -> None:
        reply = self.budi.joins("bagan@realm1")
        self.assertEqual(reply.message, "You are a member of bagan@realm1")
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "budi@realm2+"])
        self.assertEqual(self.budi.members("bagan@realm1"), ["*ana@realm1+", "budi+"])

    def test_by_code(self) -> None:
        reply = self.budi.joins(f"{self.code}@realm1")
        self.assertEqual(reply.message, "You are a member of bagan@realm1")
        self.budi.posts("bagan@realm1", "halo")

    def test_refused(self) -> None:
        for group in ("nusantara@realm1", "budi@realm1"):
            with self.assertRaises(UnknownGroup):
                self.budi.joins(group)
        with self.assertRaises(UnknownRealm):
            self.budi.joins("bagan@realm9")
        self.budi.joins("bagan@realm1")
        with self.assertRaises(AlreadyMember):
            self.budi.joins("BAGAN@realm1")
        self.part(self.two)
        with self.assertRaises(RealmDown):
            self.bela.joins("bagan@realm1")

    def test_lists(self) -> None:
        """A group elsewhere is listed among the account's own groups, and not among those of this realm."""
        self.budi.joins("bagan@realm1")
        self.assertEqual(self.budi.does(ask.ListGroups()).items, ())
        (info,) = self.budi.does(ask.ListOwnGroups()).items
        self.assertEqual((info.group, info.member, info.admin), ("bagan@realm1", True, False))
        (info,) = self.ana.does(ask.ListGroups()).items
        self.assertEqual(info.members, 2)

    def test_presence(self) -> None:
        """Each member's own realm is asked who is online. Members whose realm is down are offline."""
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "budi@realm2+", "citra@realm3+"])
        self.assertEqual(
            self.budi.members("bagan@realm1"), ["*ana@realm1+", "budi+", "citra@realm3+"]
        )
        self.citra.leaves()
        self.network.advance(61)
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "budi@realm2+", "citra@realm3"])
        self.part(self.two)
        self.network.advance(61)
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "budi@realm2", "citra@realm3"])
        with self.assertRaises(RealmDown):
            self.budi.members("bagan@realm1")

    def test_members_only(self) -> None:
        with self.assertRaises(NotMember):
            self.budi.members("bagan@realm1")

    def test_many_members(self) -> None:
        """More members than fit into one answer."""
        self.patch(wire, "MAX_NAMES", 10)
        for number in range(25):
            self.one.person(f"m{number}").joins("bagan")
        self.budi.joins("bagan@realm1")
        members = self.budi.members("bagan@realm1")
        self.assertEqual(len(members), 27)
        self.assertEqual(members[-1], "budi+")
        self.assertEqual(len(set(members)), 27)

    def test_late_report_of_the_home(self) -> None:
        """The home has accepted the member, and the parcel that reports it is delayed: the join does not wait
        for it."""
        connection = self.network.connection(self.one, self.two)
        connection.transport_of(self.one).holding = {"Deliver"}
        found = outcome(self.budi.begins(ask.JoinGroup(parse_address("bagan@realm1"))))
        self.network.advance(module.JOIN_TIME + 0.1)
        self.assertEqual(found[0].message, "You are a member of bagan@realm1")
        connection.transport_of(self.one).holding = set()
        self.network.settle()
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])

    def test_acknowledgement_of_joining_lost(self) -> None:
        """The home has accepted the member, and the link breaks: they are a member nevertheless."""
        connection = self.network.connection(self.one, self.two)
        hold_at_join(self, self.one, connection.transport_of(self.one))
        found = outcome(self.budi.begins(ask.JoinGroup(parse_address("bagan@realm1"))))
        self.network.settle()
        connection.cut()
        self.network.advance(5)
        self.assertIsInstance(found[0], RealmDown)
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])
        self.ana.posts("bagan", "halo")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_left_and_joined_again(self) -> None:
        """After many joins and leaves with lost acknowledgements both realms agree."""
        self.budi.joins("bagan@realm1")
        connection = self.network.connection(self.one, self.two)
        connection.transport_of(self.one).losing = {"Deliver answer"}
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.settle()
        found = outcome(self.budi.begins(ask.JoinGroup(parse_address("bagan@realm1"))))
        self.network.settle()
        self.network.cut()
        self.network.advance(30)
        self.assertEqual(len(found), 1)
        inside = self.budi.mine() == ["bagan@realm1"]
        self.assertEqual("budi@realm2+" in self.ana.members("bagan"), inside)
        if not inside:
            self.budi.joins("bagan@realm1")
        self.ana.posts("bagan", "halo")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_left_while_down_and_joined_again(self) -> None:
        self.budi.joins("bagan@realm1")
        self.part(self.two)
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.assertEqual(self.budi.mine(), [])
        self.network.refusing.clear()
        while not self.network.open_connections(self.one, self.two):
            self.network.advance(0.1)
        for _ in range(200):
            found = outcome(self.budi.begins(ask.JoinGroup(parse_address("bagan@realm1"))))
            self.network.step()
            self.network.step()
            if found and not isinstance(found[0], RealmDown):
                break
        self.network.advance(10)
        inside = self.budi.mine() == ["bagan@realm1"]
        self.assertEqual("budi@realm2+" in self.ana.members("bagan"), inside)


class PostingTestCase(GroupTestCase):
    def test_to_and_fro(self) -> None:
        self.budi.joins("bagan@realm1")
        self.assertEqual(self.ana.posts("bagan", "satu").message, "Message sent")
        self.assertEqual(self.budi.posts("bagan@realm1", "dua").message, "Message sent")
        self.assertEqual(self.ana.history(group="bagan"), ["ana: satu", "budi@realm2: dua"])
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["ana@realm1: satu", "budi: dua"])
        self.assertEqual(self.ana.reads(), ["budi@realm2: dua"])
        self.assertEqual(self.budi.reads(), ["ana@realm1: satu"])

    def test_numbers(self) -> None:
        """Members in all realms see the home's message numbers, and so does the sender's reply."""
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        replies = [
            who.posts(group, "halo").data["seq"]
            for who, group in (
                (self.ana, "bagan"),
                (self.budi, "bagan@realm1"),
                (self.citra, "bagan@realm1"),
                (self.budi, "bagan@realm1"),
            )
        ]
        self.assertEqual(replies, [4, 5, 6, 7])
        for who, group in (
            (self.ana, "bagan"),
            (self.budi, "bagan@realm1"),
            (self.citra, "bagan@realm1"),
        ):
            page = who.does(ask.ShowHistory(Place(group=parse_address(group)), 10)).items
            self.assertEqual([each.seq for each in page], [4, 5, 6, 7])

    def test_three_realms(self) -> None:
        """A message from realm2 reaches realm3 through the group's home."""
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.budi.posts("bagan@realm1", "halo")
        self.assertEqual(self.citra.reads(), ["budi@realm2: halo"])
        self.assertEqual(self.ana.reads(), ["budi@realm2: halo"])
        self.citra.sends("budi@realm2", "halo juga")
        self.assertEqual(self.budi.reads(), ["citra@realm3: halo juga"])

    def test_two_members_of_a_realm(self) -> None:
        """Each realm gets a message once, however many members it has."""
        self.budi.joins("bagan@realm1")
        self.bela.joins("bagan@realm1")
        end = self.network.connection(self.one, self.two).transport_of(self.one)
        before = end.log.count("Deliver")
        self.ana.posts("bagan", "halo")
        self.assertEqual(end.log.count("Deliver"), before + 1)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(self.bela.reads(), ["ana@realm1: halo"])
        self.budi.posts("bagan@realm1", "ya")
        self.assertEqual(self.bela.reads(), ["budi: ya"])
        self.assertEqual(self.budi.inbox(), [])

    def test_listening(self) -> None:
        self.budi.joins("bagan@realm1")
        self.bela.joins("bagan@realm1")
        self.budi.posts("bagan@realm1", "halo")
        self.assertEqual([each.text for each in self.bela.events], ["halo"])  # type: ignore[union-attr]
        self.assertEqual([each.text for each in self.ana.events], ["halo"])  # type: ignore[union-attr]
        self.assertEqual(self.budi.events, [])

    def test_not_a_member(self) -> None:
        """Anyone may post to an open group, but only members to a closed one."""
        reply = self.budi.posts("bagan@realm1", "halo")
        self.assertEqual((reply.message, reply.data["seq"]), ("Message sent", 2))
        self.assertEqual(self.ana.reads(), ["budi@realm2: halo"])
        self.ana.does(ask.CloseGroup(parse_address("bagan")))
        with self.assertRaises(GroupClosed):
            self.budi.posts("bagan@realm1", "halo?")
        self.budi.joins("bagan@realm1")
        self.budi.posts("bagan@realm1", "halo!")
        self.ana.does(ask.OpenGroup(parse_address("bagan")))
        self.bela.posts("bagan@realm1", "halo.")
        self.assertEqual(self.ana.reads(), ["budi@realm2: halo!", "bela@realm2: halo."])
        with self.assertRaises(UnknownGroup):
            self.budi.posts("nusantara@realm1", "halo")

    def test_down(self) -> None:
        """A post while the home is down is queued, and numbered when it arrives."""
        self.budi.joins("bagan@realm1")
        self.part(self.two)
        reply = self.budi.posts("bagan@realm1", "satu")
        self.assertIn("queued", reply.message)
        self.ana.posts("bagan", "dua")
        self.meet()
        self.assertEqual(self.budi.reads(), ["ana@realm1: dua"])
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["ana@realm1: dua", "budi: satu"])
        self.assertEqual(self.ana.history(group="bagan"), ["ana: dua", "budi@realm2: satu"])

    def test_down_and_refused(self) -> None:
        """If it is refused when it arrives, the sender's own realm tells the sender."""
        self.part(self.two)
        self.budi.posts("bagan@realm1", "satu")
        self.ana.does(ask.CloseGroup(parse_address("bagan")))
        self.meet()
        self.assertEqual(
            self.budi.reads(),
            [
                (
                    'system: Your message "satu" of 2026-11-20T10:15:03Z to the group bagan@realm1 '
                    "was not delivered: Only members may post to bagan@realm1; join it first, or ask its "
                    "admins to open it"
                )
            ],
        )

    def test_what_they_use_elsewhere(self) -> None:
        """Operators see a group of another realm by its address."""
        self.budi.joins("bagan@realm1")
        self.budi.posts("bagan@realm1", "satu")
        self.network.settle()
        found, _ = self.two.realm.database.now(lambda db: usage_by_group(db, 10))
        self.assertEqual([each.name for each in found], ["bagan@realm1"])

    def test_settings_elsewhere(self) -> None:
        """A long topic crosses as it is, and so does that there is none any more."""
        self.budi.joins("bagan@realm1")
        for topic in ("bola " * 100, ""):
            self.ana.does(ask.SetGroup(parse_address("bagan"), topic=topic.strip()))
            self.network.settle()
            group = self.two.realm.database.now(lambda db: find_group(db, "bagan@realm1"))
            assert group is not None
            self.assertEqual(group.topic or "", topic.strip())

    def test_muted(self) -> None:
        """By a moderator of the home: messages are refused there, and deletions are not."""
        self.budi.joins("bagan@realm1")
        self.budi.posts("bagan@realm1", "satu")
        service = self.one.service
        act = service.audit.act(Principal("local", OPERATOR), "admin.mute.add", None, "")
        name = "budi@realm2"
        self.network.result(service.mutes.add(act, name, name, EVERYWHERE, "loud", None))
        with self.assertRaises(Muted) as caught:
            self.budi.posts("bagan@realm1", "dua")
        self.assertEqual(
            str(caught.exception),
            "You are muted in bagan@realm1 (loud); ask the moderators of its realm",
        )
        self.budi.does(ask.DeleteMessage(Place(group=parse_address("bagan@realm1")), 3))
        self.assertNotIn("satu", str(self.ana.history(group="bagan")))

    def test_acknowledgements_lost(self) -> None:
        """Posts and their echoes are sent again, and stored once at both ends."""
        self.budi.joins("bagan@realm1")
        connection = self.network.connection(self.one, self.two)
        for end in connection.ends:
            end.losing = {"Deliver answer"}
        self.budi.begins_to_post("bagan@realm1", "satu")
        self.ana.begins_to_post("bagan", "dua")
        self.network.settle()
        connection.cut()
        self.network.advance(5)
        self.assertEqual(self.ana.history(group="bagan"), ["ana: dua", "budi@realm2: satu"])
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["ana@realm1: dua", "budi: satu"])
        self.assertEqual(self.one.parcels_waiting() + self.two.parcels_waiting(), 0)

    def test_answer_before_the_echo(self) -> None:
        """If the message comes back late, the sender is told its number anyway."""
        self.budi.joins("bagan@realm1")
        end = self.network.connection(self.one, self.two).transport_of(self.one)
        end.holding = {"Deliver"}
        found = outcome(self.budi.begins_to_post("bagan@realm1", "halo"))
        self.network.advance(12)
        self.assertEqual(len(found), 1)
        end.holding = set()
        self.network.settle()
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["budi: halo"])

    def test_joined_meanwhile(self) -> None:
        """ana posts while budi joins: he gets all later messages, and none twice."""
        for delay in range(1, 25):
            with self.subTest(delay=delay):
                group = f"g{delay}"
                self.ana.creates(group)
                joining = outcome(self.budi.begins(ask.JoinGroup(parse_address(f"{group}@realm1"))))
                for number in range(delay * 2):
                    self.ana.begins_to_post(group, str(number))
                    self.network.step()
                self.network.settle()
                self.assertEqual(len(joining), 1)
                self.ana.posts(group, "last")
                heard = self.budi.history(group=f"{group}@realm1")
                said = [f"ana@realm1: {number}" for number in range(delay * 2)]
                said.append("ana@realm1: last")
                self.assertEqual(heard, said[len(said) - len(heard) :])
                page = self.ana.history(group=group)
                self.assertEqual(len(page), len(said))
                seqs = [each.seq for each in self.budi.inbox() if each.group == f"{group}@realm1"]
                self.assertEqual(seqs, list(range(seqs[0], seqs[0] + len(seqs))))
