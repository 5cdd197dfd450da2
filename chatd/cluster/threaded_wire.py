"""The wire of a bus over a server: one thread sends, another one listens, and both connect again when they
lose the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from chatd.base.clocks import IReactor
from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.cluster.bus import IBusWire, Packet
from chatd.cluster.frame_queue import FrameQueue

SENT_AT_ONCE = 200  # frames
PASSED_ON_AT_ONCE = 200  # frames in one turn of the reactor
WAIT = 0.5  # seconds for which a thread waits before it looks whether it should end
# A node hears its own heartbeats, too. After so many seconds without any frame the connection counts as lost.
DEAF_AFTER = 5.0
MIN_BACKOFF, MAX_BACKOFF = 0.1, 5.0  # seconds
ENDS_WITHIN = 5.0  # seconds; after that the threads are left to themselves

log = Logger()


class FrameSender(Protocol):
    """A connection for sending. It is used in one thread. Any exception means that the connection is lost."""

    def send(self, packets: Sequence[Packet]) -> None:
        """Send frames in order. Called at least once in WAIT, also without frames."""

    def close(self) -> None: ...


class FrameListener(Protocol):
    """A connection for listening. It is used in one thread. Any exception means that the connection is
    lost."""

    def receive(self, seconds: float) -> Sequence[bytes]:
        """Wait that long for frames, and return those that have come."""

    def close(self) -> None: ...


class BusServer(Protocol):
    """Connects with a server that carries frames. Its methods are called in threads, and raise what the
    driver raises. `name` says in the log what it is."""

    name: str
    frame_size: int

    def open_sender(self) -> FrameSender: ...

    def open_listener(self, node: str) -> FrameListener:
        """Listen for frames to all nodes, and to `node`."""

    def close(self) -> None: ...


@implementer(IBusWire)
class ThreadedWire:
    """While a connection is lost, frames are lost. `stopwatch` returns monotonic seconds, in any thread."""

    def __init__(
        self,
        reactor: IReactor,
        server: BusServer,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._server = server
        self._stopwatch = stopwatch
        self._node = ""
        self._outgoing = FrameQueue()
        self._incoming = FrameQueue()
        self._ending = threading.Event()
        self._is_sending = False  # whether there is a connection for it
        self._on_frames: Callable[[Sequence[bytes]], None] = lambda _: None
        self._on_connected: Callable[[], None] = lambda: None
        self._threads: list[threading.Thread] = []
        self._running = 0  # threads
        self._stopped: Deferred[None] = Deferred()
        self._deadline = Timer(reactor, self._end)

    def start(
        self,
        node: str,
        on_frames: Callable[[Sequence[bytes]], None],
        on_connected: Callable[[], None],
    ) -> None:
        self._node = node
        self._on_frames, self._on_connected = on_frames, on_connected
        for what, work in (("send to", self._send_all), ("listen to", self._listen)):
            thread = threading.Thread(
                target=self._keep_on, args=(what, work), name=f"bus: {what}", daemon=True
            )
            self._threads.append(thread)
            self._running += 1
            thread.start()

    def stop(self) -> Deferred[None]:
        self._ending.set()
        self._outgoing.close()
        if not self._running:
            self._end()
        elif not self._stopped.called:
            self._deadline.start(ENDS_WITHIN)
        return self._stopped

    def send(self, frames: Sequence[bytes], to: str = "") -> None:
        if self._is_sending:
            self._outgoing.put(frames, to)

    def frame_size(self) -> int:
        return self._server.frame_size

    def _keep_on(self, what: str, work: Callable[[Callable[[], None]], None]) -> None:
        """In a thread: do `work` again and again. It gets a function that it calls when it has connected."""
        backoff = MIN_BACKOFF
        reported = False

        def connected() -> None:
            nonlocal reported
            if reported:
                log.info("the bus can {what} {server} again", what=what, server=self._server.name)
            reported = False

        while not self._ending.is_set():
            began = self._stopwatch()
            try:
                work(connected)
            except Exception as error:
                if not reported:
                    log.warn(
                        "the bus can't {what} {server}: {reason}; it tries again",
                        what=what,
                        server=self._server.name,
                        reason=reason_of(error),
                    )
                reported = True
                if self._stopwatch() - began > MAX_BACKOFF:
                    backoff = MIN_BACKOFF
                self._ending.wait(backoff)
                backoff = min(2 * backoff, MAX_BACKOFF)
        self._reactor.callFromThread(self._thread_ended)

    def _send_all(self, connected: Callable[[], None]) -> None:
        sender = self._server.open_sender()
        try:
            connected()
            self._outgoing.clear()
            self._is_sending = True
            self._reactor.callFromThread(self._on_connected)
            while not self._ending.is_set():
                sender.send(self._outgoing.take(SENT_AT_ONCE, WAIT))
            while last := self._outgoing.take(SENT_AT_ONCE):
                sender.send(last)
        finally:
            self._is_sending = False
            self._outgoing.clear()
            _close(sender)

    def _listen(self, connected: Callable[[], None]) -> None:
        listener = self._server.open_listener(self._node)
        try:
            connected()
            heard = self._stopwatch()
            while not self._ending.is_set():
                frames = listener.receive(WAIT)
                if frames:
                    heard = self._stopwatch()
                    if self._incoming.put(frames):
                        self._reactor.callFromThread(self._pass_on)
                elif self._stopwatch() - heard > DEAF_AFTER:
                    raise ConnectionError(f"nothing was heard for {DEAF_AFTER:g} s")
        finally:
            _close(listener)

    def _pass_on(self) -> None:
        """Pass on what has arrived, in several turns of the reactor if it is much."""
        frames = [each.frame for each in self._incoming.take(PASSED_ON_AT_ONCE)]
        if frames and not self._ending.is_set():
            if len(frames) == PASSED_ON_AT_ONCE:
                self._reactor.callLater(0, self._pass_on)
            self._on_frames(frames)

    def _thread_ended(self) -> None:
        self._running -= 1
        if not self._running and self._ending.is_set():
            self._end()

    def _end(self) -> None:
        self._deadline.cancel()
        if not self._stopped.called:
            guarded("the bus has not closed its connections", self._server.close)
            self._stopped.callback(None)


def reason_of(error: Exception) -> str:
    """What the driver says, on one line, without the statement that SQLAlchemy adds."""
    said = str(getattr(error, "orig", None) or error)
    return " ".join(said.split()) or type(error).__name__


def _close(connection: FrameSender | FrameListener) -> None:
    with suppress(Exception):  # it is lost anyway
        connection.close()
