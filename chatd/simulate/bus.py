"""A bus between simulated nodes, over a network that delays, loses and doubles frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from chatd.cluster.bus import IBusWire


class BusFaults(msgspec.Struct, frozen=True):
    """What happens to frames: which parts of them are lost and doubled, and how many seconds they take at
    most. If they are `ordered`, those of one node arrive in their order, but for doubled ones."""

    lost: float = 0.0
    doubled: float = 0.0
    delay: float = 0.0
    ordered: bool = False


GOOD = BusFaults(delay=0.01, ordered=True)


class SimulatedBus:
    """What the wires of all nodes have in common. `faults` may be changed at any time."""

    def __init__(self, clock: IReactorTime, random: Random) -> None:
        self.clock = clock
        self.faults = BusFaults()
        # Wires that hear nothing of another one: the sender and the receiver
        self.parted: set[tuple[SimulatedWire | None, SimulatedWire]] = set()
        self._random = random
        self._due: dict[tuple[SimulatedWire | None, SimulatedWire], float] = {}  # of the last frame
        self._wires: list[SimulatedWire] = []

    def wire(self) -> SimulatedWire:
        """Return the wire of one more node."""
        wire = SimulatedWire(self)
        self._wires.append(wire)
        return wire

    def remove(self, wire: SimulatedWire) -> None:
        """The node has gone. What it has sent may still arrive."""
        self._wires.remove(wire)
        self.parted = {pair for pair in self.parted if wire not in pair}
        self._due = {pair: due for pair, due in self._due.items() if wire not in pair}

    def carry(
        self, frames: Sequence[bytes], to: str = "", sender: SimulatedWire | None = None
    ) -> None:
        """Bring frames to all wires, or to that of one node, or lose them."""
        for wire in self._wires:
            if to not in ("", wire.node) or (sender, wire) in self.parted:
                continue
            for frame in frames:
                for again in range(1 + self._happens(self.faults.doubled)):
                    if not self._happens(self.faults.lost):
                        delay = self._delay(sender, wire, again)
                        self.clock.callLater(delay, wire.arrived, frame)

    def _delay(self, sender: SimulatedWire | None, wire: SimulatedWire, again: int) -> float:
        """In how many seconds a frame arrives."""
        delay = self._random.uniform(0.0, self.faults.delay)
        if not self.faults.ordered or again:
            return delay
        now = self.clock.seconds()
        due = self._due[sender, wire] = max(now + delay, self._due.get((sender, wire), 0.0))
        return due - now

    def _happens(self, part: float) -> bool:
        return self._random.random() < part


@implementer(IBusWire)
class SimulatedWire:
    """The wire of a node. While it is cut, nothing leaves it and nothing arrives. While the node's process is
    stopped, what arrives waits."""

    def __init__(self, bus: SimulatedBus) -> None:
        self._bus = bus
        self._on_frames: Callable[[Sequence[bytes]], None] | None = None
        self._on_connected: Callable[[], None] = lambda: None
        self._is_cut = False
        self.node = ""
        self._is_stopped = False
        self._arrived: list[bytes] = []  # while it is stopped
        self.size = 1000  # bytes of a frame

    def start(
        self,
        node: str,
        on_frames: Callable[[Sequence[bytes]], None],
        on_connected: Callable[[], None],
    ) -> None:
        self.node = node
        self._on_frames, self._on_connected = on_frames, on_connected
        on_connected()

    def stop(self) -> Deferred[None]:
        if self._on_frames is not None:
            self._on_frames = None
            self._bus.remove(self)
        return succeed(None)

    def send(self, frames: Sequence[bytes], to: str = "") -> None:
        if not self._is_cut:
            self._bus.carry(frames, to, self)

    def frame_size(self) -> int:
        return self.size

    def arrived(self, frame: bytes) -> None:
        if self._is_cut:
            return
        if self._is_stopped:
            self._arrived.append(frame)
        elif self._on_frames is not None:
            self._on_frames([frame])

    def stop_process(self) -> None:
        self._is_stopped = True

    def continue_process(self) -> None:
        self._is_stopped = False
        arrived, self._arrived = self._arrived, []
        if self._on_frames is not None and arrived:
            self._on_frames(arrived)

    @property
    def is_cut(self) -> bool:
        """Whether the node does not reach the bus."""
        return self._is_cut

    def cut(self) -> None:
        self._is_cut = True

    def mend(self) -> None:
        if self._is_cut:
            self._is_cut = False
            self._on_connected()
