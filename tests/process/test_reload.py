"""Signals to a real daemon: a reload while it runs, and signals that it ignores."""

from __future__ import annotations

import os
import signal
import socket
from http import HTTPStatus
from typing import Any
from unittest import mock
from urllib.error import URLError
from urllib.request import urlopen

from tests.support.certificates import Issuer
from tests.support.ports import free_port
from tests.support.processes import FOREGROUND, DaemonTestCase, environment, in_thread, wait_until
from tests.support.talker import PATIENCE, answers
from tests.support.terminal import Terminal


class Signals(DaemonTestCase):
    def signalled(self, daemon: Any, number: signal.Signals, said: str) -> None:
        """The daemon logs this after the signal, and continues to run."""
        daemon.process.send_signal(number)
        log = self.folder / "chatd.log"
        wait_until(lambda: said in log.read_text(), lambda: log.read_text())
        self.alive(daemon)

    def alive(self, daemon: Any) -> None:
        with daemon.talk() as talker:
            talker.must(command="ping")
        self.assertIsNone(daemon.process.poll())

    @in_thread
    def test_in_the_foreground(self) -> None:
        """If the log is standard output, there is nothing to read again. No signal does any harm."""
        daemon = self.start()
        with daemon.register("messi") as messi:
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGHUP):
                daemon.process.send_signal(number)
                messi.must(command="ping")
        self.alive(daemon)
        daemon.stop()

    @in_thread
    def test_log_and_certificate(self) -> None:
        """At SIGHUP the log file is opened again, and a door shows its new certificate."""
        issuer, port = Issuer(), free_port()
        issuer.write(self.root)
        self.configure()
        path = self.root / "chatd.ini"
        door = f"plain = ssl:{port}:privateKey=key.pem:certKey=fullchain.pem:interface=127.0.0.1\n"
        path.write_text(path.read_text().replace("[listen]\n", f"[listen]\n{door}"))
        json_port = int(path.read_text().partition("json = tcp:")[2].partition(":")[0])
        daemon = self.launch(
            json_port, "--config", "../chatd.ini", twistd=(*FOREGROUND, "--logfile=chatd.log")
        ).listening()
        log = self.folder / "chatd.log"

        def shown() -> bytes | None:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw,
                issuer.trusted_by().wrap_socket(raw, server_hostname="localhost") as tls,
            ):
                # The door greets once TLS is up, and then does as it is told.
                tls.sendall(b"ping\r\n")
                with tls.makefile("rb") as replies:
                    self.assertTrue(replies.readline().startswith(b"* chatd"))
                    self.assertEqual(replies.readline(), b"status: OK\r\n")
                return tls.getpeercert(True)

        with daemon.register("messi") as messi:
            before = shown()
            log.rename(self.folder / "chatd.log.old")
            issuer.write(self.root)
            self.assertEqual(shown(), before)
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(
                lambda: log.exists() and "[listen] plain" in log.read_text(), lambda: "no log"
            )
            self.assertNotEqual(shown(), before)
            (self.root / "key.pem").write_text("rubbish")
            self.signalled(daemon, signal.SIGHUP, "plain can't be read again and stays as it is")
            shown()
            messi.must(command="ping")
        daemon.stop()

    @in_thread
    def test_configuration(self) -> None:
        """At SIGHUP the file is read again: doors come and go, and others keep their connections. A file
        with a mistake changes nothing, and what needs a restart is said. systemd is told all of it."""
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.settimeout(PATIENCE)
        manager.bind("")  # an abstract address that the system chooses
        address = "@" + manager.getsockname()[1:].decode()
        told = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000"}
        with mock.patch.dict(os.environ, told):
            daemon = self.start()

        def hear(*expected: str) -> None:
            """The supervisor is told this next, with signs of life in between."""
            for each in expected:
                while (heard := manager.recv(4096).decode()) == "WATCHDOG=1" != each:
                    pass
                self.assertTrue(heard.startswith(each), (heard, each))

        hear("READY=1\nSTATUS=Open: json", "WATCHDOG=1")
        path = self.root / "chatd.ini"
        before, port = path.read_text(), free_port()

        def pages() -> bool:
            """Whether the door web is open."""
            try:
                with urlopen(f"http://127.0.0.1:{port}/livez", timeout=PATIENCE) as answer:
                    return bool(answer.status == HTTPStatus.OK)
            except URLError:
                return False

        def reloaded(text: str, said: str) -> None:
            path.write_text(text)
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: said in daemon.out, lambda: daemon.out)

        with daemon.register("messi") as messi:
            reloaded(
                before.replace(
                    "[listen]\n", f"[listen]\nweb = tcp:{port}:interface=127.0.0.1\n"
                ).replace("[accounts]\n", "[accounts]\nregistration = closed\n"),
                "changed: [accounts] registration, [listen] web",
            )
            hear("RELOADING=1\nMONOTONIC_USEC=", "READY=1\nSTATUS=Open: json, web", "WATCHDOG=1")
            self.assertTrue(pages())
            messi.must(command="ping")
            with daemon.talk() as talker:
                refused = talker.ask(command="register", username="budi", password="surabaya1234")
            self.assertEqual(refused["code"], "registration-closed")
            reloaded("[limits]\nfile = much\n", "nothing of it is used: ")
            hear("RELOADING=1", f"READY=1\nSTATUS={path.parent}")
            self.assertTrue(pages())
            reloaded(
                before.replace("name = ", "name = not-"),
                "a restart is needed to change [realm] name",
            )
            self.assertFalse(pages())
            messi.must(command="ping")
            hear("RELOADING=1", "READY=1\nSTATUS=Open: json")
        daemon.stop()
        hear("STOPPING=1")

    @in_thread
    def test_a_closed_terminal(self) -> None:
        """A daemon whose terminal is closed stops in order, instead of running on unseen."""
        port = self.configure()
        command = ["twistd", *FOREGROUND, "chatd", "--config", "../chatd.ini"]
        terminal = Terminal(command, self.folder, environment())
        self.addCleanup(terminal.kill)
        wait_until(lambda: answers(port), lambda: "it does not answer")
        terminal.hang_up()
        terminal.process.wait(PATIENCE)
        self.assertFalse(answers(port))
