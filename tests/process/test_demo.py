"""The demo: two linked realms in one terminal, and the options `--demo` and `--second`."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import socket
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from chatd.app.demo_realms import SHIFT
from chatd.base.config import DEFAULT_DOORS
from tests.support import forked
from tests.support.forked import Forked, Streams, Surroundings
from tests.support.order import long_test
from tests.support.ports import free_port, local_endpoint
from tests.support.processes import DaemonTestCase, environment, in_thread, is_running, wait_until
from tests.support.talker import PATIENCE, Talker

DOORS = tuple(DEFAULT_DOORS)

LINKED = "are up and linked"


class Demo:
    """The demo in a process of its own. With `terminal` it has a terminal. `program` is what that process
    runs."""

    def __init__(
        self, folder: Path, ports: dict[str, int], logs: Path, terminal: bool, program: forked.Demo
    ) -> None:
        self.ports = ports
        self._path = Path(tempfile.mkstemp(suffix=".demo", dir=logs)[1])
        self._terminal = b""
        self.terminal = self._follower = -1
        stdout = str(self._path)
        if terminal:
            self.terminal, self._follower = pty.openpty()
            os.set_blocking(self.terminal, False)
            stdout = os.ttyname(self._follower)
        self.process = Forked(
            program,
            ["chatd-demo"],
            Surroundings(folder, environment()),
            Streams(stdout=stdout, stderr=str(self._path)),
        )

    @property
    def out(self) -> str:
        if self.terminal >= 0:
            with contextlib.suppress(OSError):
                while data := os.read(self.terminal, 1 << 16):
                    self._terminal += data
        return self._terminal.decode() + self._path.read_text()

    def linked(self) -> Demo:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"it has ended with {self.process.returncode}:\n{self.out}")
            return LINKED in self.out

        wait_until(ready, lambda: f"two realms:\n{self.out}")
        return self

    def pids(self) -> list[int]:
        """The process ids of the realms."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def talk(self, name: str, second: bool = False) -> Talker:
        talker = Talker(self.ports["json"] + SHIFT * second)
        talker.must(command="auth", username=name, password="surabaya")
        return talker

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End all processes, whatever has happened."""
        pids = []
        with contextlib.suppress(OSError):
            pids = self.pids()
        self.process.kill()
        self.process.wait(PATIENCE)
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for end in (self.terminal, self._follower):
            with contextlib.suppress(OSError):
                os.close(end)


class BothTests(DaemonTestCase):
    """`make demo`"""

    def setUp(self) -> None:
        super().setUp()
        self.logs = self.root / "logs"
        self.logs.mkdir()
        self.ports = {door: free_port(also=SHIFT) for door in DOORS}

    def begin(
        self, terminal: bool = False, patience: float = PATIENCE, fresh: bool = False
    ) -> Demo:
        """Start the demo. `patience` is how many seconds it waits for a link; `fresh`: with realms as users
        start them."""
        doors = {door: local_endpoint(port) for door, port in self.ports.items()}
        program = forked.Demo(doors, patience, fresh)
        demo = Demo(self.folder, self.ports, self.logs, terminal, program)
        self.addCleanup(demo.close)
        return demo

    def assert_over(self, pids: list[int]) -> None:
        self.assertEqual([pid for pid in pids if is_running(pid)], [])

    @long_test
    @in_thread
    def test_two_linked_realms(self) -> None:
        """Messages cross in both directions. Ctrl-C stops both realms in order. A second start finds
        everything."""
        demo = self.begin(fresh=True).linked()
        with demo.talk("messi") as messi, demo.talk("henderson", second=True) as henderson:
            sent = messi.must(command="send", to="henderson@realm2", text="halo", wait=True)
            self.assertEqual(sent["message"], "Message sent")
            self.assertEqual(henderson.texts(), ["halo"])
            henderson.must(command="send", to="messi@realm1", text="halo juga", wait=True)
            self.assertEqual(messi.texts(), ["halo juga"])
            messi.must(command="send", to="henderson@realm2", text="sampai jumpa", wait=True)
        pids = demo.pids()
        self.assertEqual(len(pids), 2)
        self.assertEqual(demo.end(signal.SIGINT), 0)
        self.assert_over(pids)
        self.assertEqual(demo.out.count("everything is on disk"), 2)
        self.assertNotIn("Traceback", demo.out)
        self.assert_lines_are_marked(demo)
        demo = self.begin().linked()
        with demo.talk("henderson", second=True) as henderson:
            self.assertEqual(henderson.texts(), ["sampai jumpa"])
        self.assertEqual(demo.end(signal.SIGTERM), 0)

    def assert_lines_are_marked(self, demo: Demo) -> None:
        """Each line has the name of its realm, except what to type. There are no colours in a pipe or
        a file."""
        told = [line for line in demo.out.splitlines() if not line.startswith("  ") and line]
        self.assertEqual({line[:9] for line in told}, {"realm1 | ", "realm2 | "})
        self.assertIn(f"telnet localhost {self.ports['plain']} ", demo.out)
        self.assertIn(f"telnet localhost {self.ports['plain'] + SHIFT}\n", demo.out)
        for shift in (0, SHIFT):
            self.assertIn(f"http://localhost:{self.ports['web'] + shift}/", demo.out)
        self.assertIn("auth messi surabaya", demo.out)
        self.assertNotIn("\x1b", demo.out)
        self.assertIn(str(self.folder / "var" / "demo" / "realm2"), demo.out)

    @in_thread
    def test_on_a_terminal_that_is_closed(self) -> None:
        """A terminal gets colours. When it is closed, both realms stop in order."""
        demo = self.begin(terminal=True).linked()
        self.assertRegex(demo.out, r"\x1b\[\d+mrealm1 \|\x1b\[0m ")
        pids = demo.pids()
        os.close(demo.terminal)
        demo.terminal = -1
        self.assertEqual(demo.end(signal.SIGHUP), 0)
        self.assert_over(pids)

    @in_thread
    def test_terminal_is_gone(self) -> None:
        """The terminal is gone, and no signal was sent."""
        demo = self.begin(terminal=True).linked()
        os.close(demo.terminal)
        demo.terminal = -1
        Talker(demo.ports["json"]).close()
        demo.talk("messi").close()  # which is a line in the log
        self.assertEqual(demo.process.wait(PATIENCE), 0)

    @in_thread
    def test_a_signal_before_anything_is_up(self) -> None:
        demo = self.begin()
        pids = wait_until(demo.pids, lambda: "a process")
        self.assertEqual(demo.end(signal.SIGTERM), 0)
        self.assert_over(pids)
        self.assertNotIn("Traceback", demo.out)

    @in_thread
    def test_a_port_is_taken(self) -> None:
        """The error names the port. Nothing is started or created."""
        port = self.ports["json"] + SHIFT
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            demo = self.begin()
            self.assertEqual(demo.process.wait(PATIENCE), 1)
        self.assertIn(f"port {port}, for json of realm2", demo.out)
        self.assertEqual(demo.out.count("\n"), 1)
        self.assertFalse((self.folder / "var").exists())

    @in_thread
    def test_one_dies(self) -> None:
        """The error says which realm ended and how. The other one is stopped in order."""
        demo = self.begin(fresh=True).linked()
        pids = demo.pids()
        dead = next(pid for pid in pids if b"--second" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(dead, signal.SIGKILL)
        self.assertEqual(demo.process.wait(PATIENCE), 1)
        self.assertIn("realm2 was ended by SIGKILL", demo.out)
        self.assertEqual(demo.out.count("everything is on disk"), 1)
        self.assert_over(pids)

    @in_thread
    def test_one_can_not_start(self) -> None:
        """The error of the realm is shown."""
        (self.folder / "var" / "demo").mkdir(parents=True)
        (self.folder / "var" / "demo" / "realm1").write_text("in the way")
        demo = self.begin()
        self.assertEqual(demo.process.wait(PATIENCE), 1)
        self.assertRegex(demo.out, r"realm1 \| chatd: \[realm\] state is ")
        self.assertIn("realm1 has ended (exit code 1)", demo.out)

    @long_test
    @in_thread
    def test_a_realm_and_accounts_have_changed(self) -> None:
        """A realm whose certificate has changed is refused by the other. If passwords have changed, the demo
        can't link the realms. They run nevertheless, and the error says how to start afresh."""
        demo = self.begin().linked()
        demo.end(signal.SIGTERM)
        for name in ("realm.key", "realm.pem"):
            (self.folder / "var" / "demo" / "realm2" / name).unlink()
        demo = self.begin(patience=4.0)
        wait_until(lambda: "are not linked" in demo.out, lambda: demo.out)
        self.assertRegex(demo.out, "not linked: .*certificate")
        self.assertIn("remove var/demo", demo.out)
        for name in ("messi", "henderson", "lineker"):
            with demo.talk(name) as talker:
                talker.must(command="password", old="surabaya", new="barcelona")
        self.assertEqual(demo.end(signal.SIGTERM), 0)
        demo = self.begin()
        wait_until(lambda: "have another password" in demo.out, lambda: demo.out)
        self.assertEqual(demo.end(signal.SIGTERM), 0)


class OptionTests(DaemonTestCase):
    """`twistd chatd --demo`, and with `--second`."""

    def demo(self, *more: str, port: int, doors: dict[str, int]) -> Any:
        return self.launch(port, "--demo", *more, doors=doors)

    @in_thread
    def test_nothing_real_is_touched(self) -> None:
        """With the configuration of a real realm, neither its state nor its database is used, whatever its
        url."""
        real = self.start()
        real.register("lina").close()
        real.stop()
        database = self.root / "state" / "chatd.db"
        config = self.root / "chatd.ini"
        config.write_text(f"{config.read_text()}\n[database]\nurl = sqlite:///{database}\n")
        doors = {door: free_port() for door in DOORS}
        demo = self.demo("--config", "../chatd.ini", port=doors["json"], doors=doors).listening()
        demo.login("messi", "surabaya").close()
        demo.stop()
        with closing(sqlite3.connect(database)) as connection:
            names = connection.execute("SELECT name FROM accounts").fetchall()
        self.assertEqual(names, [("lina",)])

    @in_thread
    def test_the_second(self) -> None:
        """By itself, with everything on its own ports."""
        ports = {door: free_port(also=SHIFT) for door in DOORS}
        demo = self.demo("--second", port=ports["json"] + SHIFT, doors=ports).listening()
        self.assertIn("realm realm2", demo.out)
        demo.login("messi", "surabaya").close()
        demo.stop()
        self.assertTrue((self.folder / "var" / "demo" / "realm2" / "realm.key").is_file())

    @in_thread
    def test_the_second_of_nothing(self) -> None:
        port = self.configure()
        daemon = self.launch(port, "--second", "--config", "../chatd.ini")
        self.assertEqual(daemon.ended(), 1)
        self.assertEqual(
            daemon.err, "chatd: --second is given without --demo; expected both\n", daemon.out
        )
