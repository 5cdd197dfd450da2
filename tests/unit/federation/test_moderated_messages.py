"""Messages that operators delete, in groups of several realms and in directs with people of other realms."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base.errors import NotYours
from chatd.base.events import Deleted
from chatd.base.model import Message
from chatd.base.names import Address, Place, parse_address
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.commands import values as ask
from chatd.federation.forwarder import Forwarder
from chatd.federation.group_changes import GroupChanges
from chatd.federation.parcels import Post, Relay
from chatd.federation.signing.statements import DeletionAttributes, StatedRef
from chatd.service.message_changes import MessageChanges
from chatd.service.moderated_messages import DeletedMessage
from chatd.simulate import stepped
from chatd.store.schema import audit, messages, outbox, signatures
from tests.support.common import Listener
from tests.support.network import LinkedTestCase, Person, Server, outcome
from tests.support.restores import RestoringTestCase
from tests.unit.federation.test_group_changes import ThreeRealms
from tests.unit.federation.test_hostile_home import BAGAN, HomeTestCase
from tests.unit.federation.test_receive import InboundTestCase

ROOT = Principal("local:root", OPERATOR, is_local=True)


def deleting(server: Server, where: Address | int, seq: int) -> Any:
    """An operator at the control socket deletes a message."""
    service = server.realm.service
    act = service.audit.act(ROOT, "admin.message.delete", str(where), f"seq={seq} reason=spam")
    return service.moderated.delete(act, where, seq)


class GroupTest(ThreeRealms):
    def delete(self, server: Server, where: str, seq: int) -> DeletedMessage:
        done: DeletedMessage = self.network.result(deleting(server, parse_address(where), seq))
        self.network.settle()
        return done

    def salted(self, server: Server, person: Person) -> list[int]:
        """The messages of the log of a person whose contents could be guessed."""
        place = person.does(ask.ShowHistory(self.place(person), 500)).items[0].conversation
        query = sa.select(messages.c.seq).join(
            signatures,
            (signatures.c.seq == messages.c.seq)
            & (signatures.c.conversation_id == messages.c.conversation_id),
        )
        wanted = query.where(messages.c.conversation_id == place, signatures.c.salt.is_not(None))
        return [row.seq for row in self.rows(server, wanted)]

    def listen(self, server: Server, person: Person) -> Listener:
        listener = Listener()
        presence = server.service.presence
        presence.listen(person.account.id, listener, on=True, all_events=True)
        return listener

    def deletions(self, listener: Listener) -> list[tuple[int, int, str]]:
        found = [each for each in listener.heard if isinstance(each, Deleted)]
        return [(each.seq, each.target, each.by) for each in found]

    def test_of_a_group_here(self) -> None:
        """What people of each realm have written leaves all realms, by the home's `system`. Nobody there has
        to be a member of a realm with a role. The entries verify, and once more changes nothing."""
        for person, place in self.everybody:
            person.posts(place, f"rahasia {person.name}")
        listener = self.listen(self.three, self.dewi)
        for seq in (4, 5, 6):
            done = self.delete(self.one, "bagan", seq)
            self.assertEqual((done.before, done.elsewhere), (False, None))
        self.assertEqual(self.texts(), [None] * 3)
        heard = [(seq, seq - 3, "system@realm1") for seq in (7, 8, 9)]
        self.assertEqual(self.deletions(listener), heard)
        self.assertEqual(self.statuses(), {"verified"})
        for server, person in (
            (self.one, self.ana),
            (self.two, self.budi),
            (self.three, self.dewi),
        ):
            self.network.result(server.federation.outbox.tidy())
            self.assertEqual(self.rows(server, sa.select(outbox.c.id)), [])
            self.assertEqual(self.salted(server, person), [])
        self.assertTrue(self.delete(self.one, "bagan", 5).before)
        self.assertEqual(len(self.deletions(listener)), 3)

    def test_killed(self) -> None:
        """A kill before the commit leaves the message, and one after it nothing of it in any realm. The audit
        log says so."""
        for person, place in self.everybody:
            person.posts(place, f"rahasia {person.name}")
        for part, texts in ((stepped.SteppedDatabase, 3), (MessageChanges, 2)):
            name = "step" if texts == 3 else "publish"
            killed = self.patch(part, name, lambda *_args: False)
            if texts == 2:
                self.patch(Forwarder, "send_change", lambda *_args: Deferred())
            deleted = outcome(Deferred.fromCoroutine(deleting(self.one, Address("bagan"), 5)))
            self.network.settle()
            self.assertEqual(deleted, [])
            killed.restore()
            self.one.restart()
            self.network.advance(30)
            self.assertEqual(len([each for each in self.texts() if each is not None]), texts)
            rows = self.rows(self.one, sa.select(audit.c.target, audit.c.detail, audit.c.outcome))
            done = ("bagan", "seq=5 reason=spam", "done")
            self.assertEqual(rows, [] if texts == 3 else [done])

    def test_of_a_group_elsewhere(self) -> None:
        """The home deletes what somebody of this realm has written. What others have written is removed from
        this realm alone, without an entry, and does not come back with an edit."""
        for person, place in self.everybody:
            person.posts(place, f"rahasia {person.name}")
        listener = self.listen(self.two, self.budi)
        done = self.delete(self.two, "bagan@realm1", 5)
        self.assertEqual((done.realm, done.elsewhere, done.refusal), ("realm1", "deleted", None))
        self.assertEqual(self.texts(), ["rahasia ana", None, "rahasia dewi"])
        for seq, before in ((6, False), (4, False), (4, True)):
            done = self.delete(self.two, "bagan@realm1", seq)
            self.assertEqual((done.realm, done.elsewhere, done.before), ("realm1", "kept", before))
        self.does(self.dewi, ask.EditMessage, 6, "rahasia lagi")
        self.does(self.ana, ask.ReactToMessage, 4, "👍", True)
        shown = self.log_of(self.budi)
        self.assertEqual([each.text for each in shown], [None] * 3)
        self.assertEqual([each.reactions for each in shown], [()] * 3)
        self.assertEqual(self.salted(self.two, self.budi), [])
        self.assertEqual([each.text for each in self.log_of(self.ana)][2], "rahasia lagi")
        expected = [(7, 5, "budi"), (0, 6, "system"), (0, 4, "system")]
        self.assertEqual(self.deletions(listener), expected)
        # Their authors still delete them, which every log says.
        self.does(self.dewi, ask.DeleteMessage, 6)
        self.assertEqual(self.deletions(listener)[-1][1:], (6, "dewi@realm3"))

    def test_while_the_home_is_away(self) -> None:
        """What somebody of this realm has written is gone here at once, and there once it is linked, asked
        once. They have left the group meanwhile."""
        self.budi.posts("bagan@realm1", "rahasia")
        place = self.log_of(self.budi)[0].conversation
        listener = self.listen(self.two, self.budi)
        self.network.refusing[self.one.where] = OSError()
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        for before in (False, True):
            done = self.network.result(deleting(self.two, place, 4), patience=60.0)
            self.assertEqual((done.elsewhere, done.before), ("waits", before))
        self.assertEqual([each.text for each in self.log_of(self.budi)], [None])
        self.assertEqual(self.deletions(listener), [(0, 4, "system")])
        self.assertEqual(self.two.parcels_waiting(), 1)
        self.network.refusing.clear()
        self.network.advance(120)
        self.assertEqual(self.texts(), [None])
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_refused_by_the_home(self) -> None:
        """The reply says why, and the next time asks again."""
        self.budi.posts("bagan@realm1", "rahasia")
        refused = self.patch(GroupChanges, "make_now", lambda *_: NotYours(seq=4, who="x"))
        done = self.delete(self.two, "bagan@realm1", 4)
        self.assertEqual((done.elsewhere, type(done.refusal)), ("refused", NotYours))
        self.assertEqual([each.text for each in self.log_of(self.budi)], [None])
        refused.restore()
        self.assertEqual(self.delete(self.two, "bagan@realm1", 4).elsewhere, "deleted")
        self.assertEqual(self.texts(), [None])

    def test_ended_group(self) -> None:
        """A message stays after the last member has left, and can be deleted by its conversation."""
        self.ana.posts("bagan", "rahasia")
        place = self.log_of(self.ana)[0].conversation
        for person, name in reversed(self.everybody):
            person.does(ask.LeaveGroup(parse_address(name)))
            self.network.settle()
        done = self.network.result(deleting(self.one, place, 4))
        self.assertEqual((done.before, done.elsewhere), (False, None))
        query = sa.select(messages.c.text).where(messages.c.conversation_id == place)
        self.assertEqual(self.rows(self.one, query), [(None,)])


class DirectTest(LinkedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ana.sends("budi@realm2", "satu")
        self.budi.sends("ana@realm1", "dua")
        self.place = self.ana.inbox()[0].conversation

    def delete(self, seq: int) -> DeletedMessage:
        done: DeletedMessage = self.network.result(deleting(self.one, self.place, seq))
        self.network.settle()
        return done

    def both(self) -> tuple[list[str], list[str]]:
        return self.ana.history("budi@realm2"), self.budi.history("ana@realm1")

    def test_of_an_account_here(self) -> None:
        """Both realms delete it, and what waits for the other realm loses its content."""
        self.assertEqual(self.delete(1).elsewhere, "told")
        gone = "file None"
        self.assertEqual(self.both()[1], [f"ana@realm1: {gone}", "budi: dua"])
        self.part()
        self.ana.sends("budi@realm2", "tiga")
        self.assertEqual(self.delete(self.log()[-1].seq).elsewhere, "waits")
        self.meet()
        here = [f"ana: {gone}", "budi@realm2: dua", f"ana: {gone}"]
        there = [f"ana@realm1: {gone}", "budi: dua", f"ana@realm1: {gone}"]
        self.assertEqual(self.both(), (here, there))
        again = self.delete(1)
        self.assertEqual((again.before, again.elsewhere), (True, None))

    def log(self) -> list[Message]:
        there = Place(parse_address("budi@realm2"), None)
        return list(self.ana.does(ask.ShowHistory(there, 500)).items)

    def test_of_the_other_person(self) -> None:
        """It leaves this realm alone, and an edit does not bring it back."""
        done = self.delete(2)
        self.assertEqual((done.realm, done.elsewhere, done.before), ("realm2", "kept", False))
        edit = ask.EditMessage(Place(parse_address("ana@realm1"), None), 2, "lagi")
        self.budi.does(edit)
        self.network.settle()
        expected = ["ana: satu", "budi@realm2: file None"], ["ana@realm1: satu", "budi: lagi"]
        self.assertEqual(self.both(), expected)
        self.assertTrue(self.delete(2).before)
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_refused_message(self) -> None:
        """The other realm has never taken it, so it keeps nothing."""
        self.budi.does(ask.BlockPerson(parse_address("ana@realm1")))
        outcome(self.ana.begins_to_send("budi@realm2", "tiga"))
        self.network.settle()
        self.assertEqual(self.log()[-1].state, "refused")
        done = self.delete(self.log()[-1].seq)
        self.assertEqual((done.before, done.elsewhere), (False, None))
        self.assertIsNone(self.log()[-1].text)

    def test_realm_that_is_forgotten(self) -> None:
        """Nothing can be told to it."""
        self.network.result(self.one.realm.service.realms.forget("realm2"))
        self.assertEqual(self.delete(1).elsewhere, "kept")
        self.assertIsNone(self.log()[0].text)


class RestoredHomeTest(RestoringTestCase, ThreeRealms):
    def test_deletion_that_is_lost(self) -> None:
        """The home of a group is restored to before it has deleted a message. It gets its own deletion
        back, and nothing of the message."""
        self.budi.posts("bagan@realm1", "rahasia")
        copy = self.back_up(self.one)
        self.network.result(deleting(self.one, Address("bagan"), 4))
        self.network.settle()
        self.assertEqual(self.texts(), [None])
        self.restore(self.one, copy)
        self.network.advance(10)
        self.assertEqual(self.texts(), [None])


class HostileMemberTest(InboundTestCase):
    """bagan lives in realm1, and has a member of realm2."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.creates("bagan")
        self.joins("citra", "bagan")
        self.ana.posts("bagan", "satu")

    def texts(self) -> list[str | None]:
        place = Place(None, Address("bagan"))
        return [each.text for each in self.ana.does(ask.ShowHistory(place, 9)).items]

    def test_only_the_home_acts_by_itself(self) -> None:
        """realm2 deletes as `system`, in several spellings, and as if the group lived there."""
        (message,) = self.ana.does(ask.ShowHistory(Place(None, Address("bagan")), 9)).items
        number = self.one.realm.database.now(
            lambda connection: connection.scalar(
                sa.select(messages.c.number).where(messages.c.seq == message.seq)
            )
        )
        about = StatedRef("realm1", number)
        signs = self.signers["realm2"].signs
        for author in ("system", "System"):
            entry = signs(DeletionAttributes(), author=author, target=about)
            self.assertEqual(self.says(Post(entry, "bagan")).code, "bad-signature")
            self.assertEqual(self.says(Relay(entry, "bagan", 1, 9)).code, "unknown-group")
        self.assertEqual(self.texts(), ["satu"])


class HostileHomeTest(HomeTestCase):
    def test_system_of_another_realm(self) -> None:
        """The home deletes a message of a guest as its own `system`, but not as that of a third realm or of
        this one."""
        self.relays(self.dewi("satu", number=1000))
        self.relays(self.dewi("dua", number=1001))
        for by in ("realm3", "realm1"):
            self.refuses(self.deletion(by, 1000))
        self.assertEqual(self.relays(self.deletion("realm2", 1000)).code, "")
        self.assertEqual([each.text for each in self.shown()], [None, "dua"])

    def deletion(self, by: str, number: int) -> Any:
        about = StatedRef("realm3", number)
        said: dict[str, Any] = {"home": "realm2", "group": BAGAN, "author": "system"}
        return self.signers[by].signs(DeletionAttributes(), target=about, **said)
