"""The base of the load generator: sockets in an epoll loop, scripts of requests, and meters.

It does not use Twisted, so that the generator costs less than the server under load, and so that a fault of
the framework can't hide on both sides of the measurement.
"""

from __future__ import annotations

import base64
import os
import resource
import select
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dialects import Dialect, DialectError

CHUNK = 65536
#: Every phase gives up when nothing has happened for so many seconds.
STALL = 10.0

#: The figures of one run by name; flat, so that they can be written as JSON and as a table.
Report = dict[str, float | int | str]

#: The script of a client outside the measured loop: it yields requests, and is sent the complete replies.
Script = Generator[bytes, bytes, None]


class LoadError(Exception):
    """The run can't continue; says why, with the server's last words."""


class Connection:
    """A non-blocking socket in a loop. The code that sets `on_readable` reads it."""

    __slots__ = ("fd", "loop", "name", "on_readable", "pending", "sock", "tail")

    def __init__(self, loop: Loop, name: str) -> None:
        self.loop = loop
        self.name = name
        # Loopback completes this in the kernel, so it does not block anything else.
        self.sock = socket.create_connection(
            ("127.0.0.1", loop.ports.get(name, loop.port)), timeout=STALL
        )
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()
        self.on_readable: Callable[[], None] = self.unexpected
        self.pending = b""
        self.tail = b""
        loop.add(self)

    def listen(self, on_readable: Callable[[], None]) -> None:
        self.on_readable = on_readable
        self.loop.readers[self.fd] = on_readable

    def unexpected(self) -> None:
        """Unrequested data arrived: a push or a greeting, or else an error."""
        data = self.loop.dialect.without_pushes(self.receive_through(b"\n"))
        if data:
            raise LoadError(f"{self.name} got unasked: {data[:200]!r}")

    def receive(self) -> bytes:
        """The bytes that have arrived. Call it only when the loop reports some."""
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LoadError(f"{self.name}: {error}") from error
        if not data:
            raise LoadError(f"{self.name}: the server hung up; last heard: {self.tail[-200:]!r}")
        return data

    def receive_through(self, end: bytes) -> bytes:
        """The bytes that have arrived up to the last `end`; the rest is kept for the next call."""
        data = self.tail + self.receive() if self.tail else self.receive()
        if data.endswith(end):
            self.tail = b""
            return data
        cut = data.rfind(end) + len(end)
        if cut < len(end):
            self.tail = data
            return b""
        self.tail = data[cut:]
        return data[:cut]

    def send(self, data: bytes) -> None:
        if self.pending:
            self.pending += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise LoadError(f"{self.name}: {error}; unread: {self.tail[-200:]!r}") from error
        if sent < len(data):
            self.pending = data[sent:]
            self.loop.epoll.modify(self.fd, select.EPOLLIN | select.EPOLLOUT)

    def flush(self) -> None:
        """The socket takes bytes again."""
        data, self.pending = self.pending, b""
        self.loop.epoll.modify(self.fd, select.EPOLLIN)
        if data:
            self.send(data)

    def close(self) -> None:
        self.loop.remove(self)
        self.sock.close()


class Framed(Connection):
    """A WebSocket (RFC 6455) that looks like a connection of lines: each is a text frame."""

    __slots__ = ("raw",)

    #: Masking by zeros is masking, and leaves the generator's CPU to what is measured.
    MASK = bytes(4)
    TEXT, CLOSE = 0x81, 0x88

    def __init__(self, loop: Loop, name: str) -> None:
        super().__init__(loop, name)
        self.raw = b""
        self._open()

    def _open(self) -> None:
        """Ask for the upgrade, and wait for it."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.settimeout(STALL)
        request = (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self.loop.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.sock.sendall(request.encode())
        while b"\r\n\r\n" not in self.raw:
            self.raw += Connection.receive(self)
        head, _, self.raw = self.raw.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise LoadError(f"{self.name}: no WebSocket: {head[:200]!r}")
        self.sock.setblocking(False)

    def receive(self) -> bytes:
        """The lines whose frames have arrived completely; may be none."""
        raw = self.raw + super().receive()
        at, lines = 0, []
        while len(raw) - at >= 2:
            kind, size, start = raw[at], raw[at + 1], at + 2
            if size > 125:
                wide = 2 if size == 126 else 8
                size = int.from_bytes(raw[start : start + wide])
                start += wide
            if len(raw) < start + size:
                break
            at = start + size
            if kind == self.TEXT:
                lines.append(raw[start:at])
            elif kind == self.CLOSE:
                raise LoadError(f"{self.name}: the server closed: {raw[start:at]!r}")
        self.raw = raw[at:]
        return b"\r\n".join([*lines, b""])

    def send(self, data: bytes) -> None:
        super().send(b"".join(map(self._framed, data.splitlines())))

    def _framed(self, line: bytes) -> bytes:
        size = len(line)
        if size <= 125:
            return b"\x81%c%b%b" % (0x80 | size, self.MASK, line)
        return b"\x81\xfe%b%b%b" % (size.to_bytes(2), self.MASK, line)


class Loop:
    """All connections to one server, and the single thread that serves them."""

    def __init__(self, port: int, dialect: Dialect) -> None:
        self.port = port
        #: The users of another server, by name.
        self.ports: dict[str, int] = {}
        self.dialect = dialect
        self.epoll = select.epoll()
        self.readers: dict[int, Callable[[], None]] = {}
        self.connections: dict[int, Connection] = {}

    def connect(self, name: str) -> Connection:
        """A connection of a user, as the dialect needs it."""
        return Framed(self, name) if self.dialect.frames else Connection(self, name)

    def add(self, connection: Connection) -> None:
        self.connections[connection.fd] = connection
        self.readers[connection.fd] = connection.on_readable
        self.epoll.register(connection.fd, select.EPOLLIN)

    def remove(self, connection: Connection) -> None:
        self.epoll.unregister(connection.fd)
        del self.readers[connection.fd], self.connections[connection.fd]

    def turn(self, timeout: float) -> None:
        """Wait for events, and handle all of them."""
        readers = self.readers
        only_input = select.EPOLLIN
        for fd, mask in self.epoll.poll(timeout, 512):
            if mask == only_input:
                reader = readers.get(fd)
                if reader is not None:
                    reader()
            else:
                self._unusual(fd, mask)

    def _unusual(self, fd: int, mask: int) -> None:
        connection = self.connections.get(fd)
        if connection is not None and mask & select.EPOLLOUT:
            connection.flush()
        # Looked up again, because the flush may have closed it.
        reader = self.readers.get(fd)
        if reader is not None and mask & ~select.EPOLLOUT:
            reader()

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.turn(min(left, 0.05))

    def run_until(
        self, done: Callable[[], bool], progress: Callable[[], int], stall: float = STALL
    ) -> bool:
        """Run until `done`; False if `progress` has stood still for `stall` seconds instead."""
        seen, since = progress(), time.monotonic()
        while not done():
            self.turn(0.05)
            if (current := progress()) != seen:
                seen, since = current, time.monotonic()
            elif time.monotonic() - since > stall:
                return False
        return True

    def run_scripts(self, scripts: Iterable[tuple[str, Callable[[Connection], Script]]]) -> None:
        """Open a connection for each script and run it, some at a time, until all are done."""
        waiting = iter(scripts)
        running = 0
        replies = 0

        def start_next() -> None:
            nonlocal running
            following = next(waiting, None)
            if following is None:
                return
            name, make = following
            connection = self.connect(name)
            running += 1
            play(connection, make(connection), finished, answered)

        def finished() -> None:
            nonlocal running
            running -= 1
            start_next()

        def answered() -> None:
            nonlocal replies
            replies += 1

        for _ in range(self.dialect.parallel):
            start_next()
        if not self.run_until(lambda: running == 0, lambda: replies):
            raise LoadError(f"no reply to anyone for {STALL:g} s, {running} waiting")

    def close(self) -> None:
        for connection in list(self.connections.values()):
            connection.close()
        self.epoll.close()


def play(
    connection: Connection,
    script: Script,
    finished: Callable[[], None],
    answered: Callable[[], None] = lambda: None,
) -> None:
    """Send the requests of the script and pass it the replies, one after another."""
    dialect = connection.loop.dialect
    received: list[bytes] = []

    def on_readable() -> None:
        received.append(connection.receive())
        # A long reply arrives in many chunks, and only a chunk that ends a line can be the last one.
        if not received[-1].endswith(b"\n"):
            return
        block = dialect.without_pushes(b"".join(received))
        head, end, rest = block.partition(dialect.end)
        received[:] = [rest if end else block]
        if not end:
            return
        answered()
        try:
            connection.send(script.send(head + end))
        except StopIteration:
            connection.listen(connection.unexpected)
            finished()
        except DialectError as error:
            raise LoadError(f"{connection.name}: {error}") from error

    connection.listen(on_readable)
    connection.send(next(script))


class Latencies:
    """A histogram of nanoseconds in steps of 4 µs, which takes bounded memory."""

    SHIFT = 12

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)
        self.largest = 0

    def clear(self) -> None:
        self.counts.clear()
        self.largest = 0

    def milliseconds(self, share: float) -> float:
        """The time within which that share of all messages arrived."""
        wanted = sum(self.counts.values()) * share
        seen = 0
        for step in sorted(self.counts):
            seen += self.counts[step]
            if seen >= wanted:
                return ((step + 0.5) * (1 << self.SHIFT)) / 1e6
        return 0.0


@dataclass(frozen=True)
class Reading:
    """Clocks at one moment: the wall's, the server's, the generator's own, the machine's."""

    wall: float
    server: float
    own: float
    machine: float

    @classmethod
    def take(cls, *pids: int) -> Reading:
        return cls(time.monotonic(), servers_cpu(pids), time.process_time(), machine_cpu())

    def until(self, later: Reading, messages: int) -> dict[str, float]:
        """The differences between two readings, as columns of the report."""
        wall = max(later.wall - self.wall, 1e-9)
        server, own = later.server - self.server, later.own - self.own
        other = max(0.0, later.machine - self.machine - server - own)
        return {
            "seconds": round(wall, 3),
            "server_cpu_s_per_1000": round(server * 1000 / messages, 5) if messages else 0.0,
            "server_cpu_pct": round(server / wall * 100),
            "generator_cpu_pct": round(own / wall * 100),
            "other_cpu_pct": round(other / wall * 100),
        }


def server_cpu(pid: int) -> float:
    """Seconds of CPU that the process has used, all threads, user and system."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def servers_cpu(pids: Sequence[int]) -> float:
    """The sum of `server_cpu` over several processes."""
    return sum(map(server_cpu, pids))


def server_rss(pid: int) -> int:
    """Resident memory of the process in KiB."""
    if not pid:
        return 0
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def machine_cpu() -> float:
    """Seconds that all CPUs were busy or, under a hypervisor, taken away."""
    user, nice, system, _, _, irq, softirq, steal = (
        int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def raise_file_limit() -> None:
    """Allow as many sockets as the hard limit does; idle connections need thousands."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
