"""The options `--fingerprint` and `--new-key`, with real processes."""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from pathlib import Path
from unittest import SkipTest

from tests.support.processes import Daemon, DaemonTestCase, Home, in_thread, wait_until
from tests.support.talker import Talker

CONFIGURED = ("--config", "../chatd.ini")
FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")


@functools.cache
def started_once() -> tempfile.TemporaryDirectory[str]:
    """A folder in which a daemon was started and stopped in order. Its state is in realm1/state."""
    root = tempfile.TemporaryDirectory(prefix="chatd-test-")
    home = Home(Path(root.name))
    try:
        home.start().daemon.stop()
    finally:
        home.close()
    return root


class KeyTestCase(DaemonTestCase):
    def begin(self) -> None:
        """A realm that was started once."""
        self.configure()
        shutil.copytree(Path(started_once().name) / "realm1" / "state", self.root / "state")

    def run_option(self, *arguments: str, umask: int = -1) -> tuple[int, str, str]:
        """Run `twistd -n chatd` with these options to its end. Returns exit code, standard output and
        standard error."""
        daemon = self.launch(1, *arguments, umask=umask)
        code = daemon.ended()
        self.assertNotIn("Traceback", daemon.out + daemon.err)
        return code, daemon.out, daemon.err

    def fingerprint(self, config: str = "chatd.ini") -> str:
        code, out, err = self.run_option("--fingerprint", "--config", f"../{config}")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, rf"\A{FINGERPRINT.pattern}\n\Z")
        return out.strip()

    def renew(self, config: str = "chatd.ini") -> tuple[str, str]:
        """Renew the key. Returns the old fingerprint and the new one."""
        code, out, err = self.run_option("--new-key", "--config", f"../{config}")
        self.assertEqual((code, err), (0, ""))
        old, new = FINGERPRINT.findall(out)
        self.assertRegex(out, rf"\nold: {old}\nnew: {new}\n\Z")
        return old, new

    def refused(self, *arguments: str, parts: tuple[str, ...]) -> None:
        """Check for exit code 1 and one sentence that contains all of `parts`."""
        code, out, err = self.run_option(*arguments)
        self.assertEqual((code, out), (1, ""))
        self.assertRegex(err, r"\Achatd: [^\n]+\n\Z")
        for part in parts:
            self.assertIn(part, err)

    def kept(self) -> dict[str, bytes]:
        """The contents of all files that belong to the realm's identity."""
        return {path.name: path.read_bytes() for path in self.root.glob("state/realm.*")}


class FingerprintTests(KeyTestCase):
    @in_thread
    def test_while_the_daemon_runs(self) -> None:
        """The fingerprint is that in the log, and it does not change."""
        daemon = self.start()
        shown = self.fingerprint()
        self.assertIn(f"certificate {shown}", daemon.out)
        daemon.stop()
        self.assertEqual(self.fingerprint(), shown)

    @in_thread
    def test_without_a_key(self) -> None:
        """Nothing is made."""
        self.configure()
        self.refused("--fingerprint", *CONFIGURED, parts=("[realm] state", "started once"))
        self.assertFalse((self.root / "state").exists())

    @in_thread
    def test_of_a_configured_certificate(self) -> None:
        self.begin()
        own = self.fingerprint()
        (self.root / "state" / "realm.pem").rename(self.root / "given.pem")
        more = "[peers]\ncertificate = given.pem\nprivate_key = state/realm.key\n"
        self.configure(more)
        self.assertEqual(self.fingerprint(), own)

    @in_thread
    def test_what_is_no_certificate(self) -> None:
        self.begin()
        (self.root / "state" / "realm.pem").write_text("nothing")
        self.refused("--fingerprint", *CONFIGURED, parts=("realm.pem", "no PEM certificate"))


class NewKeyTests(KeyTestCase):
    @in_thread
    def test_another_key(self) -> None:
        """The old and the new fingerprint are shown, and the daemon starts with the new key."""
        self.begin()
        before = self.fingerprint()
        old, new = self.renew()
        self.assertEqual(old, before)
        self.assertNotEqual(new, old)
        self.assertEqual(self.fingerprint(), new)
        for path in (self.root / "state").glob("realm.*"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
        self.assertIn(f"certificate {new}", self.start().out)

    @in_thread
    def test_not_while_the_daemon_runs(self) -> None:
        daemon = self.start()
        before = self.kept()
        self.assertEqual(set(before), {"realm.key", "realm.pem"})
        pid = str(daemon.process.pid)
        self.refused("--new-key", *CONFIGURED, parts=("[realm] state", pid, "stop it"))
        self.assertEqual(self.kept(), before)
        daemon.register("messi").close()

    @in_thread
    def test_without_a_key(self) -> None:
        """A mistaken path does not become a state folder."""
        self.configure()
        self.refused("--new-key", *CONFIGURED, parts=("[realm] state", "started once"))
        self.assertFalse((self.root / "state").exists())

    @in_thread
    def test_a_configured_certificate(self) -> None:
        """Its issuer has to renew it."""
        self.begin()
        self.configure("[peers]\ncertificate = a.pem\nprivate_key = a.key\n")
        before = self.kept()
        self.refused("--new-key", *CONFIGURED, parts=("[peers] certificate", "a.pem", "expected"))
        self.assertEqual(self.kept(), before)

    @in_thread
    def test_the_state_of_another_realm(self) -> None:
        self.begin()
        config = self.root / "chatd.ini"
        config.write_text(config.read_text().replace("realm1", "realm9"))
        before = self.kept()
        self.refused("--new-key", *CONFIGURED, parts=("[realm] name", "realm9", "realm1"))
        self.assertEqual(self.kept(), before)

    @in_thread
    def test_not_both(self) -> None:
        self.begin()
        before = self.kept()
        self.refused("--new-key", "--fingerprint", *CONFIGURED, parts=("expected one",))
        self.assertEqual(self.kept(), before)

    @in_thread
    def test_by_root(self) -> None:
        """Files that root makes belong to the owner of the folder."""
        if os.geteuid() != 0:
            raise SkipTest("only root may give files away")
        self.begin()
        nobody = 65534
        state = self.root / "state"
        for path in (state, *state.iterdir()):
            os.chown(path, nobody, nobody)
        self.renew()
        self.assertEqual({path.stat().st_uid for path in state.iterdir()}, {nobody})


class PeersTests(KeyTestCase):
    """How other realms react to a new key."""

    def up(self, talker: Talker) -> bool:
        return bool(talker.must(command="realms")["realms"][0]["state"] == "up")

    def wait_for_link(self, talker: Talker, *daemons: Daemon) -> None:
        wait_until(
            lambda: self.up(talker), lambda: "a link:\n" + "\n".join(each.out for each in daemons)
        )

    @in_thread
    def test_a_peer_accepts_it(self) -> None:
        """It remembers the old certificate, whose key has signed the new one. Queued messages arrive. An
        unknown key is not accepted: see the end."""
        one, two = (Home(self.root, name) for name in ("realm1", "realm2"))
        for home in (one, two):
            self.addCleanup(home.close)
            home.launch()
        first, second = one.daemon.listening(), two.daemon.listening()
        port = two.ports["peers"]
        with first.register("messi") as messi, second.register("lineker"):
            one.claim(messi)
            messi.must(command="addrealm", realm="realm2", host="127.0.0.1", port=port)
            second.stop()
            sent = messi.must(command="send", to="lineker@realm2", text="halo")
            self.assertIn("queued", sent["message"])
            self.renew("realm2/chatd.ini")
            self.renew("realm2/chatd.ini")  # a second renewal: the peer never saw the first one
            second = two.start().daemon
            self.wait_for_link(messi, first, second)
            with second.login("lineker", "lineker-password") as lineker:
                wait_until(lambda: "halo" in lineker.texts(), lambda: second.out)
            second.stop()
            for path in (two.folder / "state").glob("realm.*"):
                path.unlink()
            second = two.start().daemon
            wait_until(
                lambda: (
                    "certificate-changed" in first.out + second.out
                    or "showed another certificate" in first.out
                ),
                lambda: first.out + second.out,
            )
            self.assertFalse(self.up(messi))
