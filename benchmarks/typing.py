"""Measures the time from Enter to the other terminal client's screen, on a realm of its own.

    python -m benchmarks.typing [--lines 300]

Both clients are real ones, each on a pseudo-terminal; `a` types a line in a chat, and the clock runs from
the write of its Enter until the text has come out of `b`'s terminal.
"""

from __future__ import annotations

import argparse
import os
import pty
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from benchmarks.runs import free_port

ROOT = Path(__file__).resolve().parent.parent
CONFIG = """\
[realm]
name = realm1
state = {folder}/state
[listen]
json = tcp:{port}:interface=127.0.0.1
[accounts]
argon2 = 8K,1,1
"""
PATIENCE = 20.0
WHERE = b"\x1b[6n"  # asks for the position of the cursor; terminals answer
HERE = b"\x1b[20;1R"


class Person:
    """A client in a terminal that is not displayed."""

    def __init__(self, name: str, folder: Path, port: int) -> None:
        home = folder / name
        home.mkdir()
        self.number, follower = pty.openpty()
        termios.tcsetwinsize(self.number, (30, 100))
        self.child = subprocess.Popen(
            [sys.executable, "-m", "chatd.client.main", f"localhost:{port}", "--quiet"],
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(home),
                 "TERM": "xterm-256color"},
            stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        self.seen = b""

    def write(self, data: bytes) -> None:
        os.write(self.number, data)

    def read(self) -> None:
        data = os.read(self.number, 65536)
        for _ in range(data.count(WHERE)):
            self.write(HERE)
        self.seen += data


def until(people: list[Person], who: Person, text: bytes) -> float:
    """Serve all terminals until `text` was written to the one of `who`. Returns that time."""
    end = time.perf_counter() + PATIENCE
    while text not in who.seen:
        if time.perf_counter() > end:
            raise SystemExit(f"no {text!r} after {PATIENCE:g} s; shown: {who.seen[-300:]!r}")
        drain(people, 0.1, once=True)
    found = time.perf_counter()
    who.seen = who.seen.partition(text)[2]
    return found


def drain(people: list[Person], seconds: float, once: bool = False) -> None:
    """Read from the terminals for that long, or (`once`) until something arrives."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        ready, _, _ = select.select([each.number for each in people], [], [], left)
        for each in people:
            if each.number in ready:
                each.read()
        if once:
            return


def measure(folder: Path, port: int, lines: int) -> list[float]:
    a, b = Person("a", folder, port), Person("b", folder, port)
    both = [a, b]
    for person, name in ((a, b"anna"), (b, b"bert")):
        until(both, person, b"register makes an account")
        person.write(b"register " + name + b" correct-horse\r")
        until(both, person, b"Welcome")
    for person, other in ((a, b"bert"), (b, b"anna")):
        person.write(b"chat " + other + b"\r")
        until(both, person, b"You are talking to")
    drain(both, 0.5)
    found = []
    for number in range(lines):
        text = b"this is line no. %06d." % number
        a.write(text)
        drain(both, 0.05)  # typing takes longer than rendering
        began = time.perf_counter()
        a.write(b"\r")
        found.append((until(both, b, text) - began) * 1000)
        drain(both, 0.05)
    for person in both:
        person.child.kill()
        person.child.wait()
    return found


def await_port(port: int) -> None:
    """Wait until a process listens on the port."""
    for _ in range(int(PATIENCE / 0.05)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens at port {port} after {PATIENCE:g} s")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.typing", description=__doc__)
    options.add_argument("--lines", type=int, default=300)
    lines = options.parse_args().lines
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        (folder / "chatd.ini").write_text(CONFIG.format(folder=folder, port=port))
        twistd = Path(sys.executable).parent / "twistd"
        tree = os.environ.get("CHATD_TEST_DAEMON", str(ROOT))
        daemon = subprocess.Popen(
            [str(twistd), "-n", "--pidfile=", "chatd", "--config", str(folder / "chatd.ini")],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": tree},
            stdout=subprocess.DEVNULL,
        )
        try:
            await_port(port)
            found = sorted(measure(folder, port, lines))
        finally:
            daemon.terminate()
            daemon.wait()
    p50, p99 = statistics.median(found), found[int(len(found) * 0.99)]
    print(f"{lines} lines: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {found[-1]:.1f} ms")


if __name__ == "__main__":
    main()
