"""Files that can't be sent, and files that several messages carry."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base.errors import PeerFailed, RealmDown
from chatd.base.names import Address, Place, parse_address
from chatd.commands import values as ask
from chatd.federation.amp import link_sender, wire
from chatd.federation.amp.file_sender import FileSender
from chatd.federation.parcels import INCOMPLETE
from chatd.store.schema import attachments
from tests.support.network import outcome
from tests.unit.federation.test_realm_files import FilesTestCase, many


class Failures(FilesTestCase):
    def break_sending(self, error: Exception, times: int) -> list[int]:
        """Let the sending of a file fail some times. Returns a list of all attempts."""
        send = FileSender.send
        tried: list[int] = []

        async def failing(sender: FileSender, link: Any, number: int, *args: Any) -> None:
            tried.append(number)
            if len(tried) <= times:
                raise error
            await send(sender, link, number, *args)

        self.patch(FileSender, "send", failing)
        return tried

    def test_unexpected_error(self) -> None:
        """The sender is told that it failed, and what waits behind the file is sent."""
        self.break_sending(ZeroDivisionError(), 1)
        file = outcome(self.ana.begins_to_send_file("budi@realm2", "a.bin", many(1000)))
        text = outcome(self.ana.begins_to_send("budi@realm2", "halo"))
        self.network.settle()
        self.assertEqual(file[0].code, "peer-failed")
        self.assertEqual(text[0].message, "Message sent")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_link_that_ends(self) -> None:
        """The file is sent again over the next link."""
        tried = self.break_sending(RealmDown(realm="realm2"), 1)
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(1000))
        self.network.advance(5)
        self.assertEqual(len(tried), 2)
        self.assertEqual(self.budi.fetches(self.code()), many(1000))

    def test_failures_there(self) -> None:
        """A file that makes the other realm fail is offered again after a pause, a few times at most."""
        tried = self.break_sending(wire.Refused(wire.INTERNAL), link_sender.MAX_FAILURES)
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(1000))
        self.network.settle()
        for number in range(1, link_sender.MAX_FAILURES):
            self.assertEqual(len(tried), number)
            self.network.advance(link_sender.FILE_PAUSE)
        self.network.advance(3 * link_sender.FILE_PAUSE)
        self.assertEqual(len(tried), link_sender.MAX_FAILURES)
        (told,) = self.ana.reads()
        self.assertIn("file a.bin", told)
        self.assertEqual(self.ana.sends("budi@realm2", "halo").message, "Message sent")

    def test_deleted_meanwhile(self) -> None:
        """The message of a file is deleted while its bytes are sent, which then fails: it arrives as a
        deleted one, and its sender is not told of a failure."""
        gate: Deferred[None] = Deferred()

        async def failing(*_args: Any) -> None:
            await gate
            raise ZeroDivisionError

        self.patch(FileSender, "send", failing)
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(1000))
        self.network.settle()
        there = Place(user=parse_address("budi@realm2"))
        self.ana.does(ask.DeleteMessage(there, 1))
        self.network.settle()
        gate.callback(None)
        self.network.settle()
        here = Place(user=parse_address("ana@realm1"))
        shown = [each.deleted for each in self.budi.does(ask.ShowHistory(here, 9)).items]
        self.assertEqual(shown, [True])
        self.assertEqual(self.ana.reads(), [])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def answer_incomplete(self, times: int) -> list[int]:
        """Let realm2 say some times that a parcel is incomplete. Returns a list of all attempts."""
        receiver = self.two.federation.receiver
        receive = receiver.receive
        tried: list[int] = []

        async def failing(realm: str, batch: Any, *args: Any) -> Any:
            tried.extend(number for number, _ in batch)
            if len(tried) <= times:
                return [INCOMPLETE for _ in batch]
            return await receive(realm, batch, *args)

        self.patch(receiver, "receive", failing)
        return tried

    def test_incomplete_there(self) -> None:
        """A parcel without a file that is incomplete there is sent once more."""
        tried = self.answer_incomplete(1)
        self.assertEqual(self.ana.sends("budi@realm2", "halo").message, "Message sent")
        self.assertEqual(len(tried), 2)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_always_incomplete_there(self) -> None:
        """It is given up after a few times, and its sender is told."""
        tried = self.answer_incomplete(100)
        with self.assertRaises(PeerFailed):
            self.ana.sends("budi@realm2", "halo")
        self.assertEqual(len(tried), link_sender.MAX_FAILURES)
        self.assertEqual(self.one.parcels_waiting(), 0)


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
