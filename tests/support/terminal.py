"""Programs on real pseudo-terminals, and the text that their screens show (pyte).

Everything here blocks, but not for long, so a test that uses it runs `in_thread`.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyte
from wcwidth import wcwidth

from tests.support import ROOT, forked
from tests.support.forked import Forked, Process, Streams, Surroundings
from tests.support.processes import DaemonTestCase, can_be_read
from tests.support.talker import PATIENCE

CLIENT = (sys.executable, "-m", "chatd.client.main")
#: Programs that a Terminal forks, by the first word of the command.
FORKED = {"chatd-client": forked.client, "twistd": forked.twistd}
ENTER = "\r"
ALT_ENTER = "\x1b\r"
CTRL_C = "\x03"
CTRL_D = "\x04"
TAB = "\t"
UP = "\x1b[A"
SCROLLBACK = 2000
PASSWORD = "correct-horse"
# To test the client against the daemon of another release, set the path of its tree.
DAEMON_TREE = Path(os.environ.get("CHATD_TEST_DAEMON", ROOT))


class _Screen(pyte.HistoryScreen):
    """Reports the position of the cursor, as terminals do, and counts bells."""

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
        self._leader, self._follower = pty.openpty()
        self._set_size(columns, rows)
        environment = {**environment, "TERM": "xterm-256color"}
        self.process = self._start(command, Surroundings(folder, environment))

    def _start(self, command: Sequence[str], surroundings: Surroundings) -> Process:
        if command[0] in FORKED:
            streams = Streams(terminal=os.ttyname(self._follower))
            return Forked(FORKED[command[0]], command, surroundings, streams)
        return subprocess.Popen(
            command,
            cwd=surroundings.folder,
            env=surroundings.environment,
            stdin=self._follower,
            stdout=self._follower,
            stderr=self._follower,
            start_new_session=True,
        )

    def _set_size(self, columns: int, rows: int) -> None:
        termios.tcsetwinsize(self._leader, (rows, columns))

    def pump(self) -> bool:
        """Read what the program writes, until it has written nothing for a moment. Returns whether it has
        written anything."""
        found = False
        while can_be_read(self._leader, 0.01):
            found = True
            data = os.read(self._leader, 65536)
            self.raw += data
            self._stream.feed(data)
            if self.screen.answers:
                answers, self.screen.answers = self.screen.answers, ""
                self._send(answers)
        return found

    def _send(self, keys: str) -> None:
        data = keys.encode()
        while data:
            data = data[os.write(self._leader, data) :]

    def shown(self) -> list[str]:
        """The lines on the screen."""
        return [line.rstrip() for line in self.screen.display]

    def text(self) -> str:
        """All lines, including those that have left the screen."""
        above = [
            "".join(line[x].data for x in range(self.screen.columns))
            for line in self.screen.history.top
        ]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display])

    def await_text(self, text: str, times: int = 1, patience: float = PATIENCE) -> None:
        """Wait until `text` is on the screen that many times. Raises AssertionError."""
        end = time.monotonic() + patience
        changed = True
        while True:
            changed = self.pump() or changed
            if changed and self.text().count(text) >= times:
                return
            changed = False
            if time.monotonic() > end or self.process.poll() is not None:
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
        self._send(keys)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self._set_size(columns, rows)

    def ended(self, patience: float = PATIENCE) -> int:
        """Wait until the program ends. Returns its exit code."""
        end = time.monotonic() + patience
        while (code := self.process.poll()) is None:
            self.pump()
            if time.monotonic() > end:
                raise AssertionError(f"it does not end; shown:\n{self.text()}")
        self.pump()
        return code

    def hang_up(self) -> None:
        """Close the terminal, as a user who closes the window."""
        for end in (self._leader, self._follower):
            os.close(end)
        self._leader = self._follower = -1

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        if self._leader >= 0:
            self.hang_up()


def environment(state: Path, **more: str) -> dict[str, str]:
    """The environment of a client that stores its state below `state`."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")}
    return {
        **kept,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(state),
        **more,
    }


class ClientTestCase(DaemonTestCase):
    """Clients in terminals, each with a home folder and a state of its own."""

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
        command = ["chatd-client", f"localhost:{self.daemon.port}", *arguments]
        variables = environment(folder / "state", **more)
        terminal = Terminal(command, folder, variables, columns, rows)
        self.addCleanup(terminal.kill)
        return terminal

    def enter(self, name: str, *arguments: str, **more: Any) -> Terminal:
        """A client in which `name` has just registered."""
        terminal = self.open(name, *arguments, **more)
        terminal.await_text("register creates an account")
        terminal.type(f"register {name} {PASSWORD}")
        terminal.await_text(f"Welcome, {name}")
        return terminal

    def run_script(
        self, name: str, *arguments: str, lines: str = "", port: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a client without a terminal, with `lines` as its standard input."""
        folder = self.home(name)
        files = [self.root / f"{name}.{stream}" for stream in ("in", "out", "err")]
        for file, content in zip(files, (lines, "", ""), strict=True):
            file.write_text(content, errors="surrogateescape")
        command = ["chatd-client", f"localhost:{port or self.daemon.port}", *arguments]
        surroundings = Surroundings(folder, environment(folder / "state"))
        process = Forked(forked.client, command, surroundings, Streams(*map(str, files)))
        try:
            code = process.wait(PATIENCE)
        finally:
            process.kill()
        out, err = (file.read_text(errors="surrogateescape") for file in files[1:])
        return subprocess.CompletedProcess(command, code, out, err)
