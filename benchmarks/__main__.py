"""``python -m benchmarks``: chatd beside the bare relay, scenario by scenario, as one table.

Every run gets a freshly started server on one CPU and a fresh generator on another. The two
servers take turns within a scenario (bare, chatd, bare, chatd …), and the medians of each are
compared: on a machine whose speed drifts, only figures from the same minutes can be. In `big` it is
chatd itself that takes turns, on an empty state and on one with a long life behind it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import bigdb, logins
from benchmarks.bigdb import PEER, USER
from benchmarks.dialects import DIALECTS
from benchmarks.engine import Report, raise_file_limit, server_rss

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 60.0
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
messages_per_second = 0
messages = 0

[accounts]
registration = open
; Hashing is made cheap here: registering thousands is how a run is prepared, not what it measures.
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


@dataclass(frozen=True)
class Case:
    """One line of the table: a scenario with its numbers."""

    scenario: str
    title: str
    #: Which of the report's figures is the line's own.
    figure: str
    arguments: dict[str, int | float | str] = field(default_factory=dict)
    #: What the generator does, if that has another name.
    does: str = ""

    @property
    def load(self) -> str:
        return self.does or self.scenario

    @property
    def kinds(self) -> tuple[str, str]:
        """The two that are compared."""
        special = {
            "big": ("empty", "big"),
            "federation": ("alone", "linked"),
            "web": ("json", "web"),
        }
        return special.get(self.scenario, ("bare", "chatd"))

    def servers(self, only: str | None) -> list[str]:
        """Those that run, if but one of bare and chatd is to."""
        if self.scenario in ("big", "federation", "web"):
            return [] if only == "bare" else list(self.kinds)
        found = ["chatd"] if self.scenario == "offline" else list(self.kinds)
        return [kind for kind in found if only in (None, kind)]

    def command_line(self) -> list[str]:
        return [part for key, value in self.arguments.items() for part in (f"--{key}", str(value))]


def cases(seconds: float, quick: bool) -> list[Case]:
    """All that is measured. Quick is for seeing that it works, not for figures."""
    crowd = 500 if quick else 5000
    one_reply, more = (50, 120) if quick else (400, 1200)
    found: list[Case] = []
    arguments: dict[str, int | float | str]
    for window in (1, 16):
        arguments = {"n": 100, "window": window, "seconds": seconds}
        found.append(Case("relay", f"relay, window {window}", "delivered_per_s", arguments))
    for window in (1, 16):
        arguments = {"n": 100, "window": window, "seconds": seconds}
        title = f"relay to another realm, window {window}"
        found.append(Case("federation", title, "delivered_per_s", arguments))
    for each in (one_reply, more):
        arguments = {"n": 100, "window": 4, "each": each}
        title = f"offline, {each} each"
        found.append(Case("offline", f"{title}: stored", "acked_per_s", arguments))
        found.append(Case("offline", f"{title}: fetched", "fetched_per_s", arguments))
    for window in (1, 16):
        arguments = {"n": 500, "window": window, "seconds": seconds}
        found.append(Case("fanout", f"group of 500, window {window}", "delivered_per_s", arguments))
    for figure, title in (("logins_per_s", "logins"), ("kib_per_connection", "KiB each")):
        found.append(Case("idle", f"{crowd} silent: {title}", figure, {"n": crowd}))
    for window in (1, 16):
        arguments = {"n": 100, "window": window, "seconds": seconds}
        title = f"relay over WebSocket, window {window}"
        found.append(Case("web", title, "delivered_per_s", arguments, "relay"))
    for figure, title in (("logins_per_s", "logins"), ("kib_per_connection", "KiB each")):
        arguments = {"n": 1000}
        found.append(Case("web", f"1000 silent: {title}", figure, arguments, "idle"))
    found.append(Case("start", "start to listening, ms", "start_ms"))
    arguments = {"user": USER, "to": PEER, "calls": 100 if quick else 500}
    found.append(Case("big", "start to listening, ms", "start_ms", arguments))
    for figure, title in (
        ("inbox", "inbox, nothing new"),
        ("news", "inbox, one new"),
        ("history", "history of 50"),
        ("send", "send"),
    ):
        found.append(Case("big", f"{title}, µs", f"{figure}_median_us", arguments))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def bound_to(cpu: int) -> Iterator[None]:
    """Processes started in here run on that CPU: a child inherits what its parent is bound to."""
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


def link(port: int, code: str, realm: str, peers_port: int) -> None:
    """Make somebody the operator of a realm, by its code, and have them add another realm."""
    requests: list[dict[str, object]] = [
        {"command": "register", "username": "linker", "password": "correct-horse"},
        {"command": "claim", "code": code},
        {"command": "addrealm", "realm": realm, "host": "127.0.0.1", "port": peers_port},
    ]
    # The benchmark's own requests are few and in plain sight: no need of a dialect for them.
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
    """What all runs have in common."""

    folder: Path
    dialect: str
    profile: Path | None
    server_cpu: int
    generator_cpu: int
    #: How many accounts and messages the big state has.
    size: tuple[int, int] = (bigdb.ACCOUNTS, bigdb.MESSAGES)
    starts: int = 0
    #: The port for other realms of the server that was started last.
    peers_port: int = 0
    #: The scenarios whose silent people have been registered.
    prepared: set[str] = field(default_factory=set)

    @contextmanager
    def server(
        self, kind: str, case: Case, realm: str = "bench.localhost", cpu: int | None = None
    ) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
        """A freshly started server: the process, its port, how many ms it took to listen."""
        self.starts += 1
        ports = {door: free_port() for door in ("plain", "json", "peers", "web")}
        self.peers_port = ports["peers"]
        fresh = case.scenario in ("start", "federation") or kind == "empty"
        state = self.folder / (f"s{self.starts}" if fresh else case.scenario)
        state.mkdir(exist_ok=True)
        if kind == "bare":
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.bare", str(port)]
        else:
            port = ports[self.dialect_of(kind)]
            config = state / "chatd.ini"
            config.write_text(CONFIG.format(realm=realm, **ports))
            twistd = Path(sys.executable).parent / "twistd"
            command = [str(twistd), "-n", "--pidfile=", *self._profiling(case), "chatd"]
            command += ["--config", str(config)]
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
            # In a server of its own: one that has just registered thousands has memory to spare,
            # and would seem to need none for their connections.
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
        """One run with two realms. The second has the generator's CPU, and the first one its own."""
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
        """What is spoken with that server."""
        return kind if kind in DIALECTS else self.dialect

    def fill(self, tokens: Path) -> None:
        """Make the big state, in a process of its own that takes its memory with it."""
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
        """Run the generator against a server; what it reports, or why it doesn't."""
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


def trouble(report: Report) -> str:
    """What is wrong with a run's books, in words; empty if nothing is."""
    if "failed" in report:
        return str(report["failed"])
    wrong = [f"{report[key]} {key}" for key in ("lost", "doubled", "unacked") if report.get(key)]
    if report.get("errors"):
        wrong.append(f"{report['errors']} errors, the first: {report['error_sample']}")
    return ", ".join(wrong)


def median(reports: list[Report], key: str) -> float | None:
    values = [float(report[key]) for report in reports if key in report]
    return statistics.median(values) if values else None


def shown(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


COLUMNS = ["p50 ms", "p99 ms", "CPU s/1000", "server %", "gen. %"]


def heading(kinds: tuple[str, str]) -> list[str]:
    first, second = kinds
    return ["", first, second, f"{second}/{first}", *COLUMNS]


def row(case: Case, reports: dict[str, list[Report]]) -> list[str]:
    """One case's line; the columns after the ratio are the second server's own."""
    first, second = (median(reports.get(kind, []), case.figure) for kind in case.kinds)
    own = reports.get(case.kinds[1]) or reports.get(case.kinds[0]) or []
    prefix = "fetch_" if case.figure == "fetched_per_s" else ""
    rest = [
        "p50_ms",
        "p99_ms",
        f"{prefix}server_cpu_s_per_1000",
        f"{prefix}server_cpu_pct",
        f"{prefix}generator_cpu_pct",
    ]
    ratio = f"{second / first:.3f}" if first and second is not None else "-"
    figures = [shown(median(own, key)) for key in rest]
    return [case.title, shown(first), shown(second), ratio, *figures]


def table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in rows
    )


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = list(dict.fromkeys(case.scenario for case in cases(1, True)))
    options.add_argument("scenario", nargs="*", help=f"of {', '.join(names)}; all if none is named")
    options.add_argument("--seconds", type=float, default=5.0, help="how long a live run measures")
    options.add_argument("--rounds", type=int, default=2, help="how often the servers take turns")
    options.add_argument("--quick", action="store_true", help="small and short: does it work?")
    options.add_argument("--dialect", choices=["json", "plain"], default="json")
    options.add_argument("--only", choices=["bare", "chatd"], help="leave the other server out")
    options.add_argument("--state", type=Path, default=Path("var/bench"), help="on a real disk")
    options.add_argument("--keep", action="store_true", help="leave the state and the logs there")
    options.add_argument("--json", type=Path, help="write every run's figures to this file")
    options.add_argument("--profile", type=Path, metavar="DIR", help="profiles of chatd's reactor")
    return options


def selected(options: argparse.Namespace) -> list[Case]:
    known = cases(min(options.seconds, 1.0) if options.quick else options.seconds, options.quick)
    wanted = options.scenario or [case.scenario for case in known]
    if unknown := set(wanted) - {case.scenario for case in known}:
        raise BenchError(f"no such scenario: {', '.join(sorted(unknown))}")
    return [case for case in known if case.scenario in wanted]


def measured(bench: Bench, chosen: list[Case], only: str | None, rounds: int) -> list[Report]:
    """Run everything, with one line of progress a run; cases that share a run share its figures."""
    done: list[Report] = []
    runs: dict[tuple[str, ...], Case] = {}
    for case in chosen:
        runs.setdefault((case.scenario, case.load, *case.command_line()), case)
    for case in runs.values():
        for turn in range(rounds):
            for kind in case.servers(only):
                report = bench.run(kind, case)
                wrong = trouble(report)
                figure = "FAILED" if wrong else shown(median([report], case.figure))
                print(f"{kind:5} {case.title}, round {turn + 1}: {figure}", file=sys.stderr)
                if wrong:
                    print(f"      {wrong}", file=sys.stderr)
                done.append({**report, "server": kind, "run": " ".join(case.command_line())})
                done[-1]["scenario"] = case.scenario
    return done


def of_case(case: Case, reports: list[Report]) -> dict[str, list[Report]]:
    """The runs of a case that went well, by server."""
    found: dict[str, list[Report]] = {kind: [] for kind in case.kinds}
    for report in reports:
        of_run = (report["scenario"], report["run"])
        if of_run == (case.scenario, " ".join(case.command_line())) and not trouble(report):
            found[str(report["server"])].append(report)
    return found


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["logins"]:
        return logins.main(given[1:])
    options = parser().parse_args(arguments)
    raise_file_limit()
    cpus = sorted(os.sched_getaffinity(0))
    options.state.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=options.state)).resolve()
    size = (2000, 20_000) if options.quick else (bigdb.ACCOUNTS, bigdb.MESSAGES)
    bench = Bench(folder, options.dialect, options.profile, cpus[0], cpus[-1], size)
    try:
        chosen = selected(options)
        rounds = 1 if options.quick else options.rounds
        reports = measured(bench, chosen, options.only, rounds)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for kinds in dict.fromkeys(case.kinds for case in chosen):
        mine = [case for case in chosen if case.kinds == kinds]
        print(table([heading(kinds), *(row(case, of_case(case, reports)) for case in mine)]), "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(reports, indent=1) + "\n")
    return 1 if any(trouble(report) for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
