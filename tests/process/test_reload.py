"""Signals: what is read again while the daemon runs, and what does it no harm."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
from pathlib import Path
from typing import Any, cast

import trustme
from OpenSSL import SSL, crypto
from twisted.internet.error import VerifyError
from twisted.trial.unittest import SynchronousTestCase

from chatd.app.logs import LogOutput, RotatingLog
from chatd.app.reload import Reloads
from chatd.base.config import LogConfig
from chatd.federation.amp.endpoint import TLSEndpoint
from chatd.federation.amp.identity import RealmIdentity
from chatd.federation.amp.trust import Policy
from chatd.net.tls import DoorTLS
from tests.support.common import RealmTestCase
from tests.support.processes import (
    FOREGROUND,
    PATIENCE,
    DaemonTestCase,
    answers,
    environment,
    free_port,
    in_thread,
    wait_until,
)
from tests.support.terminal import Terminal
from tests.unit.federation.amp.test_identity import self_signed


def fails() -> None:
    raise OSError("it is gone")


class ReloadsTest(SynchronousTestCase):
    def test_each_by_itself(self) -> None:
        """What can't be read keeps nothing else from being read."""
        done: list[int] = []
        reloads = Reloads()
        for reload in (lambda: done.append(1), fails, lambda: done.append(2)):
            reloads.add("it", reload)
        reloads.reload()
        self.assertEqual(done, [1, 2])


class LogFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "chatd.log"

    def open(self, **options: Any) -> RotatingLog:
        log: RotatingLog = RotatingLog.fromFullPath(str(self.path), **options)
        self.addCleanup(log.close)
        return log

    def test_reopened(self) -> None:
        """After another program has moved the file, a new one has its name."""
        log = self.open()
        log.write("one\n")
        self.path.rename(self.folder / "moved")
        log.write("two\n")
        log.reopen()
        log.write("three\n")
        self.assertEqual((self.folder / "moved").read_text(), "one\ntwo\n")
        self.assertEqual(self.path.read_text(), "three\n")
        log.reopen()
        log.write("four\n")
        self.assertEqual(self.path.read_text(), "three\nfour\n")
        self.assertEqual(log.size, 11)

    def test_can_not_be_opened(self) -> None:
        """The log goes on in the old file."""
        log = self.open()
        self.path.rename(self.folder / "moved")
        self.path.mkdir()
        self.assertRaises(OSError, log.reopen)
        log.write("one\n")
        self.assertEqual((self.folder / "moved").read_text(), "one\n")

    def test_kept(self) -> None:
        """`[log] keep` is how many rotated files there are at most."""
        output = LogOutput(LogConfig(keep=3), {"logfile": str(self.path), "nodaemon": True})
        assert output.file is not None
        output.file.rotateLength = 10
        self.addCleanup(output.file.close)
        for number in range(9):
            output.file.write(f"line number {number}\n")
        kept = {path.name: path.read_text().split()[-1] for path in self.folder.iterdir()}
        expected = {"chatd.log": "8", "chatd.log.1": "7", "chatd.log.2": "6", "chatd.log.3": "5"}
        self.assertEqual(kept, expected)

    def test_standard_output(self) -> None:
        """There is nothing to open again."""
        output = LogOutput(LogConfig(), {"nodaemon": True})
        self.assertIsNone(output.file)
        self.assertIsNotNone(output.observer)
        self.assertIsNone(LogOutput(LogConfig(), {"syslog": True}).observer)


class Issuer:
    """An authority whose intermediate one signs the certificates of servers."""

    def __init__(self) -> None:
        self.root = trustme.CA()
        self.between = self.root.create_child_ca()

    def write(self, folder: Path, chain: str = "fullchain.pem", rest: str | None = None) -> None:
        """Write a key and certificate; the intermediate goes behind it, or into a file of its own."""
        issued = self.between.issue_cert("localhost")
        leaf, *others = (pem.bytes() for pem in issued.cert_chain_pems)
        (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
        (folder / chain).write_bytes(leaf + (b"".join(others) if rest is None else b""))
        if rest is not None:
            (folder / rest).write_bytes(b"".join(others))

    def trusted_by(self) -> ssl.SSLContext:
        """A client's, who knows the root and nothing else."""
        context = ssl.create_default_context()
        self.root.configure_trust(context)
        return context


def shake_hands(server: SSL.Connection, client: ssl.SSLContext) -> list[bytes]:
    """What the client was shown, in DER, leaf first. Raises ssl.SSLError for what it does not trust."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    server.set_accept_state()
    for _ in range(10):
        try:
            there.do_handshake()
            break
        except ssl.SSLWantReadError:
            pass
        finally:
            server.bio_write(outgoing.read())
        with contextlib.suppress(SSL.WantReadError):
            server.do_handshake()
        incoming.write(server.bio_read(1 << 16))
    shown = there.getpeercert(True)
    assert shown is not None
    return [shown]


class Certificates(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.issuer = Issuer()

    def endpoint(self, chain: str = "fullchain.pem", more: str = "") -> str:
        folder = str(self.folder).replace(":", r"\:")
        return f"ssl:0:privateKey={folder}/key.pem:certKey={folder}/{chain}{more}"

    def show(self, tls: DoorTLS) -> list[bytes]:
        return shake_hands(tls.serverConnectionForTLS(None), self.issuer.trusted_by())

    def test_fullchain(self) -> None:
        """A client that knows the root alone trusts the server."""
        self.issuer.write(self.folder)
        self.assertTrue(self.show(DoorTLS(self.endpoint())))

    def test_a_chain_of_its_own(self) -> None:
        self.issuer.write(self.folder, "cert.pem", "chain.pem")
        self.assertRaises(
            ssl.SSLCertVerificationError, self.show, DoorTLS(self.endpoint("cert.pem"))
        )
        more = f":extraCertChain={self.folder}/chain.pem"
        self.assertTrue(self.show(DoorTLS(self.endpoint("cert.pem", more))))

    def test_key_and_certificates_in_one_file(self) -> None:
        self.issuer.write(self.folder)
        both = self.folder / "a:b.pem"
        both.write_bytes(
            b"".join((self.folder / name).read_bytes() for name in ("key.pem", "fullchain.pem"))
        )
        path = str(both).replace(":", r"\:")
        self.assertTrue(self.show(DoorTLS(f"ssl:0:privateKey={path}")))

    def test_renewed(self) -> None:
        """New connections are shown the new certificate once it was read; half of it changes nothing."""
        self.issuer.write(self.folder)
        tls = DoorTLS(self.endpoint())
        before = self.show(tls)
        key = (self.folder / "key.pem").read_bytes()
        self.issuer.write(self.folder)
        self.assertEqual(self.show(tls), before)
        for name, half, error in (
            ("key.pem", key, VerifyError),
            ("fullchain.pem", b"rubbish", crypto.Error),
        ):
            whole = (self.folder / name).read_bytes()
            (self.folder / name).write_bytes(half)
            self.assertRaises(error, tls.reload)
            self.assertEqual(self.show(tls), before)
            (self.folder / name).write_bytes(whole)
        tls.reload()
        self.assertNotEqual(self.show(tls), before)


class OfTheRealm(RealmTestCase):
    def test_shown_to_other_realms(self) -> None:
        """The door to other realms takes another certificate, and another idea of whom to trust."""
        first, second = self_signed("realm1"), self_signed("realm1")
        door = TLSEndpoint(cast(Any, None), first, Policy("realm1", "pinned", (), frozenset()))
        factory: Any = door.factory(cast(Any, None))

        def shown() -> Any:
            return factory._creatorCallable(None).get_context()

        before = shown()
        door.show(second, Policy("realm1", "known", (), frozenset()))
        self.assertIsNot(shown(), before)
        self.assertEqual(door._policy.trust, "known")

    def test_from_the_files(self) -> None:
        """Realm.reload shows what is there now."""
        seen: list[RealmIdentity] = []
        self.patch(self.realm.endpoint, "show", lambda identity, _policy: seen.append(identity))
        self.realm.reload()
        self.assertEqual(seen[0].realm, "realm1")


class Signals(DaemonTestCase):
    def signalled(self, daemon: Any, number: signal.Signals, said: str) -> None:
        """The daemon logs this once it has had the signal, and lives on."""
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
        """With the log on standard output there is nothing to read again; no signal does any harm."""
        daemon = self.start()
        with daemon.register("messi") as messi:
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGHUP):
                daemon.process.send_signal(number)
                messi.must(command="ping")
        self.alive(daemon)
        daemon.stop()

    @in_thread
    def test_log_and_certificate(self) -> None:
        """At SIGHUP the log's file is opened again, and a door shows its new certificate."""
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
    def test_a_closed_terminal(self) -> None:
        """A daemon whose terminal is closed ends in order, instead of staying where nobody sees it."""
        port = self.configure()
        command = ["twistd", *FOREGROUND, "chatd", "--config", "../chatd.ini"]
        terminal = Terminal(command, self.folder, environment())
        self.addCleanup(terminal.kill)
        wait_until(lambda: answers(port), lambda: "it does not answer")
        terminal.hang_up()
        terminal.process.wait(PATIENCE)
        self.assertFalse(answers(port))
