"""Idempotent sends: a repeated send is stored once and gets the same answer, whatever happened in between."""

from __future__ import annotations

from typing import Any
from unittest import mock

from sqlalchemy import func, select
from twisted.internet.defer import Deferred

from chatd.base.errors import (
    BadArgument,
    GroupClosed,
    MessageDeleted,
    NotMember,
    QuotaExceeded,
    StorageFailed,
    UnknownUser,
)
from chatd.base.model import DELIVERED, QUEUED, REFUSED, STORED, Account, Message, Sent
from chatd.base.names import Address, Place, parse_address
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.handlers.replies import message_sent
from chatd.federation.outbox import TIDY_AFTER
from chatd.federation.outcome_waiters import PATIENCE
from chatd.federation.outcomes import TRY_AGAIN
from chatd.lines.dialects.json_messages import message_object
from chatd.store import idempotent_sends as store
from chatd.store.idempotent_sends import NamedPost, RecordedSend, SendKey
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.outbox import NewParcel
from chatd.store.parcel_numbers import TERM_BITS
from chatd.store.pending import NewPost
from chatd.store.schema import messages, outbox, pending, sends
from tests.support.inline import outcome_of, result_of
from tests.support.network import LinkedTestCase, outcome
from tests.unit.service.test_messages import BUDI, MessagesTestCase


def where(reply: Reply) -> tuple[Any, ...]:
    """The place of a message: conversation, seq, id."""
    return tuple(reply.data[name] for name in ("conversation", "seq", "id"))


class HereTestCase(MessagesTestCase):
    """Within one realm."""

    def sending_once(self, who: Account, to: str, text: str, key: str | None) -> Deferred[Sent]:
        return self.messages.send(who, [*map(parse_address, to.split(","))], text, None, key)

    def once(self, who: Account, to: str, text: str, key: str | None = "k") -> Sent:
        sent: Sent = result_of(self.sending_once(who, to, text, key))
        return sent

    def post_once(self, who: Account, group: str, text: str, key: str = "k") -> Sent:
        sent: Sent = result_of(self.messages.post(who, Address(group), text, None, key))
        return sent

    def kept_keys(self) -> int:
        with self.database._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(sends)).scalar_one()


class Again(HereTestCase):
    def test_same_answer(self) -> None:
        """The message is stored and delivered once. The text of the repeated send does not matter."""
        hearing = self.listen(self.budi)
        first = self.once(self.ana, "budi", "halo")
        self.assertEqual(first, self.once(self.ana, "BUDI@realm1", "halo"))
        self.assertEqual(first, self.once(self.ana, "budi", "something else"))
        self.service.presence.flush()
        self.assertEqual(hearing.texts, ["halo"])
        self.assertEqual(self.history(self.ana, BUDI), ["halo"])

    def test_numbering_continues(self) -> None:
        """After sends with a key, without one, and repeated."""
        seqs = [
            self.once(self.ana, "budi", "x", key).receipts[0].seq
            for key in ("a", None, "b", "a", None, "b", "c")
        ]
        self.assertEqual(seqs, [1, 2, 3, 1, 4, 3, 5])

    def test_what_a_key_stands_for(self) -> None:
        """The same key for another account or conversation is another send. Keys are case-sensitive."""
        places = {
            (receipt.conversation, receipt.seq)
            for sent in (
                self.once(self.ana, "budi", "x", "k"),
                self.once(self.ana, "budi", "x", "K"),
                self.once(self.ana, "citra", "x", "k"),
                self.once(self.budi, "ana", "x", "k"),
            )
            for receipt in sent.receipts
        }
        self.assertEqual(len(places), 4)

    def test_without_keys_nothing_is_kept(self) -> None:
        self.send(self.ana, "budi", "x")
        self.assertEqual(self.kept_keys(), 0)

    def test_list(self) -> None:
        """Each recipient counts separately: only those who do not have the message yet get it."""
        first = self.once(self.ana, "budi,nobody", "halo")
        again = self.once(self.ana, "citra,nobody,budi", "halo")
        self.assertIn(first.receipts[0], again.receipts)
        self.assertEqual([each.to for each in again.receipts], ["citra", "Budi"])
        self.assertIsInstance(again.refused["nobody"], UnknownUser)
        self.assertEqual(self.inbox(self.budi), ["halo"])
        self.assertEqual(self.inbox(self.citra), ["halo"])

    def test_to_oneself(self) -> None:
        self.assertEqual(self.once(self.ana, "ana", "x"), self.once(self.ana, "ana", "x"))

    def test_group(self) -> None:
        ident = self.group(self.ana, self.budi)
        first = self.post_once(self.ana, "bagan", "halo")
        self.assertEqual(first, self.post_once(self.ana, "BAGAN", "halo"))
        self.assertEqual(first.receipts[0].conversation, ident)
        self.assertEqual(self.inbox(self.budi), ["halo"])
        self.assertNotEqual(first, self.post_once(self.budi, "bagan", "halo"))

    def test_former_member(self) -> None:
        """A repeated post of a former member is answered; a new one is refused."""
        self.group(self.ana, self.budi)
        first = self.post_once(self.budi, "bagan", "halo")
        result_of(self.service.groups.leave(self.budi, Address("bagan")))
        self.assertEqual(first, self.post_once(self.budi, "bagan", "halo"))
        again = self.messages.post(self.budi, Address("bagan"), "halo", None, "other")
        self.assertIs(outcome_of(again), NotMember)

    def test_after_a_restart(self) -> None:
        first = self.once(self.ana, "budi", "halo")
        self.send(self.ana, "budi", "more")
        self.reopen()
        self.assertEqual(first, self.once(self.ana, "budi", "halo"))
        self.assertEqual(self.history(self.ana, BUDI), ["halo", "more"])


class UnderWay(HereTestCase):
    """A send that is repeated while the first one is not over."""

    def setUp(self) -> None:
        super().setUp()
        self.group(self.ana, self.budi)

    def both(self, known: bool) -> list[Sent]:
        """Send the same twice at once, and return the outcomes. `known`: the first needs no lookup."""
        if known:
            self.once(self.ana, "budi", "before", "0")
        self.database.held = True
        found = [outcome(self.sending_once(self.ana, "budi", "halo", "k")) for _ in range(3)]
        other = outcome(self.sending_once(self.ana, "budi", "after", "l"))
        self.database.held = False
        self.database.settle()
        self.assertEqual(other[0].receipts[0].seq, 3 if known else 2)
        return [each[0] for each in found]

    def test_quick_way(self) -> None:
        first, *again = self.both(known=True)
        self.assertEqual(again, [first, first])
        self.assertEqual(self.inbox(self.budi), ["before", "halo", "after"])

    def test_slow_way(self) -> None:
        first, *again = self.both(known=False)
        self.assertEqual(again, [first, first])
        self.assertEqual(self.inbox(self.budi), ["halo", "after"])

    def test_first_send_fails(self) -> None:
        """Then the repeated send is done instead."""
        self.once(self.ana, "budi", "before", "0")
        self.database.held = True
        first, again = (outcome(self.sending_once(self.ana, "budi", "halo", "k")) for _ in range(2))
        jobs, self.database._jobs = self.database._jobs, []
        for job in jobs:
            job.done.errback(StorageFailed())
        self.database.held = False
        self.database.settle()
        self.assertIsInstance(first[0], StorageFailed)
        self.assertEqual(again[0].receipts[0].seq, 2)
        self.assertEqual(self.messages.sends._turns, {})

    def test_many(self) -> None:
        """All waiting sends are answered in the end, and nothing of them stays in memory."""
        self.once(self.ana, "budi", "before", "0")
        self.database.held = True
        found = [
            outcome(self.sending_once(self.ana, "budi", f"{number % 7}", f"k{number % 7}"))
            for number in range(50)
        ]
        self.database.held = False
        while self.database._jobs:
            self.database.settle(3)
        self.assertEqual([each[0].receipts[0].seq for each in found[:14]], [*range(2, 9)] * 2)
        self.assertEqual(self.inbox(self.budi), ["before", *map(str, range(7))])
        self.assertEqual(self.messages.sends._turns, {})


class Store(HereTestCase):
    """The part that runs in the writer's thread."""

    def run_job(self, job: Any, *args: Any) -> Any:
        return result_of(self.database.run(job, *args))

    def new(self, text: str, key: str) -> NewMessage:
        return NewMessage(7, self.ana.id, "ana", 1000, text, key=key)

    def test_repeated_in_one_batch(self) -> None:
        """The first send is stored, and the repeated one finds it."""
        writer = self.service.context.writers.sends
        first, again, other = self.run_job(
            writer.store, [self.new("a", "k"), self.new("b", "k"), self.new("c", "l")]
        )
        self.assertIsInstance(first, Stored)
        self.assertEqual(again, RecordedSend(7, first.seq, first.id, None, 1000, STORED))
        self.assertEqual(other.seq, first.seq + 1)
        more = [self.new("", f"k{number}") for number in range(40)]
        known = self.run_job(writer.store, [*more, self.new("", "l")])[-1]
        self.assertEqual(known, RecordedSend(7, other.seq, other.id, None, 1000, STORED))

    def test_posts_in_one_batch(self) -> None:
        writer = self.service.context.writers.sends
        name = SendKey(self.ana.id, "k", "bagan@realm2")
        new = NewMessage(0, self.ana.id, "ana", 1000, "halo")
        parcel = NewParcel("realm2", b"", 1000, self.ana.id)
        post = NamedPost(name, NewPost(new, "bagan@realm2", parcel))
        place, again = self.run_job(writer.put, [post, post])
        self.assertEqual(again, RecordedSend(0, 0, place.id, None, 1000, QUEUED))
        self.assertEqual(self.run_job(writer.put, [post]), [again])
        with self.database._engine.connect() as connection:
            self.assertEqual(connection.scalars(select(outbox.c.id)).all(), [place.number])

    def test_rolled_back(self) -> None:
        """If a neighbour's failure undoes a send, it is done again, once."""
        self.once(self.ana, "budi", "before", "0")
        self.database.held = True
        found = outcome(self.sending_once(self.ana, "budi", "halo", "k"))
        broken = outcome(self.database.run(lambda _connection: 1 / 0))
        self.database.held = False
        self.database.settle()
        self.assertIsInstance(broken[0], ZeroDivisionError)
        self.assertEqual(found[0], self.once(self.ana, "budi", "halo", "k"))
        self.assertEqual(self.inbox(self.budi), ["before", "halo"])

    def test_forgotten_after_a_week(self) -> None:
        """Keys are forgotten after a week, and not all at once."""
        day = 24 * 3600
        self.once(self.ana, "budi", "x", "old")
        self.clock.advance(1)
        self.once(self.ana, "budi", "x", "old too")
        self.clock.advance(6.9 * day)
        first = self.once(self.ana, "budi", "x", "young")
        self.assertEqual(self.kept_keys(), 3)
        self.clock.advance(0.2 * day)
        with mock.patch.object(store, "MAX_PRUNED", 1):
            self.once(self.ana, "budi", "x", "a")
            self.assertEqual(self.kept_keys(), 3)
            self.once(self.ana, "budi", "x", "b")
        self.assertEqual(self.kept_keys(), 3)
        self.assertEqual(self.once(self.ana, "budi", "x", "young"), first)
        self.assertEqual(len(self.history(self.ana, BUDI)), 5)


class ThereTestCase(LinkedTestCase):
    """ana of realm1 writes to budi of realm2, and to futsal, a group there."""

    def setUp(self) -> None:
        super().setUp()
        self.budi.creates("futsal")

    def count(self, table: Any, server: Any = None) -> int:
        found = select(func.count()).select_from(table)
        database = (server or self.one).realm.database
        counted: int = database.now(lambda connection: connection.execute(found).scalar_one())
        return counted

    def parcels(self) -> int:
        """How many parcels were numbered since the start."""
        return int(self.one.federation.outbox.writer._last) % (1 << TERM_BITS)

    def states(self, person: Any = None, to: str = "budi@realm2") -> list[str]:
        place = Place(parse_address(to))
        return [each.state for each in (person or self.ana).does(ask.ShowHistory(place, 100)).items]

    def queued(self, person: Any = None, to: str = "budi@realm2") -> list[bool]:
        place = Place(parse_address(to))
        return [
            each.state == "queued"
            for each in (person or self.ana).does(ask.ShowHistory(place, 100)).items
        ]

    def hold(self) -> None:
        """Hold up the parcels to realm2."""
        self.connection.transport_of(self.one).held = True

    def go_on(self) -> None:
        self.connection.transport_of(self.one).held = False
        self.network.settle()


class DirectThere(ThereTestCase):
    def test_again(self) -> None:
        first = self.ana.sends("budi@realm2", "halo", "k")
        number = self.parcels()
        self.assertEqual(where(self.ana.sends("budi@realm2", "halo", "k")), where(first))
        self.one.restart()
        self.meet()
        self.assertEqual(where(self.ana.sends("budi@realm2", "halo", "k")), where(first))
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.assertEqual(number, 1)
        self.assertEqual(self.count(messages), 1)

    def test_while_it_waits_for_the_verdict(self) -> None:
        self.ana.sends("budi@realm2", "before")
        self.hold()
        found = [outcome(self.ana.begins_to_send("budi@realm2", "halo", "k")) for _ in range(3)]
        self.network.settle()
        self.assertEqual(found, [[], [], []])
        self.go_on()
        self.assertEqual(len({where(each[0]) for each in found}), 1)
        self.assertEqual(self.budi.reads(), ["ana@realm1: before", "ana@realm1: halo"])
        self.assertEqual(self.parcels(), 2)

    def test_restart_while_waiting(self) -> None:
        self.hold()
        self.ana.begins_to_send("budi@realm2", "halo", "k")
        self.network.settle()
        self.one.kill()
        self.one.open()
        again = outcome(self.ana.begins_to_send("budi@realm2", "halo", "k"))
        self.meet()
        self.assertEqual(where(again[0])[1:], (1, 1))
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_killed_before_it_is_on_disk(self) -> None:
        """Then nothing was sent, so the repeated send is done."""
        self.ana.sends("budi@realm2", "before")
        self.ana.begins_to_send("budi@realm2", "halo", "k")
        self.one.restart()
        self.meet()
        self.assertEqual(where(self.ana.sends("budi@realm2", "halo", "k"))[1:], (2, 2))

    def test_queued(self) -> None:
        """The answer says whether the message is still queued now."""
        self.part()
        first = self.ana.sends("budi@realm2", "halo", "k")
        again = self.ana.sends("budi@realm2", "halo", "k")
        self.assertEqual((first.data, first.message), (again.data, again.message))
        self.assertEqual(again.data["state"], "queued")
        self.meet()
        self.network.advance(2 * TIDY_AFTER)
        later = self.ana.sends("budi@realm2", "halo", "k")
        self.assertEqual(where(later), where(first))
        self.assertEqual((later.message, later.data["state"]), ("Message sent", "delivered"))
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_refused(self) -> None:
        """A refused message stays, marked, and its key gives the refusal again."""
        for _ in range(2):
            with self.assertRaises(UnknownUser):
                self.ana.sends("dewi@realm2", "halo", "k")
        self.assertEqual((self.count(sends), self.count(outbox), self.count(messages)), (1, 0, 1))
        self.assertEqual(self.states(to="dewi@realm2"), [REFUSED])
        dewi = self.two.person("dewi")
        with self.assertRaises(UnknownUser):
            self.ana.sends("dewi@realm2", "halo", "k")
        self.ana.sends("dewi@realm2", "halo", "l")
        self.assertEqual(dewi.reads(), ["ana@realm1: halo"])
        self.assertEqual(self.states(to="dewi@realm2"), [REFUSED, DELIVERED])

    def test_refused_without_waiting(self) -> None:
        """A client that does not wait reads the state that the message has by now, and the reason."""
        to = parse_address("dewi@realm2")
        reason = "There is no user dewi in realm2"
        for sentence in (
            "Message sent; queued until it can be delivered: dewi@realm2",
            f"Refused: {reason}",
        ):
            sending = self.one.service.messages.send(
                self.ana.account, [to], "halo", None, "k", False
            )
            reply = message_sent(self.network.result(sending))
            self.assertEqual(reply.message, sentence)
            self.network.settle()
        self.assertEqual((reply.data["state"], reply.data["reason"]), (REFUSED, reason))

    def test_refused_and_killed(self) -> None:
        """A refused message is not sent after a restart."""
        with self.assertRaises(UnknownUser):
            self.ana.sends("dewi@realm2", "halo", "k")
        self.one.restart()
        dewi = self.two.person("dewi")
        self.meet()
        with self.assertRaises(UnknownUser):
            self.ana.sends("dewi@realm2", "halo", "k")
        self.assertEqual((dewi.reads(), self.ana.reads()), ([], []))

    def test_refused_while_the_disk_is_full(self) -> None:
        """The sender is told that the message is queued. The refusal is told once it is on disk."""
        self.hold()
        found = outcome(self.ana.begins_to_send("dewi@realm2", "halo", "k"))
        self.network.settle()
        self.one.realm.database.full = True
        self.go_on()
        self.network.advance(PATIENCE)
        self.assertEqual(found[0].data["state"], QUEUED)
        self.one.realm.database.full = False
        self.network.advance(TRY_AGAIN)
        self.assertEqual(self.states(to="dewi@realm2"), [REFUSED])
        self.assertEqual(len(self.ana.reads()), 1)
        self.assertEqual(self.count(outbox), 0)
        self.flushLoggedErrors(StorageFailed)

    def test_refused_later(self) -> None:
        """A sender who was told `queued` hears of the refusal later, and the key stays used."""
        self.part()
        self.ana.sends("dewi@realm2", "halo", "k")
        self.meet()
        with self.assertRaises(UnknownUser):
            self.ana.sends("dewi@realm2", "halo", "k")
        (notice,) = self.ana.reads()
        self.assertIn('message "halo"', notice)

    def test_list(self) -> None:
        """Only the recipients that refused get the message again."""
        for _ in range(2):
            reply = self.ana.sends("budi@realm2,dewi@realm2,ana", "halo", "k")
            self.assertEqual(
                [(each["to"], each["seq"]) for each in reply.data["sent"]],
                [("budi@realm2", 1), ("ana", 1)],
            )
            self.assertEqual(list(reply.data["unknown"]), ["dewi@realm2"])
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])


class GroupThere(ThereTestCase):
    def test_member(self) -> None:
        """The numbers from the group's home are returned again, even after a restart."""
        self.ana.joins("futsal@realm2")
        self.budi.posts("futsal", "before")
        first = self.ana.posts("futsal@realm2", "halo", "k")
        self.assertNotIn(None, where(first))
        self.assertEqual(where(self.ana.posts("FUTSAL@Realm2", "halo", "k")), where(first))
        self.assertEqual(self.parcels(), 2, "that she joined, and one message")
        self.one.restart()
        self.meet()
        self.assertEqual(where(self.ana.posts("futsal@realm2", "halo", "k")), where(first))
        self.assertEqual(self.budi.history(group="futsal"), ["budi: before", "ana@realm1: halo"])

    def test_open_group(self) -> None:
        """A message of someone who is no member leaves this realm once the group's home has it."""
        first = self.ana.posts("futsal@realm2", "halo", "k")
        self.assertEqual(where(first)[:2], (None, 2))
        self.assertEqual(where(self.ana.posts("futsal@realm2", "halo", "k")), where(first))
        self.assertEqual(self.count(pending), 0)
        self.ana.joins("futsal@realm2")
        self.assertEqual(where(self.ana.posts("futsal@realm2", "halo", "k")), where(first))
        self.assertEqual(self.budi.history(group="futsal"), ["ana@realm1: halo"])

    def test_while_it_is_on_its_way(self) -> None:
        self.ana.joins("futsal@realm2")
        self.hold()
        found = [outcome(self.ana.begins_to_post("futsal@realm2", "halo", "k")) for _ in range(2)]
        self.network.settle()
        self.go_on()
        self.assertEqual(where(found[0][0]), where(found[1][0]))
        self.assertEqual(self.budi.history(group="futsal"), ["ana@realm1: halo"])

    def test_unknown_numbers(self) -> None:
        """A message that was queued gets its number once the group's home has it, under the same id."""
        self.ana.joins("futsal@realm2")
        self.part()
        first = self.ana.posts("futsal@realm2", "halo", "k")
        conversation, seq, ident = where(first)
        self.assertEqual((seq, first.data["state"]), (None, QUEUED))
        self.one.restart()
        self.meet()
        again = self.ana.posts("futsal@realm2", "halo", "k")
        self.assertEqual(where(again), (conversation, 3, ident))
        self.assertEqual(again.data["state"], DELIVERED)
        self.assertEqual(self.budi.history(group="futsal"), ["ana@realm1: halo"])
        self.assertEqual((self.count(pending), self.count(messages)), (0, 1))

    def test_refused(self) -> None:
        """A refused message stays pending, marked, and its key gives the refusal again."""
        self.budi.does(ask.CloseGroup(parse_address("futsal")))
        for _ in range(2):
            with self.assertRaises(GroupClosed):
                self.ana.posts("futsal@realm2", "halo", "k")
        counts = [self.count(table) for table in (sends, outbox, pending)]
        self.assertEqual(counts, [1, 0, 1])
        self.budi.does(ask.OpenGroup(parse_address("futsal")))
        with self.assertRaises(GroupClosed):
            self.ana.posts("futsal@realm2", "halo", "k")
        self.ana.posts("futsal@realm2", "halo", "l")
        self.assertEqual(self.budi.history(group="futsal"), ["ana@realm1: halo"])


class Files(ThereTestCase):
    def uploads(self) -> list[str]:
        folder = self.one.config.state / "uploads"
        return [each.name for each in folder.iterdir() if each.is_file()]

    def answered(self, to: str, key: str = "k") -> Any:
        people = tuple(map(parse_address, to.split(",")))
        return self.network.result(self.one.service.files.answered(self.ana.account, people, key))

    def facts(self, reply: Reply) -> Any:
        return reply.fields, reply.data

    def test_here(self) -> None:
        """No bytes are requested again."""
        agus = self.one.person("agus")
        self.assertIsNone(self.answered("agus"))
        first = self.ana.sends_file("agus", "a.txt", b"halo", "k")
        self.assertEqual(
            self.facts(self.ana.sends_file("agus", "a.txt", b"", "k")), self.facts(first)
        )
        self.one.restart()
        self.assertEqual(
            self.facts(self.ana.sends_file("agus", "a.txt", b"", "k")), self.facts(first)
        )
        file, sent = self.answered("agus")
        self.assertEqual(file.code, first.fields["code"])
        self.assertEqual((sent.receipts[0].conversation, sent.receipts[0].seq), where(first)[:2])
        self.assertEqual(agus.reads(), ["ana: file a.txt"])
        self.assertEqual(len(self.uploads()), 1)

    def test_two_at_once(self) -> None:
        """The upload that is complete first is sent. The other one is dropped, and does not count."""
        self.one.person("agus")
        files = self.one.service.files
        people = (parse_address("agus"),)
        account = self.ana.account
        uploads = [
            self.network.result(files.begin(account, people, "a.txt", 4, None, "k"))
            for _ in range(2)
        ]
        for upload in uploads:
            upload.write(b"halo")
        found = [outcome(Deferred.fromCoroutine(upload.finish())) for upload in uploads]
        self.network.settle()
        self.assertEqual(found[0], found[1])
        self.assertEqual(len(self.uploads()), 1)
        self.assertEqual(files.under_way.counts.bytes, {})

    def test_answer_waits_for_the_first(self) -> None:
        self.hold()
        first = outcome(self.ana.begins_to_send_file("budi@realm2", "a.txt", b"halo", "k"))
        self.network.settle()
        again = outcome(self.ana.begins_to_send_file("budi@realm2", "a.txt", b"halo", "k"))
        self.network.settle()
        self.assertEqual((first, again), ([], []))
        self.go_on()
        self.assertEqual(self.facts(first[0]), self.facts(again[0]))
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.txt"])

    def test_deleted(self) -> None:
        """A repeated send of a file that was deleted since says so."""
        self.one.person("agus")
        sent = self.ana.sends_file("agus", "a.bin", b"abc", "k")
        place = Place(parse_address("agus"))
        self.ana.does(ask.DeleteMessage(place, sent.data["seq"]))
        with self.assertRaises(MessageDeleted):
            self.ana.sends_file("agus", "a.bin", b"abc", "k")

    def test_quota(self) -> None:
        """A repeated send is answered even if it would exceed the quota."""
        self.one.person("agus")
        limits = self.one.service.config.limits
        size = limits.account_files
        with mock.patch.object(type(limits), "account_files", 6, create=True):
            first = self.ana.sends_file("agus", "a.txt", b"halo", "k")
            self.assertEqual(
                self.facts(self.ana.sends_file("agus", "a.txt", b"halo", "k")), self.facts(first)
            )
            with self.assertRaises(QuotaExceeded):
                self.ana.sends_file("agus", "a.txt", b"halo", "l")
        self.assertEqual(limits.account_files, size)

    def test_group_there(self) -> None:
        self.ana.joins("futsal@realm2")
        first = self.ana.sends_file("#futsal@realm2", "a.txt", b"halo", "k")
        again = self.ana.sends_file("#futsal@realm2", "a.txt", b"halo", "k")
        self.assertEqual(self.facts(first), self.facts(again))
        self.assertEqual(self.budi.history(group="futsal"), ["ana@realm1: file a.txt"])

    def test_refused(self) -> None:
        """A refused file stays with its sender."""
        for _ in range(2):
            with self.assertRaises(UnknownUser):
                self.ana.sends_file("dewi@realm2", "a.txt", b"halo", "k")
        self.assertEqual((self.count(sends), self.count(outbox)), (1, 0))
        self.assertEqual(len(self.uploads()), 1)

    def test_some_of_a_list(self) -> None:
        """The bytes are requested for a new recipient, and those who have the file do not get it again."""
        agus, adi = self.one.person("agus"), self.one.person("adi")
        first = self.ana.sends_file("agus", "a.txt", b"halo", "k")
        self.assertIsNone(self.answered("agus,adi"))
        both = self.ana.sends_file("agus,adi", "a.txt", b"halo", "k")
        self.assertEqual(both.data["sent"][0]["id"], first.data["id"])
        self.assertEqual((agus.reads(), adi.reads()), (["ana: file a.txt"],) * 2)
        self.assertIsNotNone(self.answered("agus,adi,nobody"))

    def test_former_member(self) -> None:
        agus = self.one.person("agus")
        agus.creates("bagan")
        self.ana.joins("bagan")
        first = self.ana.sends_file("#bagan", "a.txt", b"halo", "k")
        self.ana.does(ask.LeaveGroup(parse_address("bagan")))
        again = self.ana.sends_file("#bagan", "a.txt", b"halo", "k")
        self.assertEqual(self.facts(first), self.facts(again))

    def test_no_known_recipient(self) -> None:
        """If no recipient exists, `answered` does not report that."""
        self.assertIsNone(self.answered("nobody"))
        files = self.one.service.files
        group = files.answered(self.ana.account, parse_address("nothing"), "k")
        self.assertIsNone(self.network.result(group))

    def test_key_of_a_text(self) -> None:
        self.one.person("agus")
        self.ana.sends("agus", "halo", "k")
        with self.assertRaises(BadArgument) as caught:
            self.ana.sends_file("agus", "a.txt", b"halo", "k")
        self.assertIn("key can't be that of a message", str(caught.exception))
        self.assertEqual(self.uploads(), [])

    def test_text_with_the_key_of_a_file(self) -> None:
        self.one.person("agus")
        first = self.ana.sends_file("agus", "a.txt", b"halo", "k")
        self.assertEqual(where(self.ana.sends("agus", "halo", "k")), where(first))


class Queued(ThereTestCase):
    """The messages that still wait for their recipient's realm."""

    def test_in_pages(self) -> None:
        self.ana.sends("budi@realm2", "before")
        self.network.advance(2 * TIDY_AFTER)
        self.part()
        self.ana.sends("budi@realm2", "halo")
        self.ana.sends_file("budi@realm2", "a.txt", b"halo")
        self.assertEqual(self.queued(), [False, True, True])
        found = self.ana.does(ask.SearchMessages("halo")).items
        self.assertEqual([each.state for each in found], ["queued"])
        self.assertEqual(message_object(found[0])["state"], "queued")
        self.meet()
        self.network.advance(2 * TIDY_AFTER)
        self.assertEqual(self.queued(), [False] * 3)
        found = self.ana.does(ask.SearchMessages("halo")).items
        self.assertEqual(message_object(found[0])["state"], "delivered")
        self.assertEqual(self.queued(self.budi, "ana@realm1"), [False] * 3)

    def test_refused_later(self) -> None:
        """A refused message does not wait any more."""
        self.part()
        self.ana.sends("dewi@realm2", "halo")
        self.assertEqual(self.queued(to="dewi@realm2"), [True])
        self.meet()
        self.assertEqual(self.queued(to="dewi@realm2"), [False])

    def test_group_messages_are_not_queued(self) -> None:
        """A message in a group of this realm is not queued, even if other realms have not got it."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.part()
        self.ana.posts("bagan", "halo", "k")
        (found,) = self.ana.does(ask.ShowHistory(Place(group=parse_address("bagan")), 9)).items
        self.assertEqual(found.state, "stored")

    def test_here(self) -> None:
        self.one.person("agus")
        self.ana.sends("agus", "halo")
        self.assertEqual(self.queued(to="agus"), [False])

    def test_told_live(self) -> None:
        """A page does not include messages that were pushed to listeners."""
        self.part()
        self.ana.sends("ana", "halo")
        self.network.settle()
        told = [each for each in self.ana.events if isinstance(each, Message)]
        self.assertEqual([each.state for each in told], ["stored"])
