"""Whatever the bus loses: a node that reads the database at each gap ends with everything."""

from __future__ import annotations

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.cluster.heard_nodes import SILENT_AFTER
from chatd.cluster.numbered_bus import HEARTBEAT, NumberedBus
from chatd.simulate.bus import BusFaults, SimulatedBus
from tests import RANDOM_RUNS

NAMES = ("a", "b", "c")
READING = 0.3  # seconds that a query takes

nodes = st.sampled_from(NAMES)


class ReadingNode:
    """A node that keeps in memory what all nodes have stored in `stored`. Its queries take some time, and see
    what was stored when they began."""

    def __init__(self, network: SimulatedBus, stored: list[bytes], name: str, start: int) -> None:
        self.known: set[bytes] = set()
        self.passed_on: list[bytes] = []
        self._clock = network.clock
        self._stored = stored
        self._reading = False
        self._again = False
        self.wire = network.wire()
        self.bus = NumberedBus(self.wire, network.clock)
        self.bus.on_message(self._told)
        self.bus.on_gap(lambda _: self._read())
        self.bus.start(name, start)
        for other in NAMES:
            self.bus.expect(other)
        self._read()

    def _told(self, _node: str, message: bytes) -> None:
        self.known.add(message)
        self.passed_on.append(message)

    def _read(self) -> None:
        self._again = self._reading
        if not self._reading:
            self._reading = True
            self._clock.callLater(READING, self._has_read, set(self._stored))

    def _has_read(self, found: set[bytes]) -> None:
        self.known |= found
        self._reading = False
        if self._again:
            self._read()


class LossyBus(RuleBasedStateMachine):
    """Nodes that store, publish, die and start again, while the network loses, delays and doubles frames."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.clock = Clock()
        self.network = SimulatedBus(self.clock, Random(seed))  # noqa: S311 - for faults
        self.network.faults = BusFaults(lost=0.3, doubled=0.3, delay=0.3)
        self.stored: list[bytes] = []
        self.starts = 0
        self.nodes: dict[str, ReadingNode] = {}
        for name in NAMES:
            self.start(name)

    def start(self, name: str) -> None:
        self.starts += 1
        self.nodes[name] = ReadingNode(self.network, self.stored, name, self.starts)

    @rule(name=nodes, count=st.integers(1, 3))
    def publish(self, name: str, count: int) -> None:
        node = self.nodes[name]
        for _ in range(count):
            self.stored.append(b"%d" % len(self.stored))
            node.known.add(self.stored[-1])
            node.bus.publish(self.stored[-1])

    @rule(name=nodes, published=st.booleans())
    def kill(self, name: str, published: bool) -> None:
        """A node dies after a commit, before or after the others have been told, and is started again."""
        if published:
            self.publish(name, 1)
            self.clock.advance(0)
        else:
            self.stored.append(b"%d" % len(self.stored))
        self.nodes[name].bus.stop()
        self.start(name)

    @rule(name=nodes)
    def cut(self, name: str) -> None:
        self.nodes[name].wire.cut()

    @rule(name=nodes)
    def mend(self, name: str) -> None:
        self.nodes[name].wire.mend()

    @rule(
        lost=st.sampled_from([0.0, 0.3, 0.9]),
        doubled=st.sampled_from([0.0, 0.5]),
        delay=st.sampled_from([0.0, 0.1, 2.0]),
    )
    def faults(self, lost: float, doubled: float, delay: float) -> None:
        self.network.faults = BusFaults(lost, doubled, delay)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(10 * seconds) or [0.0])

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        self.network.faults = BusFaults()
        for node in self.nodes.values():
            node.wire.mend()
        self.wait(SILENT_AFTER + HEARTBEAT + 2 * READING + 0.2)
        for name, node in self.nodes.items():
            assert node.known == set(self.stored), f"{name} has missed something"
            numbers = [int(message) for message in node.passed_on]
            assert len(numbers) == len(set(numbers)), "a message was passed on twice"
        # Without faults everything is told at once, and nothing is read.
        for node in self.nodes.values():
            node.passed_on.clear()
        self.publish("a", 2)
        self.clock.advance(0)
        for name in NAMES[1:]:
            assert self.nodes[name].passed_on == self.stored[-2:], f"{name} was not told"


class LostMessages(SynchronousTestCase):
    def test_everything_is_known_in_the_end(self) -> None:
        run_state_machine_as_test(
            LossyBus, settings=settings(max_examples=3 * RANDOM_RUNS, stateful_step_count=25)
        )
