"""The threads of a bus: bounds, servers that come and go, and the end."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast
from unittest import mock

from sqlalchemy.exc import OperationalError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from chatd.base.clocks import IReactor
from chatd.base.config import ClusterConfig, Config
from chatd.cluster import threaded_wire
from chatd.cluster.bus import IBusWire, Packet
from chatd.cluster.bus_choice import BusUnusable, make_bus
from chatd.cluster.frame_queue import FrameQueue
from chatd.cluster.local_bus import LocalBus
from chatd.cluster.numbered_bus import NumberedBus
from chatd.cluster.threaded_wire import DEAF_AFTER, ENDS_WITHIN, ThreadedWire
from tests.support.pumped import PumpedReactor


class FakeServer:
    """A server that is `up` or not. What was sent is in `sent`, and what is put into `coming` arrives."""

    name = "a server"
    frame_size = 100

    def __init__(self) -> None:
        self.up = True
        self.opened = 0
        self.listeners = 0
        self.sent: list[bytes] = []
        self.to: list[str] = []  # the nodes that frames were for
        self.node = ""
        self.coming: queue.SimpleQueue[Sequence[bytes]] = queue.SimpleQueue()
        self.hold = threading.Event()
        self.hold.set()  # sending waits until it is set
        self.closed = False

    def open_sender(self) -> FakeServer:
        self.opened += 1
        return self._open()

    def open_listener(self, node: str) -> FakeServer:
        self.listeners += 1
        self.node = node
        return self._open()

    def _open(self) -> FakeServer:
        if not self.up:
            raise ConnectionError("it is down")
        return self

    def send(self, packets: Sequence[Packet]) -> None:
        self.hold.wait()
        self._open()
        self.sent += [each.frame for each in packets]
        self.to += [each.to for each in packets]

    def receive(self, seconds: float) -> Sequence[bytes]:
        self._open()
        try:
            return self.coming.get(timeout=min(seconds, 0.01))
        except queue.Empty:
            return []

    def close(self) -> None:
        self.closed = True


class Wires(SynchronousTestCase):
    def setUp(self) -> None:
        for name, seconds in (("MIN_BACKOFF", 0.001), ("MAX_BACKOFF", 0.002), ("WAIT", 0.01)):
            self.patch(threaded_wire, name, seconds)
        self.reactor = PumpedReactor()
        self.now = 0.0
        self.server = FakeServer()
        self.wire = ThreadedWire(cast(IReactor, self.reactor), self.server, lambda: self.now)
        self.arrived: list[bytes] = []
        self.turns: list[int] = []
        self.connected = 0

    def start(self) -> None:
        self.wire.start("a", self.note, self.connect)
        self.addCleanup(self.end)

    def note(self, frames: Sequence[bytes]) -> None:
        self.turns.append(len(frames))
        self.arrived += frames

    def connect(self) -> None:
        self.connected += 1

    def end(self) -> None:
        ended = self.wire.stop()
        self.reactor.wait_until(lambda: ended.called, "it does not end")
        self.assertEqual([each for each in self.wire._threads if each.is_alive()], [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def until(self, condition: Callable[[], object]) -> None:
        self.reactor.wait_until(condition, "it does not happen")

    def test_sending_and_receiving(self) -> None:
        verifyObject(IBusWire, self.wire)
        self.start()
        self.until(lambda: self.connected)
        self.wire.send([b"1", b"2"])
        self.server.coming.put([b"3", b"4"])
        self.until(lambda: len(self.server.sent) + len(self.arrived) == 4)
        self.assertEqual((self.server.sent, self.arrived), ([b"1", b"2"], [b"3", b"4"]))
        self.wire.send([b"5"], "b")
        self.until(lambda: len(self.server.sent) == 3)
        self.assertEqual((self.server.to, self.server.node), (["", "", "b"], "a"))
        self.assertEqual(self.wire.frame_size(), 100)

    def test_down_at_first(self) -> None:
        """What is sent before there is a connection is lost."""
        self.server.up = False
        self.start()
        self.wire.send([b"lost"])
        self.until(lambda: self.server.opened > 3 and self.server.listeners > 3)
        self.assertEqual(self.connected, 0)
        self.server.up = True
        self.until(lambda: self.connected)
        self.wire.send([b"next"])
        self.until(lambda: self.server.sent)
        self.assertEqual(self.server.sent, [b"next"])

    def test_lost(self) -> None:
        """A lost connection is made again, and what was on its way is not sent twice."""
        self.start()
        self.until(lambda: self.connected)
        self.server.up = False
        self.wire.send([b"lost"])
        self.until(lambda: not self.wire._is_sending)
        self.server.up = True
        self.until(lambda: self.connected == 2)
        self.wire.send([b"next"])
        self.until(lambda: self.server.sent)
        self.assertEqual(self.server.sent, [b"next"])

    def test_deaf(self) -> None:
        """A connection on which not even this node's own heartbeats arrive is made again."""
        self.start()
        self.server.coming.put([b"heartbeat"])
        self.until(lambda: self.arrived)
        self.assertEqual(self.server.listeners, 1)
        self.now += DEAF_AFTER + 1
        self.until(lambda: self.server.listeners == 2)

    def test_much(self) -> None:
        """What arrives at once is passed on in several turns of the reactor, in order."""
        self.patch(threaded_wire, "PASSED_ON_AT_ONCE", 4)
        frames = [b"%d" % number for number in range(10)]
        self.start()
        self.server.coming.put(frames)
        self.until(lambda: len(self.arrived) == 10)
        self.assertEqual((self.arrived, max(self.turns)), (frames, 4))

    def test_last_frames(self) -> None:
        """What waits is sent before the end."""
        self.start()
        self.until(lambda: self.connected)
        self.wire.send([b"last"])
        self.end()
        self.assertEqual(self.server.sent, [b"last"])
        self.assertTrue(self.server.closed)

    def test_stuck(self) -> None:
        """A server that takes nothing and closes nothing delays neither the sender nor the end."""
        self.start()
        self.until(lambda: self.connected)
        self.server.hold.clear()
        self.addCleanup(self.server.hold.set)
        for _ in range(100):
            self.wire.send([bytes(1 << 20)])
        self.assertLess(self.wire._outgoing._bytes, 17 << 20)
        ended = self.wire.stop()
        self.assertNoResult(ended)
        self.reactor.advance(ENDS_WITHIN)
        self.successResultOf(ended)
        self.server.hold.set()
        self.until(lambda: not any(each.is_alive() for each in self.wire._threads))

    def test_not_started(self) -> None:
        self.successResultOf(self.wire.stop())


class Reasons(SynchronousTestCase):
    def test_one_line(self) -> None:
        """The log has what the driver says, without the statement."""
        said = Exception("could not extend file\nHINT:  Check free disk space.\n")
        error = OperationalError("INSERT INTO bus_payloads ...", {}, said)
        reason = threaded_wire.reason_of(error)
        self.assertEqual(reason, "could not extend file HINT: Check free disk space.")
        self.assertEqual(threaded_wire.reason_of(ConnectionError("gone ")), "gone")
        self.assertEqual(threaded_wire.reason_of(TimeoutError()), "TimeoutError")


class Queues(SynchronousTestCase):
    def test_bounds(self) -> None:
        """Beyond the bounds the newest frames are lost, and all that follow them at once."""
        frames = FrameQueue(max_frames=3, max_bytes=10)
        self.assertTrue(frames.put([b"1", b"2"]))
        self.assertFalse(frames.put([b"3", b"4"]))
        self.assertEqual(self.taken(frames, 2), [b"1", b"2"])
        frames.put([b"too large" * 2, b"5"])
        self.assertEqual(self.taken(frames), [b"3"])
        self.assertEqual(frames.take(9), [])
        frames.put([b"1234567890"])
        self.assertEqual(self.taken(frames, 1), [b"1234567890"])

    def test_to_one_node(self) -> None:
        """Frames for single nodes leave half of the room to those for all."""
        frames = FrameQueue(max_frames=4, max_bytes=20)
        frames.put([b"1", b"2", b"3"], "b")
        frames.put([b"4"])
        self.assertEqual(frames.take(9), [Packet("b", b"1"), Packet("b", b"2"), Packet("", b"4")])
        frames.put([b"too large..."], "b")
        frames.put([b"large enough"])
        self.assertEqual(self.taken(frames), [b"large enough"])

    def taken(self, frames: FrameQueue, count: int = 9) -> list[bytes]:
        return [each.frame for each in frames.take(count)]

    def test_cleared_and_closed(self) -> None:
        frames = FrameQueue(max_bytes=1)
        frames.put([b"1"])
        frames.clear()
        self.assertTrue(frames.put([b"2"]))
        self.assertEqual(self.taken(frames), [b"2"])
        frames.close()
        self.assertEqual(frames.take(1, 1000.0), [])


class Choosing(SynchronousTestCase):
    """Which bus a configuration has."""

    def make(self, url: str, bus: str = "postgres") -> Any:
        config = Config(database_url=url, cluster=ClusterConfig(bus=bus))
        return make_bus(config, cast(IReactor, PumpedReactor()))

    def test_one_node(self) -> None:
        for url in ("", "sqlite:////x/chatd.db"):
            self.assertIsInstance(self.make(url, "redis://localhost"), LocalBus)

    def test_servers(self) -> None:
        for bus, name in (("postgres", "PostgreSQL"), ("redis://localhost", "Redis")):
            found = self.make("postgresql://h/chatd", bus)
            self.assertIsInstance(found, NumberedBus)
            self.assertEqual(found._wire._server.name, name)

    def test_without_redis(self) -> None:
        missing: Any = {"redis": None, "chatd.cluster.redis_bus": None}
        with mock.patch.dict(sys.modules, missing), self.assertRaises(BusUnusable) as caught:
            self.make("postgresql://h/chatd", "redis://localhost")
        self.assertIn("chatd[redis]", str(caught.exception))
