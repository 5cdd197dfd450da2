"""``python -m benchmarks logins``: how long a login takes while others keep the realm hashing passwords.

The daemon is a real one with the default cost of hashing. Each measured login is the first of its account
from its address, on a connection of its own. Its time includes opening the connection.

registering    300 connections register accounts, each one after another
unknown        8 connections try passwords of names without an account
forwarded      60 guess one password over HTTP, from 60 addresses in X-Forwarded-For, as behind nginx
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct-horse"
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
PAUSE = 0.2  # seconds between two measured logins
GUESSING = 3.0  # seconds of guesses between two logins of an account that is guessed at
START_LIMIT = 30.0
CONFIG = """\
[realm]
name = bench.localhost
state = state

[listen]
json = tcp:{json}:interface=127.0.0.1
web = tcp:{web}:interface=127.0.0.1

[accounts]
registrations_per_hour = 0

[web]
trusted_proxies = 127.0.0.1
"""

Login = Callable[[str], Coroutine[Any, Any, float]]
Flood = Coroutine[Any, Any, None]


class Failed(Exception):
    """A measured login was refused, or the daemon did not start."""


class Daemon:
    """A daemon on an empty state, and requests to it."""

    def __init__(self, folder: Path, json_port: int, web_port: int) -> None:
        self.json_port, self.web_port = json_port, web_port
        config = folder / "chatd.ini"
        config.write_text(CONFIG.format(json=json_port, web=web_port))
        twistd = Path(sys.executable).parent / "twistd"
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(twistd), "-n", "--pidfile=", "chatd", "--config", str(config)],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def listening(self) -> None:
        """Wait until it listens. Raises Failed."""
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HERE, self.json_port)
                writer.close()
                return
            await asyncio.sleep(0.1)
        raise Failed("the daemon does not listen")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    async def talk(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HERE, self.json_port, local_addr=(source, 0))

    async def login(self, name: str, source: str) -> float:
        """Log in, and return how many seconds that took. Raises Failed."""
        began = time.monotonic()
        reader, writer = await self.talk(source)
        try:
            reply = await ask(reader, writer, command="auth", username=name, password=PASSWORD)
        finally:
            writer.close()
        if reply["status"] != "OK":
            raise Failed(f"a right login from {source}: {reply['message']}")
        return time.monotonic() - began

    async def login_forwarded(self, name: str, source: str, password: str = PASSWORD) -> float:
        """Like `login`, over HTTP and with `source` as the address that a proxy forwards."""
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(HERE, self.web_port)
        body = json.dumps({"username": name, "password": password}).encode()
        head = (
            f"POST /session HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {source}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + body)
            answer = await reader.read()
        finally:
            writer.close()
        if password == PASSWORD and b" 200 " not in answer.split(b"\r\n", 1)[0]:
            raise Failed(f"a right login from {source}: {answer.decode(errors='replace')}")
        return time.monotonic() - began


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, **request: str
) -> dict[str, Any]:
    """Send one request in json and return the reply. Raises ConnectionError."""
    writer.write(json.dumps(request).encode() + b"\r\n")
    line = await reader.readline()
    if not line:
        raise ConnectionError("the daemon has hung up")
    reply: dict[str, Any] = json.loads(line)
    return reply


async def make_accounts(daemon: Daemon, count: int) -> list[str]:
    """Register `count` accounts over a few connections, and return their names."""
    names = [f"person{number}" for number in range(count)]
    waiting = iter(names)

    async def register() -> None:
        reader, writer = await daemon.talk("127.0.0.9")
        for name in waiting:
            await ask(reader, writer, command="register", username=name, password=PASSWORD)
        writer.close()

    await asyncio.gather(*(register() for _ in range(4)))
    return names


async def flood(daemon: Daemon, requests: Callable[[], dict[str, str]]) -> None:
    """Repeat requests on one connection until cancelled."""
    reader, writer = await daemon.talk(HERE)
    try:
        while True:
            await ask(reader, writer, **requests())
    finally:
        writer.close()


async def measure(
    floods: list[Flood], login: Login, names: list[str], pause: float = PAUSE
) -> list[float]:
    """The sorted times of logins that run one after another while the floods run."""
    running = [asyncio.ensure_future(each) for each in floods]
    await asyncio.sleep(2)
    times = []
    try:
        for name in names:
            times.append(await login(name))
            await asyncio.sleep(pause)
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return sorted(times)


def show(title: str, times: list[float], target: float) -> bool:
    """Print one line. Returns whether the target was met."""
    p50, p99 = (times[max(0, math.ceil(len(times) * share) - 1)] for share in (0.5, 0.99))
    good = p99 < target
    word = "" if good else "  MISSED"
    print(f"{title:54} p50 {p50:6.3f} s  p99 {p99:6.3f} s  (< {target:g} s){word}")
    return good


class Floods:
    """The requests that keep the realm hashing. `victim` is the account whose password is guessed."""

    def __init__(self, daemon: Daemon, victim: str) -> None:
        self._daemon = daemon
        self.victim = victim
        self._numbers = itertools.count()

    def registering(self) -> list[Flood]:
        return [flood(self._daemon, self._registration) for _ in range(300)]

    def unknown(self) -> list[Flood]:
        return [flood(self._daemon, self._unknown) for _ in range(8)]

    def forwarded(self) -> list[Flood]:
        return [self._guess(f"198.51.100.{number}") for number in range(1, 61)]

    def _registration(self) -> dict[str, str]:
        name = f"new{next(self._numbers)}"
        return {"command": "register", "username": name, "password": PASSWORD}

    def _unknown(self) -> dict[str, str]:
        name = f"nobody{next(self._numbers)}"
        return {"command": "auth", "username": name, "password": "wrong-one"}

    async def _guess(self, source: str) -> None:
        while True:
            await self._daemon.login_forwarded(self.victim, source, "wrong-one")


async def run(daemon: Daemon, each: int) -> bool:
    """Run all measurements. Returns whether all targets were met."""
    await daemon.listening()
    people = iter(await make_accounts(daemon, 6 * each + 1))
    floods = Floods(daemon, next(people))
    met = []

    async def compare(title: str, running: list[Flood], login: Login, target: float) -> None:
        times = await measure(running, login, list(itertools.islice(people, each)))
        met.append(show(title, times, target))

    for source, where, slow in ((ELSEWHERE, "elsewhere", 1.0), (HERE, "the same address", 3.0)):

        async def login(name: str, source: str = source) -> float:
            return await daemon.login(name, source)

        await compare(f"nobody else; from {where}", [], login, slow)
        await compare(f"300 register; from {where}", floods.registering(), login, slow)
        if source == HERE:
            title = f"8 guess at unknown names; from {where}"
            await compare(title, floods.unknown(), login, 1.0)

    async def forwarded(name: str) -> float:
        return await daemon.login_forwarded(name, "203.0.113.7")

    title = "60 guess through a proxy; from another address"
    await compare(title, floods.forwarded(), forwarded, 1.0)
    met.append(await compare_owner(daemon, floods, max(1, each // 4)))
    return all(met)


async def compare_owner(daemon: Daemon, floods: Floods, each: int) -> bool:
    """As the last, but the owner of the guessed account logs in, each time from an address where nobody has
    tried before. Between two of them the guessers fail so often that there are pauses again. Shows how many
    times as long it takes as without guessers."""
    sources = (f"203.0.113.{number}" for number in itertools.count(8))

    async def owner(_name: str) -> float:
        return await daemon.login_forwarded(floods.victim, next(sources))

    alone = await measure([], owner, [floods.victim] * each)
    guessed = await measure(floods.forwarded(), owner, [floods.victim] * each, GUESSING)
    ratio = guessed[len(guessed) // 2] / alone[len(alone) // 2]
    print(f"the owner of the guessed account takes {ratio:.1f} times as long as without guessers")
    return show("60 guess through a proxy; the owner elsewhere", guessed, 1.0)


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks logins", description=__doc__)
    options.add_argument("--logins", type=int, default=100, help="logins in each measurement")
    options.add_argument(
        "--port", type=int, default=18_770, help="this port and the next one are used"
    )
    chosen = options.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="chatd-logins-"))
    daemon = Daemon(folder, chosen.port, chosen.port + 1)
    try:
        return 0 if asyncio.run(run(daemon, chosen.logins)) else 1
    except (Failed, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
