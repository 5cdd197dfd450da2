"""What grows with the number of nodes, on a throw-away PostgreSQL server that syncs to the disk:

    python -m benchmarks.many_nodes

- the time of a NOTIFY with up to 100 connections that listen, and the CPU time of the server for it;
- the CPU time of a node that hears a frame of the bus, and for each event in it;
- the time of an exclusive turn and of a transaction that locks the heads of logs.

It needs PostgreSQL. Its data are in the folder for temporary files, which has to be on
a disk: waiting for tmpfs costs nothing.
"""

from __future__ import annotations

import select
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import psycopg
from twisted.internet.task import Clock

from chatd.base.events import Typing
from chatd.cluster.frames import BusFrame, encode_frame
from chatd.cluster.numbered_bus import NumberedBus
from chatd.service.node_events import ToldElsewhere, ToldEvent
from chatd.store.node_turns import LOCK
from tests.support import postgres
from tests.support.postgres import SETTINGS, USER, find_programs

LISTENERS = (1, 10, 30, 100)
NOTIFICATIONS = 1000
PAYLOAD = 400  # bytes: an event for a conversation of two, in base64
FRAMES = 5000
TURNS = 300
CHANNEL = "chatd_bus"


def main() -> None:
    programs = find_programs()
    if programs is None:
        sys.exit("There is no PostgreSQL server on this machine: install Debian's postgresql.")
    settings = SETTINGS.replace("fsync = off", "fsync = on")
    settings = settings.replace("synchronous_commit = off", "synchronous_commit = on")
    postgres.MEMORY = Path(tempfile.gettempdir())
    server = postgres.PostgresServer(programs, settings)
    server.start()
    try:
        where = f"host={server.folder} user={USER} dbname=postgres"
        print("listeners  notifications/s  p50 ms  server's CPU ms each")
        for count in LISTENERS:
            _notify(where, count)
        _turns(where)
    finally:
        server.remove()
    _hear()


def _connect(where: str) -> psycopg.Connection[Any]:
    return psycopg.connect(where, autocommit=True)


def _cpu_of(connections: list[psycopg.Connection[Any]]) -> float:
    """The CPU seconds of the server's processes for these connections."""
    found = 0.0
    for each in connections:
        figures = Path(f"/proc/{each.info.backend_pid}/schedstat").read_text()
        found += int(figures.split()[0]) / 1e9
    return found


def _notify(where: str, count: int) -> None:
    """Measure NOTIFY while `count` connections listen. All of them read what comes."""
    listeners = [_connect(where) for _ in range(count)]
    for each in listeners:
        each.execute(f"LISTEN {CHANNEL}")
    sender = _connect(where)
    text = "x" * PAYLOAD
    before, began, times = _cpu_of([sender, *listeners]), time.perf_counter(), []
    for _ in range(NOTIFICATIONS):
        start = time.perf_counter()
        sender.execute("SELECT pg_notify(%s, %s)", (CHANNEL, text))
        times.append(time.perf_counter() - start)
        if len(times) % 50 == 0:
            _drain(listeners)
    took = time.perf_counter() - began
    _drain(listeners)
    cpu = (_cpu_of([sender, *listeners]) - before) / NOTIFICATIONS
    times.sort()
    rate = NOTIFICATIONS / took
    print(f"{count:9}  {rate:15.0f}  {times[len(times) // 2] * 1e3:6.2f}  {cpu * 1e3:20.3f}")
    for each in [sender, *listeners]:
        each.close()


def _drain(listeners: list[psycopg.Connection[Any]]) -> None:
    while ready := select.select(listeners, [], [], 0)[0]:
        for each in ready:
            each.pgconn.consume_input()
            while each.pgconn.notifies():
                pass


def _hear() -> None:
    """Measure what a frame and an event cost a node that has no listener for them."""
    decode = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw]).decode
    told = msgspec.msgpack.Decoder(list[ToldElsewhere]).decode
    bus = NumberedBus(cast(Any, _NoWire()), Clock())
    heard = 0

    def take(_node: str, message: bytes) -> None:
        nonlocal heard
        _, raw = decode(message)
        for each in told(raw):
            heard += len(frozenset(each.accounts or ()))

    bus.on_message(take)
    bus.start("here", 1)
    event = msgspec.Raw(msgspec.msgpack.encode(Typing(7, "messi")))
    message = msgspec.msgpack.encode(
        ("events", [ToldElsewhere([1, 2], [ToldEvent("Typing", event, False)])])
    )
    for per_frame in (1, 20):
        frames = [
            encode_frame(BusFrame("there", 1, number * per_frame, (message,) * per_frame))
            for number in range(FRAMES)
        ]
        bus.forget("there")
        began = time.process_time()
        bus._arrived(frames)
        cpu = (time.process_time() - began) / FRAMES
        size = len(frames[0])
        print(f"a frame of {per_frame} messages, {size} bytes: {cpu * 1e6:.1f} us")


class _NoWire:
    """Carries nothing."""

    def start(self, node: str, on_frames: object, on_connected: object) -> None: ...

    def send(self, frames: object, to: str = "") -> None: ...

    def frame_size(self) -> int:
        return 6000


def _turns(where: str) -> None:
    """Measure an empty exclusive turn, and transactions that lock heads, with a commit that changes a row."""
    connection = _connect(where)
    connection.execute("CREATE TABLE heads (id bigint PRIMARY KEY, epoch bigint)")
    connection.execute("INSERT INTO heads SELECT n, 0 FROM generate_series(1, 1000) AS n")
    turn = f"SELECT pg_advisory_xact_lock({LOCK})"
    lock = "SELECT id FROM heads WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
    change = "UPDATE heads SET epoch = epoch + 1 WHERE id = 1"

    def timed(what: str, work: Callable[[], object]) -> None:
        times = []
        for _ in range(TURNS):
            began = time.perf_counter()
            with connection.transaction():
                work()
                connection.execute(change)
            times.append(time.perf_counter() - began)
        times.sort()
        print(f"{what}: {times[len(times) // 2] * 1e3:.2f} ms")

    timed("a transaction that changes a row", lambda: None)
    timed("in an exclusive turn", lambda: connection.execute(turn))
    timed("with 10 heads locked", lambda: connection.execute(lock, ([*range(1, 11)],)))
    timed("with 100 heads locked", lambda: connection.execute(lock, ([*range(1, 101)],)))
    connection.close()


if __name__ == "__main__":
    main()
