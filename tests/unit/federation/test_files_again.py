"""A file of a group elsewhere is lost while nobody here is a member, and fetched once somebody joins."""

from __future__ import annotations

from unittest import mock

import sqlalchemy as sa

from chatd.base.names import Address, Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.store import files_again
from chatd.store.schema import arrivals
from tests.support.network import LinkedTestCase

THERE = Place(None, parse_group("bagan@realm1"))


class FilesAgainTestCase(LinkedTestCase):
    """bagan is a group of realm1 with ana; budi and citra of realm2 are members, and are kicked before a file
    has crossed."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.network.advance(5)

    def loses_a_file(self) -> None:
        """A file that the home does not give after a kick is lost."""
        self.part()
        self.ana.sends_file("#bagan", "a.txt", b"halo")
        group = parse_address("bagan")
        for name in ("budi", "citra"):
            self.ana.does(ask.KickMember(group, Address(name, "realm2")))
            self.ana.does(ask.LiftBan(group, Address(name, "realm2")))
        self.meet()
        self.network.advance(5)
        self.assertEqual(self.losses(), ["file-gone"])

    def losses(self) -> list[str | None]:
        query = sa.select(arrivals.c.lost)
        found: list[str | None] = self.two.realm.database.now(lambda db: list(db.scalars(query)))
        return found

    def test_a_file_while_nobody_is_a_member(self) -> None:
        """It comes when somebody joins again."""
        self.loses_a_file()
        self.budi.joins("bagan@realm1")
        self.network.advance(5)
        file = self.budi.does(ask.ShowHistory(THERE, 500)).items[-1].file
        self.assertEqual(file.state, "here")
        self.assertEqual(self.budi.fetches(file.code), b"halo")

    def test_no_room_for_a_file_again(self) -> None:
        self.loses_a_file()
        for module, name, limit in (
            (files_again, "used_by_realm", lambda *_: self.two.config.peers.files - 3),
            (files_again, "MAX_ARRIVING", 0),
        ):
            with mock.patch.object(module, name, limit):
                self.budi.joins("bagan@realm1")
                self.network.advance(5)
            self.assertEqual(self.losses(), ["file-gone"])
            self.budi.does(ask.LeaveGroup(parse_address("bagan@realm1")))
            self.network.advance(5)

    def test_not_again_if_there_are_members(self) -> None:
        self.loses_a_file()
        with mock.patch.object(files_again, "MAX_ARRIVING", 0):
            self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.network.advance(5)
        self.assertEqual(self.losses(), ["file-gone"])
