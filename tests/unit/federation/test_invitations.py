"""Invitations across realms, and entries about groups that cross."""

from __future__ import annotations

from typing import Any
from unittest import mock

import sqlalchemy as sa

from chatd.base.errors import Banned, RealmDown, UnknownGroup, UnknownInvitation
from chatd.base.events import GroupChange, Invitation, MemberChange
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.parcels import Invite, Relay
from chatd.federation.signing.statements import Attributes, GroupAttributes, MemberAttributes
from chatd.service.quotas import LEAST
from chatd.store import invitations as store
from chatd.store.accounts import find_account, find_accounts
from chatd.store.schema import changes, invitations, invited, remote_members
from tests.support.common import Listener
from tests.support.network import Person, Server, outcome
from tests.support.signing import SigningRealm
from tests.unit.federation.test_realm_groups import GroupTestCase, hold_at_join

GROUP = "bagan@realm1"


class InvitingTestCase(GroupTestCase):
    def follow(self, person: Person) -> Listener:
        listener = Listener()
        service = person.client.service
        service.presence.listen(person.account.id, listener, True, True)
        return listener

    def rows(self, server: Server, query: Any) -> list[Any]:
        found: list[Any] = server.realm.database.now(lambda db: db.execute(query).all())
        return found

    def facts(self, server: Server) -> list[tuple[int, str, str, str]]:
        """The entries about groups: seq, kind, author and content."""
        query = sa.select(changes.c.seq, changes.c.kind, changes.c.author, changes.c.data)
        return [tuple(row) for row in self.rows(server, query.order_by(changes.c.seq))]

    def decline(self, person: Person, group: str = GROUP) -> None:
        person.does(ask.DeclineInvitation(parse_address(group)))


class Answering(InvitingTestCase):
    def test_told(self) -> None:
        """An invitation is an event, and a list has it until it is answered."""
        ears = self.follow(self.budi)
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        (told,) = ears.heard
        assert isinstance(told, Invitation)
        self.assertEqual((told.group, told.realm, told.by), (GROUP, "realm1", "ana@realm1"))
        (info,) = self.budi.does(ask.ListInvitations()).items
        self.assertEqual((info.group, info.realm, info.by), (GROUP, "realm1", "ana@realm1"))
        self.budi.accepts("BAGAN@realm1")
        self.assertEqual((self.budi.invitations(), self.budi.mine()), ([], [GROUP]))
        self.assertEqual(self.rows(self.one, sa.select(invited)), [])

    def test_join_accepts(self) -> None:
        for name in (GROUP, f"{self.code}@realm1"):
            self.invite(self.ana, "budi@realm2")
            self.network.settle()
            self.budi.joins(name)
            self.assertEqual((self.budi.invitations(), self.budi.mine()), ([], [GROUP]))
            self.budi.does(ask.LeaveGroup(parse_address(GROUP)))
            self.network.settle()

    def test_decline(self) -> None:
        """The home is not told, and a further invitation to the same group is not shown for a week."""
        self.patch(store, "AGAIN", 5_000)
        ears = self.follow(self.budi)
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        sent = (
            self.network.connection(self.one, self.two).transport_of(self.two).log.count("Deliver")
        )
        self.decline(self.budi)
        self.network.settle()
        log = self.network.connection(self.one, self.two).transport_of(self.two).log
        self.assertEqual(log.count("Deliver"), sent)
        self.network.advance(6)
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        self.assertEqual((self.budi.invitations(), len(ears.heard)), ([], 1))
        with self.assertRaises(UnknownInvitation):
            self.decline(self.budi)
        self.patch(store, "DECLINED_FOR", 10_000)
        self.network.advance(6)
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        self.assertEqual((self.budi.invitations(), len(ears.heard)), ([GROUP], 2))
        self.budi.joins(GROUP)
        self.assertEqual(self.budi.mine(), [GROUP])

    def test_withdrawn(self) -> None:
        """A kick withdraws an invitation, there too. The person is told nothing else about the group."""
        self.ana.does(ask.AddGroup("rahasia", visibility="private"))
        ears = self.follow(self.budi)
        self.invite(self.ana, "budi@realm2", "bela@realm2", group="rahasia")
        self.network.settle()
        before = self.facts(self.one)
        reply = self.ana.does(
            ask.KickMember(parse_address("rahasia"), parse_address("budi@realm2"))
        )
        self.assertEqual(reply.message, "budi@realm2 is banned from rahasia")
        self.network.settle()
        self.assertEqual(
            (self.budi.invitations(), self.bela.invitations()), ([], ["rahasia@realm1"])
        )
        told = ears.heard[-1]
        assert isinstance(told, MemberChange)
        self.assertEqual((told.conversation, told.seq, told.by), (0, 0, "ana@realm1"))
        self.assertEqual(told.sentence, "Your invitation to rahasia@realm1 was withdrawn")
        self.assertEqual(self.facts(self.one), before)
        with self.assertRaises(UnknownInvitation):
            self.budi.accepts("rahasia@realm1")
        with self.assertRaises(UnknownGroup):
            self.budi.joins("rahasia@realm1")
        (banned,) = self.ana.does(ask.ListBans(parse_address("rahasia"))).items
        self.assertEqual(banned.username, "budi@realm2")
        self.invite(self.ana, "budi@realm2", group="rahasia")
        self.network.settle()
        self.budi.accepts("rahasia@realm1")

    def test_withdrawn_by_an_admin_from_elsewhere(self) -> None:
        """Both of a person of the home, and of one of the admin's own realm."""
        self.budi.joins(GROUP)
        self.promote(self.ana, "budi@realm2")
        self.invite(self.budi, "agus@realm1", "bela", group=GROUP)
        for who, there in (("agus@realm1", self.agus), ("bela", self.bela)):
            self.network.settle()
            self.assertEqual(len(there.invitations()), 1)
            command = ask.KickMember(parse_address(GROUP), parse_address(who))
            self.assertEqual(self.budi.does(command).message, f"{who} is banned from {GROUP}")
            self.network.settle()
            self.assertEqual(there.invitations(), [])

    def test_repeated(self) -> None:
        """Who invites the same person again and again sends one invitation, and writes one entry."""
        for _ in range(5):
            self.assertIn("1 invited", self.invite(self.ana, "budi@realm2"))
        self.network.settle()
        self.assertEqual(self.budi.invitations(), [GROUP])
        self.assertEqual(len(self.facts(self.one)), 2)

    def test_looked_up_together(self) -> None:
        """The home looks up the people of a question twice: for the entries, and for the invitation."""
        self.budi.joins(GROUP)
        self.promote(self.ana, "budi@realm2")
        names = [f"nama{number}@realm1" for number in range(20)]
        database = self.one.realm.database
        with mock.patch.object(database, "read", wraps=database.read) as read:
            self.assertIn("unknown", self.invite(self.budi, *names, "ana@realm1", group=GROUP))
        queries = [each.args[0] for each in read.call_args_list]
        self.assertEqual(queries.count(find_accounts), 2)
        self.assertNotIn(find_account, queries)

    def test_expired(self) -> None:
        self.patch(store, "LIFE", 20_000)
        self.patch(store, "AGAIN", 5_000)
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        self.network.advance(21)
        self.assertEqual(self.budi.invitations(), [])
        with self.assertRaises(UnknownInvitation):
            self.budi.accepts(GROUP)
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        self.assertEqual(self.budi.invitations(), [GROUP])
        self.assertEqual(len(self.rows(self.two, sa.select(invitations))), 1)

    def test_group_that_ended(self) -> None:
        """An invitation that can't be accepted any more is forgotten, and the others stay."""
        self.ana.creates("nusa")
        self.invite(self.ana, "budi@realm2")
        self.invite(self.ana, "budi@realm2", group="nusa")
        self.network.settle()
        self.assertEqual(self.budi.invitations(), [GROUP, "nusa@realm1"])
        self.ana.does(ask.LeaveGroup(parse_address("nusa")))
        with self.assertRaises(UnknownGroup):
            self.budi.accepts("nusa@realm1")
        self.assertEqual(self.budi.invitations(), [GROUP])
        self.budi.accepts(GROUP)
        self.assertEqual(self.budi.mine(), [GROUP])

    def test_declined_twice_at_once(self) -> None:
        """Of two connections that decline at the same moment, one is told that there is no invitation."""
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        declining = ask.DeclineInvitation(parse_address(GROUP))
        both = [outcome(self.budi.begins(declining)) for _ in range(2)]
        self.network.settle()
        refused = [isinstance(each[0], UnknownInvitation) for each in both]
        self.assertEqual(sorted(refused), [False, True])
        self.assertEqual(self.budi.invitations(), [])

    def test_while_down(self) -> None:
        """An invitation that can't be accepted now stays."""
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        self.part(self.two)
        with self.assertRaises(RealmDown):
            self.budi.accepts(GROUP)
        self.assertEqual(self.budi.invitations(), [GROUP])
        self.meet()
        self.budi.accepts(GROUP)
        self.assertEqual(self.budi.mine(), [GROUP])

    def test_banned_meanwhile(self) -> None:
        self.budi.joins(GROUP)
        self.kick(self.ana, "budi@realm2")
        self.network.settle()
        self.invite(self.ana, "budi@realm2")
        self.network.settle()
        self.kick(self.ana, "budi@realm2")
        with self.assertRaises(UnknownInvitation):
            self.budi.accepts(GROUP)
        with self.assertRaises(Banned):
            self.budi.joins(GROUP)

    def test_killed_before_the_answer(self) -> None:
        """A join that the home has heard of is completed after a crash."""
        end = self.network.connection(self.one, self.two).transport_of(self.one)
        hold_at_join(self, self.one, end)
        self.budi.begins(ask.JoinGroup(parse_address(GROUP)))
        self.network.settle()
        (row,) = self.rows(self.one, sa.select(remote_members.c.address))
        self.assertEqual(row.address, "budi@realm2")
        self.two.kill()
        self.two.open()
        self.network.advance(10)
        self.assertEqual(self.budi.mine(), [GROUP])
        self.network.advance(1)
        self.assertIn("budi@realm2+", self.ana.members("bagan"))


class Crossing(InvitingTestCase):
    def test_entries(self) -> None:
        """The home's entries have the same numbers in realms with members, addresses as written there."""
        self.budi.joins(GROUP)
        self.bela.joins(GROUP)
        self.promote(self.ana, "budi@realm2")
        self.budi.does(ask.CloseGroup(parse_address(GROUP)))
        self.kick(self.ana, "bela@realm2")
        self.network.settle()
        self.assertEqual(
            self.facts(self.one),
            [
                (1, "member", "ana", '{"who":"ana","what":"joined"}'),
                (2, "member", "budi@realm2", '{"who":"budi@realm2","what":"joined"}'),
                (3, "member", "bela@realm2", '{"who":"bela@realm2","what":"joined"}'),
                (4, "member", "ana", '{"who":"budi@realm2","what":"promoted"}'),
                (5, "group", "budi@realm2", '{"closed":true}'),
                (6, "member", "ana", '{"who":"bela@realm2","what":"kicked"}'),
            ],
        )
        self.assertEqual(
            self.facts(self.two),
            [
                (1, "member", "ana@realm1", '{"who":"ana@realm1","what":"joined"}'),
                (2, "member", "budi", '{"who":"budi","what":"joined"}'),
                (3, "member", "bela", '{"who":"bela","what":"joined"}'),
                (4, "member", "ana@realm1", '{"who":"budi","what":"promoted"}'),
                (5, "group", "budi", '{"closed":true}'),
                (6, "member", "ana@realm1", '{"who":"bela","what":"kicked"}'),
            ],
        )
        self.ana.posts("bagan", "halo")
        self.assertEqual([each.seq for each in self.budi.inbox()], [7])

    def test_events(self) -> None:
        """Members are told once, in both realms; the person who is removed, too."""
        here, there, gone = self.follow(self.agus), self.follow(self.budi), self.follow(self.bela)
        self.agus.joins("bagan")
        self.budi.joins(GROUP)
        self.bela.joins(GROUP)
        self.network.settle()
        for ears in (here, there, gone):
            ears.heard.clear()
        self.kick(self.ana, "bela@realm2")
        self.ana.does(ask.CloseGroup(parse_address("bagan")))
        self.network.settle()
        for ears, who, by in ((here, "bela@realm2", "ana"), (there, "bela", "ana@realm1")):
            kicked, closed = ears.heard
            assert isinstance(kicked, MemberChange)
            assert isinstance(closed, GroupChange)
            found = (kicked.who, kicked.what, kicked.by, kicked.seq, kicked.removed)
            self.assertEqual(found, (who, "kicked", by, 5, False))
            self.assertEqual((closed.fields, closed.by, closed.seq), ({"closed": True}, by, 6))
        (removed,) = gone.heard
        assert isinstance(removed, MemberChange)
        told = (removed.who, removed.by, removed.seq, removed.removed)
        self.assertEqual(told, ("bela", "ana@realm1", 5, True))

    def test_events_of_a_group_that_is_not_in_memory(self) -> None:
        """Members are told all the same."""
        self.budi.joins(GROUP)
        there = self.follow(self.budi)
        rosters = self.two.service.rosters
        rosters._cache._rosters.clear()
        rosters._cache._ids.clear()
        self.agus.joins("bagan")
        self.network.settle()
        (joined,) = there.heard
        assert isinstance(joined, MemberChange)
        self.assertEqual((joined.who, joined.what), ("agus@realm1", "joined"))

    def test_not_to_the_connection_that_caused_it(self) -> None:
        ears = self.follow(self.ana)
        service = self.ana.client.service
        self.network.result(
            service.groups.settings.set_closed(self.ana.account, parse_address("bagan"), True, ears)
        )
        self.assertEqual(ears.heard, [])
        self.network.result(
            service.groups.settings.set_closed(self.ana.account, parse_address("bagan"), False)
        )
        self.assertEqual(len(ears.heard), 1)


class Hostile(InvitingTestCase):
    def verdict(self, parcel: Any, number: int = 10_000) -> str:
        (verdict,) = self.two.receives("realm1", (number, parcel))
        return verdict.code

    def ident(self) -> int:
        (row,) = self.rows(
            self.two, sa.text("SELECT home_id FROM groups WHERE home_id IS NOT NULL")
        )
        return int(row[0])

    def fact(self, attributes: Attributes, author: str = "ana", **said: Any) -> Relay:
        """An entry that realm1 has signed and relays."""
        ident = self.ident()
        said = {"group": ident, **said}
        return Relay(self.signer.signs(attributes, author=author, **said), "bagan", ident, 99)

    def setUp(self) -> None:
        super().setUp()
        self.signer = SigningRealm("realm1", self.one.realm.keys.signing_key)
        self.budi.joins(GROUP)
        self.network.settle()

    def test_entries_about_nonsense(self) -> None:
        """What is no name, no group of that realm or no known setting is not stored."""
        before = self.facts(self.two)
        kick = MemberAttributes("kicked", "budi@realm2")
        other = self.fact(kick)
        for parcel, code in (
            (self.fact(kick, "a b"), "bad-name"),
            (self.fact(MemberAttributes("kicked", "x" * 190 + "@realm1")), "bad-name"),
            (self.fact(MemberAttributes("kicked", "budi")), "bad-signature"),
            (Relay(other.entry, "bagan", 77, 99), "unknown-group"),
            (Relay(other.entry, "lain", self.ident(), 99), "unknown-group"),
            (self.fact(MemberAttributes("crowned", "budi@realm2")), ""),
            (self.fact(GroupAttributes({"event": "message"})), ""),
        ):
            self.assertEqual(self.verdict(parcel), code)
        self.assertEqual(self.facts(self.two), before)

    def test_flood_of_entries(self) -> None:
        """Each counts for the quota of the home, with what it has."""
        before = len(self.facts(self.two))
        quotas = self.two.federation.receiver._quotas
        charged: list[int] = []
        self.patch(quotas, "charge_bytes", lambda _realm, size: charged.append(size))
        for number in range(5):
            entry = self.fact(GroupAttributes({"title": f"no. {number}"}))
            self.assertEqual(self.verdict(entry), "")
        entry = self.fact(GroupAttributes({"title": "x" * 200, "topic": "y" * 2000}))
        self.assertEqual(self.verdict(entry), "")
        self.assertEqual(charged[:-1], [LEAST] * 5)
        self.assertGreater(charged[-1], 2200)
        self.assertEqual(len(self.facts(self.two)), before + 6)

    def test_entries_twice(self) -> None:
        before = len(self.facts(self.two))
        entry = self.fact(MemberAttributes("kicked", "agus@realm1"))
        for _ in range(3):
            self.assertEqual(self.verdict(entry), "")
        self.assertEqual(len(self.facts(self.two)), before + 1)

    def test_flood_of_invitations(self) -> None:
        """One realm can't use up the room that others have, and a declined invitation does not make room."""
        self.patch(store, "MAX_OF_REALM", 3)
        codes = [self.verdict(Invite(f"g{n}", n, "budi", "ana"), 10_000 + n) for n in range(1, 6)]
        self.assertEqual(codes, ["", "", "", "too-many-invitations", "too-many-invitations"])
        self.decline(self.budi, "g1@realm1")
        self.assertEqual(
            self.verdict(Invite("g9", 9, "budi", "ana"), 10_010), "too-many-invitations"
        )
        self.assertEqual(self.budi.invitations(), ["g2@realm1", "g3@realm1"])
        self.assertEqual(self.budi.mine(), [GROUP])

    def test_names(self) -> None:
        self.assertEqual(self.verdict(Invite("bagan", 1, "nobody", "ana")), "unknown-user")
        self.assertEqual(self.verdict(Invite("a b", 1, "budi", "ana")), "bad-name")
        self.assertEqual(self.verdict(Invite("bagan", 1, "budi", "\x1b[2J")), "bad-name")
        self.assertEqual(self.budi.invitations(), [])
