"""What a node has stored, and could not tell before it was killed, is told by the others."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.entries import Edit, React
from chatd.base.errors import StorageFailed
from chatd.base.events import Edited, GroupChange, Reaction, Typing
from chatd.base.model import Account, Message
from chatd.base.names import Address
from chatd.service import told_entries, untold_entries
from chatd.service.chat_service import ChatService
from chatd.service.node_news import QUIET
from chatd.service.presence import IListener
from chatd.service.told_entries import BEFORE_FIRST, MAX_SKIPPED, ToldEntries
from chatd.service.untold_entries import ON_ITS_WAY, SETTLES
from chatd.store.recent_entries import seen_entries
from tests.support.inline import result_of
from tests.support.two_services import FakeClient, TwoServices


class AfterAKill(TwoServices):
    """ana and budi are in a group, and write at the first node. They listen at the second one."""

    def setUp(self) -> None:
        super().setUp()
        self.ana, self.budi = self.account("ana"), self.account("budi")
        self.name = Address("g")
        result_of(self.here.groups.create(self.ana, "g"))
        result_of(self.here.groups.join(self.budi, self.name))
        self.listeners = {each.name: self.listen(each) for each in (self.ana, self.budi)}
        self.post("before")
        self.clock.pump([0.0, 5.0, 0.0])  # until it is known who is online
        self.taken()

    def listen(self, account: Account, all_events: bool = True) -> FakeClient:
        client = FakeClient()
        listener = cast(IListener, client)
        self.there.presence.arrive(account.id, listener)
        self.there.presence.listen(account.id, listener, True, all_events)
        return client

    def post(self, text: str, service: ChatService | None = None) -> Any:
        messages = (service or self.here).messages
        sent = result_of(messages.post(self.ana, self.name, text, None))
        self.clock.advance(0)
        return sent.receipts[0]

    def write(self, text: str) -> Any:
        """Send a message from ana to budi alone."""
        sent = result_of(self.here.messages.send(self.ana, [Address("budi")], text, None))
        self.clock.advance(0)
        return sent.receipts[0]

    def kill(self, seconds: float = 0.0, node: str = "one") -> None:
        """A node is gone."""
        self.there.context.news.gone(node)
        self.clock.pump([0.0, 0.0, seconds, SETTLES, *[0.0] * 10])

    def taken(self) -> list[list[Any]]:
        """What both have got since the last call."""
        found = [each.got for each in self.listeners.values()]
        for each in self.listeners.values():
            each.got = []
        return found

    def texts(self) -> list[list[Any]]:
        return [[each.text for each in got if isinstance(each, Message)] for got in self.taken()]

    def test_group(self) -> None:
        """All entries are told, in their order, and once."""
        self.buses[0].silent = True
        seq, place = self.post("lost").seq, self.here.rosters.cached("g")
        assert place is not None
        changes, where = self.here.changes, place.group.id
        result_of(changes.change(self.ana, where, seq, Edit("changed"), None))
        result_of(changes.change(self.budi, where, seq, React("👍", True), None))
        result_of(self.here.groups.settings.set(self.ana, self.name, {"title": "new"}))
        self.post("last")
        self.clock.advance(0)
        self.assertEqual(self.taken(), [[], []])
        plain = self.listen(self.budi, all_events=False)
        self.kill()
        kinds = [Message, Edited, Reaction, GroupChange, Message]
        for got in self.taken():
            self.assertEqual([type(each) for each in got], kinds)
            self.assertEqual([each.seq for each in got], [*range(seq, seq + 5)])
        self.assertEqual([type(each) for each in plain.got], [Message, Message])
        self.kill(10.0)
        self.assertEqual(self.taken(), [[], []])

    def test_blocked(self) -> None:
        """The message of a person whom the listener has blocked is marked as usual."""
        result_of(self.there.blocks.block(self.budi, Address("ana")))
        self.clock.advance(0)
        self.taken()
        self.buses[0].silent = True
        self.post("lost")
        self.kill()
        marks = [[each.blocked for each in got] for got in self.taken()]
        self.assertEqual(marks, [[False], [True]])

    def test_direct(self) -> None:
        self.write("one")
        self.buses[0].silent = True
        self.write("two")
        self.kill()
        self.assertEqual(self.texts(), [["one", "two"]] * 2)

    def test_first_entry(self) -> None:
        """Nothing was told of the log yet."""
        self.buses[0].silent = True
        self.write("one")
        self.kill()
        self.assertEqual(self.texts(), [["one"]] * 2)

    def test_nothing_lost(self) -> None:
        self.write("one")
        self.post("two")
        self.post("three", self.there)
        self.clock.advance(0)
        self.taken()
        self.kill()
        self.assertEqual(self.taken(), [[], []])

    def test_skipped(self) -> None:
        """A later entry was told before."""
        self.buses[0].silent = True
        self.post("lost")
        self.post("told", self.there)
        self.assertEqual(self.texts(), [["told"]] * 2)
        self.kill()
        self.assertEqual(self.texts(), [["lost"]] * 2)

    def test_old(self) -> None:
        """What was stored long ago was read by clients, or told by an earlier run of this node. Entries of
        other realms may have been on their way."""
        self.buses[0].silent = True
        self.write("old")
        self.clock.advance(untold_entries.LONGEST + untold_entries.MARGIN + 1)
        self.kill()
        self.assertEqual(self.taken(), [[], []])
        self.there.context.database.now(  # type: ignore[attr-defined]
            lambda db: db.exec_driver_sql(
                "UPDATE messages SET origin_realm = 'realm2' WHERE text = 'old'"
            )
        )
        self.kill(10.0)
        self.assertEqual(self.texts(), [["old"]] * 2)
        self.assertGreater(ON_ITS_WAY, untold_entries.LONGEST)

    def test_news_arrive(self) -> None:
        """What is on its way when another node has gone is not told again; nor is what comes later still."""
        self.buses[0].silent = True
        self.post("lost")
        messages = self.buses[0].published[-1:]
        self.there.context.news.gone("three")
        self.clock.advance(0)
        self.arrive(messages)
        self.clock.pump([0.0, SETTLES, 0.0])
        self.assertEqual(self.texts(), [["lost"]] * 2)
        self.post("also lost")
        messages = self.buses[0].published[-1:]
        self.kill(10.0, "three")
        self.assertEqual(self.texts(), [["also lost"]] * 2)
        self.arrive(messages)
        self.clock.pump([0.0, 0.0])
        self.assertEqual(self.taken(), [[], []])

    def arrive(self, messages: list[bytes]) -> None:
        """The second node hears these messages of the first one."""
        for message in messages:
            for then in self.buses[1]._on_message:
                then("one", message)

    def test_kicked(self) -> None:
        """Who was kicked since is not told, although the database was read before."""
        self.buses[0].silent = True
        self.post("lost")
        database: Any = self.there.context.database
        read = database.read

        def read_and_kick(query: Any, *args: Any) -> Any:
            found = read(query, *args)
            if query is seen_entries:
                self.buses[1].quiet = QUIET + 0.1
                result_of(self.here.groups.kick(self.ana, self.name, Address("budi")))
            return found

        self.patch(database, "read", read_and_kick)
        self.kill()
        self.assertEqual(self.texts(), [["lost"], []])

    def test_pages(self) -> None:
        """Everybody is told, however few are read at once."""
        for name in ("ACCOUNTS_AT_ONCE", "LOGS_AT_ONCE", "SEEN_AT_ONCE"):
            self.patch(untold_entries, name, 1)
        self.buses[0].silent = True
        self.write("one")
        self.post("two")
        self.kill()
        self.clock.pump([0.0] * 5)
        self.assertEqual([sorted(each) for each in self.texts()], [["one", "two"]] * 2)

    def test_failing(self) -> None:
        """A log that can't be read does not stop the others."""
        self.buses[0].silent = True
        self.post("one")
        self.write("two")
        database: Any = self.there.context.database
        read = database.read
        broken = self.here.rosters.cached("g").group.id  # type: ignore[union-attr]

        def fail_one(query: Any, *args: Any) -> Any:
            if query is seen_entries and args[0] == broken:
                raise ZeroDivisionError
            return read(query, *args)

        self.patch(database, "read", fail_one)
        self.kill()
        self.assertEqual(self.texts(), [["two"]] * 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_database_away(self) -> None:
        """It is tried again."""
        self.buses[0].silent = True
        self.post("one")
        database: Any = self.there.context.database
        read, failed = database.read, list[Any]()

        def fail_first(query: Any, *args: Any) -> Any:
            if query is seen_entries and not failed:
                failed.append(query)
                raise StorageFailed
            return read(query, *args)

        self.patch(database, "read", fail_first)
        self.kill()
        self.assertEqual((self.taken(), len(failed)), ([[], []], 1))
        self.clock.pump([10.0, 0.0, SETTLES, 0.0, 0.0])
        self.assertEqual(self.texts(), [["one"]] * 2)

    def test_too_many(self) -> None:
        self.patch(untold_entries, "MAX_LOGS", 1)
        self.buses[0].silent = True
        self.write("two")
        self.post("one")
        self.kill()
        self.assertEqual([len(each) for each in self.texts()], [1, 1])

    def test_end(self) -> None:
        """A node that ends reads nothing any more."""
        self.buses[0].silent = True
        self.post("one")
        news = self.there.context.news
        news.gone("one")
        self.clock.advance(0)
        news.end()
        self.clock.pump([SETTLES, 10.0])
        self.assertEqual(self.taken(), [[], []])
        self.assertEqual(self.flushLoggedErrors(), [])


class Noted(SynchronousTestCase):
    def setUp(self) -> None:
        self.told = ToldEntries()

    def test_unknown(self) -> None:
        self.assertEqual((self.told.upto(1), self.told.first_untold(1)), (0, 0))
        self.assertFalse(self.told.is_told(1, 1))

    def test_order(self) -> None:
        """It does not matter in which order entries are told."""
        for seq in (1, 2, 5, 3):
            self.told.note_entry(1, seq)
        self.assertEqual(
            [self.told.is_told(1, seq) for seq in range(1, 7)], [True] * 3 + [False, True, False]
        )
        self.assertEqual((self.told.upto(1), self.told.first_untold(1)), (5, 4))
        self.told.note_entry(1, 4)
        self.assertEqual(self.told.first_untold(1), 6)

    def test_not_entries(self) -> None:
        self.told.note(Typing(1, "ana"))
        self.told.note(Message(1, 1, 0, 1, "ana"))
        self.assertEqual(self.told.upto(1), 0)
        self.told.note(Message(1, 1, 7, 1, "ana"))
        self.assertEqual(self.told.upto(1), 7)

    def test_bounds(self) -> None:
        """A jump is not noted as that many entries, and logs that were used least are forgotten."""
        self.told.note_entry(1, 500)
        self.assertEqual(self.told.first_untold(1), 500 - BEFORE_FIRST)
        self.told.note_entry(1, 10_000)
        self.assertEqual(self.told.first_untold(1), 10_000 - MAX_SKIPPED)
        self.patch(told_entries, "MAX_LOGS", 2)
        few = ToldEntries()
        for log in range(1, 4):
            few.note_entry(log, 1)
        self.assertEqual([few.upto(log) for log in range(1, 4)], [0, 1, 1])
