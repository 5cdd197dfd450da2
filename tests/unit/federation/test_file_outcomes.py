"""Files that several messages carry."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatd.base.names import Address, Place, parse_address
from chatd.commands import values as ask
from chatd.store.schema import attachments
from tests.unit.federation.test_realm_files import FilesTestCase, many


class Carried(FilesTestCase):
    """ana has sent a file to dewi of realm1, and forwards it."""

    def setUp(self) -> None:
        super().setUp()
        self.dewi = self.one.person("dewi")
        self.ana.sends_file("dewi", "a.bin", many(1000))
        self.place = Place(user=Address("dewi"))

    def forwards(self, to: Place) -> Any:
        return self.ana.begins(ask.ForwardMessage(self.place, 1, to))

    def deletes(self) -> None:
        self.ana.does(ask.DeleteMessage(self.place, 1))
        self.network.settle()

    def test_file_of_a_pending_post(self) -> None:
        """The file of a deleted message stays while a post to a group elsewhere still waits to carry it."""
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        self.network.settle()
        self.forwards(Place(group=parse_address("bagan@realm2")))
        self.network.settle()
        self.deletes()
        self.assertEqual(len(self.stored(self.one)), 1)
        self.network.refusing.clear()
        self.network.advance(120)
        self.assertEqual(self.budi.fetches(self.code()), many(1000))

    def test_owner_who_still_sends_it(self) -> None:
        """A file counts for its owner as long as a message of theirs carries it."""
        self.one.person("eka")
        self.network.result(self.forwards(Place(user=Address("eka"))))
        self.deletes()
        owners = self.one.realm.database.now(
            lambda connection: list(connection.scalars(sa.select(attachments.c.owner_id)))
        )
        self.assertEqual(owners, [self.ana.account.id])
        eka = self.one.person("eka")
        self.assertEqual(eka.fetches(self.code(who=eka)), many(1000))

    def test_last_message(self) -> None:
        """The file of a deleted message that nothing else carries is gone from the disk."""
        self.deletes()
        self.assertEqual(self.stored(self.one), [])
        self.assertEqual(self.dewi.files(), [])
