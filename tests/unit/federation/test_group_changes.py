"""Edits, deletions, reactions and pins in a group with members of three realms."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base.errors import NotAdmin, NotYours, UnknownConversation
from chatd.base.events import Edited
from chatd.base.model import Message
from chatd.base.names import Place, parse_group
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.federation.forwarder import Forwarder
from chatd.store import guard
from chatd.store.schema import changes, messages, outbox, signatures
from chatd.store.sync import Cursor
from tests.support.common import Listener, make_operator
from tests.support.network import NetworkTestCase, Person, Server, outcome


class ThreeRealms(NetworkTestCase):
    """bagan@realm1 has ana of realm1, its admin, budi of realm2 and dewi of realm3. realm2 and realm3 are
    linked, too."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = (
            self.network.server(name) for name in ("realm1", "realm2", "realm3")
        )
        for near, far in ((self.one, self.two), (self.one, self.three), (self.two, self.three)):
            near.add(far)
        self.network.settle()
        self.ana = self.one.person("ana")
        self.budi = self.two.person("budi")
        self.dewi = self.three.person("dewi")
        self.ana.creates("bagan")
        for person in (self.budi, self.dewi):
            person.joins("bagan@realm1")
        self.everybody = (
            (self.ana, "bagan"),
            (self.budi, "bagan@realm1"),
            (self.dewi, "bagan@realm1"),
        )

    def place(self, person: Person) -> Place:
        return Place(None, parse_group(dict(self.everybody)[person]))

    def does(self, person: Person, command: type[Any], *arguments: Any) -> Any:
        reply = person.does(command(self.place(person), *arguments))
        self.network.settle()
        return reply

    def log_of(self, person: Person) -> list[Message]:
        found: list[Message] = list(person.does(ask.ShowHistory(self.place(person), 500)).items)
        return found

    def texts(self) -> list[str | None]:
        """What everybody sees, which has to be the same."""
        first, *others = [
            [each.text for each in self.log_of(person)] for person, _ in self.everybody
        ]
        for other in others:
            self.assertEqual(other, first)
        return first

    def rows(self, server: Server, query: Any) -> list[Any]:
        found: list[Any] = server.realm.database.now(
            lambda connection: connection.execute(query).all()
        )
        return found

    def statuses(self) -> set[str]:
        return {
            row.status
            for server in (self.one, self.two, self.three)
            for row in self.rows(server, sa.select(signatures.c.status))
        }


class ChangesTestCase(ThreeRealms):
    def test_edits(self) -> None:
        """By people of each realm, each several times."""
        people = [person for person, _ in self.everybody]
        phone = Listener()
        self.two.service.presence.listen(self.budi.account.id, phone, True)
        for person, place in self.everybody:
            person.posts(place, f"{person.name} 1")
        # As in histories, the state of one's own message is that of its delivery.
        states = {each.sender: each.state for each in phone.heard if isinstance(each, Message)}
        shown = {each.sender: each.state for each in self.log_of(self.budi)}
        self.assertEqual(
            states, {"ana@realm1": "stored", "budi": "delivered", "dewi@realm3": "stored"}
        )
        self.assertEqual(states, shown)
        for seq, person in enumerate(people, 4):
            for number in (2, 3):
                self.does(person, ask.EditMessage, seq, f"{person.name} {number}")
        self.assertEqual(self.texts(), ["ana 3", "budi 3", "dewi 3"])
        for person in people:
            self.assertTrue(all(message.edited for message in self.log_of(person)))
        self.assertEqual(self.statuses(), {"verified"})

    def test_while_somebody_joins(self) -> None:
        """Changes that are stored together with the first membership of a realm reach that realm."""
        self.budi.posts("bagan@realm1", "satu")
        self.dewi.does(ask.LeaveGroup(parse_group("bagan@realm1")))
        self.network.settle()
        database = self.one.realm.database
        self.patch(database, "step", lambda *_count: False)
        joining = outcome(self.dewi.begins(ask.JoinGroup(parse_group("bagan@realm1"))))
        self.network.settle()
        for person in (self.ana, self.budi):
            person.begins(ask.ReactToMessage(self.place(person), 4, "👍", True))
        self.network.settle()
        del database.step
        self.network.settle()
        self.assertEqual([type(each) for each in joining], [Reply])
        for person, _ in self.everybody:
            (shown,) = self.log_of(person)
            (reaction,) = shown.reactions or (None,)
            assert reaction is not None, f"{person.name} sees no reaction"
            self.assertEqual(len(reaction.people), 2, person.name)

    def test_while_the_first_member_joins(self) -> None:
        """No realm has members when what a person of another one has written is erased, and one has when that
        is stored. The deletion is sent there."""
        self.budi.posts("bagan@realm1", "satu")
        (message,) = self.log_of(self.budi)
        mirror, seq = message.conversation, message.seq
        for person in (self.budi, self.dewi):
            person.does(ask.LeaveGroup(parse_group("bagan@realm1")))
            self.network.settle()
        sent: list[tuple[str, ...]] = []
        send = Forwarder.send_change

        def send_change(forwarder: Forwarder, stored: Any, copies: Any, target: Any) -> Any:
            sent.append(copies.realms)
            return send(forwarder, stored, copies, target)

        self.patch(Forwarder, "send_change", send_change)
        database = self.one.realm.database
        self.patch(database, "step", lambda *_count: False)
        self.dewi.begins(ask.JoinGroup(parse_group("bagan@realm1")))
        self.network.settle()
        erasing = self.two.service.changes.erase(self.budi.account, mirror, seq)
        done = outcome(Deferred.fromCoroutine(erasing))
        self.network.settle()
        del database.step
        self.network.settle()
        self.assertEqual(done, [None])
        self.assertEqual(sent[-1], ("realm3",))
        (shown,) = self.log_of(self.dewi)
        self.assertIsNone(shown.text)

    def test_salts_of_edits(self) -> None:
        """Only the present content can be checked, and no earlier one guessed."""
        self.budi.posts("bagan@realm1", "satu")
        for text in ("dua", "tiga"):
            self.does(self.budi, ask.EditMessage, 4, text)
        for server in (self.one, self.two, self.three):
            kept = self.rows(
                server,
                sa.select(signatures.c.seq).where(
                    signatures.c.salt.is_not(None), signatures.c.seq > 3
                ),
            )
            self.assertEqual([row.seq for row in kept], [6])

    def test_edit_that_was_altered_on_disk(self) -> None:
        self.budi.posts("bagan@realm1", "satu")
        self.does(self.budi, ask.EditMessage, 4, "dua")
        self.three.realm.database.now(
            lambda connection: connection.execute(sa.update(messages).values(text="enam"))
        )
        (shown,) = self.log_of(self.dewi)
        self.assertEqual(shown.text, guard.ALTERED)
        syncing = self.three.service.sync.one(self.dewi.account, shown.conversation, Cursor(), 9)
        entries = self.network.result(syncing).entries
        texts = [each.text for each in entries if isinstance(each, Message | Edited)]
        self.assertEqual(texts, [guard.ALTERED, guard.ALTERED])

    def test_a_reported_message(self) -> None:
        """A moderator of the group's realm who is no member deletes a reported message in all realms. A
        message between people of two realms is not theirs to delete, nor is one in a group elsewhere."""
        citra = self.one.person("citra")
        self.network.result(Deferred.fromCoroutine(make_operator(self.one.realm, "citra")))
        self.budi.posts("bagan@realm1", "iklan")
        self.budi.creates("bola")
        self.ana.joins("bola@realm2")
        self.budi.posts("bola", "iklan")
        self.budi.sends("ana@realm1", "iklan")
        self.network.settle()
        for message in self.ana.inbox():
            self.ana.does(ask.ReportMessage(message.conversation, message.seq, "spam"))
        found = [each.message for each in citra.does(ask.ListReports()).items]
        codes = []
        for message in found:
            try:
                citra.does(ask.DeleteMessage(message.conversation, message.seq))
                codes.append(message.group)
            except UnknownConversation:
                pass
        self.network.settle()
        self.assertEqual((len(found), codes, self.texts()), (3, ["bagan"], [None]))

    def test_deletions(self) -> None:
        """By the author, and by an admin of the group. Nothing of the content is left."""
        for person, place in self.everybody:
            person.posts(place, f"rahasia {person.name}")
        self.does(self.budi, ask.EditMessage, 5, "rahasia lagi")
        self.does(self.budi, ask.DeleteMessage, 5)
        self.does(self.ana, ask.DeleteMessage, 6)
        self.assertEqual(self.texts(), ["rahasia ana", None, None])
        for person, _ in self.everybody:
            self.assertEqual([each.deleted for each in self.log_of(person)], [False, True, True])
        for server in (self.one, self.two, self.three):
            self.network.result(server.federation.outbox.tidy())
            self.assertEqual(self.rows(server, sa.select(outbox.c.id)), [])
            kept = self.rows(
                server,
                sa.select(signatures.c.seq).where(
                    signatures.c.salt.is_not(None),
                    signatures.c.seq > 3,  # after all have joined
                    signatures.c.seq.not_in(
                        sa.select(changes.c.seq).where(changes.c.kind == "deleted")
                    ),
                ),
            )
            self.assertEqual([row.seq for row in kept], [4])
        self.assertEqual(self.statuses(), {"verified"})

    def test_reply_together_with_its_message(self) -> None:
        """Both wait for the link, and come in one batch."""
        self.network.refusing[self.three.where] = OSError()
        self.network.cut()
        seq = self.ana.posts("bagan", "satu").data["seq"]
        self.does(self.ana, ask.ReplyToMessage, seq, "dua")
        self.network.refusing.clear()
        self.network.advance(60)
        self.assertEqual([each.reply for each in self.log_of(self.dewi)], [None, seq])
        told = [each for each in self.dewi.events if isinstance(each, Message)]
        self.assertEqual([each.reply for each in told], [None, seq])

    def test_deletion_of_what_waits(self) -> None:
        """The message comes without its content, and then the deletion, which is an entry everywhere."""
        self.network.refusing[self.three.where] = OSError()
        self.network.cut()
        seq = self.ana.posts("bagan", "satu").data["seq"]
        self.does(self.ana, ask.DeleteMessage, seq)
        self.network.refusing.clear()
        self.network.advance(60)
        query = sa.select(changes.c.seq).where(changes.c.kind == "deleted")
        for server in (self.one, self.two, self.three):
            self.assertEqual([row.seq for row in self.rows(server, query)], [seq + 1])

    def test_changes_that_wait_when_their_message_is_deleted(self) -> None:
        """All realms have the same log, whether the message has come with its content before, or has not."""
        for comes_first in (True, False):
            seq = self.ana.posts("bagan", "satu").data["seq"] if comes_first else 0
            self.network.settle()
            self.network.refusing[self.three.where] = OSError()
            self.network.cut()
            seq = seq or self.ana.posts("bagan", "satu").data["seq"]
            self.does(self.ana, ask.EditMessage, seq, "rahasia")
            self.does(self.ana, ask.ReactToMessage, seq, "👍")
            self.does(self.ana, ask.PinMessage, seq)
            self.does(self.ana, ask.DeleteMessage, seq)
            self.network.refusing.clear()
            self.network.advance(60)
        self.assertEqual(self.texts(), [None, None])
        query = sa.select(changes.c.seq, changes.c.kind, changes.c.target, changes.c.data)
        query = query.where(changes.c.target.is_not(None)).order_by(changes.c.seq)
        first, *others = [
            [tuple(row) for row in self.rows(server, query)]
            for server in (self.one, self.two, self.three)
        ]
        self.assertEqual([row[1] for row in first], ["edited", "reaction", "pinned", "deleted"] * 2)
        for other in others:
            self.assertEqual(other, first)
        (shown, _) = self.log_of(self.dewi)
        self.assertEqual((shown.pinned, shown.reactions), (False, ()))

    def test_what_others_may_not(self) -> None:
        self.ana.posts("bagan", "satu")
        with self.assertRaises(NotYours):
            self.does(self.budi, ask.EditMessage, 4, "dua")
        with self.assertRaises(NotYours):
            self.does(self.budi, ask.DeleteMessage, 4)
        with self.assertRaises(NotAdmin):
            self.does(self.dewi, ask.PinMessage, 4)
        self.assertEqual(self.texts(), ["satu"])

    def test_reactions_and_pins(self) -> None:
        self.budi.posts("bagan@realm1", "satu")
        for person, _ in self.everybody:
            self.does(person, ask.ReactToMessage, 4, "👍")
        self.does(self.dewi, ask.ReactToMessage, 4, "👍", False)
        self.does(self.ana, ask.PinMessage, 4)
        for person, _ in self.everybody:
            (message,) = self.log_of(person)
            (reaction,) = message.reactions
            self.assertEqual((reaction.emoji, reaction.count), ("👍", 2))
            self.assertTrue(message.pinned)
        self.assertEqual(self.statuses(), {"verified"})

    def test_taken_back_while_it_waits(self) -> None:
        """What the copy of the group does not have yet can be taken back all the same."""
        self.budi.posts("bagan@realm1", "satu")
        self.budi.posts("bagan@realm1", "lain")
        self.network.refusing[self.one.where] = OSError()
        self.one.kill()
        self.network.settle()
        self.does(self.budi, ask.ReactToMessage, 4, "👍")
        self.does(self.budi, ask.EditMessage, 4, "dua")
        for command in (
            (ask.ReactToMessage, 4, "👍", False),
            (ask.EditMessage, 4, "satu"),
        ):
            self.assertTrue(self.does(self.budi, *command).data["queued"])
        self.assertNotIn("queued", self.does(self.budi, ask.ReactToMessage, 5, "👍", False).data)
        self.network.refusing.clear()
        self.one.open()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.network.settle()
        self.assertEqual(self.texts(), ["satu", "lain"])
        for person, _ in self.everybody:
            self.assertEqual(self.log_of(person)[0].reactions, ())

    def test_replies(self) -> None:
        self.budi.posts("bagan@realm1", "satu")
        self.does(self.dewi, ask.ReactToMessage, 4, "👍")
        for server in (self.one, self.two, self.three):
            query = sa.select(changes.c.kind, changes.c.target, changes.c.seq)
            entries = self.rows(server, query.where(changes.c.target.is_not(None)))
            self.assertEqual([tuple(row) for row in entries], [("reaction", 4, 5)])

    def test_while_a_realm_is_away(self) -> None:
        """realm3 gets everything when it is back, and nothing of what was deleted meanwhile."""
        self.budi.posts("bagan@realm1", "satu")
        self.network.refusing[self.three.where] = OSError()
        self.three.kill()
        self.network.settle()
        self.budi.posts("bagan@realm1", "rahasia")
        self.does(self.budi, ask.EditMessage, 4, "dua")
        self.does(self.budi, ask.DeleteMessage, 5)
        waiting = self.rows(self.one, sa.select(outbox.c.parcel))
        self.assertFalse([row for row in waiting if b"rahasia" in row.parcel])
        self.network.refusing.clear()
        self.three.open()
        self.network.until(lambda: self.network.open_connections(self.one, self.three))
        self.network.settle()
        self.assertEqual(self.texts(), ["dua", None])

    def test_after_a_restart(self) -> None:
        self.budi.posts("bagan@realm1", "satu")
        for server in (self.one, self.two, self.three):
            server.restart()
        self.network.until(
            lambda: (
                self.network.open_connections(self.one, self.two)
                and self.network.open_connections(self.one, self.three)
            )
        )
        self.does(self.budi, ask.EditMessage, 4, "dua")
        self.assertEqual(self.texts(), ["dua"])
