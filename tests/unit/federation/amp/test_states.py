"""The delivery of a message as its state: in histories, in events, and for what is pending."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatd.base.errors import GroupClosed, NotPending, StorageFailed, UnknownUser
from chatd.base.events import Event, StateChange
from chatd.base.model import DELIVERED, QUEUED, REFUSED, STORED, Message
from chatd.base.names import Place, parse_address
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.connection import Traits
from chatd.federation.outbox import TIDY_AFTER
from chatd.federation.outcomes import TRY_AGAIN
from chatd.store import pending, versions
from chatd.store.schema import outbox
from chatd.store.sync import Cursor
from chatd.store.versions import Kind
from tests.support.network import LinkedTestCase, Person

FUTSAL = "futsal@realm2"


class StatesTestCase(LinkedTestCase):
    """ana of realm1 has a second connection, whose sends do not wait, and which hears of everything."""

    def setUp(self) -> None:
        super().setUp()
        self.other = self.connect()

    def connect(self) -> Person:
        """Another connection of ana's."""
        found = Person(self.ana._server, "ana")
        found.account = self.ana.account
        found.client.connection.traits = Traits(waits=False)
        self.one.service.presence.listen(found.account.id, found, True, True)
        return found

    def states(self, person: Person | None = None) -> list[tuple[int, str, str | None]]:
        """What a connection has heard of states since the last call."""
        person = person or self.other
        found = [each for each in person.events if isinstance(each, StateChange)]
        person.events = [each for each in person.events if each not in found]
        return [(each.seq, each.state, each.code) for each in found]

    def page(self, place: str) -> Reply:
        group = place.startswith("futsal")
        address = parse_address(place)
        command = ask.ShowHistory(Place(group=address) if group else Place(address), 100)
        reply: Reply = self.ana.does(command)
        return reply

    def shown(self, place: str = "budi@realm2") -> list[tuple[int, str]]:
        return [(each.seq, each.state) for each in self.page(place).items if type(each) is Message]

    def pending(self) -> list[tuple[int, str]]:
        return [(each.id, each.state) for each in self.page(FUTSAL).pending]


class Directs(StatesTestCase):
    def test_answered_at_once(self) -> None:
        """The reply says `queued`; the event that it is delivered comes to the same connection too."""
        self.connection.transport_of(self.one).held = True
        reply = self.other.sends("budi@realm2", "halo")
        self.assertEqual((reply.data["seq"], reply.data["state"]), (1, QUEUED))
        self.assertEqual(self.shown(), [(1, QUEUED)])
        self.connection.transport_of(self.one).held = False
        self.network.settle()
        self.network.advance(2 * TIDY_AFTER)
        self.assertEqual(self.states(), [(1, DELIVERED, None)])
        self.assertEqual(self.shown(), [(1, DELIVERED)])

    def test_waiting(self) -> None:
        """A connection whose reply says what became of the message gets no event; others do."""
        self.one.service.presence.listen(self.ana.account.id, self.ana, True, True)
        self.assertEqual(self.ana.sends("budi@realm2", "halo").data["state"], DELIVERED)
        self.network.advance(2 * TIDY_AFTER)
        self.assertEqual(self.states(self.ana), [])
        self.assertEqual(self.states(), [(1, DELIVERED, None)])
        told = [each.state for each in self.other.events if isinstance(each, Message)]
        self.assertEqual(told, [QUEUED])

    def test_here(self) -> None:
        self.one.person("agus")
        self.assertEqual(self.other.sends("agus", "halo").data["state"], STORED)
        self.assertEqual(self.states(), [])

    def test_refused(self) -> None:
        """The sender hears it by an event, and gets no message from `system`. No number is taken back."""
        self.assertEqual(self.other.sends("dewi@realm2", "halo").data["state"], QUEUED)
        self.network.settle()
        self.assertEqual(self.states(), [(1, REFUSED, UnknownUser.code)])
        (message,) = self.page("dewi@realm2").items
        assert isinstance(message, Message)
        self.assertEqual(message.reason, "There is no user dewi in realm2")
        self.assertEqual(self.other.sends("dewi@realm2", "halo").data["seq"], 2)
        self.assertEqual(self.ana.reads(), [])

    def test_refused_and_nobody_hears(self) -> None:
        """Without a connection that hears of states, the sender gets a message from `system`."""
        self.one.service.presence.listen(self.ana.account.id, self.other, True)
        self.other.sends("dewi@realm2", "halo")
        self.network.settle()
        (notice,) = self.ana.reads()
        self.assertIn("There is no user dewi in realm2", notice)

    def test_later(self) -> None:
        """After an outage and a restart: an event, and for a refusal also the message from `system`."""
        self.part()
        for to in ("budi@realm2", "dewi@realm2"):
            self.other.sends(to, "halo")
        self.one.restart()
        self.other = self.connect()
        self.meet()
        self.network.advance(2 * TIDY_AFTER)
        self.assertEqual(self.states(), [(1, DELIVERED, None), (1, REFUSED, UnknownUser.code)])
        self.assertEqual(len(self.ana.reads()), 1)

    def test_killed_before_the_outcome(self) -> None:
        """The message is queued. The next link brings the outcome."""
        self.connection.transport_of(self.one).held = True
        self.other.sends("dewi@realm2", "halo")
        self.one.kill()
        self.one.open()
        self.assertEqual(self.shown("dewi@realm2"), [(1, QUEUED)])
        self.meet()
        self.assertEqual(self.shown("dewi@realm2"), [(1, REFUSED)])

    def test_full_disk(self) -> None:
        """A refusal that the disk does not take is told once it does."""
        self.connection.transport_of(self.one).held = True
        self.other.sends("dewi@realm2", "halo")
        self.one.realm.database.full = True
        self.connection.transport_of(self.one).held = False
        self.network.settle()
        self.assertEqual((self.states(), self.shown("dewi@realm2")), ([], [(1, QUEUED)]))
        self.one.realm.database.full = False
        self.network.advance(TRY_AGAIN)
        self.assertEqual(self.states(), [(1, REFUSED, UnknownUser.code)])
        self.flushLoggedErrors(StorageFailed)

    def test_delivered_is_not_queued(self) -> None:
        """A history never says `queued` of what was delivered, even before that is on disk."""
        self.ana.sends("budi@realm2", "halo")
        self.assertEqual(self.shown(), [(1, DELIVERED)])

    def test_delivered_and_the_disk_is_full(self) -> None:
        self.ana.sends("budi@realm2", "halo")
        self.one.realm.database.full = True
        self.network.advance(2 * TIDY_AFTER)
        self.assertEqual(self.shown(), [(1, DELIVERED)])
        self.one.realm.database.full = False
        self.network.advance(TRY_AGAIN)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.flushLoggedErrors(StorageFailed)

    def test_many(self) -> None:
        """As many events as messages, in their order."""
        self.part()
        for number in range(300):
            self.other.sends("budi@realm2", str(number))
        self.meet()
        self.network.advance(2 * TIDY_AFTER)
        found = self.states()
        self.assertEqual([seq for seq, _, _ in found], list(range(1, 301)))
        self.assertEqual({state for _, state, _ in found}, {DELIVERED})

    def test_synced(self) -> None:
        """A client that has read the message as queued gets its new state, and no other entry, by the version
        that it has."""
        self.part()
        self.other.sends("budi@realm2", "halo")
        (queued,) = self.page("budi@realm2").items
        assert isinstance(queued, Message)
        place = queued.conversation
        sync = self.one.service.sync
        first = self.network.result(sync.one(self.ana.account, place, Cursor(), 9))
        self.meet()
        self.network.advance(2 * TIDY_AFTER)
        cursor = Cursor(first.seq, first.version)
        second = self.network.result(sync.one(self.ana.account, place, cursor, 9))
        self.assertEqual([each.state for each in first.entries], [QUEUED])
        self.assertEqual(second.entries, [])
        self.assertEqual([(each.seq, each.state) for each in second.states], [(1, DELIVERED)])
        cursor = Cursor(second.seq, second.version)
        third = self.network.result(sync.one(self.ana.account, place, cursor, 9))
        self.assertEqual((third.entries, third.states), ([], []))

    def test_version(self) -> None:
        """Each change of a state raises the version of its conversation."""
        self.part()
        conversation = self.other.sends("budi@realm2", "halo").data["conversation"]
        before = self.version(conversation)
        self.meet()
        self.network.advance(2 * TIDY_AFTER)
        self.assertGreater(self.version(conversation), before)
        changed = self.one.realm.database.now(
            versions.changed_between, conversation, Kind.STATE, before, self.version(conversation)
        )
        self.assertEqual(changed, {"0"})

    def version(self, conversation: int) -> int:
        found: int = self.one.realm.database.now(
            lambda connection: versions.version_of(connection, conversation)
        )
        return found


class Posts(StatesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.budi.creates("futsal")
        self.ana.joins(FUTSAL)

    def messages(self, events: Sequence[Event]) -> list[tuple[int, int, str | None]]:
        return [(each.id, each.seq, each.text) for each in events if isinstance(each, Message)]

    def test_numbered(self) -> None:
        """The reply has an id and no seq. The message comes back under that id, to all connections."""
        reply = self.other.does(ask.SendGroupMessage(parse_address(FUTSAL), "halo"))
        ident = reply.data["id"]
        self.assertEqual((reply.data["seq"], reply.data["state"]), (None, QUEUED))
        self.network.settle()
        for person in (self.ana, self.other):
            self.assertEqual(self.messages(person.events), [(ident, 3, "halo")])
        (message,) = self.page(FUTSAL).items
        assert isinstance(message, Message)
        self.assertEqual((message.id, message.seq, message.state), (ident, 3, DELIVERED))
        self.assertEqual(self.states(), [(3, DELIVERED, None)])
        self.assertEqual(self.pending(), [])

    def test_numbered_after_a_restart(self) -> None:
        """The event of a delivery has the number then, too."""
        self.part()
        self.other.does(ask.SendGroupMessage(parse_address(FUTSAL), "halo"))
        self.one.restart()
        self.other = self.connect()
        self.meet()
        self.assertEqual(self.states(), [(3, DELIVERED, None)])

    def test_waiting(self) -> None:
        """The connection whose reply has the number gets no event."""
        self.ana.events.clear()
        reply = self.ana.posts(FUTSAL, "halo")
        self.assertEqual((reply.data["seq"], reply.data["state"]), (3, DELIVERED))
        self.assertEqual(self.messages(self.ana.events), [])
        self.assertEqual(self.messages(self.other.events), [(reply.data["id"], 3, "halo")])

    def test_queued(self) -> None:
        """A post is listed under `pending`; others that come meanwhile are not hidden by it."""
        self.part()
        reply = self.ana.posts(FUTSAL, "halo")
        self.assertEqual(self.pending(), [(reply.data["id"], QUEUED)])
        with self.assertRaises(NotPending):
            self.ana.does(ask.DismissMessage(reply.data["id"]))
        self.meet()
        self.assertEqual(self.pending(), [])
        self.assertEqual(self.shown(FUTSAL), [(3, DELIVERED)])

    def test_inbox_is_complete(self) -> None:
        """A post that was pending for long hides nothing from others who read the group."""
        agus = self.one.person("agus")
        agus.joins(FUTSAL)
        self.connection.transport_of(self.one).held = True
        self.other.does(ask.SendGroupMessage(parse_address(FUTSAL), "pending"))
        self.network.settle()
        self.budi.posts("futsal", "meanwhile")
        self.network.settle()
        self.connection.transport_of(self.one).held = False
        self.network.settle()
        self.assertEqual(agus.reads(), ["budi@realm2: meanwhile", "ana: pending"])

    def test_refused(self) -> None:
        """A refused post stays pending, marked, until it is dismissed."""
        self.other.does(ask.LeaveGroup(parse_address(FUTSAL)))
        self.budi.does(ask.CloseGroup(parse_address("futsal")))
        self.network.settle()
        reply = self.other.does(ask.SendGroupMessage(parse_address(FUTSAL), "halo", "k"))
        self.network.settle()
        self.assertEqual(self.states()[-1], (0, REFUSED, GroupClosed.code))
        ident = reply.data["id"]
        mine = self.network.result(self.one.service.pending.of(self.ana.account))
        self.assertEqual([(each.id, each.state) for each in mine], [(ident, REFUSED)])
        with self.assertRaises(NotPending):
            self.one.person("agus").does(ask.DismissMessage(ident))
        self.ana.does(ask.DismissMessage(ident))
        self.assertEqual(self.network.result(self.one.service.pending.of(self.ana.account)), ())
        again = self.other.does(ask.SendGroupMessage(parse_address(FUTSAL), "halo", "k"))
        self.assertEqual((again.data["id"], again.data["state"]), (ident, REFUSED))

    def test_file_of_a_refused_post(self) -> None:
        """It is kept until the post is dismissed."""
        self.other.does(ask.LeaveGroup(parse_address(FUTSAL)))
        self.budi.does(ask.CloseGroup(parse_address("futsal")))
        self.network.settle()
        reply = self.other.sends_file(f"#{FUTSAL}", "a.bin", b"abc")
        self.network.settle()
        self.assertEqual(self.states()[-1], (0, REFUSED, GroupClosed.code))
        uploads = self.one.config.state / "uploads"
        self.assertEqual(len([each for each in uploads.iterdir() if each.is_file()]), 1)
        self.assertEqual(self.ana.fetches(str(reply.fields["code"])), b"abc")
        self.ana.does(ask.DismissMessage(reply.data["id"]))
        self.network.settle()
        self.assertEqual([each for each in uploads.iterdir() if each.is_file()], [])

    def test_many_refused(self) -> None:
        """The oldest are dismissed. A repeated send still gets the refusal."""
        self.patch(pending, "MAX_REFUSED", 2)
        self.other.does(ask.LeaveGroup(parse_address(FUTSAL)))
        self.budi.does(ask.CloseGroup(parse_address("futsal")))
        self.network.settle()
        idents = []
        for key in "abc":
            send = ask.SendGroupMessage(parse_address(FUTSAL), "halo", key)
            idents.append(self.other.does(send).data["id"])
            self.network.settle()
        mine = self.network.result(self.one.service.pending.of(self.ana.account))
        self.assertEqual([each.id for each in mine], idents[1:])
        again = self.other.does(ask.SendGroupMessage(parse_address(FUTSAL), "halo", "a"))
        self.assertEqual(again.data["state"], REFUSED)

    def test_many_pending(self) -> None:
        """Only the newest are read."""
        self.patch(pending, "MAX_SHOWN", 2)
        self.part()
        idents = [self.other.posts(FUTSAL, "halo").data["id"] for _ in range(3)]
        self.assertEqual(self.pending(), [(each, QUEUED) for each in idents[1:]])

    def test_parts_of_what_is_pending(self) -> None:
        """A message that has no number yet is shown with all its parts."""
        seq = self.ana.posts(FUTSAL, "siapa?").data["seq"]
        self.part()
        place = Place(group=parse_address(FUTSAL))
        self.other.does(ask.ReplyToMessage(place, seq, "@budi@realm2 saya"))
        self.other.does(ask.ForwardMessage(place, seq, place))
        first, second = self.page(FUTSAL).pending
        self.assertEqual((first.reply, first.mentions), (seq, ("budi@realm2",)))
        self.assertEqual((second.forwarded, second.mentions), ("ana", ()))

    def test_restart(self) -> None:
        self.part()
        ident = self.ana.posts(FUTSAL, "halo").data["id"]
        self.one.restart()
        self.assertEqual(self.pending(), [(ident, QUEUED)])
        self.meet()
        self.assertEqual(self.shown(FUTSAL), [(3, DELIVERED)])

    def test_does_not_come_back(self) -> None:
        """A post that its home keeps to itself is not pending for ever."""
        self.part()
        self.ana.posts(FUTSAL, "halo")
        self.one.realm.database.now(lambda connection: connection.execute(sa.delete(outbox)))
        self.assertEqual([state for _, state in self.pending()], [DELIVERED])
        late = int(self.one.realm.environment.wall() * 1000) + 1
        self.network.result(self.one.federation.outcomes.expire(late))
        self.assertEqual(self.pending(), [])
