"""Real terminals for the tests: a program on a pty (pexpect), and what its screen shows (pyte).

Everything here blocks, but never for long: a test that uses it runs `in_thread`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pexpect
import pyte
from wcwidth import wcwidth

from tests.support import ROOT
from tests.support.processes import PATIENCE, DaemonTestCase

CLIENT = (sys.executable, "-m", "chatd.client.main")
ENTER = "\r"
CTRL_C = "\x03"
CTRL_D = "\x04"
TAB = "\t"
UP = "\x1b[A"
SCROLLBACK = 2000
PASSWORD = "correct-horse"
# The client may be tried against the daemon of another release: say where its tree is.
DAEMON_TREE = Path(os.environ.get("CHATD_TEST_DAEMON", ROOT))


class _Screen(pyte.HistoryScreen):
    """Answers where the cursor is, as terminals do, and counts bells."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(columns, lines, history=SCROLLBACK, ratio=0.5)
        self.bells = 0
        self.answers = ""

    def draw(self, data: str) -> None:
        """pyte forgets what comes after a joiner or a variation selector; older terminals ignore them."""
        super().draw("".join(c for c in data if wcwidth(c) or unicodedata.combining(c)))

    def write_process_input(self, data: str) -> None:
        self.answers += data

    def bell(self, *_arguments: Any) -> None:
        self.bells += 1


class Terminal:
    """A program in a terminal of `columns` by `rows`."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        columns: int = 100,
        rows: int = 30,
    ) -> None:
        self.screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child: Any = pexpect.spawn(
            command[0],
            list(command[1:]),
            cwd=str(folder),
            env={**environment, "TERM": "xterm-256color"},
            dimensions=(rows, columns),
            timeout=PATIENCE,
        )
        self.child.delaybeforesend = None
        for each in (self.child, self.child.ptyproc):  # type: ignore[attr-defined]
            each.delayafterclose = each.delayafterterminate = 0

    def pump(self, seconds: float = 0.0) -> None:
        """Take what the program has written."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(pexpect.TIMEOUT, pexpect.EOF):
                data = self.child.read_nonblocking(65536, timeout=0.01)
                self.raw += data
                self._stream.feed(data)
                if self.screen.answers:
                    answers, self.screen.answers = self.screen.answers, ""
                    self.child.send(answers)
                continue
            if time.monotonic() >= end:
                return

    def shown(self) -> list[str]:
        """The lines on the screen."""
        return [line.rstrip() for line in self.screen.display]

    def text(self) -> str:
        """All lines, with those that have left the screen."""
        above = [
            "".join(line[x].data for x in range(self.screen.columns))
            for line in self.screen.history.top
        ]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display])

    def await_text(self, text: str, times: int = 1, patience: float = PATIENCE) -> None:
        """Wait until `text` is shown so many times. Raises AssertionError."""
        end = time.monotonic() + patience
        while True:
            self.pump()
            if self.text().count(text) >= times:
                return
            if time.monotonic() > end or not self.child.isalive():
                self.pump()
                if self.text().count(text) >= times:
                    return
                raise AssertionError(f"waited in vain for {text!r}; shown:\n{self.text()}")

    def await_gone(self, text: str, patience: float = PATIENCE) -> None:
        """Wait until `text` is no longer on the screen."""
        end = time.monotonic() + patience
        self.pump()
        while text in "\n".join(self.shown()):
            if time.monotonic() > end:
                raise AssertionError(f"{text!r} is still there; shown:\n{self.text()}")
            self.pump()

    def type(self, *lines: str) -> None:
        """Type lines, each with Enter."""
        for line in lines:
            self.press(line + ENTER)

    def press(self, keys: str) -> None:
        self.pump()
        self.child.send(keys)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def ended(self, patience: float = PATIENCE) -> int:
        """Wait until the program has ended; its exit code."""
        end = time.monotonic() + patience
        while self.child.isalive():
            self.pump()
            if time.monotonic() > end:
                raise AssertionError(f"it does not end; shown:\n{self.text()}")
        self.pump()
        self.child.close()
        return self.child.exitstatus if self.child.exitstatus is not None else -1

    def kill(self) -> None:
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
            self.child.wait()
        self.child.close(force=True)


def environment(state: Path, **more: str) -> dict[str, str]:
    """For a client that keeps what it remembers under `state`."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")}
    return {
        **kept,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(state),
        **more,
    }


class ClientTestCase(DaemonTestCase):
    """Clients in terminals, each with a folder and a memory of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.daemon = self.start(tree=DAEMON_TREE)

    def restart(self) -> None:
        """Start the daemon again, on the same port and state."""
        self.daemon = self.launch(self.daemon.port, "--config", "../chatd.ini", tree=DAEMON_TREE)
        self.daemon.listening()

    def home(self, name: str) -> Path:
        folder = self.root / f"home-{name}"
        folder.mkdir(exist_ok=True)
        return folder

    def open(
        self, name: str, *arguments: str, columns: int = 100, rows: int = 40, **more: str
    ) -> Terminal:
        """A client started in the home of `name`."""
        folder = self.home(name)
        command = [*CLIENT, f"localhost:{self.daemon.port}", *arguments]
        variables = environment(folder / "state", **more)
        terminal = Terminal(command, folder, variables, columns, rows)
        self.addCleanup(terminal.kill)
        return terminal

    def enter(self, name: str, *arguments: str, **more: Any) -> Terminal:
        """A client in which `name` has just registered."""
        terminal = self.open(name, *arguments, **more)
        terminal.await_text("register makes an account")
        terminal.type(f"register {name} {PASSWORD}")
        terminal.await_text(f"Welcome, {name}")
        return terminal

    def run_script(
        self, name: str, *arguments: str, lines: str | None = None, port: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a client without a terminal, with `lines` as its standard input."""
        folder = self.home(name)
        return subprocess.run(
            [*CLIENT, f"localhost:{port or self.daemon.port}", *arguments],
            cwd=folder,
            env=environment(folder / "state"),
            input=lines or "",
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=PATIENCE,
            check=False,
        )
