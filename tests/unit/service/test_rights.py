"""Messages that were checked before their group changed are checked again in the writer's thread."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from chatd.base.errors import Banned, GroupClosed, UnknownGroup
from chatd.base.model import Account, Opaque, Party
from chatd.base.names import Address, Place
from chatd.commands import values as ask
from chatd.service.message_parts import MessageParts
from chatd.store.bans import add_ban
from chatd.store.new_entries import NewMessage, RemoteCopies
from chatd.store.schema import messages
from tests.support.inline import outcome_of, result_of
from tests.support.network import LinkedTestCase
from tests.unit.service.test_groups import BAGAN, GroupsTestCase

GUEST = Address("dewi", "realm2")


def said_late(group: int, copies: RemoteCopies | None, sender: Account | None = None) -> NewMessage:
    """A message of a member or of the guest that was checked in an epoch that has passed."""
    if sender is not None:
        return NewMessage(group, sender.id, sender.name, 1, "halo", copies=copies, epoch=-1)
    origin = ("realm2", 1)
    return NewMessage(group, None, str(GUEST), 1, "halo", origin=origin, copies=copies, epoch=-1)


class Guests(GroupsTestCase):
    """Posts of a guest, who is of another realm."""

    def setUp(self) -> None:
        super().setUp()
        self.group = self.create(self.ana)

    def post_late(self) -> Any:
        """Store a message of the guest."""
        copies = RemoteCopies(("realm3",), b"parcel")
        new = said_late(self.group.id, copies)
        receive = self.service.context.writers.messages.receive
        return outcome_of(self.database.batch(receive, new))

    def test_open_group(self) -> None:
        """A change that does not concern the guest takes nothing away. The copies go to the realms that have
        members now."""
        self.join(self.budi)
        stored = self.post_late()
        self.assertEqual(self.inbox(self.ana), ["halo"])
        self.assertEqual(stored.realms, ())

    def test_closed_group(self) -> None:
        """A guest who is no member may not write to a group that was closed meanwhile."""
        result_of(self.groups.settings.set_closed(self.ana, BAGAN, True))
        self.assertIs(self.post_late(), GroupClosed)
        self.assertEqual(self.inbox(self.ana), [])

    def test_banned(self) -> None:
        """A guest who was banned meanwhile may not write, even to an open group."""

        def ban(connection: Connection) -> None:
            add_ban(connection, self.group, Party(GUEST.key, str(GUEST)), 1)

        result_of(self.database.run(ban))
        self.join(self.budi)
        self.assertIs(self.post_late(), Banned)
        self.assertEqual(self.inbox(self.ana), [])

    def test_ended(self) -> None:
        """A guest may not write to a group that ended meanwhile, even if it was open."""
        result_of(self.groups.leave(self.ana, BAGAN))
        self.assertIs(self.post_late(), UnknownGroup)
        count = select(func.count()).select_from(messages)
        self.assertEqual(
            result_of(self.database.read(lambda connection: connection.scalar(count))), 0
        )


class Copies(LinkedTestCase):
    def test_realm_that_joins_meanwhile(self) -> None:
        """A message that was prepared before another realm got its first member reaches that realm with all
        its parts."""
        self.ana.creates("bagan")
        self.ana.posts("bagan", "satu")
        service, place = self.one.service, Place(group=Address("bagan"))
        (first,) = self.ana.does(ask.ShowHistory(place, 9)).items
        before = self.network.result(
            service.messages.groups.find(self.ana.account, Address("bagan"))
        )
        self.budi.joins("bagan@realm1")
        sealed = Opaque("application/x-sealed", b"tiga")
        for parts in (
            MessageParts("dua", reply=first.seq, mentions=("@all",)),
            MessageParts(opaque=sealed),
            MessageParts("empat"),
        ):
            sending = service.messages.send_parts(self.ana.account, before, parts, None, None, True)
            self.network.result(sending)
        there = Place(group=Address("bagan", "realm1"))
        _, second, third, fourth = self.budi.does(ask.ShowHistory(there, 9)).items
        self.assertEqual((second.text, second.mentions), ("dua", ("@all",)))
        self.assertEqual(second.reply, first.seq)
        self.assertEqual(third.opaque, sealed)
        self.assertEqual(fourth.text, "empat")

    def test_realms_of_now(self) -> None:
        """The copies go to the realms that have members when the message is stored: neither to one that had
        some before, nor past one that has some now."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        service = self.one.service
        roster = self.network.result(service.rosters.find(Address("bagan")))
        writer = service.context.writers.messages
        old = RemoteCopies(("realm3",), b"parcel")
        for new in (
            said_late(roster.group.id, old),
            said_late(roster.group.id, None, self.ana.account),
        ):
            stored = self.network.result(service.database.batch(writer.send, new))
            self.assertEqual(stored.realms, ("realm2",))
            self.assertTrue(stored.parcel)
