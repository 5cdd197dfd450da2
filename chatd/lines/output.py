"""What goes out on one connection: collected until the turn's end, streamed from files, and watched for a
reader who does not read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.interfaces import IPushProducer, ISSLTransport, ITCPTransport
from zope.interface import implementer

from chatd.base.throttle import Budget
from chatd.base.timers import Room
from chatd.files.outgoing import CHUNK, Outgoing, ReaderGone, send_chunks
from chatd.net.eager import FlushQueue

MAX_UNREAD = 1 << 20  # bytes of pushed events that may wait for a reader who does not read
MAX_HELD = 4 << 20  # bytes of events that may wait for the end of a download
MAX_FULL = 300.0  # seconds in which a reader has to read something


@implementer(IPushProducer)
class Output:
    """The writing side of a connection. `full` and `drained` are called when the transport has enough,
    and when it has sent what it had; `cut_off` when too much is waiting: pushed to this connection, or of all
    kinds on all connections of `owner()`, an account, which share `budget`."""

    def __init__(
        self,
        transport: Any,
        flush_queue: FlushQueue,
        clock: Any,
        full: Callable[[], None],
        drained: Callable[[], None],
        cut_off: Callable[[], None],
        budget: Budget,
        owner: Callable[[], int],
    ) -> None:
        self._transport = transport
        self._flush_queue = flush_queue
        self._clock = clock
        self._full = full
        self._drained = drained
        self._cut_off = cut_off
        self._budget = budget
        self._find_owner = owner
        self._owner = 0
        self._held = 0  # bytes that wait for a reader who is behind, of the owner's budget
        self._out: list[bytes] = []
        self._size = 0  # bytes in it
        self._unread = 0
        self._full_since: float | None = None
        self._closed = False
        # While a file is streamed: what is pushed waits for its end, and the stream for the reader.
        self._pushed: list[bytes] | None = None
        self._room = Room()
        transport.registerProducer(self, True)

    @property
    def is_full(self) -> bool:
        """Whether the reader is behind."""
        return self._full_since is not None

    def is_stalled(self) -> bool:
        """Whether the reader has read nothing for too long."""
        since = self._full_since
        return since is not None and bool(self._clock.seconds() - since > MAX_FULL)

    def write(self, data: bytes) -> None:
        """Send at the end of this turn, together with whatever else there will be."""
        out = self._out
        if not out:
            self._flush_queue.add(self)
        out.append(data)
        self._size += len(data)
        if self._size > CHUNK:
            self.flush()

    def push(self, data: bytes) -> None:
        """As `write`, for what nobody has asked for just now: never into the middle of a file."""
        if self._pushed is not None:
            self._pushed.append(data)
            self._count(len(data), MAX_HELD)
            return
        self.write(data)
        if self._full_since is not None:
            self._count(len(data), MAX_UNREAD)

    def flush(self) -> None:
        """Send now what was written."""
        out = self._out
        if not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._size = 0
        self._transport.write(data)
        if self._full_since is not None:
            self._hold(len(data))

    async def stream(
        self, head: bytes, file: Outgoing, encode: Callable[[bytes], bytes] | None = None
    ) -> None:
        """Send `head` and the bytes of `file` as fast as they are read at the other end, in little memory.

        `encode` is given them a multiple of three at a time, save at the end. Raises OSError if the file
        turns out to be shorter than it was.
        """
        self._pushed = []
        self.write(head)
        self.flush()
        transport = self._transport
        with suppress(ReaderGone):
            if encode is None:
                await send_chunks(file, self._ready, transport.write)
            else:
                encoded = partial(_write_encoded, transport, encode)
                await send_chunks(file, self._ready, encoded, chunk=CHUNK // 3 * 3)
        pushed, self._pushed = self._pushed, None
        self._unread = 0
        for data in pushed:
            self.write(data)

    async def _ready(self) -> None:
        """Wait until the reader has caught up. Raises ReaderGone."""
        while self._full_since is not None and not self._closed:
            await self._room.wait()
        if self._closed:
            raise ReaderGone

    def close(self) -> None:
        """Send what was written, then close the connection."""
        self.flush()
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def half_close(self) -> bool:
        """Send what was written, then close the sending side. Returns False, and does nothing, if the
        transport can only be closed as a whole."""
        if not _can_half_close(self._transport):
            return False
        self.flush()
        self._transport.unregisterProducer()
        self._transport.loseWriteConnection()
        return True

    def drop(self) -> None:
        """End the connection at once, without sending what was written."""
        self._closed = True
        self._out.clear()
        self._transport.abortConnection()

    def lost(self) -> None:
        """The connection is gone."""
        self._closed = True
        self._let_go()
        self._room.make()

    def _hold(self, size: int) -> None:
        """That much more waits in memory for the reader."""
        if self._closed:
            return
        if not self._held:
            self._owner = self._find_owner()
        if self._budget.change(self._owner, size):
            self._held += size
        else:
            self._closed = True
            self._let_go()  # at once, so that the others that are behind stay
            self._cut_off()

    def _let_go(self) -> None:
        held, self._held = self._held, 0
        if held:
            self._budget.change(self._owner, -held)

    def _count(self, size: int, limit: int) -> None:
        self._unread += size
        if self._unread > limit and not self._closed:
            self._closed = True
            self._cut_off()

    # IPushProducer: the transport's word on how the reader keeps up.

    def pauseProducing(self) -> None:
        self._full_since = self._clock.seconds()
        self._full()

    def resumeProducing(self) -> None:
        self._full_since = None
        self._let_go()
        if self._pushed is None:
            self._unread = 0
        self._drained()
        self._room.make()

    def stopProducing(self) -> None:
        """The connection is gone; `lost` will be called, too."""


def _write_encoded(transport: Any, encode: Callable[[bytes], bytes], data: bytes) -> None:
    transport.write(encode(data))


def _can_half_close(transport: Any) -> bool:
    return ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport)
