"""Files that are read again while the daemon runs: log files and certificates."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from typing import Any, cast

import msgspec
from OpenSSL import crypto
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.error import VerifyError
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from chatd.app.certificate_watch import INTERVAL, CertificateWatch
from chatd.app.logs import LogOutput, RotatingLog
from chatd.app.reload import Reloads
from chatd.base.config import LogConfig, PeersConfig
from chatd.federation.amp.endpoint import TLSEndpoint
from chatd.federation.amp.identity import RealmIdentity
from chatd.federation.amp.pem import certificate_pem, key_pem
from chatd.federation.amp.trust import Policy
from chatd.net.tls import DoorTLS
from tests.support.certificates import Issuer, shake_hands
from tests.support.common import RealmTestCase
from tests.support.realm_certificates import NOW, self_signed


def fails() -> None:
    raise OSError("it is gone")


class ReloadsTest(SynchronousTestCase):
    def test_each_by_itself(self) -> None:
        """A file that can't be read does not prevent the others from being read."""
        done: list[int] = []
        reloads = Reloads()
        for what, reload in (
            ("a", lambda: done.append(1)),
            ("b", fails),
            ("c", lambda: done.append(2)),
        ):
            reloads.add(what, reload)
        renewed, failed = reloads.reload()
        self.assertEqual(done, [1, 2])
        self.assertEqual(renewed, ["a", "c"])
        self.assertEqual(failed, ["b can't be read again and stays as it is: it is gone"])
        reloads.remove("b")
        self.assertEqual(reloads.reload(), (["a", "c"], []))


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
        """If another program has moved the file, a new file of its name is created."""
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
        """Logging continues in the old file."""
        log = self.open()
        self.path.rename(self.folder / "moved")
        self.path.mkdir()
        self.assertRaises(OSError, log.reopen)
        log.write("one\n")
        self.assertEqual((self.folder / "moved").read_text(), "one\n")

    def test_kept(self) -> None:
        """`[log] keep` is the maximum number of rotated files."""
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
        """Standard output can't be reopened."""
        output = LogOutput(LogConfig(), {"nodaemon": True})
        self.assertIsNone(output.file)
        self.assertIsNotNone(output.observer)
        self.assertIsNone(LogOutput(LogConfig(), {"syslog": True}).observer)

    def test_changed(self) -> None:
        """Level, format and number of rotated files can be changed while the log is in use."""
        output = LogOutput(LogConfig(), {"logfile": str(self.path), "nodaemon": True})
        assert output.file is not None
        assert output.observer is not None
        self.addCleanup(output.file.close)
        log = Logger("chatd", observer=output.observer)
        log.debug("not written")
        output.use(LogConfig(format="json", level="debug", keep=2))
        log.debug("halo")
        text = self.path.read_text()
        self.assertNotIn("not written", text)
        self.assertEqual(json.loads(text)["log_format"], "halo")
        self.assertEqual(output.file.maxRotatedFiles, 2)
        LogOutput(LogConfig(), {"syslog": True}).use(LogConfig())


class Watch(SynchronousTestCase):
    """Certificates whose files change, with nobody telling it."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.file.write_text("one")
        self.clock = Clock()
        self.reloads = Reloads()
        self.read: list[str] = []
        self.reloads.add("it", self.reload, lambda: [self.file])
        self.looks = 0
        self.watch = CertificateWatch(self.clock, self.in_thread, self.reloads)
        self.watch.start()

    def in_thread(self, work: Any, *args: Any) -> Deferred[Any]:
        self.looks += 1
        return maybeDeferred(work, *args)

    def reload(self) -> None:
        text = self.file.read_text()
        if text == "half":
            raise ValueError("it is cut off")
        self.read.append(text)

    def look(self) -> None:
        self.clock.advance(INTERVAL)

    def test_changed(self) -> None:
        self.look()
        self.file.write_text("another")
        self.look()
        self.look()
        self.assertEqual(self.read, ["another"])

    def test_replaced(self) -> None:
        """As ACME clients do it: a link leads to another file, of the same size and age."""
        link, newer = self.file.with_name("link"), self.file.with_name("newer")
        self.addCleanup(link.unlink)
        link.symlink_to(self.file.name)
        newer.write_text("two")
        os.utime(newer, ns=(self.file.stat().st_atime_ns, self.file.stat().st_mtime_ns))
        self.reloads.add("it", lambda: self.read.append(link.read_text()), lambda: [link])
        self.look()
        link.unlink()
        link.symlink_to(newer.name)
        self.look()
        self.assertEqual(self.read, ["two"])

    def test_half_written(self) -> None:
        """The old one stays until the file is complete."""
        self.file.write_text("half")
        self.look()
        self.assertEqual(self.read, [])
        self.file.write_text("half and half")
        self.look()
        self.assertEqual(self.read, ["half and half"])

    def test_gone_for_a_moment(self) -> None:
        self.file.unlink()
        self.look()
        self.file.write_text("one")
        self.look()
        self.assertEqual(self.read, ["one"])

    def test_reloaded_by_hand(self) -> None:
        """It is not read a second time."""
        self.file.write_text("another")
        self.reloads.reload()
        self.look()
        self.assertEqual(self.read, ["another"])

    def test_look_that_fails(self) -> None:
        """The next one is not affected."""
        self.patch(self.watch, "_in_thread", lambda *_: fail(OSError("no threads")))
        self.look()
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.watch._in_thread = self.in_thread
        self.file.write_text("another")
        self.look()
        self.assertEqual(self.read, ["another"])

    def test_stopped(self) -> None:
        looking: Deferred[Any] = Deferred()
        self.patch(self.watch, "_in_thread", lambda *_: looking)
        self.look()
        self.watch.stop()
        looking.callback([("it", ())])
        self.assertEqual(self.read, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])


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
        """A client that knows only the root certificate trusts the server."""
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
        """New connections get the new certificate once it was read. If only half of it is there, nothing
        changes."""
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

    def test_files(self) -> None:
        """All files of a door are watched."""
        self.issuer.write(self.folder, "cert.pem", "chain.pem")
        more = f":extraCertChain={self.folder}/chain.pem"
        files = DoorTLS(self.endpoint("cert.pem", more)).files
        self.assertEqual([each.name for each in files], ["key.pem", "cert.pem", "chain.pem"])


class OfTheRealm(RealmTestCase):
    wall = staticmethod(NOW.timestamp)

    def test_shown_to_other_realms(self) -> None:
        """Links to other realms use the new certificate and the new rules of trust."""
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
        """Realm.reload uses what the files contain now."""
        seen: list[RealmIdentity] = []
        self.patch(
            self.realm.keys.endpoint, "show", lambda identity, _policy: seen.append(identity)
        )
        own = self_signed("realm1")
        (certificate := self.folder / "c.pem").write_bytes(certificate_pem(own.certificate))
        (key := self.folder / "k.pem").write_bytes(key_pem(own.private_key))
        peers = PeersConfig(certificate=certificate, private_key=key)
        self.realm.keys.use(msgspec.structs.replace(self.realm.config, peers=peers))
        self.realm.keys.reload()
        self.assertEqual(seen[0].certificate, own.certificate)

    def test_made_by_chatd(self) -> None:
        """What chatd has made stays while it runs, even if somebody removes the files."""
        seen: list[RealmIdentity] = []
        self.patch(
            self.realm.keys.endpoint, "show", lambda identity, _policy: seen.append(identity)
        )
        (self.folder / "state/realm.key").unlink()
        (self.folder / "state/realm.pem").unlink()
        self.realm.keys.reload()
        self.assertEqual(seen[0].realm, "realm1")
        self.assertFalse((self.folder / "state/realm.key").exists())
