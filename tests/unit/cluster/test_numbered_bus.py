"""Messages on the bus are numbered, so that a receiver knows what is lost."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from chatd.cluster import numbered_bus
from chatd.cluster.bus import MAX_BUS_MESSAGE, IBus, IBusWire
from chatd.cluster.frames import BusFrame, decode_frame, encode_frame, packed
from chatd.cluster.heard_nodes import FORGOTTEN_AFTER, MAX_HEARD, SILENT_AFTER, HeardNodes
from chatd.cluster.local_bus import LocalBus
from chatd.cluster.numbered_bus import HEARTBEAT, LONE_HEARTBEAT, NumberedBus
from chatd.simulate.bus import BusFaults, SimulatedBus, SimulatedWire


class Node:
    """A node with a bus, and what it has heard of others: messages, and None for a gap."""

    def __init__(self, network: SimulatedBus, name: str, start: int = 1) -> None:
        self.name = name
        self.wire = network.wire()
        self.bus = NumberedBus(self.wire, network.clock)
        self.bus.on_message(lambda node, message: self.heard.append((node, message)))
        self.bus.on_gap(lambda node: self.heard.append((node, None)))
        self.heard: list[tuple[str, bytes | None]] = []
        self.bus.start(name, start)

    def take(self) -> list[tuple[str, bytes | None]]:
        heard, self.heard = self.heard, []
        return heard


class BusTestCase(SynchronousTestCase):
    """Two nodes that have heard of each other."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = SimulatedBus(self.clock, Random(1))  # noqa: S311 - for faults
        self.a = Node(self.network, "a")
        self.b = Node(self.network, "b")
        self.advance(HEARTBEAT)
        self.assertEqual((self.a.take(), self.b.take()), ([("b", None)], [("a", None)]))

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.1] * (round(10 * seconds) + 1))

    def frames(self, node: Node) -> list[BusFrame]:
        """The frames that a node sends from now on."""
        frames: list[BusFrame] = []
        carry = self.network.carry

        def note(sent: Sequence[bytes], to: str, sender: SimulatedWire) -> None:
            found = [decode_frame(each) for each in sent]
            frames.extend(frame for frame in found if frame.node == node.name)
            carry(sent, to, sender)

        self.patch(self.network, "carry", note)
        return frames


class Publishing(BusTestCase):
    def test_in_order(self) -> None:
        for number in range(5):
            self.a.bus.publish(b"%d" % number)
        self.advance(0.1)
        self.assertEqual(self.b.take(), [("a", b"%d" % number) for number in range(5)])
        self.assertEqual(self.a.take(), [])
        self.assertEqual((self.a.bus.counts.sent, self.b.bus.counts.received), (5, 5))

    def test_small_messages_share_frames(self) -> None:
        frames = self.frames(self.a)
        self.a.wire.size = 100
        for message in (b"x" * 20, b"y" * 20, b"z" * 30, b"large" * 100, b"end"):
            self.a.bus.publish(message)
        self.assertEqual(frames, [])
        self.advance(0.1)
        self.assertEqual(
            [(f.first, len(f.messages)) for f in frames], [(0, 2), (2, 1), (3, 1), (4, 1)]
        )
        for frame in frames:
            if len(frame.messages[0]) < 100:
                self.assertLessEqual(len(encode_frame(frame)), 100)
        self.assertEqual(len(self.b.take()), 5)

    def test_to_one_node(self) -> None:
        """Only that node gets it, and before what is published later. It has no number, so nobody finds a gap
        if it is lost or too large."""
        c = Node(self.network, "c")
        self.advance(HEARTBEAT)
        for node in (self.a, self.b, c):
            node.take()
        frames = self.frames(self.a)
        self.a.bus.send("b", b"1")
        self.a.bus.send("b", b"2")
        self.a.bus.send("c", bytes(MAX_BUS_MESSAGE + 1))
        self.a.bus.publish(b"all")
        self.a.wire.size = 100
        self.a.bus.send("b", b"x" * 40)
        self.a.bus.send("nobody", b"3")
        self.advance(0.1)
        self.network.faults = BusFaults(lost=1.0)
        self.a.bus.send("b", b"lost")
        self.advance(0.1)
        self.network.faults = BusFaults()
        self.advance(HEARTBEAT)
        direct = [("a", each) for each in (b"1", b"2", b"x" * 40)]
        self.assertEqual(self.b.take(), [*direct, ("a", b"all")])
        self.assertEqual(c.take(), [("a", b"all")])
        self.assertTrue(all(len(encode_frame(frame)) <= 100 for frame in frames))

    def test_misled_frame(self) -> None:
        """A frame for another node is left out."""
        frame = encode_frame(BusFrame("a", 1, 0, (b"x",), "c"))
        self.network.carry([frame])
        self.advance(0.1)
        self.assertEqual(self.b.take(), [])

    def test_many_in_one_turn(self) -> None:
        """What waits for the end of a turn is bounded."""
        self.patch(numbered_bus, "MAX_WAITING", 50)
        frames = self.frames(self.a)
        for _ in range(6):
            self.a.bus.publish(b"x" * 20)
        self.assertEqual(sum(len(frame.messages) for frame in frames), 6)

    def test_too_large(self) -> None:
        """A message that is too large is not sent. The receivers find a gap in its place."""
        self.a.bus.publish(b"before")
        self.a.bus.publish(bytes(MAX_BUS_MESSAGE + 1))
        self.a.bus.publish(b"after")
        self.advance(0.1)
        self.assertEqual(self.b.take(), [("a", b"before"), ("a", None), ("a", b"after")])
        self.assertEqual(self.a.bus.counts.too_large, 1)
        self.a.bus.publish(bytes(MAX_BUS_MESSAGE))
        self.advance(0.1)
        self.assertEqual(len(self.b.take()), 1)

    def test_stopped(self) -> None:
        """What was published before the end is sent, and nothing after it."""
        self.a.bus.publish(b"last")
        self.successResultOf(self.a.bus.stop())
        self.a.bus.publish(b"never")
        self.advance(1)
        self.assertEqual(self.b.take(), [("a", b"last")])
        self.successResultOf(self.b.bus.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failing_receivers(self) -> None:
        """A receiver that fails keeps no other one from its message, and no later message from it."""
        failing: list[bytes] = []

        def fail(_node: str, message: bytes) -> None:
            failing.append(message)
            raise ValueError(message)

        self.b.bus._on_message.insert(0, fail)
        self.a.bus.publish(b"1")
        self.a.bus.publish(b"2")
        self.advance(0.1)
        self.assertEqual(failing, [b"1", b"2"])
        self.assertEqual(self.b.take(), [("a", b"1"), ("a", b"2")])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_failing_wire(self) -> None:
        """A wire that fails loses messages, and the publisher does not notice."""

        def fail(*_: object) -> None:
            raise OSError

        patched = self.patch(self.network, "carry", fail)
        self.a.bus.publish(b"1")
        self.clock.advance(0)
        patched.restore()
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.advance(HEARTBEAT)
        self.assertEqual(self.b.take(), [("a", None)])

    def test_interfaces(self) -> None:
        verifyObject(IBus, self.a.bus)
        verifyObject(IBus, LocalBus())
        verifyObject(IBusWire, self.a.wire)

    def test_one_node(self) -> None:
        bus = LocalBus()
        bus.start("a", 1)
        bus.on_message(lambda *_: self.fail("there is nobody"))
        bus.on_gap(lambda _: self.fail("there is nobody"))
        bus.publish(b"x")
        bus.send("b", b"x")
        self.assertEqual(bus.quiet_for(), 0.0)
        self.successResultOf(bus.stop())


class Losing(BusTestCase):
    def test_gap(self) -> None:
        self.a.wire.cut()
        self.a.bus.publish(b"lost")
        self.clock.advance(0)
        self.a.wire._is_cut = False
        self.a.bus.publish(b"next")
        self.advance(0.1)
        self.assertEqual(self.b.take(), [("a", None), ("a", b"next")])
        self.assertEqual(self.b.bus.counts.gaps, 2)

    def test_lost_end(self) -> None:
        """If nothing follows a lost message, a heartbeat tells."""
        self.a.wire.cut()
        self.a.bus.publish(b"lost")
        self.clock.advance(0)
        self.a.wire._is_cut = False
        self.advance(HEARTBEAT)
        self.assertEqual(self.b.take(), [("a", None)])

    def test_reconnected(self) -> None:
        """A sender that has connected again tells at once how far it is."""
        self.a.wire.cut()
        self.a.bus.publish(b"lost")
        self.clock.advance(0)
        self.a.wire.mend()
        self.clock.advance(0)
        self.assertEqual(self.b.take(), [("a", None)])

    def test_twice(self) -> None:
        self.network.faults = BusFaults(doubled=1.0)
        self.a.bus.publish(b"x")
        self.advance(2 * HEARTBEAT)
        self.assertEqual(self.b.take(), [("a", b"x")])

    def test_overtaken(self) -> None:
        """A message that arrives after a later one is dropped: it was told as lost."""
        frames = self.frames(self.a)
        self.a.wire.cut()
        self.b.wire.cut()
        self.a.bus.publish(b"0")
        self.clock.advance(0)
        self.a.bus.publish(b"1")
        self.clock.advance(0)
        late, early = (encode_frame(BusFrame("a", 1, n, (b"%d" % n,))) for n in (0, 1))
        self.assertEqual(frames, [])
        self.b.wire._is_cut = False
        self.b.wire.arrived(early)
        self.b.wire.arrived(late)
        self.assertEqual(self.b.take(), [("a", None), ("a", b"1")])

    def test_partly_known(self) -> None:
        """Of a frame of which a part is known, the rest is new."""
        for first, messages in ((0, (b"0", b"1")), (1, (b"1", b"2")), (0, (b"0",)), (3, ())):
            self.b.wire.arrived(encode_frame(BusFrame("a", 1, first, messages)))
        self.assertEqual(self.b.take(), [("a", b"0"), ("a", b"1"), ("a", b"2")])

    def test_started_again(self) -> None:
        self.a.bus.publish(b"1")
        self.successResultOf(self.a.bus.stop())
        again = Node(self.network, "a", start=2)
        self.clock.advance(0)
        self.assertEqual(self.b.take(), [("a", b"1"), ("a", None)])
        self.b.wire.arrived(encode_frame(BusFrame("a", 1, 1, (b"of the earlier start",))))
        self.assertEqual(self.b.take(), [])
        again.bus.publish(b"2")
        self.clock.advance(0)
        self.assertEqual(self.b.take(), [("a", b"2")])

    def test_unreadable(self) -> None:
        for frame in (b"", b"\xff", encode_frame(BusFrame("a", 1, 0))[:-1], b"\x91\xa1a"):
            self.b.wire.arrived(frame)
        self.assertEqual(self.b.take(), [])
        self.assertEqual(self.b.bus.counts.unreadable, 4)


class Silence(BusTestCase):
    def test_heartbeats(self) -> None:
        """A node that has nothing to tell is heard."""
        self.advance(10 * HEARTBEAT)
        self.assertEqual(self.b.take(), [])
        self.assertLessEqual(self.b.bus.quiet_for(), HEARTBEAT)

    def test_busy(self) -> None:
        """A node that tells something sends no heartbeats besides, and one that knows no others sends few."""
        frames = self.frames(self.a)
        for _ in range(10):
            self.a.bus.publish(b"x")
            self.advance(0.1)
        self.assertEqual([len(frame.messages) for frame in frames], [1] * 10)
        self.b.wire.cut()
        self.a.bus.forget("b")
        frames.clear()
        self.advance(10 * LONE_HEARTBEAT)
        self.assertLessEqual(len(frames), 10)
        self.assertGreaterEqual(len(frames), 8)

    def test_silent(self) -> None:
        """While a node is silent, a gap is told again and again. Then it is heard, and nothing was lost."""
        self.a.wire.cut()
        self.advance(SILENT_AFTER + HEARTBEAT)
        self.assertEqual(self.b.take(), [("a", None)])
        self.assertGreater(self.b.bus.quiet_for(), SILENT_AFTER)
        self.advance(2 * (SILENT_AFTER + HEARTBEAT))
        self.assertEqual(self.b.take(), [("a", None)] * 2)
        self.a.wire.mend()
        self.a.bus.publish(b"x")
        self.clock.advance(0)
        self.assertEqual(self.b.take(), [("a", b"x")])
        self.assertEqual(self.b.bus.quiet_for(), 0.0)

    def test_paused(self) -> None:
        """A node that was paused does not count as hearing the others until all has arrived that was on its
        way: what comes first may be as old as the pause."""
        late: list[bytes] = []
        for _ in range(2):
            self.b.wire.stop_process()
            self.clock.pump([3.0, 0.0])
            late, earlier = self.b.wire._arrived, late
            self.b.wire._arrived = []
            self.b.wire.continue_process()
            own = [each for each in late if decode_frame(each).to == "b"]
            self.assertEqual(len(own), 1)
            for each in (*(each for each in late if each not in own), *earlier):
                self.b.wire.arrived(each)
                self.assertGreaterEqual(self.b.bus.quiet_for(), 3.0)
            self.b.wire.arrived(own[0])
            self.assertEqual(self.b.bus.quiet_for(), 0.0)
            late = own

    def test_lost_after_a_pause(self) -> None:
        """The frame that shows that all has arrived is sent again if it was lost."""
        self.network.faults = BusFaults(lost=1.0)
        self.clock.pump([3.0, 0.0])
        self.network.faults = BusFaults()
        self.a.wire.send([encode_frame(BusFrame("a", 1, 0))])
        self.clock.advance(0)
        self.assertGreaterEqual(self.b.bus.quiet_for(), 3.0)
        self.advance(2 * HEARTBEAT)
        self.assertLessEqual(self.b.bus.quiet_for(), HEARTBEAT)

    def test_expected(self) -> None:
        """A node that was never heard is silent if it is expected, until it has gone."""
        self.b.bus.expect("b")
        self.b.bus.expect("c")
        self.b.bus.expect("a")
        self.advance(SILENT_AFTER + HEARTBEAT)
        self.assertEqual(self.b.take(), [("c", None)])
        self.b.bus.forget("c")
        self.assertEqual(self.b.take(), [("c", None)])
        self.b.bus.forget("c")
        self.advance(2 * SILENT_AFTER)
        self.assertEqual(self.b.take(), [])
        self.assertLessEqual(self.b.bus.quiet_for(), HEARTBEAT)

    def test_forgotten(self) -> None:
        """A silent node that nobody expects is forgotten."""
        self.a.wire.cut()
        self.advance(FORGOTTEN_AFTER + 2 * SILENT_AFTER)
        self.b.take()
        self.advance(2 * SILENT_AFTER)
        self.assertEqual(self.b.take(), [])
        self.assertEqual(self.b.bus.quiet_for(), 0.0)

    def test_bounded(self) -> None:
        """Invented names use no more than a bounded memory."""
        heard = HeardNodes()
        for number in range(MAX_HEARD + 10):
            heard.arrived(BusFrame(f"node {number}", 1, 0), float(number))
        self.assertEqual(len(heard.silent(1e9)), MAX_HEARD)
        self.assertEqual(heard.silent(1e9 + SILENT_AFTER), [])


class Packing(SynchronousTestCase):
    def test_groups(self) -> None:
        self.assertEqual(list(packed([], 10)), [])
        self.assertEqual(list(packed([b"123456"], 1)), [[b"123456"]])
        self.assertEqual(list(packed([b"1", b"2", b"3"], 12)), [[b"1", b"2"], [b"3"]])


class Wires(SynchronousTestCase):
    def test_after_the_end(self) -> None:
        """What is on its way to a node that has ended is dropped."""
        clock = Clock()
        network = SimulatedBus(clock, Random(1))  # noqa: S311 - for faults
        network.faults = BusFaults(delay=1.0)
        ended: SimulatedWire = network.wire()
        ended.start("ended", lambda _: self.fail("it has ended"), lambda: None)
        network.carry([b"x"])
        self.successResultOf(ended.stop())
        clock.advance(2)


class Delay(BusTestCase):
    """How long the bus takes shows in this node's own heartbeats."""

    def test_delay(self) -> None:
        self.assertEqual(self.a.bus.delay(), 0.0)
        self.network.faults = BusFaults(delay=0.5)
        self.advance(HEARTBEAT + 0.5)
        found = self.a.bus.delay()
        assert found is not None
        self.assertGreater(found, 0.0)
        self.assertLess(found, 0.7)

    def test_lost(self) -> None:
        """While the heartbeat does not come back, the delay grows."""
        self.a.wire.cut()
        self.advance(5 * HEARTBEAT)
        found = self.a.bus.delay()
        assert found is not None
        self.assertGreater(found, 3 * HEARTBEAT)
        self.a.wire.mend()
        self.advance(2 * HEARTBEAT)
        self.assertEqual(self.a.bus.delay(), 0.0)

    def test_earlier_start(self) -> None:
        """A heartbeat of an earlier start of this node says nothing."""
        wire = self.network.wire()
        bus = NumberedBus(wire, self.clock)
        self.network.faults = BusFaults(delay=10.0)
        bus.start("c", 2)
        wire.arrived(encode_frame(BusFrame("c", 1, 0)))
        self.assertIsNone(bus.delay())
