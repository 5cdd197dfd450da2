"""Replies, mentions and forwarded messages, and the conversations that they are sent to."""

from __future__ import annotations

from typing import Any

from chatd.base import errors
from chatd.base.entries import Deletion, Edit, Pin
from chatd.base.model import Account, Message
from chatd.base.names import Address, Place
from chatd.commands import values as ask
from chatd.service.composed_sends import SendOptions
from chatd.service.message_parts import MessageParts
from tests.support.inline import outcome_of, result_of
from tests.support.network import LinkedTestCase
from tests.unit.service.test_message_changes import BAGAN, WITH_ANA, WITH_BUDI, ChangesTestCase

EITHER = Place(user=Address("bagan"), group=Address("bagan"))
OPTIONS = SendOptions(None)


class ComposedSendsTestCase(ChangesTestCase):
    def to_place(self, who: Account, place: Place | int, text: str = "halo") -> Any:
        return outcome_of(self.service.composed.to_place(who, place, MessageParts(text), OPTIONS))

    def forward(self, who: Account, where: Place | int, seq: int, to: Place) -> Any:
        return outcome_of(self.service.composed.forward(who, where, seq, to, OPTIONS))


class Places(ComposedSendsTestCase):
    def test_new_person(self) -> None:
        """A conversation begins with its first message."""
        self.to_place(self.ana, WITH_BUDI)
        self.assertEqual(self.inbox(self.budi), ["halo"])

    def test_id(self) -> None:
        """An id leads to a person or to a group, but not into a conversation of others."""
        self.send(self.ana, "budi", "satu")
        group = self.group(self.ana, self.budi)
        self.to_place(self.budi, 1, "dua")
        self.to_place(self.budi, group, "tiga")
        self.assertEqual(self.history(self.ana, WITH_BUDI), ["satu", "dua"])
        self.assertEqual(self.history(self.ana, BAGAN), ["tiga"])
        for ident in (1, group, group + 1):
            self.assertIs(self.to_place(self.citra, ident), errors.UnknownConversation)

    def test_person_or_group(self) -> None:
        """A name that is no person's is a group's. The error of a stranger is that of the group."""
        self.assertIs(self.to_place(self.ana, EITHER), errors.UnknownUser)
        self.group(self.ana, self.budi)
        self.assertIs(self.to_place(self.citra, EITHER), errors.NotMember)
        self.to_place(self.ana, EITHER)
        self.assertEqual(self.inbox(self.budi), ["halo"])

    def test_unknown_person(self) -> None:
        """A place that can only be a person is never looked up as a group."""
        self.group(self.ana)
        nobody = Place(user=Address("bagan"))
        self.assertIs(self.to_place(self.ana, nobody), errors.UnknownUser)
        self.assertEqual(self.history(self.ana, BAGAN), [])

    def test_several_people(self) -> None:
        """The known ones get the message; if none is known, the send fails."""
        composed, parts = self.service.composed, MessageParts("halo")
        sending = composed.to_people(self.ana, [Address("budi"), Address("nobody")], parts, OPTIONS)
        sent = result_of(sending)
        self.assertEqual([receipt.to for receipt in sent.receipts], ["Budi"])
        self.assertEqual(len(sent.refused), 1)
        sending = composed.to_people(self.ana, [Address("nobody")], parts, OPTIONS)
        self.assertIs(outcome_of(sending), errors.UnknownUser)
        self.assertEqual(self.inbox(self.budi), ["halo"])

    def test_reply_to_nothing(self) -> None:
        """A reply to a message that the conversation lacks is not sent."""
        self.send(self.ana, "budi", "satu")
        sending = self.service.composed.to_place(
            self.budi, WITH_ANA, MessageParts("dua"), SendOptions(None, reply=2)
        )
        self.assertIs(outcome_of(sending), errors.UnknownMessage)
        self.assertEqual(self.history(self.ana, WITH_BUDI), ["satu"])


class Elsewhere(LinkedTestCase):
    def compose(self, place: Place, text: str = "halo") -> None:
        sending = self.one.service.composed.to_place(
            self.ana.account, place, MessageParts(text), OPTIONS
        )
        self.network.result(sending)

    def test_person_or_group(self) -> None:
        """Whether a name of another realm is a person's is known once that realm has answered. If it is none,
        the message goes to the group of that name."""
        self.budi.creates("bagan")
        bagan, nobody = Address("bagan", "realm2"), Address("nobody", "realm2")
        self.compose(Place(user=bagan, group=bagan))
        self.assertEqual(self.budi.history(group="bagan"), ["ana@realm1: halo"])
        with self.assertRaises(errors.UnknownGroup):
            self.compose(Place(user=nobody, group=nobody))
        with self.assertRaises(errors.UnknownUser):
            self.compose(Place(user=nobody))

    def test_mentions(self) -> None:
        """In a group of another realm, people of other realms can be mentioned, whom only the home knows."""
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")
        place = Place(group=Address("bagan", "realm2"))
        self.compose(place, "@budi@realm2 @citra")
        (message,) = self.ana.does(ask.ShowHistory(place, 9)).items
        self.assertEqual(message.mentions, ("budi@realm2",))


class Forwarding(ComposedSendsTestCase):
    def forwarded(self, who: Account, place: Place) -> list[tuple[str | None, str | None]]:
        messages: list[Message] = self.shown(who, place)
        return [(each.text, each.forwarded) for each in messages]

    def test_author(self) -> None:
        """The first author stays named, also when the message is forwarded again."""
        self.send(self.ana, "budi", "satu")
        self.forward(self.budi, WITH_ANA, 1, Place(user=Address("citra")))
        self.forward(self.citra, WITH_BUDI, 1, WITH_ANA)
        self.assertEqual(self.forwarded(self.citra, WITH_BUDI), [("satu", "ana")])
        self.assertEqual(self.forwarded(self.citra, WITH_ANA), [("satu", "ana")])

    def test_no_message(self) -> None:
        """What does not exist, is deleted, or belongs to others can't be forwarded."""
        to = Place(user=Address("citra"))
        self.assertIs(self.forward(self.budi, WITH_ANA, 1, to), errors.UnknownMessage)
        self.send(self.ana, "budi", "satu")
        self.assertIs(self.forward(self.budi, WITH_ANA, 2, to), errors.UnknownMessage)
        self.assertIs(self.forward(self.citra, 1, 1, to), errors.UnknownConversation)
        self.change(self.ana, WITH_BUDI, 1, Deletion())
        self.assertIs(self.forward(self.budi, WITH_ANA, 1, to), errors.MessageDeleted)
        self.assertEqual(self.inbox(self.citra), [])


class ForwardedFiles(LinkedTestCase):
    """A file that is deleted while it is being forwarded, and another one that is stored then."""

    def forward(self, to: Place, key: str | None) -> Any:
        """Forward a file that is deleted once it was looked up. Returns the outcome."""
        self.ana.sends_file("dewi", "a.txt", b"a")
        self.at += 2
        database = self.one.realm.database
        command = ask.ForwardMessage(WITH_ANA, self.at - 1, to, key)
        forwarding = self.dewi.begins(command)
        while not forwarding.called and not database.may_commit:
            self.network.step()
        held, database._jobs = database._jobs, []
        self.ana.does(ask.DeleteMessage(Place(user=Address("dewi")), self.at - 1))
        self.ana.sends_file("ana", f"{self.at}.txt", b"secret %d" % self.at)
        database._jobs = [*held, *database._jobs]
        return self.network.result(forwarding)

    def setUp(self) -> None:
        super().setUp()
        self.dewi = self.one.person("dewi")
        self.at = 0
        self.dewi.sends("budi@realm2", "halo")
        self.budi.creates("bagan")
        self.dewi.joins("bagan@realm2")

    def test_deleted_meanwhile(self) -> None:
        places = [
            Place(user=Address("ana")),
            Place(user=Address("budi", "realm2")),
            Place(group=Address("bagan", "realm2")),
        ]
        for to in places:
            for key in (None, f"key-{to}"):
                with self.assertRaises(errors.MessageDeleted):
                    self.forward(to, key)
        self.assertEqual(self.dewi.history(user="budi@realm2"), ["dewi: halo"])
        self.assertEqual(self.dewi.history(group="bagan@realm2"), [])
        self.assertEqual(self.one.parcels_waiting(), 0)


class Mentions(ComposedSendsTestCase):
    def mentions(self, who: Account, place: Place, text: str) -> tuple[str, ...]:
        self.to_place(who, place, text)
        return self.shown(who, place)[-1].mentions

    def test_direct(self) -> None:
        """Only the two people of a conversation can be mentioned in it."""
        text = "@budi @ana @citra @nobody @budi@realm2 @all"
        self.assertEqual(self.mentions(self.ana, WITH_BUDI, text), ("Budi", "ana"))

    def test_after_restart(self) -> None:
        """Members can be mentioned in a group that nothing has read into memory yet."""
        group = self.group(self.ana, self.budi)
        self.reopen()
        self.to_place(self.ana, group, "@budi @citra")
        self.assertEqual(self.shown(self.ana, BAGAN)[-1].mentions, ("Budi",))


class Finding(ComposedSendsTestCase):
    def test_group_after_restart(self) -> None:
        """A change names its conversation by id, also when the group is not in memory yet."""
        group = self.group(self.ana, self.budi)
        self.post(self.ana, "bagan", "satu")
        self.reopen()
        self.change(self.ana, group, 3, Edit("dua"))
        self.assertEqual(self.history(self.budi, BAGAN), ["dua"])

    def test_member_who_was_kicked(self) -> None:
        """A person who was kicked can't change anything in the group."""
        group = self.group(self.ana, self.budi)
        self.post(self.budi, "bagan", "satu")
        result_of(self.service.groups.kick(self.ana, Address("bagan"), Address("budi")))
        for place in (group, BAGAN):
            refusal = self.refusal(self.budi, place, 3, Deletion())
            self.assertIn(refusal, (errors.NotMember, errors.UnknownConversation))
        self.assertEqual(self.history(self.ana, BAGAN), ["satu"])

    def test_membership_that_ends_meanwhile(self) -> None:
        """The member is kicked, or the group ends, after the conversation was looked up: nothing changes."""
        bagan = Address("bagan")
        for ending, error in (
            (lambda: self.service.groups.kick(self.ana, bagan, Address("budi")), errors.NotMember),
            (lambda: self.service.groups.leave(self.budi, bagan), errors.UnknownConversation),
        ):
            group = self.group(*((self.ana,) if error is errors.NotMember else ()), self.budi)
            self.database.held_reads = True
            changing = self.changing(self.budi, group, 1, Pin(True))
            self.database.held_reads = False
            result_of(ending())
            self.database.answer()
            self.assertIs(outcome_of(changing), error)
            if error is errors.NotMember:
                result_of(self.service.groups.leave(self.ana, bagan))

    def test_no_pins(self) -> None:
        """A conversation that has not begun has no pinned messages."""
        self.assertEqual(result_of(self.service.changes.pins(self.ana, WITH_BUDI)), ())
