"""The writing side of a connection whose client takes everything that it reads at once for one message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatd.base.timers import Signal, Timer
from chatd.files.outgoing import Outgoing
from chatd.lines.dialect import Dialect
from chatd.lines.input_control import Hold
from chatd.lines.output import Backlog, ConnectionOutput, FileOpener
from chatd.net.eager import FlushQueue
from chatd.net.sockets import StreamTransport, unacknowledged

if TYPE_CHECKING:
    from chatd.lines.protocol import ChatLineProtocol

MAX_WAITING = 8  # replies that wait for their turn before no more requests are read
MAX_BYTES = 1 << 20  # bytes in them, and bytes in events that wait
MAX_PASSED = 4  # replies that come before an event
# Before and after an event, and between replies to pipelined requests, gaps are so many times as long: only a
# client that sends a request after a reply has probably read that.
APART = 3
AFTER_LINES = 0.1  # seconds before the next write with a gap, after one without
READING_TEXT = 200_000  # bytes of a reply that a busy client reads in a second
MAX_READING = 2.0  # seconds that it may take
# After the bytes of a file: the client writes to the file what it reads together with the last of them. It
# reads in small pieces, and what has reached its system may wait there for long. Seconds before the next
# reply, and before the next event in addition for so many bytes of the file.
AFTER_FILE = 0.25
READING = 2 << 20  # bytes a second that a slow client reads
MAX_UNREAD = 4 << 20  # bytes that may wait in the client's system
LOOK = 0.05  # seconds between two looks whether the client's system has all bytes
MAX_LOOKS = 600


class WaitingEvents:
    """Events that wait for their turn. Of too many, the oldest are dropped: they announce what the client can
    ask for. While they are `held`, none has its turn. `passed`: how many replies came before the first."""

    __slots__ = ("_bytes", "_events", "held", "passed")

    def __init__(self) -> None:
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self.held = False
        self.passed = 0

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, data: bytes) -> None:
        self._events.append(data)
        self._bytes += len(data)
        while self._bytes > MAX_BYTES:
            self._bytes -= len(self._events.popleft())

    def take(self) -> bytes:
        """The oldest."""
        self.passed = 0
        data = self._events.popleft()
        self._bytes -= len(data)
        return data

    def end(self) -> bytes:
        """The newest; all others are dropped. Empty if there is none."""
        newest = self._events[-1] if self._events else b""
        self._events.clear()
        self._bytes = 0
        return newest


class Turns:
    """When the next reply and the next event may be written. Then `call` is called."""

    __slots__ = ("_event", "_reply")

    def __init__(self, clock: IReactorTime, call: Callable[[], object]) -> None:
        self._reply = Timer(clock, call)
        self._event = Timer(clock, call)

    @property
    def is_for_replies(self) -> bool:
        return self._reply.due is None

    @property
    def is_for_events(self) -> bool:
        return self._event.due is None

    def wait(self, reply: float, event: float) -> None:
        """Write the next reply, and the next event, only after so many seconds."""
        self._reply.restart(reply)
        self._event.restart(event)

    def cancel(self) -> None:
        self._reply.cancel()
        self._event.cancel()


class PacedOutput(ConnectionOutput):
    """Leaves a gap between two writes, so that the client reads them one by one. Without a gap it is an
    ordinary ConnectionOutput.

    Replies come before events, but not for long.
    """

    def __init__(
        self,
        transport: StreamTransport,
        flush_queue: FlushQueue,
        clock: IReactorTime,
        host: ChatLineProtocol,
        backlog: Backlog,
    ) -> None:
        super().__init__(transport, flush_queue, clock, host, backlog)
        self._gap = 0.0  # seconds
        self._turns = Turns(clock, self.flush)
        self._events = WaitingEvents()
        self._release = Timer(clock, self.release_events)
        self._all_sent = Signal()
        self._streamed = 0  # bytes of files in the last stream
        self._ending = False

    def set_gap(self, seconds: float) -> None:
        self._gap = seconds

    def write(self, data: bytes) -> None:
        if data:
            super().write(data)

    def push(self, data: bytes) -> None:
        if not self._gap:
            super().push(data)
        elif data:
            self._events.add(data)
            self._flush_queue.add(self)

    def hold_events(self) -> None:
        self._events.held = True
        self._release.cancel()

    def release_events(self) -> None:
        self._events.held = False
        self._release.cancel()
        self._flush_queue.add(self)

    def flush(self) -> None:
        """Send the oldest reply, or else the oldest event, unless the last write was a moment ago."""
        if not self._gap or self._closed:
            if self._out and not self._closed:
                self._turns.wait(AFTER_LINES, AFTER_LINES)
            super().flush()
            return
        self._send_next()
        if len(self._out) > MAX_WAITING or self._size > MAX_BYTES:
            self._host.flow.hold(Hold.PACE)
        elif not self._out:
            self._host.flow.release(Hold.PACE)
            self._all_sent.notify()
            if self._ending:
                self._ending = False
                super().close()

    def _send_next(self) -> None:
        events, turns = self._events, self._turns
        # Events wait for a slow reader, too.
        has_event = bool(events) and not (events.held or self.is_full)
        if has_event and (not self._out or events.passed >= MAX_PASSED):
            if turns.is_for_events:
                self._send(events.take(), self._gap * APART)
        elif self._out and turns.is_for_replies:
            data = self._out.pop(0)
            self._size -= len(data)
            events.passed += has_event
            is_last = not (self._out or self._host.requests)
            self._send(data, self._gap if is_last else self._gap * APART)

    def _send(self, data: bytes, gap: float) -> None:
        """Write `data`, and nothing more before the client has had time to read it. `gap`: before a reply."""
        reading = min(len(data) / READING_TEXT, MAX_READING)
        self._turns.wait(gap + reading, self._gap * APART + reading)
        self._transport.write(data)
        if self.is_full:
            self._fall_behind(len(data))

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._flush_queue.add(self)

    async def _sent(self) -> None:
        """Wait until nothing waits for its turn: bytes of a file follow."""
        while self._out and not self._closed:
            self.flush()
            if self._out:
                await self._all_sent.wait()

    async def stream(
        self,
        parts: Iterable[tuple[bytes, FileOpener]],
        encode: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.hold_events()
        self._streamed = 0
        await super().stream(parts, encode)
        await self._arrived()
        if not self._closed:
            self._turns.wait(AFTER_FILE, AFTER_FILE)
            self._release.restart(AFTER_FILE + min(self._streamed, MAX_UNREAD) / READING)

    async def _stream_one(
        self, head: bytes, open_file: FileOpener, encode: Callable[[bytes], bytes] | None
    ) -> None:
        async def opened() -> Outgoing:
            file = await open_file()
            self._streamed += file.size
            return file

        await super()._stream_one(head, opened, encode)

    async def _arrived(self) -> None:
        """Wait until the client's system has everything, but not forever."""
        for _ in range(MAX_LOOKS):
            if self._closed or not unacknowledged(self._transport):
                return
            await deferLater(self._clock, LOOK)

    def close(self) -> None:
        """Send all replies and the newest event, which may say why, each in its turn. Then close the
        connection."""
        self.write(self._events.end())
        if self._out and self._gap:
            self._ending = True
            self.flush()
        else:
            super().close()

    def drop(self) -> None:
        self._stop()
        super().drop()

    def lost(self) -> None:
        super().lost()
        self._stop()
        self._all_sent.notify()

    def _stop(self) -> None:
        self._events.end()
        self._turns.cancel()
        self._release.cancel()


def output_class(dialect: Dialect) -> type[ConnectionOutput]:
    """What connections at a door of that dialect are written to with."""
    has_gap = dialect.original is not None and dialect.original.gap
    return PacedOutput if has_gap else ConnectionOutput
