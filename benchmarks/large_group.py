"""What requests cost in a large group: joins, kicks, posts, receipts, presence.

`python -m benchmarks.large_group` starts a daemon with a group of 100 members and one with a group of 10,000,
and makes the same requests in both, one after another. First nobody else is connected. Then all members are
connected and listen. Times are medians in ms from a request to its reply. CPU is the time of the whole daemon
for a request, in ms, including the work after its reply.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from benchmarks.engine import raise_file_limit
from benchmarks.runs import CONFIG, ROOT, daemon, free_port
from chatd.base.model import NewGroup
from chatd.base.tokens import hash_token
from chatd.store.engine import connect
from chatd.store.groups import add_group
from chatd.store.migrate import prepare
from chatd.store.schema import accounts, blocks, names, participants, rosters, sessions

GROUP = "kelas"
ROUNDS = 40  # requests of each kind
OUTSIDERS = 3 * ROUNDS
YEAR = 365 * 86_400_000  # ms
QUIET = 0.3  # seconds without CPU after which all work of the requests is done
# Seconds for which an idle daemon is measured: each connection is looked at once in it (chatd.lines.silence),
# and all at about the same time if they have logged in at the same time.
IDLE = 60.0


def member(number: int) -> str:
    return f"m{number:05d}"


def outsider(number: int) -> str:
    return f"x{number:05d}"


def fill(folder: Path, size: int) -> None:
    """Make a state folder with a group of that many members, and with people who are not in it. The first
    member is the admin. The last one has blocked the third."""
    folder.mkdir(mode=0o700, parents=True)
    engine = connect(f"sqlite:///{folder / 'chatd.db'}")
    prepare(engine)
    people = [*map(member, range(1, size + 1)), *map(outsider, range(OUTSIDERS))]
    with engine.begin() as connection:
        _fill_people(connection, people)
        _fill_group(connection, size)
    engine.dispose()


def _fill_people(connection: Connection, people: list[str]) -> None:
    now = int(time.time() * 1000)
    numbered = list(enumerate(people, 1))
    common = {"password": "-", "country": "", "created_at": now}
    connection.execute(
        insert(accounts),
        [
            {"id": n, "name": name, "key": name, "display_name": name, **common}
            for n, name in numbered
        ],
    )
    connection.execute(
        insert(names), [{"key": name, "kind": "user", "skeleton": name} for name in people]
    )
    times = {"created_at": now, "expires_at": now + YEAR}
    connection.execute(
        insert(sessions),
        [
            {"token_hash": hash_token(token_of(name)), "account_id": n, **times}
            for n, name in numbered
        ],
    )


def _fill_group(connection: Connection, size: int) -> None:
    now = int(time.time() * 1000) - size
    group = add_group(connection, NewGroup(GROUP), "abc234", 1, now)
    rows = [
        {"account_id": n, "conversation_id": group.id, "joined_at": now + n, "read_seq": 0}
        for n in range(2, size + 1)
    ]
    connection.execute(insert(participants), rows)
    connection.execute(rosters.update().values(members=size, joined_at=now + size))
    blocked = {"account_id": size, "key": member(3), "address": member(3), "at": now}
    connection.execute(insert(blocks), [blocked])


def token_of(name: str) -> str:
    return f"{name:-<43}"


class Client:
    """A connection that waits for each reply, and skips events."""

    def __init__(self, port: int, name: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self.socket.makefile("rb")
        self.ask(command="resume", token=token_of(name))

    def ask(self, **request: Any) -> dict[str, Any]:
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            reply: dict[str, Any] = json.loads(self._lines.readline())
            if "status" in reply:
                if reply["status"] != "OK":
                    raise AssertionError(f"{request['command']}: {reply}")
                return reply

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


class Crowd(threading.Thread):
    """Members who listen. They read what comes, and count its bytes."""

    def __init__(self, port: int, people: list[str], all_events: bool) -> None:
        super().__init__(daemon=True)
        self.epoll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.bytes = 0
        self.over = False
        for name in people:
            client = Client(port, name)
            client.ask(command="listen", on=True, all=all_events)
            client.socket.setblocking(False)
            self.sockets[client.socket.fileno()] = client.socket
            self.epoll.register(client.socket.fileno(), select.EPOLLIN)

    def run(self) -> None:
        while not self.over:
            for fd, _ in self.epoll.poll(0.1, 1000):
                try:
                    self.bytes += len(self.sockets[fd].recv(65536))
                except OSError:
                    self.epoll.unregister(fd)


@dataclass
class Meter:
    """Repeats requests to a daemon, and notes their times and CPU."""

    pid: int
    figures: dict[str, tuple[float, float]] = field(default_factory=dict)
    idle: float = 0.0  # ms of CPU in a second without requests

    def measure_idle(self) -> None:
        """Note what the daemon's timers cost."""
        self.settle()
        before = self.cpu()
        time.sleep(IDLE)
        self.idle = (self.cpu() - before) / IDLE
        self.figures["nothing, for a second"] = 1000.0, self.idle

    def cpu(self) -> float:
        """The ms of CPU that all threads of the daemon have used."""
        spent = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            spent += int((task / "schedstat").read_text().split()[0])
        return spent / 1e6

    def settle(self) -> None:
        """Wait until the daemon does nothing but its timers."""
        before = self.cpu()
        while True:
            time.sleep(QUIET)
            now = self.cpu()
            if now - before < 1.0:
                return
            before = now

    def measure(self, name: str, ask: Callable[[int], object], rounds: int = ROUNDS) -> None:
        self.settle()
        times = []
        started, before = time.perf_counter(), self.cpu()
        for number in range(rounds):
            began = time.perf_counter()
            ask(number)
            times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.1)
        self.settle()
        spent = self.cpu() - before - self.idle * (time.perf_counter() - started)
        self.figures[name] = statistics.median(times), max(0.0, spent) / rounds


def run(size: int, crowd: bool) -> dict[str, tuple[float, float]]:
    """The figures of a group of that size: ms, and ms of CPU, by request."""
    var = ROOT / "var"  # on a real disk
    var.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=var) as name:
        folder = Path(name)
        fill(folder / "state", size)
        ports = {door: free_port() for door in ("plain", "json", "peers", "web")}
        port = ports["json"]
        config = CONFIG.format(realm="bench.localhost", **ports) + "group_members = 20000\n"
        with daemon(folder, config, port) as process:
            meter = Meter(process.pid)
            if crowd:
                listeners = Crowd(port, [*map(member, range(10, size + 1))], True)
                listeners.start()
            _measure_all(meter, port)
            if crowd:
                listeners.over = True
                listeners.join()
    return meter.figures


def _measure_all(meter: Meter, port: int) -> None:
    meter.measure_idle()
    admin, other, blocked = (Client(port, member(number)) for number in (1, 2, 3))
    other.ask(command="listen", on=True, all=True)
    texts = {"command": "sendgroup", "group": GROUP, "text": "halo semua"}
    place = admin.ask(**texts)["conversation"]
    meter.measure("post", lambda _: admin.ask(**texts))
    meter.measure("post of a member whom one has blocked", lambda _: blocked.ask(**texts))
    newest = blocked.ask(**texts)["seq"]
    mark = {"command": "read", "conversation": place}
    meter.measure("read mark", lambda n: other.ask(**mark, seq=newest - ROUNDS + n))
    change = {"conversation": place, "seq": newest}
    meter.measure(
        "reaction", lambda n: other.ask(command="react", **change, emoji="👍", on=n % 2 == 0)
    )
    meter.measure("edit", lambda n: blocked.ask(command="edit", **change, text=f"halo {n}"))
    meter.measure("typing", lambda _: other.ask(command="typing", group=GROUP))
    meter.measure("inbox", lambda _: other.ask(command="inbox"))
    meter.measure("description", lambda _: other.ask(command="group", group=GROUP))
    meter.measure("list of members", lambda _: other.ask(command="members", group=GROUP), 5)
    guests = [Client(port, outsider(number)) for number in range(ROUNDS)]
    meter.measure("join", lambda n: guests[n].ask(command="joingroup", group=GROUP))
    meter.measure("leave", lambda n: guests[n].ask(command="leavegroup", group=GROUP))
    users = [outsider(ROUNDS + number) for number in range(2 * ROUNDS)]
    meter.measure("invite", lambda n: admin.ask(command="invite", group=GROUP, users=[users[n]]))
    meter.measure("kick", lambda n: admin.ask(command="kick", group=GROUP, user=users[n]))
    meter.measure("log in, and close", lambda n: Client(port, member(4 + n % 3)).close())
    meter.measure("away", lambda n: other.ask(command="away", on=n % 2 == 0))


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.large_group", description=__doc__)
    options.add_argument("--members", type=int, nargs="+", default=[100, 10_000])
    options.add_argument("--crowd", choices=("without", "with", "both"), default="both")
    chosen = options.parse_args()
    raise_file_limit()
    kinds = {"without": [False], "with": [True], "both": [False, True]}[chosen.crowd]
    for crowd in kinds:
        found = {size: run(size, crowd) for size in chosen.members}
        title = "all members listen" if crowd else "nobody else is connected"
        print("|", title, *(f"| {size:,}: ms | CPU ms" for size in found), "|")
        print("| --- " * (1 + 2 * len(found)) + "|")
        for name in next(iter(found.values())):
            cells = (
                f"| {ms:.1f} | {cpu:.2f}" for ms, cpu in (each[name] for each in found.values())
            )
            print("|", name, *cells, "|", flush=True)
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
