"""What systemd is told, on real datagram sockets."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from chatd.app import service_manager as module
from chatd.app.service_manager import ServiceManager, Supervision, supervision_of

UNIT = Path(__file__).parents[3] / "etc/chatd.service"


class Environment(SynchronousTestCase):
    def test_read(self) -> None:
        for environment, expected in (
            ({}, Supervision()),
            ({"NOTIFY_SOCKET": "/run/s"}, Supervision("/run/s")),
            ({"NOTIFY_SOCKET": "@s", "WATCHDOG_USEC": "3000000"}, Supervision("@s", 3.0)),
            ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "9", "WATCHDOG_PID": "8"}, Supervision("/s")),
            (
                {"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "7"},
                Supervision("/s", 1.5),
            ),
            ({"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "soon"}, Supervision("/s")),
            ({"NOTIFY_SOCKET": "vsock:2:1"}, Supervision()),
            ({"WATCHDOG_USEC": "3000000"}, Supervision()),
        ):
            self.assertEqual(supervision_of(environment, 7), expected, environment)


class Messages(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.probes: list[Deferred[object]] = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.listener.close)
        self.listener.setblocking(False)
        self.listener.bind("")  # an abstract address that the system chooses
        self.address = "@" + self.listener.getsockname()[1:].decode()
        self.manager = self.make(self.address, 3.0)

    def make(self, address: str, watchdog: float) -> ServiceManager:
        return ServiceManager(
            Supervision(address, watchdog), self.clock, lambda: 1234567, self.probe
        )

    def probe(self) -> Deferred[object]:
        self.probes.append(Deferred())
        return self.probes[-1]

    def told(self, listener: socket.socket | None = None) -> list[str]:
        """The messages since the last call."""
        found = []
        while True:
            try:
                found.append((listener or self.listener).recv(4096).decode())
            except BlockingIOError:
                return found

    def test_a_life(self) -> None:
        self.manager.ready("Open: plain,\njson")
        self.assertEqual(self.told(), ["READY=1\nSTATUS=Open: plain, json"])
        self.manager.reloading()
        self.assertEqual(self.told(), ["RELOADING=1\nMONOTONIC_USEC=1234567\nSTATUS=Reloading"])
        self.manager.ready("x" * 1000)
        self.assertEqual(self.told(), ["READY=1\nSTATUS=" + "x" * 200])
        self.manager.stopping()
        self.manager.stopped()
        self.assertEqual(self.told(), ["STOPPING=1\nSTATUS=Shutting down"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_socket_in_the_file_system(self) -> None:
        # The path of a test may be longer than an address can be.
        with (
            tempfile.TemporaryDirectory() as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
        ):
            path = f"{folder}/notify"
            listener.setblocking(False)
            listener.bind(path)
            self.make(path, 0.0).ready("Open")
            self.assertEqual(self.told(listener), ["READY=1\nSTATUS=Open"])

    def test_watchdog(self) -> None:
        """A ping comes only when the writer's thread has answered, three times as often as is asked for."""
        self.manager.ready("Open")
        self.told()
        for _ in range(3):
            self.clock.advance(1)
            self.assertEqual(self.told(), [])
            self.probes[-1].callback(None)
            self.assertEqual(self.told(), ["WATCHDOG=1"])

    def test_dead_thread(self) -> None:
        """No ping comes any more, and probes do not pile up."""
        self.manager.ready("Open")
        self.told()
        self.clock.pump([1] * 10)
        self.assertEqual(self.told(), [])
        self.assertEqual(len(self.probes), 1)
        # It was only slow.
        self.probes[0].callback(None)
        self.clock.advance(1)
        self.probes[1].callback(None)
        self.assertEqual(self.told(), ["WATCHDOG=1"] * 2)

    def test_full_disk(self) -> None:
        """A restart would not help."""
        self.patch(self.manager, "_probe", lambda: fail(OSError("no space")))
        self.manager.ready("Open")
        self.told()
        self.clock.advance(1)
        self.assertEqual(self.told(), ["WATCHDOG=1"])

    def test_while_it_stops(self) -> None:
        """The database may be closed already."""
        self.manager.ready("Open")
        self.manager.stopping()
        self.told()
        self.clock.advance(1)
        self.assertEqual((self.told(), self.probes), (["WATCHDOG=1"], []))

    def test_reload_adds_no_timer(self) -> None:
        for _ in range(3):
            self.manager.ready("Open")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_without_a_watchdog(self) -> None:
        self.make(self.address, 0.0).ready("Open")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_without_systemd(self) -> None:
        manager = self.make("", 0.0)
        manager.ready("Open")
        manager.reloading()
        manager.stopping()
        self.assertEqual(self.told(), [])

    def test_nobody_listens(self) -> None:
        """It is logged once, and the daemon goes on."""
        warned: list[Any] = []
        self.patch(module.log, "warn", lambda *args, **kw: warned.append(kw))
        self.listener.close()
        for _ in range(3):
            self.manager.ready("Open")
        self.assertEqual(len(warned), 1)

    def test_full_socket(self) -> None:
        """The daemon does not wait for a supervisor that does not read."""
        self.patch(self.manager, "_probe", lambda: succeed(None))
        self.manager.ready("Open")
        for _ in range(2000):
            self.clock.advance(1)
        self.assertLess(len(self.told()), 2000)
        self.clock.advance(1)
        self.assertEqual(self.told(), ["WATCHDOG=1"])


class Unit(SynchronousTestCase):
    def test_systemd_accepts_it(self) -> None:
        tool = shutil.which("systemd-analyze")
        if tool is None:
            raise SkipTest("systemd-analyze is not installed")
        done = subprocess.run([tool, "verify", UNIT], capture_output=True, text=True, check=False)
        complaints = [
            line
            for line in done.stderr.splitlines()
            if "chatd.service" in line and "is not executable" not in line
        ]
        self.assertEqual(complaints, [])
