"""What nodes tell each other over the bus: topics, and events for the listeners of all nodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, cast, get_args
from unittest.mock import Mock

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base import events
from chatd.base.events import Closing, Event
from chatd.base.model import Message
from chatd.cluster.bus import MAX_BUS_MESSAGE
from chatd.cluster.local_bus import LocalBus
from chatd.service import node_events
from chatd.service.node_events import NodeEvents
from chatd.service.node_news import QUIET, NodeNews
from chatd.service.presence import IListener, Presence
from tests.support.buses import MemoryBus


class Topics(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        buses: list[MemoryBus] = []
        self.buses = [MemoryBus(name, buses) for name in ("one", "two", "three")]
        self.news = [NodeNews(bus, self.clock) for bus in self.buses]

    def topics(self, name: str, kind: Any) -> tuple[list[Any], list[list[Any]]]:
        """Register a topic at all nodes. Returns the functions that tell, and what each node has heard."""
        heard: list[list[Any]] = [[] for _ in self.news]
        tell = [
            each.topic(name, kind, found.append, partial(found.append, "reset"))
            for each, found in zip(self.news, heard, strict=True)
        ]
        return tell, heard

    def test_told(self) -> None:
        """The others hear it, and not the one that tells it."""
        tell, heard = self.topics("numbers", tuple[int, str])
        tell[1]((5, "a"))
        self.assertEqual(heard, [[(5, "a")], [], [(5, "a")]])

    def test_lost(self) -> None:
        """All topics are reset, once for many gaps."""
        tell, heard = self.topics("numbers", int)
        _, others = self.topics("names", str)
        self.buses[0].lost = True
        tell[0](1)
        tell[0](2)
        self.clock.advance(0)
        self.assertEqual([heard, others], [[[], ["reset"], ["reset"]]] * 2)

    def test_to_one_node(self) -> None:
        """Only that node hears it, and from whom. If it is lost, no topic is reset."""
        heard: list[list[Any]] = [[] for _ in self.news]

        def note(to: list[Any], node: str, value: int) -> None:
            to.append((node, value))

        tell = [
            each.direct_topic("asked", int, partial(note, found))
            for each, found in zip(self.news, heard, strict=True)
        ]
        tell[0]("two", 5)
        self.buses[0].lost = True
        tell[0]("two", 6)
        self.clock.advance(0)
        self.assertEqual(heard, [[], [("one", 5)], []])
        alone = NodeNews(LocalBus(), self.clock)
        alone.direct_topic("asked", int, lambda *_: self.fail("there is nobody"))("two", 1)

    def test_unreadable(self) -> None:
        """A message that can't be decoded resets its topic: something may have changed."""
        _, heard = self.topics("numbers", int)
        for message in (
            b"",
            b"\xc1",
            msgspec.msgpack.encode(("numbers", "a")),
            msgspec.msgpack.encode(5),
        ):
            self.buses[0].publish(message)
            self.clock.advance(0)
            self.assertEqual(heard[1].pop(), "reset")

    def test_unknown_topic(self) -> None:
        """A later version may have it."""
        _, heard = self.topics("numbers", int)
        self.buses[0].publish(msgspec.msgpack.encode(("later", {"a": 1})))
        self.clock.advance(0)
        self.assertEqual(heard, [[], [], []])

    def test_failing(self) -> None:
        """A part that fails does not keep others from hearing and forgetting."""

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        tell = self.news[0].topic("numbers", int, fail, fail)
        self.news[1].topic("numbers", int, fail, fail)
        _, heard = self.topics("names", str)
        tell(1)
        self.news[1].reset_soon()
        self.clock.advance(0)
        self.assertEqual(heard[1], ["reset"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_twice(self) -> None:
        self.topics("numbers", int)
        self.assertRaises(ValueError, self.topics, "numbers", int)


class Listener:
    """A connection that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[Event] = []

    def deliver(self, some: Sequence[Event]) -> None:
        self.got += some

    def drop(self) -> None:
        raise AssertionError


class Told(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        buses: list[MemoryBus] = []
        self.buses = [MemoryBus(name, buses) for name in ("one", "two")]
        self.presences = [self.node(bus) for bus in self.buses]

    def node(self, bus: MemoryBus) -> Presence:
        presence = Presence()
        presence.on_waiting(lambda: self.clock.callLater(0, presence.flush))
        presence.set_elsewhere(True)
        NodeEvents(NodeNews(bus, self.clock), presence, Mock())
        return presence

    def listen(self, node: int, account: int, all_events: bool = False) -> Listener:
        listener = Listener()
        connection = cast(IListener, listener)
        self.presences[node].arrive(account, connection)
        self.presences[node].listen(account, connection, True, all_events)
        return listener

    def test_each_kind(self) -> None:
        """Every event arrives at the other node as it was."""
        followers = [self.listen(node, 1, all_events=True) for node in range(2)]
        told: list[Event] = [
            Message(1, 2, 3, 4, "ana", text="halo", mentions=("budi",)),
            events.GroupChange(1, 2, "g", 3, "ana", {"title": None, "open": True}),
            events.ConversationChange(1, user="budi"),
            *(self.sample(kind) for kind in get_args(Event) if kind is not Closing),
        ]
        for event in told:
            self.presences[0].tell((1,), event, None)
        self.presences[0].flush()
        self.clock.advance(0)
        self.assertEqual(followers[1].got, told)
        self.assertEqual(followers[0].got, told)

    def sample(self, kind: Any) -> Event:
        """An event of this class with a value of its type in each field that has no default."""
        values = {
            field.name: VALUES[field.type]
            for field in msgspec.structs.fields(kind)
            if field.required
        }
        event: Event = kind(**values)
        return event

    def test_origin(self) -> None:
        """The connection that caused an event does not get it, and others of its account do."""
        near, far = self.listen(0, 1), self.listen(1, 1)
        event = Message(1, 2, 3, 4, "ana")
        self.presences[0].tell((1,), event, cast(IListener, near))
        self.presences[0].flush()
        self.clock.advance(0)
        self.assertEqual((near.got, far.got), ([], [event]))

    def test_followers(self) -> None:
        """An event for followers only reaches no other listener, also if its own node has no followers."""
        plain, follower = self.listen(1, 1), self.listen(1, 1, all_events=True)
        event = events.Typing(1, "ana")
        self.assertTrue(self.presences[0].anyone_follows)
        self.assertEqual(self.presences[0].followers_of({1}), [1])
        self.presences[0].tell_followers({1}, event, None)
        self.clock.advance(0)
        self.assertEqual((plain.got, follower.got), ([], [event]))

    def test_once(self) -> None:
        """A node does not tell others the events that it has heard."""
        listeners = [self.listen(node, 1) for node in range(2)]
        self.presences[0].tell({1}, Message(1, 2, 3, 4, "ana"), None)
        self.presences[0].flush()
        self.clock.advance(0)
        self.presences[1].flush()
        self.clock.advance(0)
        self.assertEqual([len(each.got) for each in listeners], [1, 1])

    def test_unreadable(self) -> None:
        """An event that can't be read does not keep those beside it from listeners."""

        def fail(_event: object) -> Event:
            raise ValueError("of another version")

        listener = self.listen(1, 1)
        self.patch(node_events, "_decoders", {**node_events._decoders, "Deleted": fail})
        told = [Message(1, 2, 3, 4, "ana"), self.sample(events.Deleted), Message(2, 2, 4, 4, "ana")]
        for event in told:
            self.presences[0].tell({1}, event, None)
        self.presences[0].flush()
        self.clock.advance(0)
        self.assertEqual(listener.got, [told[0], told[2]])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_large_group(self) -> None:
        """Who is among many accounts is found without going through them for each listener."""
        self.listen(1, 5)
        given: list[Collection[int]] = []
        self.patch(self.presences[1], "hear", lambda accounts, *_: given.append(accounts))
        self.presences[0].tell(range(10_000), Message(1, 2, 3, 4, "ana"), None)
        self.presences[0].flush()
        self.assertEqual(given, [frozenset(range(10_000))])

    def test_many_events(self) -> None:
        """Many events for many accounts are several messages, none of them too large for the bus, and each
        names the accounts once."""
        listener = self.listen(1, 5)
        group = set(range(10_000))
        told = [Message(number, 2, number, 4, "ana", text="x" * 1000) for number in range(400)]
        for event in told:
            self.presences[0].tell(group, event, None)
        self.presences[0].flush()
        self.clock.advance(0)
        self.assertEqual(listener.got, told)
        sizes = [len(each) for each in self.buses[0].published]
        self.assertLess(max(sizes), MAX_BUS_MESSAGE / 4)
        self.assertLess(sum(sizes), 400 * 1100 + len(sizes) * 60_000)
        self.assertLess(len(sizes), 10)

    def test_alone(self) -> None:
        """Without other nodes nothing is told."""
        self.presences[0].set_elsewhere(False)
        listener = self.listen(1, 1)
        self.presences[0].tell({1}, Message(1, 2, 3, 4, "ana"), None)
        self.presences[0].flush()
        self.clock.advance(0)
        self.assertEqual(listener.got, [])
        self.assertFalse(self.presences[0].anyone_follows)


VALUES: dict[Any, object] = {
    int: 7,
    str: "ana",
    bool: True,
    str | None: "budi",
    dict[str, str | bool | None]: {"title": "a", "open": True, "topic": None},
}


class Quiet(SynchronousTestCase):
    def test_watched(self) -> None:
        """While other nodes are not heard, all topics are read from the database within a second,
        repeatedly."""
        clock, buses = Clock(), list[MemoryBus]()
        bus = MemoryBus("one", buses)
        news, resets = NodeNews(bus, clock), list[float]()
        news.topic("things", int, lambda _: None, lambda: resets.append(clock.seconds()))
        news.watch()
        clock.pump([0.25] * 8)
        self.assertEqual(resets, [])
        bus.quiet = QUIET + 0.1
        clock.pump([0.25] * 8)
        self.assertGreaterEqual(len(resets), 4)
        news.end()
        self.assertEqual(clock.getDelayedCalls(), [])
