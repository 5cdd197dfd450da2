"""The bus over any wire: numbers messages, notices what is lost, and sends heartbeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.cluster.bus import MAX_BUS_MESSAGE, BusCounts, IBus, IBusWire
from chatd.cluster.frames import (
    FRAME_OVERHEAD,
    BusFrame,
    decode_frame,
    encode_frame,
    packed,
)
from chatd.cluster.heard_nodes import HeardNodes

# Seconds after which a node sends something although it has nothing to tell: while it knows others, and while
# it knows none.
HEARTBEAT = 0.25
LONE_HEARTBEAT = 1.0
SOON = 0.01  # seconds; a heartbeat that is due so soon is sent at once
# Seconds by which this node is late after a pause: its process was stopped, or had too much to do. What the
# others have told meanwhile may still be on its way, although they are heard again.
PAUSE = 0.5
# Bytes that wait for the end of the turn of the reactor; beyond it, they are sent at once.
MAX_WAITING = 256 << 10

log = Logger()


@implementer(IBus)
class NumberedBus:
    """Messages are numbered for each start of a node, also those that are lost, so that their absence shows
    in the number of the next frame. There is one for all nodes at least each HEARTBEAT."""

    def __init__(self, wire: IBusWire, clock: IReactorTime) -> None:
        self._wire = wire
        self._clock = clock
        self._node = ""
        self._start = 0
        self._started = False
        self._next = 0  # the number of the next message that is put into a frame
        self._waiting: list[bytes] = []
        self._for_nodes: dict[str, list[bytes]] = {}  # what waits for one node
        self._size = 0  # bytes that wait
        self._flush = Timer(clock, self._send_waiting)
        self._beat = Timer(clock, self._beat_once)
        self._heard = HeardNodes()
        self._beat_due = clock.seconds()
        # When the last pause began, until a frame has come back that was sent to this node itself afterwards
        self._paused_at: float | None = None
        self._pauses = 0
        self._sent_at = 0.0  # when a frame for all nodes was sent last
        self._on_message: list[Callable[[str, bytes], None]] = []
        self._on_gap: list[Callable[[str], None]] = []
        self.counts = BusCounts()
        self._echo_from: float | None = None  # when the heartbeat was sent that has not come back
        self._delay: float | None = None  # of the last one that has

    def start(self, node: str, start: int) -> None:
        self._node, self._start, self._started = node, start, True
        self._wire.start(node, self._arrived, self._send_heartbeat)
        self._start_beat(HEARTBEAT)

    def _start_beat(self, seconds: float) -> None:
        self._beat_due = self._clock.seconds() + seconds
        self._beat.start(seconds)

    @property
    def _heartbeat(self) -> float:
        return HEARTBEAT if len(self._heard) else LONE_HEARTBEAT

    def stop(self) -> Deferred[None]:
        self._beat.cancel()
        self._send_waiting()
        self._flush.cancel()
        self._started = False
        return self._wire.stop()

    def publish(self, message: bytes) -> None:
        if not self._started:
            return
        if len(message) > MAX_BUS_MESSAGE:
            self._send_waiting()
            self._next += 1
            self.counts.too_large += 1
            return
        self._waiting.append(message)
        self._added(message)

    def send(self, node: str, message: bytes) -> None:
        if not self._started:
            return
        if len(message) > MAX_BUS_MESSAGE:
            self.counts.too_large += 1
            return
        self._for_nodes.setdefault(node, []).append(message)
        self._added(message)

    def _added(self, message: bytes) -> None:
        self._size += len(message)
        if self._size > MAX_WAITING:
            self._send_waiting()
        else:
            # Other messages of this turn of the reactor join the same frame.
            self._flush.start(0)

    def on_message(self, then: Callable[[str, bytes], None]) -> None:
        self._on_message.append(then)

    def on_gap(self, then: Callable[[str], None]) -> None:
        self._on_gap.append(then)

    def expect(self, node: str) -> None:
        if node != self._node:
            self._heard.expect(node, self._clock.seconds())

    def forget(self, node: str) -> None:
        if self._heard.forget(node):
            self._tell_gap(node)  # the end of what it has published may be lost

    def quiet_for(self) -> float:
        now = self._clock.seconds()
        quiet = self._heard.quiet_for(now)
        if self._paused_at is None or not len(self._heard):
            return quiet
        return max(quiet, now - self._paused_at)

    def delay(self) -> float | None:
        if self._echo_from is None or self._delay is None:
            return self._delay
        return max(self._delay, self._clock.seconds() - self._echo_from)

    def _send_waiting(self) -> None:
        messages, self._waiting, self._size = self._waiting, [], 0
        for_nodes, self._for_nodes = self._for_nodes, {}
        for node, sent in for_nodes.items():
            self.counts.sent += len(sent)
            groups = self._packed(sent, node)
            self._send([self._frame(tuple(group), node) for group in groups], node)
        if not messages:
            return
        frames = []
        for group in self._packed(messages):
            frames.append(self._frame(tuple(group)))
            self._next += len(group)
        self.counts.sent += len(messages)
        self._send(frames)

    def _packed(self, messages: list[bytes], to: str = "") -> Iterator[list[bytes]]:
        names = len(self._node.encode()) + len(to.encode())
        return packed(messages, self._wire.frame_size() - FRAME_OVERHEAD - names)

    def _send_heartbeat(self) -> None:
        if self._started:
            if self._echo_from is None:
                self._echo_from = self._clock.seconds()
            self._send([self._frame(())])

    def _frame(self, messages: tuple[bytes, ...], to: str = "") -> bytes:
        return encode_frame(BusFrame(self._node, self._start, self._next, messages, to))

    def _send(self, frames: Sequence[bytes], to: str = "") -> None:
        if not to:
            self._sent_at = self._clock.seconds()
        guarded("a message on the bus is lost", self._wire.send, frames, to)

    def _beat_once(self) -> None:
        now = self._clock.seconds()
        self._notice_pause(now)
        left = self._sent_at + self._heartbeat - now
        if left <= SOON:
            self._send_heartbeat()
            left = self._heartbeat
        self._start_beat(min(left, HEARTBEAT))
        for node, is_new in self._heard.silent(now):
            if is_new:
                log.warn("node {node} is not heard on the bus any more", node=node)
            self._tell_gap(node)

    def _notice_pause(self, now: float) -> None:
        """After a pause, send this node a frame: it arrives after all that was sent before."""
        if now - self._beat_due > PAUSE:
            self._pauses += 1
            if self._paused_at is None:
                self._paused_at = self._beat_due - HEARTBEAT
        if self._paused_at is not None:
            self._send([self._frame((self._probe,), self._node)], self._node)

    @property
    def _probe(self) -> bytes:
        return b"%d" % self._pauses

    def _arrived(self, frames: Sequence[bytes]) -> None:
        now = self._clock.seconds()
        for each in frames:
            try:
                frame = decode_frame(each)
            except (msgspec.DecodeError, msgspec.ValidationError):
                self.counts.unreadable += 1
                continue
            if not self._started:
                return
            if frame.node != self._node:
                self._pass_on(frame, now)
            elif frame.start != self._start:
                continue
            elif frame.to:
                if frame.messages == (self._probe,):
                    self._paused_at = None
            elif self._echo_from is not None and not frame.messages:
                self._delay, self._echo_from = now - self._echo_from, None

    def _pass_on(self, frame: BusFrame, now: float) -> None:
        if frame.to:
            if frame.to == self._node:
                self._pass_messages(frame.node, frame.messages)
            return
        news = self._heard.arrived(frame, now)
        if news.gap:
            self._tell_gap(frame.node)
        self._pass_messages(frame.node, news.messages)

    def _pass_messages(self, node: str, messages: Sequence[bytes]) -> None:
        self.counts.received += len(messages)
        for message in messages:
            for then in self._on_message:
                guarded("a message of another node was not used", then, node, message)

    def _tell_gap(self, node: str) -> None:
        self.counts.gaps += 1
        for then in self._on_gap:
            guarded("the loss of a message of another node was not handled", then, node)
