"""Realms on several nodes in the simulator: their database, the bus, and the promises that are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.base.model import Message
from chatd.commands import values as ask
from chatd.simulate.network import outcome
from chatd.simulate.node_promises import NodePromises
from chatd.simulate.nodes import SimulatedNode
from chatd.simulate.records import Violation
from chatd.simulate.roaming import RoamingPerson
from chatd.simulate.runs import SimulationOptions, simulate
from chatd.simulate.world import StagedGroup, World
from chatd.store import nodes
from chatd.store.schema import nodes as nodes_table
from chatd.store.schema import settings
from chatd.store.settings import put_setting


class NodesTestCase(SynchronousTestCase):
    """A world whose first realm has three nodes."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.world = World(3, folder, 2, nodes=3)
        self.network = self.world.network
        self.addCleanup(self.network.close)
        self.shared = self.world.shared["realm1"]
        self.one, self.two, self.three = self.shared.nodes
        self.promises = NodePromises(self.world)

    def run_job(self, node: SimulatedNode, job: Any, *args: Any) -> Any:
        return self.network.result(node.realm.database.run(job, *args))

    def put(self, node: SimulatedNode, name: str) -> None:
        """Let a node change something."""

        def job(connection: Connection) -> None:
            connection.execute(sa.insert(settings).values(name=name, value=""))

        self.run_job(node, job)

    def rows(self, *columns: sa.ColumnElement[Any]) -> list[tuple[Any, ...]]:
        query = sa.select(*columns)
        rows = self.one.realm.database.now(lambda db: db.execute(query).all())
        return [tuple(row) for row in rows]


class SharedDatabase(NodesTestCase):
    def test_turns(self) -> None:
        """A node drops its caches after another one has changed something, and only then."""
        self.network.settle()
        renewed: list[bool] = []
        self.one.realm.database.on_others(lambda _db, reconnected: renewed.append(reconnected))
        self.put(self.one, "a")
        renewed.clear()
        self.put(self.one, "b")
        self.assertEqual(renewed, [])
        self.put(self.two, "c")
        self.put(self.one, "d")
        self.assertEqual(renewed, [False])

    def test_removed(self) -> None:
        """A node that others have removed changes nothing."""
        self.run_job(self.two, nodes.leave, self.one.realm.nodes.id)
        self.run_job(self.two, nodes.remove_left)
        self.assertRaises(StorageFailed, self.put, self.one, "a")
        self.assertNotIn(("a",), self.rows(settings.c.name))
        self.network.advance(3.0)
        self.put(self.one, "a")
        self.assertIn(("a",), self.rows(settings.c.name))

    def test_doubt(self) -> None:
        """If no answer to a commit comes, the node finds out later, on a new connection,
        whether it was committed."""
        renewed: list[bool] = []
        database = self.one.realm.database
        database.on_others(lambda _db, reconnected: renewed.append(reconnected))
        for name, stored in (("a", True), ("b", False)):
            self.network.advance(0.1)
            database.doubtful.append(stored)
            found = outcome(database.run(put_setting, name, ""))
            self.network.advance(1.0)
            self.assertEqual(
                [type(each) for each in found], [type(None) if stored else StorageFailed]
            )
            self.assertEqual((name,) in self.rows(settings.c.name), stored)
        self.assertIn(True, renewed)

    def test_time(self) -> None:
        """Nodes compare times by the clock of the database."""
        self.one.stepped = 3600.0
        self.network.advance(2.0)
        beats = [beat for (beat,) in self.rows(nodes_table.c.beat)]
        self.assertLess(max(beats) - min(beats), 2000)


class Lives(NodesTestCase):
    def test_killed(self) -> None:
        """A node comes back under its name when its last run has ended for the others."""
        self.one.kill()
        self.one.open()
        self.assertFalse(self.one.is_open)
        self.network.advance(6.0)
        self.assertTrue(self.one.is_open)

    def test_paused(self) -> None:
        """A node that is stopped is removed, and joins again when it goes on."""
        before = self.one.realm.nodes.id
        self.one.stop_process()
        self.network.advance(8.0)
        self.assertEqual(len(self.rows(nodes_table.c.id)), 2)
        self.one.continue_process()
        self.network.advance(2.0)
        self.assertEqual(len(self.rows(nodes_table.c.id)), 3)
        self.assertNotEqual(self.one.realm.nodes.id, before)

    def test_resumed(self) -> None:
        """Clients of a killed node resume their sessions at another one, and send their waiting requests."""
        person = self.shared.people[0]
        other = next(name for name in self.world.people if name != person.name)
        address = str(self.world.address(other, person.name))
        assert isinstance(person, RoamingPerson)
        node = person.server
        assert isinstance(node, SimulatedNode)
        node.kill()
        self.assertFalse(person.is_connected)
        sending = person.begins_to_send(address, "halo")
        self.network.advance(2.0)
        self.assertIsNot(person.server, node)
        # If the killed node had the link with the recipient's realm, the sender waits for the next one.
        self.assertIn("sent", self.network.result(sending, patience=10.0).message)


class Replayed(SynchronousTestCase):
    def test_replay(self) -> None:
        """The same seed is the same run, and its promises are kept."""
        options = SimulationOptions(("pause", "kill", "bus", "doubt"), 2, nodes=2)
        one, two = simulate(7, options), simulate(7, options)
        self.assertIsNone(one.violation)
        self.assertEqual((one.digest, one.lines), (two.digest, two.lines))


class Promised(NodesTestCase):
    def broken(self, check: Any) -> str:
        """The promise that is broken."""
        return str(self.assertRaises(Violation, check)).partition(":")[0]

    def test_kept(self) -> None:
        self.network.advance(5.0)
        self.promises.watch()
        self.promises.check()

    def test_joined(self) -> None:
        """A client reads the entries that a group had when its user joined."""
        _, joined = self._found_group(post=False)
        person = self.world.people[joined]
        assert isinstance(person, RoamingPerson)
        [log] = [each for each in person.logs.logs.values() if each.seqs]
        self.assertEqual(log.seqs, {1, 2})
        self.promises.check()

    def test_missed(self) -> None:
        """A client at a node that was removed learns the entries that it was not told of meanwhile."""
        names = self._found_group()
        teller, hearer = (self.world.people[name] for name in names)
        assert isinstance(teller, RoamingPerson)
        assert isinstance(hearer, RoamingPerson)
        while hearer.server is teller.server:
            hearer.goes(True)
            self.network.advance(2.0)
        stopped = [node for node in self.shared.nodes if node is not teller.server]
        for node in stopped:
            node.stop_process()
        self.network.advance(8.0)
        teller.posts("kebun", "dua")
        self.network.advance(61.0)  # news is kept for a minute
        for node in stopped:
            node.continue_process()
        self.network.advance(10.0)
        self.promises.check()

    def test_killed_before_it_tells(self) -> None:
        """Listeners at other nodes hear of what a node has stored, and told nobody before it was killed."""
        teller, hearer = (self.world.people[name] for name in self._found_group())
        assert isinstance(teller, RoamingPerson)
        assert isinstance(hearer, RoamingPerson)
        while hearer.server is teller.server:
            hearer.goes(True)
            self.network.advance(2.0)
        node: Any = teller.server
        node.wire.cut()
        teller.posts("kebun", "dua")
        self.network.advance(0.5)
        node.kill()
        self.assertEqual(self._texts(hearer), ["satu"])
        self.network.advance(10.0)
        self.assertEqual(self._texts(hearer), ["satu", "dua"])
        node.open()
        self.network.advance(10.0)
        self.promises.check()

    def _texts(self, person: RoamingPerson) -> list[str]:
        return [event.text or "" for event in person.events if isinstance(event, Message)]

    def test_moved(self) -> None:
        """A node that was removed learns who has gone to another one while that knew of no other node."""
        [person] = self.shared.people[:1]
        others = [node for node in self.shared.nodes if node is not self.one]
        while person.server is not self.two:
            person.goes(True)
            self.network.advance(2.0)
        for node in others:
            node.stop_process()
        self.network.advance(8.0)
        person.goes(True)
        self.network.advance(2.0)
        self.assertIs(person.server, self.one)
        for node in others:
            node.continue_process()
        self.network.advance(15.0)
        self.promises.check()

    def test_two_holders(self) -> None:
        """Two nodes that act under one lease are noticed."""
        keeper: Any = self.two.realm.nodes.leases
        self.patch(keeper, "held", lambda: ["search-index"])
        self.assertEqual(self.broken(self.promises.watch), "one node acts under a lease")

    def test_presence(self) -> None:
        """A node that does not know who is online is noticed."""
        copies = self.two.service.presence._copies
        for copy in copies.values():
            copy.clear()
        self.assertTrue(any(person.server is not self.two for person in self.shared.people))
        self.assertEqual(self.broken(self.promises.check), "all nodes know who is online")

    def test_kicked(self) -> None:
        """Somebody who was kicked, and writes, reads or hears nevertheless, is noticed."""
        creator, victim = self._found_group()
        where = self.world.address("#kebun", victim)
        kick = ask.KickMember(where, self.world.address(victim, creator))
        kicked = self.world.asks(creator, kick)
        self.network.advance(5.0)
        self.assertTrue(kicked.acknowledged, kicked.errors)
        asked = self.world.asks(victim, ask.SendGroupMessage(where, "halo"))
        self.network.advance(1.0)
        self.promises.check()
        asked.answers = [["sent"]]
        self.assertEqual(self.broken(self.promises.check), "who was kicked writes nothing")
        asked.command = ask.ShowHistory(self.world.place(victim, "#kebun"))
        self.assertEqual(self.broken(self.promises.check), "who was kicked reads nothing")
        asked.answers = []
        person = self.world.people[victim]
        assert isinstance(person, RoamingPerson)
        [(at, event)] = [each for each in person.heard if getattr(each[1], "text", "") == "satu"]
        person.heard.append((at + 6.0, event))
        self.assertEqual(self.broken(self.promises.check), "who was kicked hears nothing")

    def _found_group(self, post: bool = True) -> tuple[str, str]:
        """Let a person of realm1 create a group, which another one joins, and hears of a message if the first
        is to `post` one. Returns their names."""
        world = self.world
        names = ["kiki", "lala"]
        for name in names:
            world.people[name] = RoamingPerson(self.shared, name, world.random, world.trace)
            world.realm_of[name] = "realm1"
        self.network.settle()
        world.groups["kebun"] = StagedGroup("kebun", "realm1", names[0], False)
        world.people[names[0]].creates("kebun")
        world.people[names[1]].joins("kebun")
        self.network.advance(1.0)
        if post:
            world.people[names[0]].posts("kebun", "satu")
            self.network.advance(1.0)
        return names[0], names[1]
