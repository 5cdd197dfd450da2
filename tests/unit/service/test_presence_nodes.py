"""Who is online in a realm of several nodes, and who is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from unittest.mock import Mock

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.events import Event, PresenceChange
from chatd.service.node_events import NodeEvents
from chatd.service.node_news import NodeNews
from chatd.service.online_accounts import AWAY, OFFLINE, ONLINE
from chatd.service.presence import IListener, Presence
from chatd.service.presence_elsewhere import PresenceElsewhere
from chatd.service.presence_news import GRACE, INTERVAL, PresenceNews
from chatd.service.presence_nodes import PresenceNodes
from chatd.service.soft_state import ASK_AGAIN, BETWEEN, MAX_ASKED, PAGE
from chatd.store.database import Database
from chatd.store.watchers import Watched
from tests.support.buses import MemoryBus

ANA, BUDI = 1, 2


class OneWatcher:
    """Replaces the database: BUDI is told of everybody."""

    def read(self, _find: object, account_id: int, _realms: Sequence[str]) -> Deferred[Watched]:
        return succeed(Watched(f"user{account_id}", f"user{account_id}", frozenset({BUDI})))


class Connection:
    def __init__(self) -> None:
        self.got: list[Event] = []

    def deliver(self, some: Sequence[Event]) -> None:
        self.got += [each for each in some if cast(Any, each).who == "user1"]

    def drop(self) -> None:
        raise AssertionError


class Node:
    """A node with a connection of BUDI that follows all events."""

    def __init__(self, name: str, buses: list[MemoryBus], clock: Clock) -> None:
        self.name, self.clock = name, clock
        self.bus = MemoryBus(name, buses)
        self.presence = Presence()
        self.presence.on_waiting(lambda: clock.callLater(0, self.presence.flush))
        self.news = NodeNews(self.bus, clock)
        self.news.name = name
        NodeEvents(self.news, self.presence, Mock())
        self.realms = Mock(hears_presence=lambda _realm: True)
        self.elsewhere = PresenceElsewhere(clock, self.realms)
        database = cast(Database, OneWatcher())
        self.told = PresenceNews(clock, database, self.presence, self.elsewhere)
        self.told.share(self.news)
        self.nodes = PresenceNodes(self.news, clock, self.presence)
        self.follower = self.connect(BUDI)
        self.presence.listen(BUDI, cast(IListener, self.follower), True, True)
        self.bus.on_gap(lambda _node: self.presence.set_elsewhere(True))

    def connect(self, account: int) -> Connection:
        connection = Connection()
        self.presence.arrive(account, cast(IListener, connection))
        return connection

    def leave(self, account: int, connection: Connection) -> None:
        self.presence.leave(account, cast(IListener, connection))

    @property
    def heard(self) -> list[str]:
        """The states of ANA that BUDI was told here."""
        heard = [cast(PresenceChange, each).state for each in self.follower.got]
        self.follower.got.clear()
        return heard


class PresenceAtNodes(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        buses: list[MemoryBus] = []
        self.nodes = [Node(name, buses, self.clock) for name in ("one", "two", "three")]
        self.one, self.two, self.three = self.nodes
        for node in self.nodes:
            node.bus.start(node.name, 1)
        self.settle()
        for node in self.nodes:
            self.assertEqual(node.heard, [])

    def settle(self, seconds: float = GRACE + 2 * INTERVAL) -> None:
        for _ in range(int(seconds / 0.25) + 1):
            self.clock.advance(0.25)

    def soon(self) -> None:
        self.clock.pump([0] * 8)

    def states(self, account: int = ANA) -> list[str]:
        return [node.presence.state(account) for node in self.nodes]

    def heard(self) -> list[list[str]]:
        return [node.heard for node in self.nodes]

    def test_come_and_go(self) -> None:
        """All nodes show it at once, and each listener is told once."""
        connection = self.one.connect(ANA)
        self.soon()
        self.assertEqual(self.states(), [ONLINE] * 3)
        self.assertTrue(all(node.presence.is_online(ANA) for node in self.nodes))
        self.assertTrue(all(ANA in node.presence.online() for node in self.nodes))
        self.settle()
        self.assertEqual(self.heard(), [[ONLINE]] * 3)
        self.one.leave(ANA, connection)
        self.soon()
        self.assertEqual(self.states(), [OFFLINE] * 3)
        self.settle()
        self.assertEqual(self.heard(), [[OFFLINE]] * 3)

    def test_two_nodes(self) -> None:
        """An account is online until it has gone from both, and nothing is told before."""
        first = self.one.connect(ANA)
        self.settle()
        second = self.two.connect(ANA)
        self.settle()
        self.assertEqual(self.heard(), [[ONLINE]] * 3)
        self.one.leave(ANA, first)
        self.settle()
        self.assertEqual((self.states(), self.heard()), ([ONLINE] * 3, [[]] * 3))
        self.two.leave(ANA, second)
        self.settle()
        self.assertEqual((self.states(), self.heard()), ([OFFLINE] * 3, [[OFFLINE]] * 3))

    def test_both_at_once(self) -> None:
        """Each of two nodes that lose an account thinks that it is at the other one. One tells it."""
        connections = [node.connect(ANA) for node in (self.one, self.two)]
        self.settle()
        self.heard()
        for node, connection in zip((self.one, self.two), connections, strict=True):
            node.leave(ANA, connection)
        self.settle()
        self.assertEqual(self.heard(), [[OFFLINE]] * 3)

    def test_another_node_within_the_grace(self) -> None:
        """A client that connects to another node was never offline for others."""
        first = self.one.connect(ANA)
        self.settle()
        self.heard()
        self.one.leave(ANA, first)
        self.soon()
        self.two.connect(ANA)
        self.settle()
        for heard in self.heard():
            self.assertNotIn(OFFLINE, heard)
        self.assertEqual(self.states(), [ONLINE] * 3)

    def test_away(self) -> None:
        """It holds for the account at all nodes, and can be ended at any."""
        first = self.one.connect(ANA)
        self.two.connect(ANA)
        self.settle()
        self.heard()
        self.one.presence.set_away(ANA, True)
        self.settle()
        self.assertEqual((self.states(), self.heard()), ([AWAY] * 3, [[AWAY]] * 3))
        self.three.connect(ANA)
        self.one.leave(ANA, first)
        self.settle()
        self.assertEqual((self.states(), self.heard()), ([AWAY] * 3, [[]] * 3))
        self.three.presence.set_away(ANA, False)
        self.settle()
        self.assertEqual((self.states(), self.heard()), ([ONLINE] * 3, [[ONLINE]] * 3))

    def test_idle(self) -> None:
        """Only who is idle at all of their nodes is away."""
        for node in (self.one, self.two):
            node.connect(ANA)
        self.soon()
        self.one.presence.set_idle(ANA, True)
        self.soon()
        self.assertEqual(self.states(), [ONLINE] * 3)
        self.two.presence.set_idle(ANA, True)
        self.soon()
        self.assertEqual(self.states(), [AWAY] * 3)
        self.one.presence.set_idle(ANA, False)
        self.soon()
        self.assertEqual(self.states(), [ONLINE] * 3)

    def test_hidden(self) -> None:
        self.one.connect(ANA)
        self.settle()
        self.heard()
        self.one.presence.hide((ANA,))
        for node in (self.two, self.three):
            node.presence.hear_hidden(ANA, True)
        self.settle()
        self.assertEqual((self.states(), self.heard()), ([OFFLINE] * 3, [[OFFLINE]] * 3))
        self.assertEqual(self.two.presence.own_state(ANA), ONLINE)
        self.assertNotIn(ANA, self.two.presence.online())

    def test_loss(self) -> None:
        """What was lost comes with a snapshot, and is told to those who missed it."""
        for bus in (node.bus for node in self.nodes):
            bus.lost = True
        self.one.connect(ANA)
        self.settle(1)
        self.assertEqual(self.states(), [ONLINE, OFFLINE, OFFLINE])
        for bus in (node.bus for node in self.nodes):
            bus.lost = False
        self.settle(ASK_AGAIN + BETWEEN + 3 * INTERVAL)
        self.assertEqual(self.states(), [ONLINE] * 3)
        self.assertEqual(self.heard(), [[ONLINE]] * 3)

    def test_node_that_joins(self) -> None:
        """It asks for snapshots, which have several pages, and do not lose what changes meanwhile."""
        listener = cast(IListener, Connection())
        for account in range(10, 10 + 2 * PAGE):
            self.one.presence.arrive(account, listener)
        self.soon()
        late = Node("late", self.one.bus._all, self.clock)
        late.bus.start("late", 2)
        self.clock.pump([0] * 3)
        self.one.presence.leave(10 + 2 * PAGE - 1, listener)
        self.one.presence.leave(10, listener)
        self.one.connect(ANA)
        self.settle()
        self.assertEqual(set(late.presence.online()), set(self.one.presence.online()))
        self.assertEqual(len(late.presence.online()), 2 * PAGE)
        self.assertEqual(late.presence.online(), self.two.presence.online())

    def test_dead_node(self) -> None:
        """Its people are gone, unless they are at another node, and each listener is told once."""
        self.one.connect(ANA)
        self.one.connect(7)
        self.two.connect(7)
        self.settle()
        self.heard()
        self.one.bus.stop()
        for node in (self.two, self.three):
            node.news.gone("one")
        self.assertEqual(self.states()[1:], [OFFLINE] * 2)
        self.assertEqual(self.states(7)[1:], [ONLINE] * 2)
        self.settle()
        self.assertEqual(self.heard()[1:], [[OFFLINE]] * 2)

    def test_people_of_a_dead_node_come_back(self) -> None:
        """Within the grace nobody sees them go."""
        self.one.connect(ANA)
        self.settle()
        self.heard()
        self.one.bus.stop()
        for node in (self.two, self.three):
            node.news.gone("one")
        self.two.connect(ANA)
        self.settle()
        self.assertEqual(self.heard()[1:], [[ONLINE]] * 2)

    def test_silent_node(self) -> None:
        """A node that answers no question counts as gone."""
        self.one.connect(ANA)
        self.settle()
        self.one.bus.stop()
        self.two.bus.tell_gap("one")
        self.assertEqual(self.two.presence.state(ANA), ONLINE)
        self.settle(ASK_AGAIN * (MAX_ASKED + 1))
        self.assertEqual(self.two.presence.state(ANA), OFFLINE)

    def test_node_that_was_silent_for_long(self) -> None:
        """It is asked again after its silence, also if the first question then is lost."""
        self.three.bus.stop()  # others hear answers to its questions
        self.one.connect(ANA)
        self.settle()
        for bus in (self.one.bus, self.two.bus):
            bus.lost = True
        for _ in range(2 * MAX_ASKED):
            self.two.bus.tell_gap("one")
            self.settle(ASK_AGAIN)
        self.assertEqual(self.two.presence.state(ANA), OFFLINE)
        self.one.bus.lost = False
        self.two.bus.tell_gap("one")
        self.settle(ASK_AGAIN)
        self.assertEqual(self.two.presence.state(ANA), OFFLINE)
        self.two.bus.lost = False
        self.settle(2 * ASK_AGAIN)
        self.assertEqual(self.two.presence.state(ANA), ONLINE)

    def test_other_realms(self) -> None:
        """The node with the link to a realm tells it what happens at the others."""
        self.three.elsewhere.linked("utara")
        self.three.elsewhere.asked("utara", ["user1"])
        self.one.connect(ANA)
        self.settle()
        told = [call.args for call in self.three.realms.presence_changed.call_args_list]
        states = [(realm, each.user, each.state) for realm, some in told for each in some]
        self.assertEqual(states, [("utara", "user1", ONLINE)])
        self.assertEqual(self.heard(), [[ONLINE]] * 3)

    def test_alone(self) -> None:
        """Nothing is published without other nodes."""
        alone = Node("alone", [], self.clock)
        alone.connect(ANA)
        alone.presence.set_away(ANA, True)
        published = alone.bus.published
        self.soon()
        self.assertEqual(published, [])
