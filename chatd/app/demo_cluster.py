"""Runs three nodes of one realm on a throw-away PostgreSQL server (`python -m chatd.app.demo_cluster`)."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chatd.app.demo import (
    LOOPBACK,
    STARTING_TIME,
    STEP,
    STOPPING_TIME,
    TWISTD,
    DemoFailed,
    JsonConnection,
    Screen,
)
from chatd.app.demo_realms import ACCOUNTS, PASSWORD
from chatd.app.postgres_programs import find_postgres

NODES = 3
PROXY = 8560  # the port of the proxy; the nodes have the next ones
JSON = 8570
PLAIN = 8580
ENDING_TIME = 0.3  # seconds in which a process ends that finds its port taken
READY = "\nready"  # in the file of the server that accepts connections
NO_SERVER = (
    "chatd: there is no PostgreSQL server on this machine (initdb is neither on the PATH nor in "
    "/usr/lib/postgresql); install Debian's postgresql"
)
_NODE = """\
[realm]
name = localhost
state = node{number}
[listen]
plain = tcp:{plain}:interface=127.0.0.1
json = tcp:{json}:interface=127.0.0.1
web = tcp:{web}:interface=127.0.0.1
[database]
url = postgresql+psycopg://chatd@/postgres?host={folder}/database
[cluster]
nodes = several
node = node{number}
key_file = cluster.key
[files]
folder = files
[web]
trusted_proxies = 127.0.0.1
"""
# What HAProxy does; the environment tells it the ports.
HAPROXY = Path(__file__).with_name("haproxy.cfg")


def _text_of(path: Path) -> str:
    """What the file has, or nothing if there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""


async def _dial(port: int) -> None:
    """Connect to a port, as soon as that is possible."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            return
        await asyncio.sleep(STEP)


async def _ping(port: int) -> None:
    """Get an answer from a node, as soon as that is possible."""
    while True:
        with suppress(OSError):
            client = JsonConnection(*await asyncio.open_connection(LOOPBACK, port))
            await client.ask(command="ping")
            client.close()
            return
        await asyncio.sleep(STEP)


class ClusterPart:
    """One process of the cluster. `user` is the user that runs it, if not this one. `environment` is added to
    that of this process."""

    def __init__(
        self,
        screen: Screen,
        name: str,
        command: Sequence[str],
        user: str | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self._screen = screen
        self._command = command
        self._environment = environment
        self._user: dict[str, Any] = (
            {"user": user, "group": user, "extra_groups": []} if user else {}
        )
        self._process: asyncio.subprocess.Process | None = None
        self.task: asyncio.Task[None] | None = None
        self.stopping = False

    async def start(self, folder: Path) -> None:
        # In a session of its own, so that Ctrl-C reaches only this program, which stops all in order.
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **self._environment},
            **self._user,
        )
        self.task = asyncio.create_task(self._show(self._process))

    async def _show(self, process: asyncio.subprocess.Process) -> None:
        out = process.stdout
        assert out is not None  # noqa: S101 - it is a pipe
        rest = b""
        while data := await out.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._screen.write(self.name.encode() + b" | " + line + b"\n")
        code = await process.wait()
        if not self.stopping:
            self._screen.say(f"chatd: {self.name} has ended (exit code {code})")

    @property
    def has_ended(self) -> bool:
        return self.task is not None and self.task.done()

    async def stop(self, number: int) -> None:
        self.stopping = True
        if self._process is None or self.task is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        _, late = await asyncio.wait([self.task], timeout=STOPPING_TIME)
        if late:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self.task


class DemoCluster:
    """All processes, in a folder of their own."""

    def __init__(self, screen: Screen, programs: Path) -> None:
        self._screen = screen
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-cluster-"))
        self.folder.chmod(0o711)  # the server may be another user's
        self._user = "postgres" if os.geteuid() == 0 else None
        self._database: ClusterPart | None = None
        self._nodes: list[ClusterPart] = []
        self._proxy: ClusterPart | None = None

    async def start(self) -> None:
        """Start all. Raises DemoFailed."""
        await self._start_database()
        key_file = self.folder / "cluster.key"
        key_file.touch(0o600)
        key_file.write_text(secrets.token_hex(32))
        (self.folder / "files").mkdir(0o700)
        for number in range(1, NODES + 1):
            text = _NODE.format(
                number=number,
                plain=PLAIN + number,
                json=JSON + number,
                web=PROXY + number,
                folder=self.folder,
            )
            path = self.folder / f"node{number}.ini"
            path.write_text(text)
            command = (*TWISTD, "-n", "--pidfile=", "chatd", "--config", str(path))
            self._nodes.append(ClusterPart(self._screen, f"node{number}", command))
            await self._nodes[-1].start(Path.cwd())
        for number in range(1, NODES + 1):
            await self._connect(number)
        await self._register()
        await self._start_proxy()
        self._screen.say(self._what_to_type())

    async def _start_database(self) -> None:
        data = self.folder / "database"
        data.mkdir(0o700)
        user: dict[str, Any] = {}
        if self._user:
            try:
                shutil.chown(data, self._user, self._user)
            except LookupError:
                raise DemoFailed(
                    "PostgreSQL does not run as root, and there is no user postgres"
                ) from None
            user = {"user": self._user, "group": self._user, "extra_groups": []}
        command = [str(self._programs / "initdb"), "-D", str(data / "data"), "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "-A", "trust", "-U", "chatd", "-N"]

        def initialize() -> subprocess.CompletedProcess[str]:
            return subprocess.run(  # noqa: S603 - a program of PostgreSQL
                command, cwd=data, capture_output=True, text=True, check=False, **user
            )

        done = await asyncio.to_thread(initialize)
        if done.returncode:
            raise DemoFailed(f"initdb failed: {done.stderr.strip()}")
        options = {"listen_addresses": "", "unix_socket_directories": data, "fsync": "off"}
        command = [str(self._programs / "postgres"), "-D", str(data / "data")]
        command += [f"--{key}={value}" for key, value in options.items()]
        self._database = ClusterPart(self._screen, "postgres", command, self._user)
        await self._database.start(data)
        with suppress(TimeoutError):
            async with asyncio.timeout(STARTING_TIME):
                while not self._database.has_ended:
                    if READY in _text_of(data / "data" / "postmaster.pid"):
                        return
                    await asyncio.sleep(STEP)
        raise DemoFailed("PostgreSQL does not start")

    async def _connect(self, number: int) -> None:
        """Wait until a node answers. Raises DemoFailed."""
        await self._wait(self._nodes[number - 1], _ping(JSON + number), JSON + number)

    async def _wait(self, part: ClusterPart, answer: Coroutine[Any, Any, None], port: int) -> None:
        """Wait until a process answers on a port. Raises DemoFailed. Another program may be there, which is
        why the process has ended, and may never answer."""
        answering = asyncio.create_task(answer)
        tasks = [answering, *([] if part.task is None else [part.task])]
        await asyncio.wait(tasks, timeout=STARTING_TIME, return_when=asyncio.FIRST_COMPLETED)
        answered = answering.done()
        answering.cancel()
        if answered:
            await asyncio.wait(tasks, timeout=ENDING_TIME)
        if part.has_ended:
            raise DemoFailed(f"{part.name} can't start; its last line may say why")
        if not answered:
            raise DemoFailed(f"{part.name} does not answer on port {port}")

    async def _register(self) -> None:
        for name, _, _ in ACCOUNTS:
            client = JsonConnection(*await asyncio.open_connection(LOOPBACK, JSON + 1))
            await client.ask(command="register", username=name, password=PASSWORD)
            client.close()

    async def _start_proxy(self) -> None:
        haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if haproxy is None:
            return
        ports = {"WEB": PROXY, **{f"NODE{n}": PROXY + n for n in range(1, NODES + 1)}}
        self._proxy = ClusterPart(
            self._screen,
            "haproxy",
            (haproxy, "-db", "-f", str(HAPROXY)),
            environment={name: f"{LOOPBACK}:{port}" for name, port in ports.items()},
        )
        await self._proxy.start(self.folder)
        await self._wait(self._proxy, _dial(PROXY), PROXY)

    def _what_to_type(self) -> str:
        web = f"http://localhost:{PROXY}/ (HAProxy, which is in front of the nodes), or "
        if self._proxy is None:
            web = "HAProxy is not installed, so open the nodes themselves: "
        each = ", ".join(f"http://localhost:{PROXY + n}/" for n in range(1, NODES + 1))
        names = ", ".join(name for name, _, _ in ACCOUNTS)
        return (
            f"\n  {NODES} nodes serve the realm. In a browser: {web}{each}\n"
            f"  Or type: telnet localhost {PLAIN + 1} (to {PLAIN + NODES}), then: auth messi {PASSWORD}\n"
            f"  Accounts: {names}; password {PASSWORD}. To see a node die, kill -9 its process.\n"
            f"  Ctrl-C ends all, and removes {self.folder}.\n"
        )

    async def ended(self) -> None:
        """Wait until the database or the last node has ended."""
        assert self._database is not None  # noqa: S101 - it was started
        while not self._database.has_ended and not all(node.has_ended for node in self._nodes):
            await asyncio.wait(
                [
                    part.task
                    for part in (*self._nodes, self._database)
                    if part.task and not part.has_ended
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )

    async def stop(self) -> None:
        """End all processes, the database last, and remove the folder."""
        ended = [node.stop(signal.SIGTERM) for node in self._nodes]
        if self._proxy is not None:
            ended.append(self._proxy.stop(signal.SIGTERM))
        await asyncio.gather(*ended)
        if self._database is not None:
            await self._database.stop(signal.SIGINT)  # it does not wait for clients
        shutil.rmtree(self.folder, ignore_errors=True)


async def _serve(cluster: DemoCluster) -> None:
    await cluster.start()
    await cluster.ended()


async def run_cluster(programs: Path) -> int:
    """Run the cluster until a signal arrives (returns 0), or it ends or can't start (returns 1)."""
    screen = Screen()
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    cluster = DemoCluster(screen, programs)
    serving = asyncio.create_task(_serve(cluster))
    asked = [asyncio.create_task(event.wait()) for event in (ending, screen.gone)]
    try:
        await asyncio.wait([serving, *asked], return_when=asyncio.FIRST_COMPLETED)
        failed = serving.done()
        if failed and (error := serving.exception()) is not None:
            screen.say(f"chatd: {error}")
        serving.cancel()
        await asyncio.wait([serving])
    finally:
        await cluster.stop()
    return int(failed)


def main() -> None:
    """`python -m chatd.app.demo_cluster`"""
    argparse.ArgumentParser(
        prog="python -m chatd.app.demo_cluster",
        description="Three nodes of one realm on a throw-away PostgreSQL server. Ctrl-C ends all of it.",
    ).parse_args()
    programs = find_postgres()
    if programs is None:
        sys.exit(NO_SERVER)
    sys.exit(asyncio.run(run_cluster(programs)))


if __name__ == "__main__":
    main()
