"""Links over which nothing is said are closed by both sides, and dialled again when there is something."""

from __future__ import annotations

from unittest import mock

from chatd.base.errors import StorageFailed
from chatd.base.events import PresenceChange
from chatd.base.names import Address
from chatd.base.timers import cancel
from chatd.commands import values as ask
from chatd.federation.amp import links, resting
from chatd.federation.amp.dialer import CALM_SPREAD, FIRST_PAUSE, GIVE_UP
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.peers import Peer
from chatd.federation.amp.resting import Resting
from chatd.federation.capabilities import REST
from chatd.simulate.connections import FakeConnection
from chatd.store.peers import KnownPeer
from tests.support.network import NetworkTestCase, Person, Server, lacks

BUDI = Address("budi", "realm2")
IDLE_TIME = 60.0  # seconds in place of ten minutes, so that less time has to pass
SOON = 60.0  # longer than until an idle link is noticed
WHILE = IDLE_TIME + SOON


class RestTestCase(NetworkTestCase):
    """ana in realm1 and budi in realm2, which have added each other. realm1 has dialled."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(resting, "IDLE_TIME", IDLE_TIME)
        self.one, self.two = self.network.pair()
        self.two.add(self.one)
        self.network.settle()
        self.ana, self.budi = self.one.person("ana"), self.two.person("budi")

    def linked(self) -> bool:
        return bool(self.network.open_connections(self.one, self.two))

    def states(self) -> tuple[str, str]:
        return self.one.peers()["realm2"].state, self.two.peers()["realm1"].state

    def rest(self) -> None:
        """Let the link rest: first the other side dials, to know that it can."""
        self.network.until(lambda: not self.linked(), 3 * WHILE)
        self.network.settle()

    def sent(self, who: Person, to: str) -> str:
        """Send a message. Returns its state."""
        reply = who.sends(to, "halo")
        return str({**reply.fields, **reply.data}["state"])

    def timers(self, server: Server) -> int:
        return len(server.realm.clock.getDelayedCalls())


class Closed(RestTestCase):
    def test_closed_when_idle(self) -> None:
        """Neither side dials again, and nothing is wrong."""
        self.rest()
        self.assertEqual(self.states(), ("resting", "resting"))
        self.network.dialled.clear()
        self.network.advance(1200)
        self.assertEqual(self.network.dialled, [])
        for info in (self.one.peers()["realm2"], self.two.peers()["realm1"]):
            self.assertEqual((info.error, info.next_try), (None, None))

    def test_used(self) -> None:
        """A link that is used stays, pings or not."""
        for _ in range(6):
            self.network.advance(IDLE_TIME / 2)
            self.assertEqual(self.sent(self.ana, "budi@realm2"), "delivered")
        self.assertTrue(self.linked())

    def test_dialled_to_send(self) -> None:
        """From either side; the sender reads the outcome, as over a link that is up."""
        self.rest()
        self.assertEqual(self.sent(self.ana, "budi@realm2"), "delivered")
        self.assertEqual(self.states(), ("up", "up"))
        self.rest()
        self.assertEqual(self.sent(self.budi, "ana@realm1"), "delivered")
        self.rest()
        self.assertEqual(self.states(), ("resting", "resting"))

    def test_dialled_to_ask(self) -> None:
        self.assertTrue(self.budi.client)
        self.rest()
        self.ana.does(ask.AddContact(BUDI))
        (contact,) = self.ana.does(ask.ListContacts()).items
        self.assertTrue(contact.online)
        self.assertTrue(self.linked())

    def test_nothing_answers(self) -> None:
        """A realm that has gone meanwhile is dialled with pauses, and the sender reads `queued` at once."""
        self.rest()
        self.network.refusing[self.two.where] = OSError()
        self.assertEqual(self.sent(self.ana, "budi@realm2"), "queued")
        self.assertEqual(self.sent(self.ana, "budi@realm2"), "queued")
        self.assertEqual(self.states()[0], "down")
        self.network.refusing.clear()
        self.network.until(lambda: self.one.parcels_waiting() == 0)
        self.assertEqual(len(self.budi.reads()), 2)

    def test_asked_in_vain(self) -> None:
        """Questions fail at once after the first, and are no reason to dial on and on."""
        self.ana.does(ask.AddContact(BUDI))
        self.rest()
        self.network.refusing[self.two.where] = OSError()
        for _ in range(3):
            (contact,) = self.ana.does(ask.ListContacts()).items
            self.assertFalse(contact.online)
        self.network.advance(SOON)
        self.network.dialled.clear()
        self.network.advance(1200)
        self.assertEqual(self.network.dialled, [])


class Kept(RestTestCase):
    def test_only_one_can_dial(self) -> None:
        """Otherwise what the other side has to say would wait for this one."""
        three = self.network.server("realm3")
        self.one.add(three)
        self.network.settle()
        self.network.advance(3 * WHILE)
        self.assertTrue(self.network.open_connections(self.one, three))

    def test_it_can_not(self) -> None:
        """The address that realm2 has for realm1 does not work."""
        self.network.refusing[self.one.where] = OSError()
        self.network.advance(4 * WHILE)
        self.assertTrue(self.linked())
        dials = self.network.dialled.count(self.one.where)
        self.assertLessEqual(dials, 3)

    def test_followed(self) -> None:
        """Somebody at one end wants to know who is online at the other."""
        self.ana.sends("budi@realm2", "halo")
        for person in (self.ana, self.budi):
            person.does(ask.SetListening(True, True))
            self.network.advance(4 * WHILE)
            self.assertTrue(self.linked())
            person.leaves()
        self.rest()

    def test_follower_comes(self) -> None:
        """Who begins to follow gets news, although the link rested."""
        self.ana.sends("budi@realm2", "halo")
        self.budi.leaves()
        self.rest()
        self.ana.does(ask.SetListening(True, True))
        self.network.advance(5.0)
        self.assertTrue(self.linked())
        self.budi.does(ask.SetListening(True, True))
        self.network.advance(5.0)
        told = [each for each in self.ana.events if isinstance(each, PresenceChange)]
        self.assertIn(("budi@realm2", "online"), [(each.who, each.state) for each in told])

    def test_something_to_do(self) -> None:
        """At either end: files that arrive, or parcels that wait."""
        for server in (self.one, self.two):
            federation = server.federation
            with mock.patch.object(federation.arrivals, "are_under_way", return_value=True):
                self.network.advance(4 * WHILE)
                self.assertTrue(self.linked())
            self.network.advance(3 * WHILE)
            self.assertFalse(self.linked())
            self.sent(self.ana, "budi@realm2")

    def test_refused(self) -> None:
        """A realm that refuses the question keeps its link, and is asked again."""
        asked = mock.AsyncMock(side_effect=StorageFailed())
        with mock.patch.object(Resting, "asked", asked):
            self.network.advance(6 * WHILE)
        self.assertTrue(self.linked())
        self.assertGreater(asked.call_count, 1)
        self.rest()

    def test_used_just_now(self) -> None:
        """A realm does not agree if it has used the link itself a moment ago."""
        self.budi.sends("ana@realm1", "halo")
        directory = self.two.realm.directory
        link = directory.peers.by_key["realm1"].link
        assert link is not None
        self.assertFalse(self.network.result(directory.manager.resting.asked(link)))
        self.assertTrue(self.linked())

    def test_older_realm(self) -> None:
        """A realm that does not know of resting keeps its link."""
        lacks(self, "realm2", REST)
        self.network.refusing[self.one.where] = OSError()
        self.two.restart()
        self.network.until(self.linked)
        self.network.advance(3 * WHILE)
        self.assertTrue(self.linked())


class Starts(RestTestCase):
    def test_resting_is_remembered(self) -> None:
        """After a start, only realms are dialled for which something waits."""
        self.rest()
        self.network.dialled.clear()
        self.one.restart()
        self.two.restart()
        self.network.advance(1200)
        self.assertEqual(self.network.dialled, [])
        self.assertEqual(self.states(), ("resting", "resting"))
        self.network.refusing[self.two.where] = OSError()
        self.one.person("ana").sends("budi@realm2", "halo")
        self.one.restart()
        self.network.refusing.clear()
        self.network.until(self.linked)

    def test_spread(self) -> None:
        """Many realms are not dialled at the same moment."""
        table = self.one.realm.directory.peers
        for at in range(100):
            name = f"r{at}.example.net"
            table.add(KnownPeer(name, name, name, 8890))
        before = self.network.now
        self.one.realm.directory._dial_spread(list(table.by_key.values()))
        due = [
            peer.timer.getTime() - before
            for peer in table.by_key.values()
            if peer.timer is not None and peer.timer.active()
        ]
        self.assertGreater(len(due), 90)
        self.assertLess(max(due), 5.0)
        self.assertLess(sum(each < 1.0 for each in due), 50)
        for peer in list(table.by_key.values()):
            cancel(peer.timer)

    def test_visited(self) -> None:
        """From time to time, so that restores and new addresses are noticed."""
        self.patch(links, "VISIT_EVERY", 600_000)
        self.rest()
        self.network.dialled.clear()
        self.network.advance(1200)
        self.assertIn(len(self.network.dialled), (1, 2))
        self.rest()

    def test_visited_although_another_does_not_answer(self) -> None:
        """A realm that is gone comes after those that were not dialled in vain."""
        self.rest()
        table = self.one.realm.directory.peers
        gone = table.add(KnownPeer("gone", "gone", "gone.example.net", 8890, rests=True))
        gone.failures = 1
        table.by_key = {"gone": gone, **table.by_key}
        self.patch(links, "VISIT_EVERY", 0)
        self.network.advance(1)
        self.one.realm.directory._visit()
        self.network.settle()
        self.assertEqual((gone.dialling, self.linked()), (False, True))

    def test_lost_while_it_closes(self) -> None:
        """What is sent in the moment in which the link is closed is not lost."""
        begin = Resting._begin

        async def begin_and_send(resting: Resting, peer: Peer) -> None:
            await begin(resting, peer)
            if not sent and peer.known.key == "realm1":
                sent.append(self.budi.begins(ask.SendMessage((Address("ana", "realm1"),), "halo")))

        sent: list[object] = []
        self.patch(Resting, "_begin", begin_and_send)
        self.network.until(self.ana.reads, 4 * WHILE)
        self.network.settle()
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_sent_while_it_asks(self) -> None:
        """A link stays that is used before the other side has agreed."""
        agrees, sent = Resting._agrees, list[object]()

        async def agree_and_send(resting: Resting, link: PeerLink) -> bool:
            found = await agrees(resting, link)
            if not sent:
                sent.append(self.ana.sends("budi@realm2", "halo"))
            return found

        self.patch(Resting, "_agrees", agree_and_send)
        self.network.until(lambda: sent, 3 * WHILE)
        self.network.advance(1)
        self.assertTrue(self.linked())
        self.rest()

    def test_many_cost_nothing(self) -> None:
        """Realms that rest have no timers."""
        self.rest()
        before = self.timers(self.one)
        for number in range(200):
            self.one.knows(f"realm{number + 10}")
        for peer in self.one.realm.directory.peers.by_key.values():
            peer.resting = True
        self.network.advance(1200)
        self.assertLessEqual(self.timers(self.one), before)


class Lost(RestTestCase):
    """A link is lost that had rested before, so both sides can dial."""

    def setUp(self) -> None:
        super().setUp()
        self.rest()
        self.sent(self.ana, "budi@realm2")
        self.network.dialled.clear()

    def cut(self) -> None:
        self.network.connection(self.one, self.two).cut()
        self.network.settle()

    def test_dialled_later(self) -> None:
        """Nobody waits for it, and many other realms may have lost theirs at the same moment."""
        self.cut()
        self.assertEqual(self.network.dialled, [])
        self.assertEqual(self.states(), ("resting", "resting"))
        self.network.until(self.linked, CALM_SPREAD)

    def test_spread(self) -> None:
        table, dialer = self.one.realm.directory.peers, self.one.host.dialer
        due = []
        for at in range(100):
            name = f"r{at}.example.net"
            peer = table.add(KnownPeer(name, name, name, 8890, rests=True))
            dialer.again(peer)
            assert peer.timer is not None
            due.append(peer.timer.getTime() - self.network.now)
            cancel(peer.timer)
        self.assertLess(max(due), CALM_SPREAD)
        self.assertGreater(max(due), 0.8 * CALM_SPREAD)
        self.assertLess(sum(each < 1.0 for each in due), 10)

    def test_something_waits(self) -> None:
        """It is dialled at once, and so it is for a message that comes before the planned dial."""
        far = self.network.connection(self.one, self.two).far
        far.holding.add("Deliver answer")
        self.ana.begins_to_send("budi@realm2", "halo")
        self.cut()
        self.assertTrue(self.linked())
        self.network.advance(1.0)
        self.cut()
        self.assertFalse(self.linked())
        self.assertEqual(self.sent(self.ana, "budi@realm2"), "delivered")

    def test_followed(self) -> None:
        """Who is online there counts as offline soon."""
        self.ana.does(ask.SetListening(True, True))
        self.cut()
        self.network.until(self.linked, FIRST_PAUSE + 0.5)

    def test_gone(self) -> None:
        """A realm that does not come back is given up, unless there is something to send."""
        for server in (self.one, self.two):
            self.network.refusing[server.where] = OSError()
        self.cut()
        self.network.advance(GIVE_UP + 300)
        self.assertGreater(len(self.network.dialled), 6)
        self.network.dialled.clear()
        self.network.advance(3600)
        self.assertEqual(self.network.dialled, [])
        self.assertEqual(self.sent(self.ana, "budi@realm2"), "queued")
        self.network.refusing.clear()
        self.network.until(self.linked)

    def test_back_again(self) -> None:
        """A message does not wait for the end of a pause that began hours ago."""
        for server in (self.one, self.two):
            self.network.refusing[server.where] = OSError()
        self.cut()
        self.network.advance(GIVE_UP + 3600)
        self.network.refusing.clear()
        self.ana.begins_to_send("budi@realm2", "halo")
        self.network.advance(0.1)
        self.assertTrue(self.linked())


class Silent(RestTestCase):
    """realm2 can be dialled, and acknowledges nothing."""

    def test_dialled_ever_less(self) -> None:
        def lose(connection: FakeConnection) -> None:
            for end in connection.ends:
                end.losing.add("Deliver answer")

        self.network.refusing[self.one.where] = OSError()
        lose(self.network.connection(self.one, self.two))
        self.network.on_connection = lose
        self.ana.begins_to_send("budi@realm2", "halo")
        self.network.advance(300)
        self.network.dialled.clear()
        self.network.advance(1200)
        self.assertLess(self.network.dialled.count(self.two.where), 1200 / 150)
        self.network.on_connection = lambda _connection: None
        self.network.until(lambda: self.one.parcels_waiting() == 0)
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])
        self.network.dialled.clear()
        self.network.connection(self.one, self.two).cut()
        self.network.until(self.linked, FIRST_PAUSE + 0.5)


class Starting(RestTestCase):
    def test_message_before_the_planned_dial(self) -> None:
        """After a start, a message does not wait until its realm is due among many."""
        peer = self.one.realm.directory.peers.get("realm2")
        assert peer is not None
        self.network.refusing[self.two.where] = OSError()
        self.network.connection(self.one, self.two).cut()
        self.network.settle()
        self.network.refusing.clear()
        self.one.host.dialer.soon(peer, 50.0)
        self.two.host.dialer.stop()
        self.ana.begins_to_send("budi@realm2", "halo")
        self.network.advance(0.5)
        self.assertTrue(self.linked())
