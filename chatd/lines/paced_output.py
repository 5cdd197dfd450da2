"""The writing side of a connection whose client takes everything that it reads at once for one message."""

from __future__ import annotations

from typing import Any

from chatd.base.timers import Signal, Timer
from chatd.lines.input_control import Hold
from chatd.lines.output import MAX_UNREAD, ConnectionOutput

MAX_WAITING = 8  # writes that wait for their turn before no more requests are read


class PacedOutput(ConnectionOutput):
    """Leaves `gap` seconds between two writes, so that the client reads them one by one. Without a gap it is
    an ordinary ConnectionOutput."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._written = self._clock.seconds() - 1.0  # when the last write was made
        self._turn = Timer(self._clock, self.flush)
        self._all_sent = Signal()
        self._ending = False

    def flush(self) -> None:
        """Send the oldest write, if the last one was long enough ago. The others wait."""
        if not self.gap or self._closed:
            super().flush()
            self._written = self._clock.seconds()
            return
        out = self._out
        left = self._written + self.gap - self._clock.seconds()
        if out and left <= 0:
            waiting = out[1:]
            size = self._size - len(out[0])
            del out[1:]
            super().flush()
            out[:] = waiting
            self._size = size
            self._written, left = self._clock.seconds(), self.gap
        if out:
            self._turn.start(left)
            self._limit()
            return
        self._host.flow.release(Hold.PACE)
        self._all_sent.notify()
        if self._ending:
            self._ending = False
            super().close()

    def _limit(self) -> None:
        """Read no more requests while replies wait, and cut off a client for which too many events wait."""
        if len(self._out) > MAX_WAITING:
            self._host.flow.hold(Hold.PACE)
        if self._size > MAX_UNREAD and not self._closed:
            self._closed = True
            self._host.cut_off()

    async def _sent(self) -> None:
        """Wait until nothing waits for its turn: bytes of a file follow."""
        while self._out and not self._closed:
            self.flush()
            if self._out:
                await self._all_sent.wait()

    async def _stream_one(self, *part: Any) -> None:
        await super()._stream_one(*part)
        self._written = self._clock.seconds()  # the bytes of a file are a message as well

    def close(self) -> None:
        """Send everything in its turn, then close the connection."""
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
        self._turn.cancel()
        self._all_sent.notify()
