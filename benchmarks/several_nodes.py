"""Messages between people at different nodes of one realm:

    python -m benchmarks.several_nodes

Each pair of people has its sender at one node and its recipient at the next one. First each sender has WINDOW
messages under way, and sends the next when one is delivered: that gives the most messages a second. Then all
send at given rates, whether messages arrive or not, which gives the times from send to push. All give the CPU
time of the nodes, without that of PostgreSQL, which is shown beside it.

`--per-node` is for a realm that grows: each node gets as many pairs and as high a rate as a single one has,
and the recipients of a node's people are at all nodes alike. So a node's batches stay as large as they were.
With `--apart` too, each node is a realm of its own with its own database: what so many processes cost on
these cores when they share nothing else.

It needs PostgreSQL. Nodes, server and generator share the machine. Data are in the folder for temporary
files, which has to be on a disk: waiting for tmpfs costs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.runs import CONFIG, daemon, free_port
from tests.support import postgres
from tests.support.postgres import SETTINGS, PostgresServer, find_programs
from tests.support.talker import Talker

CLUSTER = """
[database]
url = {url}
[cluster]
nodes = several
node = node{number}
key_file = {key_file}
"""
PAIRS = 64
WINDOW = 4
WARM_UP = 1.0  # seconds
TEXT = "Selamat pagi, apa kabar? Kita bertemu di kantor pukul sembilan untuk membahas rapat. "
ACK, EVENT, STAMP = b'{"status":"OK"', b'{"event":"message"', TEXT.encode()


class Node(NamedTuple):
    """A daemon: its process, and its port for the json dialect."""

    pid: int
    port: int


class Figures(NamedTuple):
    """Messages a second; the CPU seconds of nodes and of the server for 1,000 of them; and the times from
    send to push, in ms."""

    rate: float
    nodes: float
    server: float
    p50: float
    p99: float


class Pair:
    """Two people: a sender and a recipient."""

    def __init__(self, number: int, sender: Node, recipient: Node) -> None:
        self.name = f"r{number}"
        self.sender, self.recipient = Talker(sender.port), Talker(recipient.port)
        for talker, name in ((self.sender, f"s{number}"), (self.recipient, self.name)):
            talker.must(command="register", username=name, password="correct-horse")
        self.recipient.must(command="listen", on=True)
        self.sender.must(command="send", to=[self.name], text="halo")
        self.tail = b""
        for talker in (self.sender, self.recipient):
            talker.socket.setblocking(False)

    def send(self) -> None:
        """Send a message that has the time."""
        text = f"{TEXT}{time.monotonic_ns()}"
        line = f'{{"command":"send","to":["{self.name}"],"text":"{text}"}}\r\n'
        self.sender.socket.sendall(line.encode())

    def drain(self) -> None:
        """Read the replies to the sender."""
        with contextlib.suppress(BlockingIOError):
            data = self.sender.socket.recv(1 << 18)
            if b'"ERROR"' in data:
                sys.exit(data.decode(errors="replace")[:500])

    def arrived(self) -> list[float]:
        """The times from send to push of the messages that have come, in ms."""
        now = time.monotonic_ns()
        try:
            data = self.tail + self.recipient.socket.recv(1 << 18)
        except BlockingIOError:
            return []
        lines = data.split(b"\n")
        self.tail = lines.pop()
        found = []
        for line in lines:
            if EVENT in line and STAMP in line:
                sent = line.split(STAMP, 1)[1].split(b'"', 1)[0]
                found.append((now - int(sent)) / 1e6)
        return found


class Load:
    """Sends through all pairs, and counts what arrives."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = pairs
        self._poll = select.epoll()
        self._of: dict[int, tuple[Pair, bool]] = {}
        for pair in pairs:
            for talker, receives in ((pair.sender, False), (pair.recipient, True)):
                self._of[talker.socket.fileno()] = pair, receives
                self._poll.register(talker.socket, select.EPOLLIN)

    def closed(self, seconds: float) -> list[float]:
        """Each sender has WINDOW messages under way."""
        for pair in self._pairs:
            for _ in range(WINDOW):
                pair.send()
        times: list[float] = []
        end = time.monotonic() + seconds
        missing = WINDOW * len(self._pairs)
        while missing:
            going_on = time.monotonic() < end
            for pair, found in self._arrivals(0.5):
                times += found
                for _ in found:
                    if going_on:
                        pair.send()
                    else:
                        missing -= 1
        return times

    def open(self, seconds: float, rate: float) -> list[float]:
        """Send at this rate, in turns."""
        times: list[float] = []
        began = time.monotonic()
        sent = 0
        while len(times) < sent or time.monotonic() < began + seconds:
            due = int(min(time.monotonic() - began, seconds) * rate)
            while sent < due:
                self._pairs[sent % len(self._pairs)].send()
                sent += 1
            for _, found in self._arrivals(0.001):
                times += found
        return times

    def _arrivals(self, seconds: float) -> Iterator[tuple[Pair, list[float]]]:
        for file, _ in self._poll.poll(seconds):
            pair, receives = self._of[file]
            if receives:
                yield pair, pair.arrived()
            else:
                pair.drain()


def cpu(pids: Sequence[int]) -> float:
    """The CPU seconds of processes, with all their threads."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / ticks


def measured(load: Load, nodes: Sequence[Node], server: PostgresServer, *how: float) -> Figures:
    """Run the load: `how` is the seconds, and the rate if it is an open one."""
    pids = [node.pid for node in nodes]
    before, began = (cpu(pids), cpu(server.processes)), time.monotonic()
    times = load.open(*how) if len(how) > 1 else load.closed(*how)
    took = time.monotonic() - began
    used = [
        now - then for now, then in zip((cpu(pids), cpu(server.processes)), before, strict=True)
    ]
    cuts = statistics.quantiles(times, n=100)
    of_nodes, of_server = (1000 * seconds / len(times) for seconds in used)
    return Figures(len(times) / took, of_nodes, of_server, cuts[49], cuts[98])


@contextlib.contextmanager
def started(folder: Path, urls: Sequence[str]) -> Iterator[list[Node]]:
    """A node on each of these databases, which may be the same."""
    key_file = folder / "cluster.key"
    key_file.write_text("11" * 32)
    key_file.chmod(0o600)
    with contextlib.ExitStack() as stack:
        nodes = []
        for number, url in enumerate(urls):
            home = folder / f"node{number}"
            home.mkdir()
            ports = {door: free_port() for door in ("plain", "json", "peers", "web")}
            text = CONFIG.format(realm="bench", **ports)
            text += CLUSTER.format(url=url, number=number, key_file=key_file)
            process = stack.enter_context(daemon(home, text, ports["json"]))
            nodes.append(Node(process.pid, ports["json"]))
        yield nodes


class Growth(NamedTuple):
    """Whether the load is for each node, and whether the nodes are realms that share nothing."""

    per_node: bool
    apart: bool


def pairs_of(nodes: Sequence[Node], growth: Growth) -> list[Pair]:
    """PAIRS pairs, whose recipients are at the next node each; or so many for each node, at all alike."""
    count = len(nodes)
    if growth.apart:
        return [Pair(number, *[nodes[number % count]] * 2) for number in range(PAIRS * count)]
    if growth.per_node:
        return [
            Pair(number, nodes[number % count], nodes[(number + number // count) % count])
            for number in range(PAIRS * count)
        ]
    return [
        Pair(number, nodes[number % count], nodes[(number + 1) % count]) for number in range(PAIRS)
    ]


def databases(server: PostgresServer, count: int, growth: Growth) -> list[str]:
    """The URLs of the databases of so many nodes, which are made."""
    names = [f"nodes{count}"] * count
    if growth.apart:
        names = [f"apart{count}n{number}" for number in range(count)]
    for name in dict.fromkeys(names):
        server.execute(f"CREATE DATABASE {name}")
    return [server.url(name) for name in names]


def bench(
    server: PostgresServer, count: int, seconds: float, rates: Sequence[float], growth: Growth
) -> Iterator[Figures]:
    """The figures of so many nodes at full load, and at these rates."""
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), databases(server, count, growth)) as nodes,
    ):
        pairs = pairs_of(nodes, growth)
        load = Load(pairs)
        load.closed(WARM_UP)
        yield measured(load, nodes, server, seconds)
        for rate in rates:
            times = count if growth.per_node else 1
            yield measured(load, nodes, server, seconds, rate * times)
        for pair in pairs:
            pair.sender.close()
            pair.recipient.close()


def main() -> None:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.several_nodes", description=__doc__
    )
    options.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4])
    options.add_argument("--seconds", type=float, default=5.0, help="for each load")
    options.add_argument("--rates", type=float, nargs="+", default=[1000, 300])
    options.add_argument("--per-node", action="store_true", help="the load grows with the nodes")
    options.add_argument("--apart", action="store_true", help="and they share no database")
    given = options.parse_args()
    growth = Growth(given.per_node or given.apart, given.apart)
    programs = find_programs()
    if programs is None:
        sys.exit("There is no PostgreSQL server on this machine: install Debian's postgresql.")
    settings = SETTINGS.replace("fsync = off", "fsync = on")
    settings = settings.replace("synchronous_commit = off", "synchronous_commit = on")
    postgres.MEMORY = Path(tempfile.gettempdir())
    server = PostgresServer(programs, settings)
    server.start()
    try:
        print("nodes messages/s  CPU s/1000: nodes server  ms: p50   p99")
        for count in given.nodes:
            for found in bench(server, count, given.seconds, given.rates, growth):
                print(
                    f"{count:5} {found.rate:10,.0f} {found.nodes:18.3f} {found.server:6.3f} "
                    f"{found.p50:8.1f} {found.p99:5.1f}",
                    flush=True,
                )
    finally:
        server.remove()


if __name__ == "__main__":
    main()
