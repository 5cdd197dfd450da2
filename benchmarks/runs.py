"""Runs one case of a benchmark: starts the servers, and the generator against them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import bigdb
from benchmarks.cases import Case
from benchmarks.dialects import DIALECTS
from benchmarks.engine import Report, server_rss
from benchmarks.results import trouble

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 60.0  # seconds
STOP_LIMIT = 30.0
RUN_LIMIT = 600.0

CONFIG = """\
[realm]
name = {realm}
state = state

[listen]
plain = tcp:{plain}:interface=127.0.0.1
json = tcp:{json}:interface=127.0.0.1
peers = tcp:{peers}:interface=127.0.0.1
web = tcp:{web}:interface=127.0.0.1

[peers]
strangers = welcome
messages_per_second = 0
messages = 0

[accounts]
registration = open
; Hashing is cheap here, because runs register thousands of accounts before they measure.
argon2 = 8K,1,1
registrations_per_hour = 0

[limits]
connections = 100000
connections_per_address = 100000
commands_per_second = 0
account_messages = 0
"""


class BenchError(Exception):
    """A server that could not be started, or a run that gave no figures."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def bound_to(cpu: int) -> Iterator[None]:
    """Processes started in this context run on that CPU, because they inherit their parent's affinity."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def await_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    raise BenchError(f"the server doesn't listen; the end of {log}:\n{log.read_text()[-2000:]}")


@contextmanager
def daemon(
    folder: Path, config: str, port: int, cpu: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon with that configuration in a folder, once it listens at the port."""
    path, log = folder / "chatd.ini", folder / "log"
    path.write_text(config)
    twistd = Path(sys.executable).parent / "twistd"
    with log.open("wb") as output:
        with nullcontext() if cpu is None else bound_to(cpu):
            process = subprocess.Popen(
                [str(twistd), "-n", "--pidfile=", "chatd", "--config", str(path)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            await_port(port, process, log)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def link(port: int, code: str, realm: str, peers_port: int) -> None:
    """Register an account, make it the operator with the code, and add another realm."""
    requests: list[dict[str, object]] = [
        {"command": "register", "username": "linker", "password": "correct-horse"},
        {"command": "claim", "code": code},
        {"command": "addrealm", "realm": realm, "host": "127.0.0.1", "port": peers_port},
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        stream = client.makefile("rwb")
        for request in requests:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            reply = json.loads(stream.readline())
            if reply["status"] != "OK":
                raise BenchError(f"the realms are not linked: {reply['message']}")


@dataclass
class Bench:
    """Runs cases, each against a server that it starts."""

    folder: Path
    dialect: str
    profile: Path | None
    server_cpu: int
    generator_cpu: int
    #: The accounts and messages of the big state.
    size: tuple[int, int] = (bigdb.ACCOUNTS, bigdb.MESSAGES)
    starts: int = 0
    #: The port for other realms of the newest server.
    peers_port: int = 0
    #: The scenarios whose silent accounts are registered.
    prepared: set[str] = field(default_factory=set)

    @contextmanager
    def server(
        self, kind: str, case: Case, realm: str = "bench.localhost", cpu: int | None = None
    ) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
        """Start a server. Yields the process, its port, and the ms until it listened."""
        self.starts += 1
        command, port = self._command(kind, case, realm)
        log = self.folder / f"{kind}.log"
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        with log.open("wb") as output:
            began = time.monotonic()
            with bound_to(self.server_cpu if cpu is None else cpu):
                process = subprocess.Popen(
                    command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
                )
            try:
                await_port(port, process, log)
                yield process, port, (time.monotonic() - began) * 1000
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_LIMIT)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _command(self, kind: str, case: Case, realm: str) -> tuple[list[str], int]:
        """Prepare the state of a server. Returns its command line and its port."""
        if kind == "bare":
            port = free_port()
            return [sys.executable, "-m", "benchmarks.bare", str(port)], port
        ports = {door: free_port() for door in ("plain", "json", "peers", "web")}
        self.peers_port = ports["peers"]
        fresh = case.scenario in ("start", "federation") or kind == "empty"
        state = self.folder / (f"s{self.starts}" if fresh else case.scenario)
        state.mkdir(exist_ok=True)
        config = state / "chatd.ini"
        config.write_text(CONFIG.format(realm=realm, **ports))
        twistd = Path(sys.executable).parent / "twistd"
        command = [str(twistd), "-n", "--pidfile=", *self._profiling(case), "chatd"]
        return [*command, "--config", str(config)], ports[self.dialect_of(kind)]

    def _profiling(self, case: Case) -> list[str]:
        if self.profile is None:
            return []
        self.profile.mkdir(parents=True, exist_ok=True)
        window = case.arguments.get("window", 0)
        target = self.profile.resolve() / f"{case.scenario}-{window}-{self.starts}.prof"
        return [f"--profile={target}", "--profiler=cprofile", "--savestats"]

    def run(self, kind: str, case: Case) -> Report:
        """One run of one case against one of the servers."""
        tokens = self.folder / f"{case.scenario}.tokens"
        if kind == "big" and not tokens.exists():
            self.fill(tokens)
        if case.load == "idle" and kind != "bare" and case.scenario not in self.prepared:
            self.prepared.add(case.scenario)
            # A server that has registered thousands has free memory, which would hide what their
            # connections need. So another server registers them.
            with self.server(kind, case) as (process, port, _):
                prepared = self.generate(kind, "register", case, process.pid, port)
            if trouble(prepared):
                return prepared
        if kind == "linked":
            return self.run_linked(case)
        with self.server(kind, case) as (process, port, start_ms):
            if case.scenario == "start":
                memory = server_rss(process.pid)
                return {"start_ms": round(start_ms), "rss_kib": memory}
            report = self.generate(kind, case.load, case, process.pid, port)
            return {"start_ms": round(start_ms), **report} if case.scenario == "big" else report

    def run_linked(self, case: Case) -> Report:
        """One run with two realms. The second one shares the generator's CPU."""
        there = "second.localhost"
        with (
            self.server("linked", case) as (first, port, _),
            self.server("linked", case, there, self.generator_cpu) as (second, port2, _),
        ):
            code = (self.folder / f"s{self.starts - 1}" / "state" / "operator-code").read_text()
            link(port, code.strip(), there, self.peers_port)
            elsewhere = ["--realm2", there, "--port2", str(port2), "--pid2", str(second.pid)]
            return self.generate("linked", case.scenario, case, first.pid, port, elsewhere)

    def dialect_of(self, kind: str) -> str:
        """The dialect of a kind of server."""
        return kind if kind in DIALECTS else self.dialect

    def fill(self, tokens: Path) -> None:
        """Create the big state, in another process, so that this one stays small."""
        accounts, messages = self.size
        command = [sys.executable, "-m", "benchmarks.bigdb", str(self.folder / "big" / "state")]
        command += ["--accounts", str(accounts), "--messages", str(messages)]
        command += ["--tokens", str(tokens)]
        try:
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=RUN_LIMIT)
        except subprocess.CalledProcessError as error:
            raise BenchError(f"no big state: {error.stderr.decode()[-2000:]}") from None

    def generate(
        self,
        kind: str,
        scenario: str,
        case: Case,
        pid: int,
        port: int,
        more: Sequence[str] = (),
    ) -> Report:
        """Run the generator against a server. Returns its report, or one that says why it failed."""
        command = [sys.executable, "-m", "benchmarks.load", scenario]
        command += ["--dialect", self.dialect_of(kind)]
        command += ["--port", str(port), "--pid", str(pid), *case.command_line(), *more]
        if kind in ("empty", "alone", "linked"):
            command += ["--tokens", str(self.folder / f"s{self.starts}" / "tokens")]
        elif kind != "bare":
            command += ["--tokens", str(self.folder / f"{case.scenario}.tokens")]
        with bound_to(self.generator_cpu):
            generator = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        try:
            output, _ = generator.communicate(timeout=RUN_LIMIT)
        except subprocess.TimeoutExpired:
            generator.kill()
            generator.communicate()
            return {"failed": f"no end after {RUN_LIMIT:g} s"}
        try:
            report: Report = json.loads(output)
        except ValueError:
            return {"failed": f"the generator gave no figures: {output[-300:]!r}"}
        return report
