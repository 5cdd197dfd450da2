"""Groups with members in several realms: changes by admins, and who is online elsewhere."""

from __future__ import annotations

from typing import Any
from unittest import mock

from chatd.base.errors import (
    NotAdmin,
    NotMember,
    NotTheirGroup,
    RealmDown,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.names import parse_address, parse_place
from chatd.commands import values as ask
from chatd.federation.leave_notices import LEAVE_TIME
from chatd.store.schema import groups, participants
from tests.support.network import outcome
from tests.unit.federation.test_realm_groups import GroupTestCase


class ChangingTestCase(GroupTestCase):
    def test_invite(self) -> None:
        self.assertEqual(
            self.invite(self.ana, "budi@realm2", "agus"),
            "2 invited to bagan; they have to accept: budi@realm2",
        )
        self.network.settle()
        self.assertEqual((self.budi.mine(), self.budi.invitations()), ([], ["bagan@realm1"]))
        self.assertEqual(self.budi.accepts("bagan@realm1").fields, {"group": "bagan@realm1"})
        self.assertEqual((self.budi.mine(), self.budi.invitations()), (["bagan@realm1"], []))
        self.ana.posts("bagan", "halo")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_invite_unknown(self) -> None:
        """The person who invites somebody who does not exist is told."""
        self.invite(self.ana, "nobody@realm2", "budi@realm2")
        self.network.settle()
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])
        (told,) = self.ana.reads()
        self.assertIn("Your invitation of nobody@realm2 to bagan was not delivered", told)
        with self.assertRaises(UnknownRealm):
            self.invite(self.ana, "budi@realm9")

    def test_invite_while_down(self) -> None:
        self.part(self.two)
        self.invite(self.ana, "budi@realm2")
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])
        self.meet()
        self.assertEqual(self.budi.mine(), [])
        self.budi.accepts("bagan@realm1")
        self.ana.posts("bagan", "halo")
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_kick(self) -> None:
        self.budi.joins("bagan@realm1")
        self.bela.joins("bagan@realm1")
        self.kick(self.ana, "budi@realm2")
        self.network.settle()
        self.assertEqual(self.budi.mine(), [])
        self.ana.posts("bagan", "halo")
        self.assertEqual(self.budi.inbox(), [])
        self.assertEqual(self.bela.reads(), ["ana@realm1: halo"])
        with self.assertRaises(NotMember):
            self.budi.history(group="bagan@realm1")
        with self.assertRaises(NotTheirGroup):
            self.kick(self.ana, "budi@realm2")

    def test_kick_while_down(self) -> None:
        self.budi.joins("bagan@realm1")
        self.part(self.two)
        self.ana.posts("bagan", "satu")
        self.kick(self.ana, "budi@realm2")
        self.ana.posts("bagan", "dua")
        self.meet()
        self.assertEqual(self.budi.mine(), [])
        self.assertEqual(self.budi.inbox(), [])

    def test_leave(self) -> None:
        self.budi.joins("bagan@realm1")
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.settle()
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])
        self.ana.posts("bagan", "halo")
        self.assertEqual(self.budi.inbox(), [])
        with self.assertRaises(NotMember):
            self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))

    def test_leave_while_down(self) -> None:
        """The member has left at once, and the home is told later."""
        self.budi.joins("bagan@realm1")
        self.part(self.two)
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.assertEqual(self.budi.mine(), [])
        self.ana.posts("bagan", "halo")
        self.meet()
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])
        self.assertEqual(self.budi.inbox(), [])

    def test_join_waits_for_the_report_of_a_leave(self) -> None:
        """The join is sent as soon as the home knows of the leave, without any query until then."""
        self.budi.joins("bagan@realm1")
        self.network.advance(1)  # the other realm is told that he is online
        end = self.network.connection(self.one, self.two).transport_of(self.two)
        end.holding = {"Deliver"}
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        joining = outcome(self.budi.begins(ask.JoinGroup(parse_address("bagan@realm1"))))
        self.network.settle()
        with mock.patch.object(self.two.realm.database, "read", side_effect=AssertionError):
            self.network.advance(LEAVE_TIME / 2)
        self.assertEqual(joining, [])
        now, end.holding = self.network.now, set()
        self.network.settle()
        self.assertEqual(joining[0].message, "You are a member of bagan@realm1")
        self.assertEqual(self.network.now, now)
        self.assertEqual(self.two.federation.outbox._watched, {})

    def test_join_gives_up_waiting_for_the_report_of_a_leave(self) -> None:
        self.budi.joins("bagan@realm1")
        self.network.connection(self.one, self.two).transport_of(self.two).holding = {"Deliver"}
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        joining = outcome(self.budi.begins(ask.JoinGroup(parse_address("bagan@realm1"))))
        self.network.advance(LEAVE_TIME + 0.1)
        self.assertIsInstance(joining[0], RealmDown)
        self.assertEqual(self.two.federation.outbox._watched, {})

    def test_admin_from_elsewhere(self) -> None:
        """budi of realm2 becomes an admin, and has all of ana's rights."""
        self.budi.joins("bagan@realm1")
        group = "bagan@realm1"
        with self.assertRaises(NotAdmin):
            self.invite(self.budi, "bela", group=group)
        with self.assertRaises(NotAdmin):
            self.kick(self.budi, "ana@realm1", group)
        with self.assertRaises(NotAdmin):
            self.budi.does(ask.CloseGroup(parse_address(group)))
        self.promote(self.ana, "budi@realm2")
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "*budi@realm2+"])
        self.assertEqual(
            self.invite(
                self.budi, "bela", "agus@realm1", "citra@realm3", "nobody@realm1", group=group
            ),
            "3 invited to bagan@realm1; they have to accept: bela, agus@realm1, citra@realm3; "
            "unknown: nobody@realm1",
        )
        self.network.settle()
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "*budi@realm2+"])
        (asked,) = self.agus.does(ask.ListInvitations()).items
        self.assertEqual((asked.group, asked.by), ("bagan", "budi@realm2"))
        self.agus.accepts("bagan")
        self.bela.accepts(group)
        self.citra.accepts(group)
        self.assertEqual(self.bela.mine(), [group])
        self.assertEqual(self.citra.mine(), [group])
        self.assertEqual(
            self.invite(self.budi, "bela", "agus@realm1", group=group),
            "0 invited to bagan@realm1; members already: bela, agus@realm1",
        )
        with self.assertRaises(UnknownUser):
            self.invite(self.budi, "noone@realm1", group=group)
        self.promote(self.budi, "citra@realm3", group)
        self.kick(self.budi, "agus@realm1", group)
        self.budi.does(ask.CloseGroup(parse_address(group)))
        with self.assertRaises(NotTheirGroup):
            self.kick(self.budi, "agus@realm1", group)
        self.kick(self.citra, "ana@realm1", group)
        self.assertEqual(self.budi.members(group), ["*budi+", "bela+", "*citra@realm3+"])
        self.budi.does(ask.OpenGroup(parse_address(group)))

    def test_role_is_known_elsewhere(self) -> None:
        """The realm of an admin knows their role: lists show it, and they mention everybody."""
        self.budi.joins("bagan@realm1")
        group = "bagan@realm1"

        def seen() -> tuple[bool, tuple[str, ...]]:
            """What budi's list says, and whom a post of his with @all mentions at the home."""
            (listed,) = self.budi.does(ask.ListOwnGroups()).items
            self.budi.does(ask.SendGroupMessage(parse_address(group), "halo @all"))
            self.network.settle()
            place = parse_place("#bagan")
            (newest,) = self.ana.does(ask.ShowHistory(place, 1)).items
            return listed.admin, newest.mentions

        self.assertEqual(seen(), (False, ()))
        self.promote(self.ana, "budi@realm2")
        self.network.settle()
        self.assertEqual(seen(), (True, ("@all",)))
        self.ana.does(ask.DemoteAdmin(parse_address("bagan"), parse_address("budi@realm2")))
        self.network.settle()
        self.assertEqual(seen(), (False, ()))
        self.promote(self.ana, "budi@realm2")
        self.network.settle()
        self.budi.does(ask.LeaveGroup(parse_address(group)))
        self.budi.joins(group)
        self.assertEqual(seen(), (False, ()))

    def test_many_invited_from_elsewhere(self) -> None:
        """As many as fit on one line. People of the home are asked, too."""
        self.budi.joins("bagan@realm1")
        self.promote(self.ana, "budi@realm2")
        names = [f"m{number}@realm1" for number in range(5000)]
        for name in (names[0], names[250], names[4999]):
            self.one.person(name.partition("@")[0])
        message = self.invite(self.budi, *names, group="bagan@realm1")
        self.assertIn("3 invited", message)
        self.assertEqual(self.one.person("m250").invitations(), ["bagan"])
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "*budi@realm2+"])
        self.assertTrue(self.network.connection(self.one, self.two).is_open)

    def test_last_of_the_home(self) -> None:
        """ana leaves the group of her own realm: it continues, with budi as its admin."""
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.ana.does(ask.LeaveGroup(parse_address("bagan")))
        self.assertEqual(self.budi.members("bagan@realm1"), ["*budi+", "citra@realm3+"])
        self.budi.posts("bagan@realm1", "halo")
        self.assertEqual(self.citra.reads(), ["budi@realm2: halo"])

    def test_end(self) -> None:
        """The group ends with its last member, in whatever realm that one is."""
        self.budi.joins("bagan@realm1")
        self.ana.does(ask.LeaveGroup(parse_address("bagan")))
        self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
        self.network.settle()
        with self.assertRaises(UnknownGroup):
            self.ana.joins("bagan")
        with self.assertRaises(UnknownGroup):
            self.budi.joins("bagan@realm1")
        self.ana.creates("bagan")

    def test_new_group_of_the_same_name(self) -> None:
        """After the old group has ended, nothing of it is taken for the new one's."""
        self.budi.joins("bagan@realm1")
        self.ana.posts("bagan", "old")
        self.assertEqual(self.budi.reads(), ["ana@realm1: old"])
        self.kick(self.ana, "budi@realm2")
        self.ana.does(ask.LeaveGroup(parse_address("bagan")))
        self.agus.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.agus.posts("bagan", "new")
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["agus@realm1: new"])
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])
        self.two.restart()
        self.network.advance(3)
        self.assertEqual(self.budi.history(group="bagan@realm1"), ["agus@realm1: new"])

    def test_new_group_while_down(self) -> None:
        self.budi.joins("bagan@realm1")
        self.part(self.two)
        self.ana.posts("bagan", "old")
        self.kick(self.ana, "budi@realm2")
        self.ana.does(ask.LeaveGroup(parse_address("bagan")))
        self.agus.creates("bagan")
        self.invite(self.agus, "bela@realm2")
        self.meet()
        self.bela.accepts("bagan@realm1")
        self.agus.posts("bagan", "new")
        self.assertEqual(self.bela.reads(), ["agus@realm1: new"])
        self.assertEqual(self.budi.mine(), [])

    def test_ended_while_down(self) -> None:
        """budi posts to a group that has ended, and is told."""
        self.budi.joins("bagan@realm1")
        self.part(self.two)
        self.kick(self.ana, "budi@realm2")
        self.ana.does(ask.LeaveGroup(parse_address("bagan")))
        self.budi.posts("bagan@realm1", "halo?")
        self.meet()
        self.assertIn("There is no group bagan in realm1", self.budi.reads()[-1])
        self.assertEqual(self.budi.mine(), [])

    def test_forgotten_there(self) -> None:
        """realm2 has lost its record of the group: its members are removed."""
        self.budi.joins("bagan@realm1")

        def lose(connection: Any) -> None:
            connection.execute(participants.delete())
            connection.execute(groups.delete())

        self.network.result(self.two.realm.database.run(lose))
        self.two.restart()
        self.network.advance(3)
        self.ana.posts("bagan", "halo")
        self.network.settle()
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])
        self.budi.joins("bagan@realm1")
        self.ana.posts("bagan", "halo lagi")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo lagi"])


class ContactsTestCase(GroupTestCase):
    """The realms have added one another, so they may ask who is online."""

    def setUp(self) -> None:
        super().setUp()
        for server in (self.two, self.network.servers["realm3"]):
            server.add(self.one)
            self.network.settle()

    def online(self) -> list[str]:
        return [
            f"{each.username}{'+' if each.online else ''}"
            for each in self.ana.does(ask.ListContacts()).items
        ]

    def add(self, address: str) -> Any:
        return self.ana.does(ask.AddContact(parse_address(address)))

    def test_presence(self) -> None:
        """Asked when needed, and kept for a minute. Changes are told."""
        self.budi.does(ask.CheckAlive())
        self.add("budi@realm2")
        self.add("citra@realm3")
        self.add("agus")
        self.assertEqual(self.online(), ["agus", "budi@realm2+", "citra@realm3"])
        end = self.network.connection(self.one, self.two).transport_of(self.one)
        asked = end.log.count("Presence")
        self.budi.leaves()
        self.network.advance(50)
        self.assertEqual(self.online(), ["agus", "budi@realm2", "citra@realm3"])
        self.assertEqual(end.log.count("Presence"), asked)
        self.network.advance(60)
        self.assertEqual(self.online(), ["agus", "budi@realm2", "citra@realm3"])
        self.assertEqual(end.log.count("Presence"), asked + 1)

    def test_unknown(self) -> None:
        with self.assertRaises(UnknownUser):
            self.add("nobody@realm2")
        with self.assertRaises(UnknownRealm):
            self.add("budi@realm9")
        self.part(self.two)
        self.add("noone@realm2")
        self.assertEqual(self.online(), ["noone@realm2"])

    def test_many(self) -> None:
        """More contacts than fit into one question."""
        self.budi.does(ask.CheckAlive())
        self.part(self.two)
        for number in range(150):
            self.add(f"{'x' * 50}{number}@realm2")
        self.add("budi@realm2")
        self.meet()
        self.assertIn("budi@realm2+", self.online())
        self.assertEqual(len(self.online()), 151)

    def test_no_answer(self) -> None:
        """One realm does not answer in time: its people count as offline, and the list is shown."""
        self.add("budi@realm2")
        self.network.advance(61)
        self.network.connection(self.one, self.two).transport_of(self.two).held = True
        found = outcome(self.ana.begins(ask.ListContacts()))
        self.network.advance(31)
        self.assertEqual([each.online for each in found[0].items], [False])
