"""``python -m benchmarks.private_timing``: whether the time of an answer tells that a private group exists.

Somebody who is not in it asks a daemon about a private group, and about two names that nothing has, one
request after another in random order over a socket. For each command the medians are printed: of the group
against a free name, and of one free name against the other, which shows how far chance alone goes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.runs import daemon, free_port

GROUP, FREE, OTHER = "rahasia", "taksada", "taktahu"  # equally long
NAMES = (GROUP, FREE, OTHER)
MESSAGES = 50  # in the group
LIMIT = 5.0  # percent
CONFIG = """\
[realm]
name = bench.localhost
state = state

[listen]
json = tcp:{port}:interface=127.0.0.1

[accounts]
argon2 = 8K,1,1

[limits]
commands_per_second = 0
"""
# Failed joins are not here: after 20 of them a person has to pause, whatever the name.
REQUESTS: dict[str, dict[str, Any]] = {
    "history": {},
    "members": {},
    "group": {},
    "inbox": {},
    "files": {},
    "pins": {},
    "getpicture": {},
    "leavegroup": {},
    "bans": {},
    "sendgroup": {"text": "halo"},
    "react": {"seq": 5, "emoji": "\N{THUMBS UP SIGN}"},
    "kick": {"user": "messi"},
    "invite": {"users": ["lina"]},
    "setgroup": {"topic": "halo"},
}


class Person:
    """A connection in the json dialect."""

    def __init__(self, port: int, name: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        self.ask(command="register", username=name, password="correct-horse")

    def ask(self, **request: Any) -> Any:
        reply = json.loads(self.exchange(json.dumps(request).encode() + b"\n"))
        if reply["status"] != "OK":
            raise RuntimeError(f"{request['command']}: {reply}")
        return reply

    def exchange(self, line: bytes) -> bytes:
        self._socket.sendall(line)
        return self._stream.readline()

    def close(self) -> None:
        self._socket.close()


def timed(person: Person, command: str, number: int) -> dict[str, float]:
    """The medians of `number` requests for each name, in microseconds."""
    fields = REQUESTS[command]
    lines = {
        name: json.dumps({"command": command, "group": name, **fields}).encode() + b"\n"
        for name in NAMES
    }
    answers = {person.exchange(line).replace(name.encode(), b"") for name, line in lines.items()}
    if len(answers) != 1:
        raise RuntimeError(f"{command}: {answers}")
    taken: dict[str, list[int]] = {name: [] for name in NAMES}
    order = list(NAMES)
    for _ in range(number):
        random.shuffle(order)  # so that none profits from what was asked before
        for name in order:
            began = time.perf_counter_ns()
            person.exchange(lines[name])
            taken[name].append(time.perf_counter_ns() - began)
    return {name: median(found) / 1000 for name, found in taken.items()}


def prepare(port: int) -> Person:
    """Make the group. Returns somebody who is not in it."""
    admin = Person(port, "messi")
    admin.ask(command="addgroup", group=GROUP, visibility="private", title="Rapat")
    for number in range(MESSAGES):
        admin.ask(command="sendgroup", group=GROUP, text=f"pesan {number}")
    admin.close()
    return Person(port, "lina")


def measure(folder: Path, number: int, rounds: int, report: Callable[[str], Any]) -> float:
    """Measure all commands. Returns the largest difference in percent, by the median of the rounds."""
    largest, port = 0.0, free_port()
    with daemon(folder, CONFIG.format(port=port), port, cpu=0):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        outsider = prepare(port)
        report("| command | none, us | private | none again | in single rounds |\n")
        report("| --- | --- | --- | --- | --- |\n")
        for command in REQUESTS:
            found = [timed(outsider, command, number) for _ in range(rounds)]
            apart, chance = (
                [100 * (each[name] / each[FREE] - 1) for each in found] for name in (GROUP, OTHER)
            )
            largest = max(largest, abs(median(apart)))
            free = median(each[FREE] for each in found)
            single = ", ".join(f"{each:+.1f}" for each in apart)
            shown = f"{median(apart):+.2f} % | {median(chance):+.2f} % | {single}"
            report(f"| {command} | {free:.0f} | {shown} |\n")
    return largest


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.private_timing", description=__doc__
    )
    options.add_argument("--requests", type=int, default=1000, help="of each name, in each round")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--state", type=Path, default=Path("var/bench"))
    chosen = options.parse_args()
    chosen.state.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=chosen.state)).resolve()
    try:
        largest = measure(folder, chosen.requests, chosen.rounds, sys.stdout.write)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"largest difference {largest:.2f} %, allowed {LIMIT:.0f} %\n")
    return 0 if largest < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
