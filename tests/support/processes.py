"""Real daemons for the tests: `twistd` in processes of their own, with real sockets.

Everything here blocks, but not for long, so a test that uses it runs `in_thread`. Every wait ends after
`PATIENCE` seconds, and a `DaemonTestCase` leaves neither a process nor a folder behind.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.support import ROOT, forked
from tests.support.forked import Forked, OtherDoors, Process, Streams, Surroundings
from tests.support.ports import free_port, local_endpoint
from tests.support.talker import PATIENCE, Talker, answers

# A shell makes background processes ignore SIGINT. Daemons of the tests would inherit that, and tests that
# interrupt one would fail.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

P = ParamSpec("P")
T = TypeVar("T")
Case = TypeVar("Case", bound=TestCase)

STEP = 0.01
FOREGROUND = ("-n", "--pidfile=")

# Cheap hashing and no limit on commands, because tests register and send a lot. Additions begin in [limits].
CONFIG = """\
[realm]
name = {name}
state = {state}

[listen]
{doors}

[accounts]
argon2 = 8K,1,1
registrations_per_hour = 0

[limits]
commands_per_second = 0
"""


def in_thread(
    method: Callable[Concatenate[Case, P], T],
) -> Callable[Concatenate[Case, P], Deferred[T]]:
    """Decorator: runs a test that blocks in a thread, so that the reactor continues to run."""

    @functools.wraps(method)
    def run(self: Case, /, *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return deferToThread(method, self, *args, **kwargs)

    return run


def configuration(
    doors: Mapping[str, int], more: str = "", *, name: str = "realm1", state: str = "state"
) -> str:
    """The configuration file of a realm with doors on these ports."""
    lines = [f"{door} = {local_endpoint(port)}" for door, port in doors.items()]
    return CONFIG.format(name=name, state=state, doors="\n".join(lines)) + more


def can_be_read(descriptor: int, patience: float) -> bool:
    """Wait at most `patience` seconds for something to read, or the end. `select` takes no numbers above
    1023, and a test of many connections may have those below."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(patience * 1000))


def wait_until(
    condition: Callable[[], T], what: Callable[[], str], patience: float = PATIENCE
) -> T:
    """Wait until `condition` returns something true, and return that. Raises AssertionError after `patience`
    seconds."""
    end = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience:g} s in vain: {what()}")
        time.sleep(STEP)
    return found


def is_running(pid: int) -> bool:
    """Whether there is such a process, other than a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def environment(tree: Path | None = ROOT) -> dict[str, str]:
    """The environment of a process that imports chatd from `tree` (None: from where it is installed)."""
    found = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    if tree is not None:
        found["PYTHONPATH"] = str(tree)
    return found


def twistd_of(interpreter: Path) -> list[str]:
    """The beginning of the command line: the twistd installed beside `interpreter`, if there is one."""
    script = interpreter.parent / "twistd"
    if script.exists():
        return [str(script)]
    return [str(interpreter), "-c", "from twisted.scripts.twistd import run; run()"]


@dataclass(frozen=True)
class Launch:
    """How a daemon is started.

    `twistd` are the arguments before `chatd`. `doors` are ports in place of the default ones, for a start
    without `[listen]`. chatd is imported from `tree` (None: from where it is installed). If `stdout` is
    given, standard output goes to that file or terminal, and `Daemon.out` can't read it.
    """

    twistd: Sequence[str] = FOREGROUND
    doors: Mapping[str, int] | None = None
    interpreter: Path = Path(sys.executable)
    tree: Path | None = ROOT
    umask: int = -1
    stdout: str | None = None
    forked: bool = False  # although it goes into the background

    def start(self, folder: Path, arguments: Sequence[str], out: Path, err: Path) -> Process:
        """Start twistd in `folder`, with these arguments after `chatd`."""
        line = [*self.twistd, "chatd", *arguments]
        streams = Streams(stdout=self.stdout or str(out), stderr=str(err))
        if self._may_fork:
            surroundings = Surroundings(folder, environment(self.tree), self.umask)
            return Forked(self._program, ["twistd", *line], surroundings, streams)
        with Path(streams.stdout).open("ab") as output, err.open("ab") as errors:
            return subprocess.Popen(
                [*twistd_of(self.interpreter), *line],
                cwd=folder,
                env=environment(self.tree),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                umask=self.umask,
            )

    @property
    def _may_fork(self) -> bool:
        """Whether the daemon can be forked. One of another interpreter or tree can't, and one in the
        background is started as users start it."""
        here = (self.interpreter, self.tree) == (Path(sys.executable), ROOT)
        in_foreground = self.twistd[:1] == FOREGROUND[:1]
        return self.doors is not None or (here and (in_foreground or self.forked))

    @property
    def _program(self) -> Callable[[], None]:
        if self.doors is None:
            return forked.twistd
        return OtherDoors({door: local_endpoint(port) for door, port in self.doors.items()})


class Daemon:
    """One process of `twistd chatd`, started in `folder` with these arguments after `chatd`."""

    def __init__(
        self, folder: Path, port: int, *arguments: str, logs: Path, launch: Launch = Launch()
    ) -> None:
        self.port = port
        logs.mkdir(exist_ok=True)
        self._out = Path(tempfile.mkstemp(suffix=".out", dir=logs)[1])
        self._err = self._out.with_suffix(".err")
        self._err.touch()
        self.process = launch.start(folder, arguments, self._out, self._err)

    @property
    def out(self) -> str:
        """The standard output so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """The standard error so far."""
        return self._err.read_text()

    def listening(self) -> Self:
        """Wait until it answers. Raises AssertionError if it ends instead."""

        def ready() -> bool:
            if self.process.poll() not in (None, 0):
                raise AssertionError(
                    f"twistd ended with {self.process.returncode}:\n{self.out}\n{self.err}"
                )
            return answers(self.port)

        wait_until(ready, lambda: f"an answer of the daemon:\n{self.out}\n{self.err}")
        return self

    def talk(self) -> Talker:
        return Talker(self.port)

    def login(self, name: str, password: str) -> Talker:
        talker = self.talk()
        talker.must(command="auth", username=name, password=password)
        return talker

    def register(self, name: str) -> Talker:
        talker = self.talk()
        talker.must(command="register", username=name, password=f"{name}-password")
        return talker

    def ended(self) -> int:
        """Wait until it ends by itself. Returns its exit code."""
        return self.process.wait(PATIENCE)

    def stop(self) -> None:
        """Stop it in order (SIGTERM)."""
        self.process.send_signal(signal.SIGTERM)
        self.stopped()

    def stopped(self) -> None:
        """Wait until a signal has stopped it in order. Raises AssertionError if it did not."""
        code = self.ended()
        # twistd shuts down, and then ends itself with the signal that it got.
        if code not in (0, -signal.SIGTERM, -signal.SIGINT) or self.err:
            raise AssertionError(f"twistd ended with {code}:\n{self.out}\n{self.err}")

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.process.kill()
        self.process.wait(PATIENCE)


def operator_code(state: Path) -> str:
    """The code for the first operator of the realm whose state is there."""
    return (state / "operator-code").read_text().strip()


def claim(state: Path, talker: Talker) -> None:
    """Make the account that is logged in the first operator of the realm whose state is there."""
    talker.must(command="claim", code=operator_code(state))


class Home:
    """A realm with a folder and ports of its own, and its daemons, one after the other."""

    #: Its ports.
    doors: Sequence[str] = ("json", "peers")
    #: The end of its configuration.
    more = ""

    def __init__(self, root: Path, name: str = "realm1", more: str = "") -> None:
        self.name = name
        self.folder = root / name
        self.ports = {door: free_port() for door in self.doors}
        (self.folder / "here").mkdir(parents=True)
        text = configuration(self.ports, self.more + more, name=name)
        (self.folder / "chatd.ini").write_text(text)
        self._daemons: list[Daemon] = []

    @property
    def daemon(self) -> Daemon:
        """The daemon that was started last."""
        return self._daemons[-1]

    def launch(self) -> None:
        """Start it, and don't wait."""
        arguments = ("--config", str(self.folder / "chatd.ini"))
        logs = self.folder / "logs"
        self._daemons.append(
            Daemon(self.folder / "here", self.ports["json"], *arguments, logs=logs)
        )

    @property
    def operator_code(self) -> str:
        """The code for the realm's first operator."""
        return operator_code(self.folder / "state")

    def claim(self, talker: Talker) -> None:
        """Make the account that is logged in the realm's first operator."""
        claim(self.folder / "state", talker)

    def start(self) -> Self:
        self.launch()
        self.daemon.listening()
        return self

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.daemon.kill()

    def close(self) -> None:
        """End all processes."""
        for daemon in self._daemons:
            daemon.kill()


class DaemonTestCase(TestCase):
    """A test with an empty `self.folder`, in which daemons are started; `self.root` contains it."""

    timeout = 120

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="chatd-test-")).resolve()
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.folder = self.root / "here"
        self.folder.mkdir()

    def configure(self, more: str = "", state: str = "state", **doors: int) -> int:
        """Write a configuration beside `self.folder`, with these doors and `json`. Returns the port of
        `json`."""
        port = free_port()
        text = configuration({"json": port, **doors}, more, state=state)
        (self.root / "chatd.ini").write_text(text)
        return port

    def launch(self, port: int, *arguments: str, **options: Any) -> Daemon:
        """Start a daemon that is killed when the test ends."""
        launch = Launch(**options)
        daemon = Daemon(self.folder, port, *arguments, logs=self.root / "logs", launch=launch)
        self.addCleanup(daemon.kill)
        return daemon

    def start(self, more: str = "", **options: Any) -> Daemon:
        """Start a daemon on `self.root / "state"`, and wait until it listens."""
        port = self.configure(more)
        return self.launch(port, "--config", "../chatd.ini", **options).listening()

    def end_later(self, pid_file: Path) -> None:
        """When the test ends, kill the process that the file names, if it is a running twistd."""
        self.addCleanup(_kill_twistd, pid_file)


def _kill_twistd(pid_file: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        if b"chatd" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
