"""The writing side of a connection: collects the output of a turn, streams files, detects slow readers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.interfaces import IPushProducer, IReactorTime, ISSLTransport, ITCPTransport
from zope.interface import implementer

from chatd.base.throttle import Budget
from chatd.base.timers import Signal
from chatd.files.outgoing import CHUNK, Outgoing, ReaderGone, send_chunks
from chatd.net.eager import FlushQueue
from chatd.net.sockets import StreamTransport

if TYPE_CHECKING:
    from chatd.lines.protocol import ChatLineProtocol

FileOpener: TypeAlias = Callable[[], Awaitable[Outgoing]]

MAX_UNREAD = 1 << 20  # bytes of events that may wait for a client that does not read
MAX_HELD = 4 << 20  # bytes of events that may wait for the end of a download
MAX_FULL = 300.0  # seconds in which a client has to read something


class Backlog:
    """Bytes that wait in memory for a slow client. They count against the budget of its account, which all
    connections of that account share."""

    __slots__ = ("_account", "_budget", "_held", "_payer")

    def __init__(self, budget: Budget, payer: Callable[[], int]) -> None:
        self._budget = budget
        self._payer = payer
        self._account = 0
        self._held = 0

    def add(self, size: int) -> bool:
        """Count `size` bytes more. Returns False if the budget does not allow it."""
        if not self._held:
            self._account = self._payer()
        if not self._budget.change(self._account, size):
            return False
        self._held += size
        return True

    def clear(self) -> None:
        held, self._held = self._held, 0
        if held:
            self._budget.change(self._account, -held)


@implementer(IPushProducer)
class ConnectionOutput:
    """What is written to one connection. Registers itself as the producer of `transport`."""

    def __init__(
        self,
        transport: StreamTransport,
        flush_queue: FlushQueue,
        clock: IReactorTime,
        host: ChatLineProtocol,
        backlog: Backlog,
    ) -> None:
        self._transport = transport
        self._flush_queue = flush_queue
        self._clock = clock
        self._host = host
        self._backlog = backlog
        self._out: list[bytes] = []
        self._size = 0  # bytes in `_out`
        self._unread = 0  # bytes of events since the client fell behind
        self._full_since: float | None = None
        self._closed = False
        # While a file is streamed: events that wait for its end.
        self._pushed: list[bytes] | None = None
        self._writable = Signal()
        transport.registerProducer(self, True)

    @property
    def is_full(self) -> bool:
        """Whether the client is behind with reading."""
        return self._full_since is not None

    def is_stalled(self) -> bool:
        """Whether the client has read nothing for MAX_FULL seconds."""
        since = self._full_since
        return since is not None and self._clock.seconds() - since > MAX_FULL

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this turn, in one call with everything else that is written by then."""
        out = self._out
        if not out:
            self._flush_queue.add(self)
        out.append(data)
        self._size += len(data)
        if self._size > CHUNK:
            self.flush()

    def push(self, data: bytes) -> None:
        """Send an event. It waits for the end of a download, and is counted while the client is behind."""
        if self._pushed is not None:
            self._pushed.append(data)
            self._count(len(data), MAX_HELD)
            return
        self.write(data)
        if self._full_since is not None:
            self._count(len(data), MAX_UNREAD)

    def flush(self) -> None:
        """Send what was written, now."""
        out = self._out
        if not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._size = 0
        self._transport.write(data)
        if self._full_since is not None:
            self._fall_behind(len(data))

    def _fall_behind(self, size: int) -> None:
        """Count bytes that the client did not read in time. Cuts it off if there are too many."""
        if not self._closed and not self._backlog.add(size):
            self._closed = True
            self._backlog.clear()  # at once, so that the account's other slow connections stay
            self._host.cut_off()

    def set_gap(self, seconds: float) -> None:
        """Leave so many seconds between two writes. Does nothing, because clients that read lines need no
        gap."""

    def hold_events(self) -> None:
        """The client takes what it reads next for part of a file. Does nothing, because lines of events don't
        disturb clients that read lines."""

    def release_events(self) -> None:
        """The client reads messages again."""

    async def stream(
        self,
        parts: Iterable[tuple[bytes, FileOpener]],
        encode: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Send each head and the bytes of the file after it, as fast as the client reads them. Events wait
        until all of it is sent.

        `encode` is given a multiple of three bytes at a time, except at the end of a file. Raises OSError if
        a file is shorter than it was when it was stored, and what opening one raises.
        """
        self._pushed = []
        with suppress(ReaderGone):
            for head, open_file in parts:
                await self._stream_one(head, open_file, encode)
        pushed, self._pushed = self._pushed, None
        self._unread = 0
        for data in pushed:
            self.write(data)

    async def _stream_one(
        self, head: bytes, open_file: FileOpener, encode: Callable[[bytes], bytes] | None
    ) -> None:
        await self._ready()
        self.write(head)
        await self._sent()
        transport = self._transport
        file = await open_file()
        try:
            if encode is None:
                await send_chunks(file, self._ready, transport.write)
            else:
                encoded = partial(_write_encoded, transport, encode)
                await send_chunks(file, self._ready, encoded, chunk=CHUNK // 3 * 3)
        finally:
            await file.close()

    async def _sent(self) -> None:
        """Send what was written, before bytes of a file."""
        self.flush()

    async def _ready(self) -> None:
        """Wait until the client has caught up. Raises ReaderGone."""
        while self._full_since is not None and not self._closed:
            await self._writable.wait()
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
        transport: Any = self._transport
        is_tcp, is_tls = ITCPTransport.providedBy(transport), ISSLTransport.providedBy(transport)
        if not is_tcp or is_tls:
            return False
        self.flush()
        transport.unregisterProducer()
        transport.loseWriteConnection()
        return True

    def drop(self) -> None:
        """Drop the connection at once, without sending what was written."""
        self._closed = True
        self._out.clear()
        self._transport.abortConnection()

    def lost(self) -> None:
        self._closed = True
        self._backlog.clear()
        self._writable.notify()

    def _count(self, size: int, limit: int) -> None:
        self._unread += size
        if self._unread > limit and not self._closed:
            self._closed = True
            self._host.cut_off()

    # IPushProducer: called by the transport when the client falls behind and catches up.

    def pauseProducing(self) -> None:
        self._full_since = self._clock.seconds()
        self._host.output_full()

    def resumeProducing(self) -> None:
        self._full_since = None
        self._backlog.clear()
        if self._pushed is None:
            self._unread = 0
        self._host.output_drained()
        self._writable.notify()

    def stopProducing(self) -> None:
        """Do nothing: `lost` is called as well."""


def _write_encoded(
    transport: StreamTransport, encode: Callable[[bytes], bytes], data: bytes
) -> None:
    transport.write(encode(data))
