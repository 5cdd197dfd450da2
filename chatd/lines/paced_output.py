"""The writing side of a connection whose client takes everything that it reads at once for one message."""

from __future__ import annotations

from collections import deque
from typing import Any

from chatd.base.timers import Signal, Timer
from chatd.lines.dialect import Dialect
from chatd.lines.input_control import Hold
from chatd.lines.output import ConnectionOutput

MAX_WAITING = 8  # replies that wait for their turn before no more requests are read
MAX_BYTES = 1 << 20  # bytes in them
MAX_EVENTS = 500  # events that wait for their turn
# Seconds before the next write after the bytes of a file: the client reads them in small pieces, and writes
# to the file what it reads together with the last one.
AFTER_FILE = 0.25
AFTER_LINES = 0.05  # seconds before the next write with a gap, after one without


class PacedOutput(ConnectionOutput):
    """Leaves `gap` seconds between two writes, so that the client reads them one by one. Without a gap it is
    an ordinary ConnectionOutput.

    Replies come before events. Of too many events that wait, the oldest are dropped: they announce what the
    client can ask for.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._turn = Timer(self._clock, self.flush)  # runs between two writes
        self._events: deque[bytes] = deque(maxlen=MAX_EVENTS)
        self._holds_events = False
        self._all_sent = Signal()
        self._ending = False

    def write(self, data: bytes) -> None:
        if data:
            super().write(data)

    def push(self, data: bytes) -> None:
        if not self.gap:
            super().push(data)
        elif data:
            self._events.append(data)
            self._flush_queue.add(self)

    def hold_events(self) -> None:
        self._holds_events = True

    def release_events(self) -> None:
        self._holds_events = False
        self._flush_queue.add(self)

    def flush(self) -> None:
        """Send the oldest reply, or else the oldest event, unless the last write was a moment ago."""
        if not self.gap or self._closed:
            if self._out and not self._closed:
                self._turn.restart(AFTER_LINES)
            super().flush()
            return
        if self._turn.due is None and (data := self._next()):
            self._turn.start(self.gap)
            self._transport.write(data)
            if self.is_full:
                self._fall_behind(len(data))
        if len(self._out) > MAX_WAITING or self._size > MAX_BYTES:
            self._host.flow.hold(Hold.PACE)
        elif not self._out:
            self._host.flow.release(Hold.PACE)
            self._all_sent.notify()
            if self._ending:
                self._ending = False
                super().close()

    @property
    def _has_event(self) -> bool:
        """Whether an event may be sent. They wait for a client that does not read, too."""
        return bool(self._events) and not (self._holds_events or self.is_full)

    def _next(self) -> bytes:
        """Take what is to be written next."""
        if self._out:
            data = self._out.pop(0)
            self._size -= len(data)
            return data
        return self._events.popleft() if self._has_event else b""

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._flush_queue.add(self)

    async def _sent(self) -> None:
        """Wait until nothing waits for its turn: bytes of a file follow."""
        while self._out and not self._closed:
            self.flush()
            if self._out:
                await self._all_sent.wait()

    async def stream(self, *args: Any) -> None:
        self.hold_events()
        try:
            await super().stream(*args)
        finally:
            self.release_events()

    async def _stream_one(self, *part: Any) -> None:
        await super()._stream_one(*part)
        self._turn.restart(AFTER_FILE)

    def close(self) -> None:
        """Send all replies and the newest event, which may say why, each in its turn. Then close the
        connection."""
        if self._events:
            self.write(self._events.pop())
            self._events.clear()
        if self._out and self.gap:
            self._ending = True
            self.flush()
        else:
            super().close()

    def drop(self) -> None:
        self._turn.cancel()
        super().drop()

    def lost(self) -> None:
        super().lost()
        self._events.clear()
        self._turn.cancel()
        self._all_sent.notify()


def output_class(dialect: Dialect) -> type[ConnectionOutput]:
    """What connections at a door of that dialect are written to with."""
    has_gap = dialect.original is not None and dialect.original.gap
    return PacedOutput if has_gap else ConnectionOutput
