"""Entries of groups are pushed to members only, also if nodes of the realm have missed news."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, cast
from unittest.mock import Mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.counters import Counters
from chatd.base.entries import Edit
from chatd.base.errors import ChatError, StorageFailed
from chatd.base.events import Edited, MemberChange
from chatd.base.model import Account, Group, Message
from chatd.base.names import UNFILTERED, Address, InboxFilter, Place
from chatd.service import group_pushes
from chatd.service.chat_service import ChatService
from chatd.service.context import Context
from chatd.service.group_pushes import PATIENCE, RETRY, GroupPushes
from chatd.service.node_news import QUIET
from chatd.service.presence import IListener, LogPlace, Presence
from chatd.service.roster_cache import RosterCache
from chatd.store.database import Database
from chatd.store.members import member_ids
from chatd.store.roster import Delta, Roster
from chatd.store.sync import Cursor
from chatd.store.windows import Window
from tests.support.buses import MemoryBus
from tests.support.common import make_config, same_bytes
from tests.support.inline import outcome_of, result_of
from tests.support.two_services import FakeClient, TwoServices

ANA, BUDI = 1, 2


def roster(group: int, epoch: int, *members: int) -> Roster:
    made = Group(group, f"g{group}", f"g{group}", "", False, None, None)
    return Roster(made, dict.fromkeys(members, False), {}, {}, set(), epoch)


class Reads:
    """A database whose queries a test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], dict[int, int], Deferred[Any]]] = []

    def read(self, _query: object, groups: list[int], known: dict[int, int]) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.asked.append((groups, known, done))
        return done

    def answer(self, *found: Roster) -> tuple[list[int], dict[int, int]]:
        groups, known, done = self.asked.pop(0)
        done.callback({each.group.id: each for each in found})
        return groups, known

    def fail(self) -> None:
        self.asked.pop(0)[2].errback(StorageFailed())


class Held(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        buses: list[MemoryBus] = []
        self.bus, self.other = MemoryBus("one", buses), MemoryBus("two", buses)
        self.reads = Reads()
        config, database = make_config(Path()), cast(Database, self.reads)
        seconds = self.clock.seconds
        self.context = Context(
            config, self.clock, seconds, database, same_bytes(), Counters(), self.bus
        )
        self.rosters = RosterCache(self.context)
        self.pushes = GroupPushes(self.context, self.rosters, Presence())
        # The pushes: a name, the accounts or None, and the epoch
        self.pushed: list[tuple[str, list[int] | None, int | None]] = []

    def note(self, name: str, accounts: Collection[int] | None, place: LogPlace) -> None:
        found = None if accounts is None else sorted(accounts)
        self.pushed.append((name, found, place.epoch))

    def push(self, name: str, group: int, epoch: int | None) -> None:
        self.pushes.push(LogPlace(group, epoch, 1), partial(self.note, name))

    def pass_on(self, name: str, group: int, epoch: int, by_roster: bool = False) -> None:
        self.pushes.pass_on(LogPlace(group, epoch, 1), partial(self.note, name), by_roster)

    def names(self) -> str:
        found, self.pushed = "".join(name for name, _, _ in self.pushed), []
        return found

    def keep(self, *args: int) -> None:
        self.assertTrue(self.rosters.keep(roster(*args), self.rosters.doubts))

    def test_roster_is_recent(self) -> None:
        """Nothing is read."""
        self.keep(5, 3, ANA, BUDI)
        self.push("a", 5, 2)
        self.push("b", 5, 3)
        both = [ANA, BUDI]
        self.assertEqual((self.pushed, self.reads.asked), ([("a", both, 3), ("b", both, 3)], []))

    def test_roster_is_older(self) -> None:
        """The roster is read first, and later pushes wait for their turn. Other groups do not wait."""
        self.keep(5, 3, ANA, BUDI)
        self.keep(6, 1, BUDI)
        self.push("a", 5, 4)
        self.push("b", 5, 3)
        self.push("c", 6, 1)
        self.assertEqual(self.names(), "c")
        # The next query checks pushes that were held after this one had begun.
        self.push("d", 5, 5)
        self.assertEqual(self.reads.answer(roster(5, 4, ANA)), ([5], {5: 3}))
        self.assertEqual(self.pushed, [("a", [ANA], 4)])
        self.assertEqual(self.reads.answer(roster(5, 5, ANA, BUDI)), ([5], {5: 4}))
        self.assertEqual(
            [(name, epoch) for name, _, epoch in self.pushed[1:]], [("b", 5), ("d", 5)]
        )
        self.assertEqual((self.reads.asked, self.clock.getDelayedCalls()), ([], []))

    def test_unknown_epoch(self) -> None:
        self.keep(5, 3, ANA)
        self.push("a", 5, None)
        self.assertEqual(self.pushed, [])
        self.reads.answer()  # the epoch is the same
        self.assertEqual(self.pushed, [("a", [ANA], 3)])

    def test_told(self) -> None:
        """What other nodes push is passed on as it is, unless the group has changed since."""
        self.pass_on("a", 5, 3)
        self.keep(5, 3, ANA, BUDI)
        self.pass_on("b", 5, 3)
        self.pass_on("c", 5, 4)  # its node knows a later roster
        self.assertEqual([each[1] for each in self.pushed], [None] * 3)
        self.keep(5, 6, ANA)
        self.pass_on("d", 5, 5)
        self.assertEqual(self.pushed[3], ("d", [ANA], 6))

    def test_told_late(self) -> None:
        """It arrives after the news of a change: the group is read."""
        there = RosterCache(Context(*self.context_of(self.other)))
        there.apply(Delta(5, banned=("budi",), epoch=4))
        self.pass_on("a", 5, 3)
        self.assertEqual(self.pushed, [])
        self.reads.answer(roster(5, 4, ANA))
        self.assertEqual(self.pushed, [("a", [ANA], 4)])

    def context_of(self, bus: MemoryBus) -> tuple[Any, ...]:
        mine = self.context
        return mine.config, mine.clock, mine.wall, mine.database, same_bytes(), Counters(), bus

    def test_told_by_roster(self) -> None:
        """Members of a large group are not listed: a node knows or reads them."""
        self.keep(5, 3, ANA, BUDI)
        self.pass_on("a", 5, 3, by_roster=True)
        self.pass_on("b", 5, 4, by_roster=True)
        self.assertEqual(self.pushed, [("a", [ANA, BUDI], 3)])
        self.reads.answer(roster(5, 4, ANA))
        self.assertEqual(self.pushed[1], ("b", [ANA], 4))

    def test_quiet(self) -> None:
        """A node that does not hear the others asks the database about each push of another one."""
        self.keep(5, 3, ANA, BUDI)
        self.bus.quiet = QUIET + 0.1
        self.pass_on("a", 5, 3)
        self.assertEqual(self.pushed, [])
        self.assertEqual(self.reads.answer(), ([5], {5: 3}))
        self.assertEqual(self.pushed, [("a", [ANA, BUDI], 3)])
        self.pass_on("b", 5, 3)
        self.reads.answer(roster(5, 4, ANA))
        self.assertEqual(self.pushed[1], ("b", [ANA], 4))

    def test_news_were_lost(self) -> None:
        """Rosters stay in memory, and each is checked once."""
        self.keep(5, 3, ANA)
        self.other.lost = True
        self.other.publish(b"")
        self.clock.advance(0)
        self.pass_on("a", 5, 3)
        self.assertEqual(self.reads.answer(), ([5], {5: 3}))
        self.pass_on("b", 5, 3)
        self.assertEqual(self.names(), "ab")

    def test_failed(self) -> None:
        """The query is tried again. Pushes that wait for too long are dropped."""
        self.push("a", 5, 1)
        self.reads.fail()
        self.push("b", 6, 1)
        self.reads.fail()
        self.assertEqual(self.reads.asked, [])
        self.clock.advance(RETRY)
        self.reads.answer(roster(5, 1, ANA))
        self.assertEqual(self.names(), "a")
        self.clock.advance(PATIENCE)  # in which the query is not answered
        self.reads.fail()
        self.clock.advance(RETRY)
        self.assertEqual((self.pushes.dropped, self.pushes._held), (1, {}))
        self.assertEqual((self.reads.asked, self.clock.getDelayedCalls()), ([], []))

    def test_database_is_behind(self) -> None:
        """A database that lacks committed changes, as after a failover, is asked again only after a pause."""
        self.push("a", 5, 2)
        for _ in range(group_pushes.MAX_ROUNDS):
            self.reads.answer(roster(5, 1, ANA))
        self.assertEqual((self.pushed, self.reads.asked), ([], []))
        self.clock.advance(RETRY)
        self.reads.answer(roster(5, 2, ANA))
        self.assertEqual(self.names(), "a")

    def test_too_many(self) -> None:
        """The group with most pushes loses them, and the others do not."""
        self.patch(group_pushes, "MAX_HELD", 5)
        self.push("a", 5, 1)
        for _ in range(5):
            self.push("x", 6, 1)
        self.push("b", 5, 1)
        self.assertEqual(self.pushes.dropped, 5)
        self.reads.answer()
        self.reads.answer(roster(5, 1, ANA))
        self.assertEqual(self.names(), "ab")

    def test_dropped_meanwhile(self) -> None:
        """Pushes after dropped ones do not go to the members that the query for the dropped ones finds."""
        self.patch(group_pushes, "MAX_HELD", 2)
        for _ in range(3):
            self.push("x", 5, 4)
        self.assertEqual(self.pushes.dropped, 3)
        self.push("a", 5, 5)
        self.reads.answer(roster(5, 4, ANA, BUDI))
        self.assertEqual(self.pushed, [])
        self.reads.answer(roster(5, 5, ANA))
        self.assertEqual(self.pushed, [("a", [ANA], 5)])

    def test_failing(self) -> None:
        """A push that fails does not stop the others."""
        self.pushes.push(LogPlace(5, 1, 1), Mock(side_effect=ValueError))
        self.push("a", 5, 1)
        self.reads.answer(roster(5, 1, ANA))
        self.reads.answer()
        self.assertEqual(self.names(), "a")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_random(self) -> None:
        """Whenever rosters are read, each entry is pushed once, in the order of its group, to a roster that
        is as new as the entry."""
        for seed in range(50):
            self.setUp()
            random = Random(seed)  # noqa: S311 - for a test
            epochs, sent = {5: 1, 6: 1}, {5: list[str](), 6: list[str]()}
            for number in range(40):
                group = random.choice((5, 6))
                match random.randrange(4):
                    case 0:
                        epochs[group] += 1
                    case 1 if self.reads.asked:
                        self.answer_now(epochs)
                    case _:
                        name = f"{group} {number}"
                        sent[group].append(name)
                        random.choice((self.push, self.pass_on))(name, group, epochs[group])
            while self.reads.asked:
                self.answer_now(epochs)
            for group, names in sent.items():
                found = [name for name, _, _ in self.pushed if name.startswith(f"{group} ")]
                self.assertEqual(found, names, seed)

    def answer_now(self, epochs: dict[int, int]) -> None:
        groups, known, _ = self.reads.asked[0]
        self.reads.answer(
            *(roster(each, epochs[each]) for each in groups if known.get(each) != epochs[each])
        )


class AtTwoNodes(TwoServices):
    """ana and budi are in a group. Both listen at both nodes."""

    def setUp(self) -> None:
        super().setUp()
        self.ana, self.budi = self.account("ana"), self.account("budi")
        self.name = Address("g")
        result_of(self.here.groups.create(self.ana, "g"))
        result_of(self.here.groups.join(self.budi, self.name))
        self.listeners = {
            (account.name, number): self.listen(service, account)
            for number, service in enumerate((self.here, self.there))
            for account in (self.ana, self.budi)
        }
        for service in (self.here, self.there):
            result_of(service.rosters.find_mine(self.budi, self.name))
        self.conversation = self.here.rosters.cached("g").group.id  # type: ignore[union-attr]

    def listen(self, service: ChatService, account: Account) -> FakeClient:
        client = FakeClient()
        listener = cast(IListener, client)
        service.presence.arrive(account.id, listener)
        service.presence.listen(account.id, listener, True, True)
        return client

    def texts(self, who: str, node: int) -> list[str | None]:
        self.settle()
        got = self.listeners[who, node].got
        return [each.text for each in got if isinstance(each, Message | Edited)]

    def settle(self) -> None:
        for _ in range(3):
            self.clock.advance(0)

    def post(self, service: ChatService, text: str, sender: Account | None = None) -> Any:
        return result_of(service.messages.post(sender or self.ana, self.name, text, None))

    def kick(self, service: ChatService) -> None:
        result_of(service.groups.kick(self.ana, self.name, Address("budi")))

    def test_messages_cross(self) -> None:
        self.post(self.here, "1")
        self.post(self.there, "2")
        for key in self.listeners:
            self.assertEqual(self.texts(*key), ["1", "2"], key)

    def test_kicked(self) -> None:
        """No node pushes later entries to the kicked member, even if no other node has heard of the kick."""
        self.buses[0].silent = True
        self.kick(self.here)
        self.post(self.there, "1")
        self.buses[0].silent = False
        self.post(self.here, "2")
        for node in (0, 1):
            self.assertEqual(self.texts("budi", node), [])
            self.assertEqual(self.texts("ana", node), ["1", "2"])

    def test_told_to_those_who_were_kicked_since(self) -> None:
        """A node that hears no other one asks the database before it passes on entries."""
        held: list[Callable[[], object]] = []
        news = self.there.context.news
        real = news._arrived
        self.buses[1]._on_message[:] = [lambda *each: held.append(partial(real, *each))]
        self.post(self.here, "1")
        self.settle()
        self.kick(self.here)
        self.settle()
        events, self.buses[1].quiet = held[:1], QUIET + 0.1
        for each in events:
            each()
        self.assertEqual((self.texts("ana", 1), self.texts("budi", 1)), (["1"], []))

    def test_changes(self) -> None:
        """Other pushes of a group are checked, too."""
        sent = self.post(self.here, "1")
        self.texts("budi", 1)
        self.buses[0].silent = True
        self.kick(self.here)
        seq = sent.receipts[0].seq
        result_of(self.there.changes.change(self.ana, self.conversation, seq, Edit("2"), None))
        result_of(self.there.groups.settings.set(self.ana, self.name, {"title": "new"}))
        self.assertEqual(self.texts("budi", 1), ["1"])
        self.assertEqual(self.texts("ana", 1), ["1", "2"])
        got = [type(each) for each in self.listeners["budi", 1].got]
        self.assertNotIn("GroupChange", [each.__name__ for each in got])

    def test_joined(self) -> None:
        """A member who has joined at another node gets later entries."""
        self.kick(self.here)
        self.buses[0].silent = True
        result_of(self.here.groups.invite(self.ana, self.name, [Address("budi")]))
        self.post(self.there, "1")
        self.assertEqual(self.texts("budi", 1), ["1"])

    def test_large_group(self) -> None:
        """Its members are not listed on the bus."""
        from chatd.service import node_events

        self.patch(node_events, "MAX_LISTED", 1)
        self.buses[0].published.clear()
        self.post(self.here, "1")
        self.assertEqual((self.texts("ana", 1), self.texts("budi", 1)), (["1"], ["1"]))
        self.buses[0].silent = True
        self.kick(self.here)
        self.buses[0].silent = False
        self.post(self.here, "2")
        self.assertEqual((self.texts("ana", 1), self.texts("budi", 1)), (["1", "2"], ["1"]))

    def test_reads_after_a_kick(self) -> None:
        """No node reads anything for someone who was kicked, although it believes that they are a member."""
        seq = self.post(self.here, "said before").receipts[0].seq
        there, budi, place = self.there, self.budi, self.conversation
        named = Place(None, self.name)
        reads: dict[str, Callable[[], Any]] = {
            "history": lambda: there.reading.history(budi, place, 10),
            "history by name": lambda: there.reading.history(budi, named, 10),
            "around": lambda: there.reading.history(budi, named, 10, Window(around=seq)),
            "inbox": lambda: there.reading.inbox(budi, UNFILTERED, {}),
            "inbox of it": lambda: there.reading.inbox(budi, InboxFilter(place=named), {}),
            "newest": lambda: there.reading.newest(budi, named, {}),
            "unread": lambda: there.reading.unread(budi, {}),
            "search": lambda: there.reading.search(budi, "said"),
            "search in it": lambda: there.reading.search(budi, "said in:#g"),
            "sync": lambda: there.sync.one(budi, place, Cursor(), 10),
            "logs": lambda: there.sync.all(budi),
            "pins": lambda: there.changes.pins(budi, named),
            "readers": lambda: there.receipts.readers(budi, place, seq),
            "conversations": lambda: there.conversations.all(budi, {}),
        }
        before = {name: repr(outcome_of(read())) for name, read in reads.items()}
        self.buses[0].silent = True
        self.kick(self.here)
        self.post(self.here, "secret")
        self.assertIn(budi.id, there.rosters.cached("g").members)  # type: ignore[union-attr]
        for name, read in reads.items():
            found = repr(outcome_of(read()))
            self.assertNotEqual(found, before[name], name)
            for content in ("said before", "secret", "'g'"):
                self.assertNotIn(content, found, name)

    def test_told_of_the_kick(self) -> None:
        self.kick(self.here)
        self.settle()
        for node in (0, 1):
            got = self.listeners["budi", node].got
            told = [
                each for each in got if isinstance(each, MemberChange) and each.what == "kicked"
            ]
            self.assertEqual([each.removed for each in told], [True])

    def test_random(self) -> None:
        """Kicks, joins and messages at either node, while the bus loses messages at random. Each person gets
        only entries that they may read, in the order of the log."""
        for seed in range(3):
            self.tearDown()
            self.setUp()
            self.run_at_random(Random(seed))  # noqa: S311 - for a test

    def run_at_random(self, random: Random) -> None:
        nodes = (self.here, self.there)
        may: dict[str, bool] = {}  # the texts, and whether budi was a member
        for number in range(25):
            for bus in self.buses:
                bus.silent, bus.lost = random.random() < 0.3, random.random() < 0.2
                bus.quiet = random.choice((0.0, QUIET + 0.1))
            node = random.choice(nodes)
            members = result_of(node.database.read(member_ids, self.conversation))
            try:
                match random.randrange(4):
                    case 0 if self.budi.id in members:
                        self.kick(node)
                    case 0 | 1 if self.budi.id not in members:
                        result_of(node.groups.invite(self.ana, self.name, [Address("budi")]))
                    case _:
                        self.post(node, str(number), random.choice((self.ana, self.budi)))
                        may[str(number)] = self.budi.id in members
            except ChatError:
                self.assertNotIn(self.budi.id, members)
            self.settle()
        for (who, _), listener in self.listeners.items():
            got = [each for each in listener.got if isinstance(each, Message)]
            self.assertEqual(sorted(got, key=lambda each: each.seq), got)
            self.assertEqual(len({each.seq for each in got}), len(got))
            if who == "budi":
                self.assertEqual([each.text for each in got if not may[each.text or ""]], [])
        page = result_of(self.here.sync.one(self.ana, self.conversation, Cursor(), 500))
        stored = [each.text for each in page.entries if isinstance(each, Message)]
        self.assertEqual(stored, list(may))
