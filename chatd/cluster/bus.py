"""What nodes of a realm tell each other at once: the interfaces.

The bus is a hint. What it carries is also in the database, or is told again, so a lost message makes others
late and never wrong. A receiver is told when it may have missed something (`on_gap`). It then drops what it
keeps in memory and reads the database again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

MAX_BUS_MESSAGE = (
    1 << 20
)  # bytes; a larger one is not sent, and the receivers find a gap in its place


class Packet(NamedTuple):
    """A frame on its way to the node of that name, or to all nodes if the name is empty."""

    to: str
    frame: bytes


class BusCounts(msgspec.Struct):
    """Totals since the start. `sent` and `received` are messages, `too_large` those that were not sent, and
    `unreadable` frames. `gaps` says how often messages of another node may have been lost."""

    sent: int = 0
    received: int = 0
    too_large: int = 0
    gaps: int = 0
    unreadable: int = 0


class IBus(Interface):
    """All methods are called, and all callbacks are made, in the reactor's thread. Nodes are known by their
    names."""

    counts = Attribute("the BusCounts")

    def start(node: str, start: int) -> None:
        """Begin to send and to listen, as `node`. `start` is greater at each start of a node."""

    def stop() -> Deferred[None]:
        """Send what waits, and end. Fires within seconds."""

    def publish(message: bytes) -> None:
        """Tell all other nodes. Call it after the transaction that stores what the message is about: a
        receiver that reads the database because of the message, or because of its loss, has to find that.
        Never waits and never fails; a message that can't be sent is lost."""

    def send(node: str, message: bytes) -> None:
        """Tell one node, and no others. As `publish`, but no gap is told if it is lost. It comes before what
        is published later, if both arrive, and may overtake what was published before."""

    def on_message(then: Callable[[str, bytes], None]) -> None:
        """Call `then(node, message)` for each message that another node has published, in its order and
        once, and for each that it has sent to this one."""

    def on_gap(then: Callable[[str], None]) -> None:
        """Call `then(node)` when messages of that node may have been lost: when their numbers have a gap,
        when it is heard for the first time or has been started again, when it has gone, and every few
        seconds while it is silent. Messages before this call that have not been passed on never will be. A
        `then` that still reads the database because of an earlier gap has to read it once more."""

    def expect(node: str) -> None:
        """Another node lives. If it is not heard, it is silent."""

    def forget(node: str) -> None:
        """Another node has gone, so its silence means nothing."""

    def quiet_for() -> float:
        """The seconds since the node was heard that was not heard for the longest time. What nodes had
        published before they were heard last has been passed on, or a gap was told. After a pause of this
        node, the seconds since its begin, until what was on its way has arrived."""

    def delay() -> float | None:
        """How many seconds this node's own heartbeat took to come back, or has been under way if that is
        longer; None if none has come back yet, or the wire returns none."""


class IBusWire(Interface):
    """Carries frames from this node to all nodes, itself included or not, or to one, which may be itself. It
    may lose frames."""

    def start(
        node: str,
        on_frames: Callable[[Sequence[bytes]], None],
        on_connected: Callable[[], None],
    ) -> None:
        """Begin, as `node`. `on_frames` is called in the reactor's thread with frames in the order of their
        arrival, and `on_connected` when frames can be sent, for the first time or again."""

    def stop() -> Deferred[None]:
        """Send what waits, and end. Fires within seconds."""

    def send(frames: Sequence[bytes], to: str = "") -> None:
        """Send frames to the node of that name, or to all if it is empty, or lose them. Never waits."""

    def frame_size() -> int:
        """How many bytes a frame should have at most. A message that does not fit is a frame of its own."""
