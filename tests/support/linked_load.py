"""Figures of two linked daemons: a large file that crosses, and messages that wait for a realm that is down.

python -m tests.support.linked_load --file 100       a file of so many MiB: time, memory, and the
                                                     latency of messages on the same link meanwhile
python -m tests.support.linked_load --queued 10000   so many messages wait until the realm is back
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.linked_daemons import MAX_MESSAGES, LinkedDaemons, PeerDaemon, Sender
from tests.support.linked_kills import LinkReport
from tests.support.processes import wait_until
from tests.support.talker import PATIENCE, Talker

PIECE = 256 << 10


class LatencyProbe(threading.Thread):
    """Sends one message after another, each when the reply to the last one has come, and notes how long that
    took."""

    def __init__(self, peer: PeerDaemon, name: str, to: str) -> None:
        super().__init__(daemon=True)
        self.took: list[
            tuple[float, float]
        ] = []  # when it was sent, and the seconds until its reply
        self.queued = 0
        self.enough = threading.Event()
        self._talker = peer.talk(name)
        self._to = to

    def run(self) -> None:
        with self._talker as talker:
            while not self.enough.is_set():
                began = time.monotonic()
                reply = talker.must(command="send", to=self._to, text="apa kabar?")
                self.took.append((began, time.monotonic() - began))
                self.queued += reply.get("state") == "queued"
                time.sleep(0.005)


class MemoryGauge(threading.Thread):
    """Notes the largest resident memory of each daemon, in MiB."""

    def __init__(self, daemons: Sequence[PeerDaemon]) -> None:
        super().__init__(daemon=True)
        self.before = {peer.name: peer.memory for peer in daemons}
        self.most = dict(self.before)
        self.enough = threading.Event()
        self._houses = daemons

    def run(self) -> None:
        while not self.enough.wait(0.02):
            for peer in self._houses:
                self.most[peer.name] = max(self.most[peer.name], peer.memory)

    @property
    def growth(self) -> dict[str, float]:
        return {name: self.most[name] - before for name, before in self.before.items()}


@dataclass
class FileFigures:
    """Times are in seconds, growth in MiB. `upload` is the time from the client to its own realm, `crossing`
    the time from then until the message with the file is in the other realm."""

    size: int
    upload: float
    crossing: float
    growth: dict[str, float]
    times: dict[str, list[float]]
    same: bool

    def percentile(self, direction: str, percent: int) -> float:
        cuts = statistics.quantiles(self.times[direction], n=100, method="inclusive")
        return cuts[percent - 1]

    def __str__(self) -> str:
        lines = [
            f"{self.size >> 20} MiB: {self.upload:.2f} s to its own realm, {self.crossing:.2f} s across; "
            + ("the same bytes" if self.same else "OTHER BYTES")
        ]
        lines += [f"{name}: {grown:.1f} MiB more" for name, grown in self.growth.items()]
        lines += [
            f"messages {direction}: {len(times)} meanwhile, p50 {1000 * self.percentile(direction, 50):.1f} "
            f"ms, p99 {1000 * self.percentile(direction, 99):.1f} ms, longest {1000 * max(times):.1f} ms"
            for direction, times in self.times.items()
        ]
        return "\n".join(lines)


def send_file(talker: Talker, to: str, data: bytes) -> None:
    """Send a file to the user's own realm, and leave its reply to be read."""
    talker.send(command="sendfile", to=to, filename="gol.bin", size=len(data))
    reply = talker.line()
    if reply is None or reply["status"] != "READY":
        raise AssertionError(f"sendfile: {reply}")
    for at in range(0, len(data), PIECE):
        talker.socket.sendall(data[at : at + PIECE])


def stored(peer: PeerDaemon) -> list[Path]:
    """Return the complete files that a realm stores."""
    folder = peer.folder / "state" / "uploads"
    return [path for path in folder.iterdir() if path.is_file() and path.stat().st_size]


def file_across(folder: Path, mebibytes: int) -> FileFigures:
    """Send a file to the other realm, while users of both realms write to one another."""
    linked = LinkedDaemons(folder)
    one, two = linked.daemons
    try:
        linked.prepare()
        data = random.Random(1).randbytes(mebibytes << 20)  # noqa: S311 - repeatable, not secret
        digest = hashlib.sha256(data).hexdigest()
        probes = {
            "there": LatencyProbe(one, "sender0", f"receiver1@{two.name}"),
            "back": LatencyProbe(two, "sender1", f"receiver1@{one.name}"),
        }
        with one.talk("receiver0") as talker, two.talk("receiver0") as reader:
            # Once before, so that memory that is allocated once is not counted.
            send_file(talker, f"receiver0@{two.name}", data[: 1 << 20])
            talker.line()
            for probe in probes.values():
                probe.start()
            wait_until(lambda: reader.must(command="inbox")["messages"], lambda: "the first file")
            time.sleep(0.5)
            gauge = MemoryGauge(linked.daemons)
            gauge.start()
            began = time.monotonic()
            send_file(talker, f"receiver0@{two.name}", data)
            wait_until(lambda: len(stored(one)) == 2, lambda: "the upload")
            uploaded = time.monotonic()
            found: list[Any] = []
            while not found:
                time.sleep(0.01)
                found = reader.must(command="inbox")["messages"]
            ended = time.monotonic()
            watchers: list[MemoryGauge | LatencyProbe] = [gauge, *probes.values()]
            for watcher in watchers:
                watcher.enough.set()
                watcher.join(PATIENCE)
        times = {
            name: [took for at, took in probe.took if uploaded <= at + took and at <= ended]
            for name, probe in probes.items()
        }
        same = all(
            digest in [hashlib.sha256(path.read_bytes()).hexdigest() for path in stored(peer)]
            for peer in linked.daemons
        )
        return FileFigures(len(data), uploaded - began, ended - uploaded, gauge.growth, times, same)
    finally:
        linked.close()


@dataclass
class QueueFigures:
    """`until_up` is the time in seconds from the start of the daemon that was down until the link is up,
    `delivered` the time from then until all messages are there."""

    count: int
    until_up: float
    delivered: float
    found: int

    def __str__(self) -> str:
        return (
            f"{self.count:,} queued: the link is up {self.until_up:.2f} s after the start, and "
            f"{self.delivered:.2f} s later {self.found:,} are there"
        )


def queue(folder: Path, count: int) -> QueueFigures:
    """Queue messages for a realm that is down, start it, and wait until they are delivered."""
    linked = LinkedDaemons(folder)
    one, two = linked.daemons
    report = LinkReport()
    try:
        linked.prepare()
        two.daemon.stop()
        before = two.count("messages")
        place = {"command": "send", "to": f"receiver0@{two.name}"}
        done = 0
        while done < count:
            sender = Sender(one.ports["json"], one.tokens["sender0"], str(done), place, ())
            sender.most = min(count - done, MAX_MESSAGES)
            sender.start()
            sender.finish(report)
            done += sender.acknowledged
        assert one.count("outbox") == count, report
        began = time.monotonic()
        two.start()
        with one.talk("receiver0") as talker:
            one.wait_for(talker, two.name, lambda info: info["state"] == "up")
            up = time.monotonic()
            wait_until(
                lambda: two.count("messages") >= before + count,
                lambda: f"{two.count('messages') - before} of {count} came",
            )
            ended = time.monotonic()
            one.wait_for(talker, two.name, lambda info: not info["queued"])
        with two.talk("receiver0") as reader:
            found = reader.texts()
        numbers = [text for start in range(0, count, MAX_MESSAGES) for text in _texts(start, count)]
        assert found == numbers, "they are not all there, once and in order"
        return QueueFigures(count, up - began, ended - up, len(found))
    finally:
        linked.close()


def _texts(start: int, count: int) -> list[str]:
    return [f"{start} {number}" for number in range(min(MAX_MESSAGES, count - start))]


def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(
        prog="python -m tests.support.linked_load", description=__doc__
    )
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--file", type=int, metavar="MIB")
    options.add_argument("--queued", type=int, metavar="COUNT")
    chosen = options.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="chatd-load-")).resolve()
    try:
        if chosen.file is not None:
            sys.stdout.write(f"{file_across(folder / 'file', chosen.file)}\n")
        if chosen.queued is not None:
            sys.stdout.write(f"{queue(folder / 'queued', chosen.queued)}\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
