"""A deleted account leaves groups of other realms, and its messages are deleted there."""

from __future__ import annotations

from unittest import mock

from chatd.base.names import Address
from chatd.commands import values as ask
from chatd.store.departures import unfinished
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
        account, realm = self.ana.account, self.one.realm
        with mock.patch.object(realm.service.accounts, "check_own_password"):
            self.network.result(realm.service.departures.delete(account, "", True, "here"))
        self.network.settle()
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: file None"])
        self.assertEqual(self.budi.history(group="bola"), ["ana@realm1: file None"])
        self.assertEqual(self.citra.history(group="tim@realm1"), ["ana@realm1: file None"])
        self.assertEqual(self.budi.members("bola"), ["*budi+"])
        self.assertEqual(self.citra.members("tim@realm1"), ["*citra+"])
        self.assertEqual(self.network.result(realm.database.read(unfinished)), [])
