"""A deleted account leaves groups of other realms, and its messages are deleted there."""

from __future__ import annotations

from unittest import mock

import sqlalchemy as sa

from chatd.base.names import Address
from chatd.commands import values as ask
from chatd.simulate.people import Person
from chatd.store.departures import unfinished
from chatd.store.schema import changes, messages
from tests.support.network import LinkedTestCase


class Elsewhere(LinkedTestCase):
    def test_erased(self) -> None:
        """In directs, in groups there and in groups here, which members there see."""
        self.budi.does(ask.AddGroup("bola"))
        self.ana.does(ask.JoinGroup(Address("bola", "realm2")))
        self.ana.does(ask.AddGroup("tim"))
        self.citra.does(ask.JoinGroup(Address("tim", "realm1")))
        self.ana.sends("budi@realm2", "1")
        self.ana.posts("bola@realm2", "2")
        self.ana.posts("tim", "3")
        self.network.settle()
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: 1"])
        self.erase(self.ana)
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: file None"])
        self.assertEqual(self.budi.history(group="bola"), ["ana@realm1: file None"])
        self.assertEqual(self.citra.history(group="tim@realm1"), ["ana@realm1: file None"])
        self.assertEqual(self.budi.members("bola"), ["*budi+"])
        self.assertEqual(self.citra.members("tim@realm1"), ["*citra+"])

    def erase(self, person: Person) -> None:
        """Delete an account with its messages."""
        realm = self.one.realm
        with mock.patch.object(realm.service.accounts, "check_own_password"):
            deleting = realm.service.departures.delete(person.account, "", True, "here")
            self.network.result(deleting)
        self.network.settle()
        self.assertEqual(self.network.result(realm.database.read(unfinished)), [])

    def test_erased_where_it_has_left(self) -> None:
        """In groups there that the account has left, and from which it was banned, private or not."""
        tim = Address("tim")
        self.budi.does(ask.AddGroup("bola"))
        self.ana.does(ask.JoinGroup(Address("bola", "realm2")))
        self.budi.does(ask.AddGroup("tim", visibility="private"))
        self.budi.does(ask.InviteMembers(tim, (Address("ana", "realm1"),)))
        self.network.settle()
        self.ana.does(ask.AcceptInvitation(Address("tim", "realm2")))
        for group in ("bola", "tim"):
            self.ana.posts(f"{group}@realm2", "halo")
        self.budi.posts("tim", "hai")
        self.network.settle()
        self.ana.does(ask.LeaveGroup(Address("bola", "realm2")))
        self.budi.does(ask.KickMember(tim, Address("ana", "realm1")))
        self.network.settle()
        self.erase(self.ana)
        self.assertEqual(self.budi.history(group="bola"), ["ana@realm1: file None"])
        left = ["ana@realm1: file None", "budi: hai"]
        self.assertEqual(self.budi.history(group="tim"), left)
        stored = self.one.realm.database.now(
            lambda connection: connection.scalars(sa.select(messages.c.text)).all()
        )
        self.assertEqual(set(stored), {None, "hai"})
        self.one.person("dewi")
        self.budi.sends("dewi@realm1", "halo")
        numbers = self.two.realm.database.now(
            lambda connection: connection.scalars(
                sa.union_all(
                    *(
                        sa.select(table.c.number).where(table.c.number.is_not(None))
                        for table in (messages, changes)
                    )
                )
            ).all()
        )
        self.assertEqual(len(set(numbers)), len(numbers))
