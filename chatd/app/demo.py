"""Runs the demo: both realms as processes, their output in one terminal (`python -m chatd.app.demo`)."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from chatd.app.demo_realms import ACCOUNTS, FOLDER, NAMES, PASSWORD, demo_doors

TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
COLOURS = {NAMES[0]: 36, NAMES[1]: 33}
LOOPBACK = "127.0.0.1"
STEP = 0.05  # seconds between attempts
STARTING_TIME = 30.0
LINKING_TIME = 15.0
STOPPING_TIME = 20.0


class DemoFailed(Exception):
    """`str()` is the sentence for the terminal."""


class Screen:
    """Standard output. `gone` is set once it can't be written to any more."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def say(self, sentence: str) -> None:
        self.write(f"{sentence}\n".encode())

    def line(self, realm: str, line: bytes) -> None:
        mark = f"{realm} |"
        if self._colours:
            mark = f"\x1b[{COLOURS[realm]}m{mark}\x1b[0m"
        self.write(mark.encode() + b" " + line + b"\n")

    def write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(sys.stdout.fileno(), data) :]
        except OSError:
            self.gone.set()


class DemoRealm:
    """One of the two realms, in a process of its own."""

    def __init__(self, screen: Screen, second: bool) -> None:
        self.name = NAMES[second]
        self.ports = {
            door: int(endpoint.split(":")[1]) for door, endpoint in demo_doors(second).items()
        }
        self._screen = screen
        self._options = ["--demo", *(["--second"] if second else [])]
        self._process: asyncio.subprocess.Process | None = None
        self._signal: int | None = None  # to send once the process runs

    def check_ports(self) -> None:
        """Raises DemoFailed if a port is taken, because another program there could be mistaken for this
        realm."""
        for door, port in self.ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((LOOPBACK, port))
                    probe.listen()
                except OSError as error:
                    raise DemoFailed(
                        f"port {port}, for {door} of {self.name}, can't be used: {error.strerror}; "
                        "if another chatd is running (make run, make demo), stop it first"
                    ) from None

    async def run(self) -> None:
        """Run the process until it ends, and show its output."""
        # In a session of its own, so that Ctrl-C reaches only this program, which stops the realms in order.
        self._process = await asyncio.create_subprocess_exec(
            *TWISTD,
            *("-n", "--pidfile=", "chatd", *self._options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        if self._signal is not None:
            self._process.send_signal(self._signal)
        out = self._process.stdout
        assert out is not None  # noqa: S101 - it is a pipe
        rest = b""
        while data := await out.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._screen.line(self.name, line)
        if rest:
            self._screen.line(self.name, rest)
        await self._process.wait()

    @property
    def how_it_ended(self) -> str:
        code = None if self._process is None else self._process.returncode
        if code is not None and code < 0:
            return f"{self.name} was ended by {signal.Signals(-code).name}"
        return f"{self.name} has ended (exit code {code}); its last line may say why"

    def signal(self, number: int) -> None:
        self._signal = number
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def connect(self) -> JsonConnection:
        """Connect to the realm as soon as it answers. Raises DemoFailed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STARTING_TIME):
                while True:
                    with suppress(OSError):
                        client = JsonConnection(
                            *await asyncio.open_connection(LOOPBACK, self.ports["json"])
                        )
                        await client.ask(command="ping")
                        return client
                    await asyncio.sleep(STEP)
        raise DemoFailed(f"{self.name} does not answer on port {self.ports['json']}")


class JsonConnection:
    """A connection to a realm in the json dialect."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, **request: Any) -> dict[str, Any]:
        """The reply. Raises OSError."""
        self._writer.write(json.dumps(request).encode() + b"\n")
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError(f"no reply to {request['command']}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    async def log_in(self) -> None:
        """Log in to the first account that still has the demo's password. Raises DemoFailed."""
        for name, _, _ in ACCOUNTS:
            reply = await self.ask(command="auth", username=name, password=PASSWORD)
            if reply["status"] == "OK":
                return
        raise DemoFailed("all demo accounts have another password now")

    def close(self) -> None:
        self._writer.close()


async def make_peers(first: DemoRealm, second: DemoRealm) -> None:
    """Link the two realms once they are up. Raises DemoFailed."""
    (await second.connect()).close()
    client = await first.connect()
    try:
        await client.log_in()
        await _add_realm(client, second)
        await client.ask(command="logout")
    except OSError as error:
        raise DemoFailed(str(error)) from None
    finally:
        client.close()


async def _add_realm(client: JsonConnection, other: DemoRealm) -> None:
    reply = await client.ask(
        command="addrealm", realm=other.name, host=LOOPBACK, port=other.ports["peers"]
    )
    if reply["status"] != "OK" and reply["code"] != "realm-exists":
        raise DemoFailed(reply["message"])
    found: dict[str, Any] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(LINKING_TIME):
            while True:
                realms = (await client.ask(command="realms"))["realms"]
                found = next(realm for realm in realms if realm["realm"] == other.name)
                if found["state"] == "up":
                    return
                await asyncio.sleep(STEP)
    raise DemoFailed(f"{other.name} is {found.get('state')}: {found.get('error')}")


def _what_to_type(first: DemoRealm, second: DemoRealm) -> str:
    left = [
        f"telnet localhost {first.ports['plain']}",
        f"auth messi {PASSWORD}",
        "listen on",
        f"send henderson@{second.name} halo",
        "realms",
    ]
    right = [
        f"telnet localhost {second.ports['plain']}",
        f"auth henderson {PASSWORD}",
        "inbox",
        f"send messi@{first.name} halo juga",
        "quit",
    ]
    lines = [f"    {one:<34}{two}" for one, two in zip(left, right, strict=True)]
    names = ", ".join(name for name, _, _ in ACCOUNTS)
    return "\n".join(
        (
            "",
            f"  {first.name} and {second.name} are up and linked. In a browser:",
            "",
            f"    http://localhost:{first.ports['web']}/         http://localhost:{second.ports['web']}/",
            "",
            "  Or type in two other terminals:",
            "",
            *lines,
            "",
            f"  Accounts in each: {names}; password {PASSWORD}. Messages are kept in {FOLDER}.",
            "  Ctrl-C stops both.",
            "",
        )
    )


async def _introduce(screen: Screen, first: DemoRealm, second: DemoRealm) -> None:
    try:
        await make_peers(first, second)
    except DemoFailed as error:
        screen.say(
            f"\n  {first.name} and {second.name} run but are not linked: {error}\n"
            f"  To start afresh, press Ctrl-C and remove {FOLDER}.\n"
        )
    else:
        screen.say(_what_to_type(first, second))


async def run_demo() -> int:
    """Run both realms until a signal arrives (returns 0), or one of them ends or can't start (returns 1)."""
    screen = Screen()
    first, second = realms = [DemoRealm(screen, False), DemoRealm(screen, True)]
    try:
        for realm in realms:
            realm.check_ports()
    except DemoFailed as error:
        screen.say(f"chatd: {error}")
        return 1
    ending = asyncio.Event()

    def end() -> None:
        for realm in realms:
            realm.signal(signal.SIGKILL if ending.is_set() else signal.SIGTERM)
        ending.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    running = [asyncio.create_task(realm.run()) for realm in realms]
    introduction = asyncio.create_task(_introduce(screen, first, second))
    asked = [asyncio.create_task(event.wait()) for event in (ending, screen.gone)]
    await asyncio.wait([*running, *asked], return_when=asyncio.FIRST_COMPLETED)
    introduction.cancel()
    failed = not ending.is_set() and not screen.gone.is_set()
    if failed:
        for realm, task in zip(realms, running, strict=True):
            if task.done():
                screen.say(f"chatd: {realm.how_it_ended}")
    if not ending.is_set():
        end()
    _, left = await asyncio.wait(running, timeout=STOPPING_TIME)
    if left:
        screen.say("chatd: the realms take too long to stop and are killed")
        end()
    await asyncio.gather(*running)
    with suppress(asyncio.CancelledError):
        await introduction
    return int(failed)


def main() -> None:
    """`python -m chatd.app.demo`"""
    argparse.ArgumentParser(
        prog="python -m chatd.app.demo",
        description="Two linked realms with the demo accounts in one terminal. Ctrl-C stops both.",
    ).parse_args()
    try:
        code = asyncio.run(run_demo())
    except KeyboardInterrupt:  # before the realms were started
        code = 0
    sys.exit(code)


if __name__ == "__main__":
    main()
