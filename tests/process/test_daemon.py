"""The daemon as an operator runs it: started by `twistd`, used over sockets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from pathlib import Path
from unittest import SkipTest

from twisted.application.service import IServiceMaker, ServiceMaker
from twisted.trial.unittest import TestCase

from chatd.base.config import DEFAULT_DOORS
from chatd.lines.dialects.registry import DIALECTS
from tests.support import ROOT
from tests.support.ports import free_port
from tests.support.processes import Daemon, DaemonTestCase, claim, in_thread, is_running, wait_until
from tests.support.talker import Talker

MODE = 0o777


class StartTests(DaemonTestCase):
    """Working directories and configurations that a daemon can start with."""

    @in_thread
    def test_starts_in_any_folder(self) -> None:
        """It needs only the configuration, and creates no file in the working directory."""
        daemon = self.start()
        with daemon.register("messi") as messi, daemon.register("lineker") as lineker:
            messi.must(command="send", to="lineker", text="halo")
            self.assertEqual(lineker.texts(), ["halo"])
        daemon.stop()
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(
            {path.name for path in self.root.iterdir()}, {"here", "chatd.ini", "state", "logs"}
        )

    @in_thread
    def test_a_path_is_relative_to_the_file_it_stands_in(self) -> None:
        """`etc/chatd.ini` is found without an option, and its `../state` is beside `etc`."""
        port = self.configure(state="../kept")
        (self.folder / "etc").mkdir()
        (self.root / "chatd.ini").rename(self.folder / "etc" / "chatd.ini")
        self.launch(port).listening().stop()
        self.assertTrue((self.folder / "kept" / "chatd.db").is_file())

    @in_thread
    def test_without_a_configuration(self) -> None:
        """Defaults: the doors of all dialects on loopback, state in ./var; the log tells how to connect."""
        if Path("/etc/chatd.ini").exists():
            raise SkipTest("this machine has an /etc/chatd.ini, which would be read")
        doors = {name: free_port() for name in DEFAULT_DOORS}
        self.assertEqual(set(doors), {*DIALECTS, "web", "peers", "metrics"})
        daemon = self.launch(doors["json"], doors=doors).listening()
        with daemon.register("messi") as messi:
            claim(self.folder / "var", messi)
            self.assertTrue(messi.must(command="whoami")["operator"])
        with socket.create_connection(("127.0.0.1", doors["plain"]), timeout=10) as plain:
            self.assertIn(b"at localhost", plain.makefile("rb").readline())
        with socket.create_connection(("127.0.0.1", doors["pychat"]), timeout=10) as pychat:
            self.assertEqual(pychat.makefile("rb").readline(), b"Welcome to localhost\r\n")
        for name in ("kelompok3", "bagan", "urlencoded", "tugas4"):
            with socket.create_connection(("127.0.0.1", doors[name]), timeout=10) as older:
                older.sendall(b"nonsense\n")
                self.assertIn(b'"status":"ERROR"', older.makefile("rb").readline(), name)
        self.assertIn(f"telnet localhost {doors['plain']}", daemon.out)
        self.assertIn(str(self.folder / "var"), daemon.out)
        daemon.stop()
        self.assertTrue((self.folder / "var" / "chatd.db").is_file())

    @in_thread
    def test_a_restart_keeps_everything(self) -> None:
        """Accounts, sessions and messages outlive the process."""
        daemon = self.start()
        with daemon.talk() as messi, daemon.register("lineker") as lineker:
            token = messi.must(command="register", username="messi", password="surabaya")["tokenId"]
            lineker.must(command="send", to="messi", text="halo")
        daemon.stop()
        daemon = self.start()
        with daemon.talk() as messi:
            messi.must(command="resume", token=token)
            self.assertEqual(messi.texts(), ["halo"])


class DemoTests(DaemonTestCase):
    """`--demo`: a realm with accounts to try out."""

    def demo(self) -> Daemon:
        doors = {name: free_port() for name in DEFAULT_DOORS}
        return self.launch(doors["json"], "--demo", doors=doors).listening()

    @in_thread
    def test_three_accounts_and_a_folder_that_is_named(self) -> None:
        daemon = self.demo()
        for name in ("messi", "henderson", "lineker"):
            daemon.login(name, "surabaya").close()
            self.assertIn(name, daemon.out)
        self.assertIn("surabaya", daemon.out)
        self.assertIn(str(self.folder / "var" / "demo" / "realm1"), daemon.out)
        self.assertTrue((self.folder / "var" / "demo" / "realm1" / "chatd.db").is_file())

    @in_thread
    def test_its_state_is_kept(self) -> None:
        """A second start finds the accounts and the messages."""
        daemon = self.demo()
        with daemon.login("messi", "surabaya") as messi:
            messi.must(command="password", old="surabaya", new="barcelona")
            messi.must(command="send", to="lineker", text="selamat malam")
        daemon.stop()
        daemon = self.demo()
        with daemon.login("lineker", "surabaya") as lineker:
            self.assertEqual(lineker.texts(), ["selamat malam"])
        daemon.login("messi", "barcelona").close()


class BackgroundTests(DaemonTestCase):
    """`twistd chatd` without -n."""

    def start_background(self, more: str = "") -> tuple[Daemon, int]:
        """A daemon, and the process id in its pid file."""
        pid_file = self.folder / "twistd.pid"
        self.end_later(pid_file)
        daemon = self.launch(self.configure(more), "--config", "../chatd.ini", twistd=())
        self.assertEqual(daemon.ended(), 0, daemon.err)
        daemon.listening()
        return daemon, int(pid_file.read_text())

    def end(self, pid: int) -> None:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_running(pid), lambda: "the daemon's end")

    @in_thread
    def test_pid_file_and_log_file(self) -> None:
        """The log and the pid file are where twistd puts them. SIGTERM removes the pid file."""
        daemon, pid = self.start_background()
        self.assertTrue(is_running(pid))
        with daemon.register("messi") as messi:
            messi.must(command="ping")
        self.end(pid)
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"twistd.log"})
        self.assertEqual((daemon.out, daemon.err), ("", ""))
        log = (self.folder / "twistd.log").read_text()
        self.assertIn("realm realm1", log)
        self.assertIn("everything is on disk", log)
        self.assertNotIn("Traceback", log)

    @in_thread
    def test_the_log_is_not_lost_when_it_is_json(self) -> None:
        _, pid = self.start_background("[log]\nformat = json\n")
        self.end(pid)
        lines = (self.folder / "twistd.log").read_text().splitlines()
        self.assertGreater(len([json.loads(line) for line in lines]), 3)


class StopTests(DaemonTestCase):
    """SIGTERM: requests that were accepted get replies."""

    @in_thread
    def test_what_was_accepted_is_answered(self) -> None:
        """During pipelined sends: exactly the acknowledged messages are stored, and the client is told why
        the connection ends."""
        daemon = self.start()
        messi, lineker = daemon.register("messi"), daemon.register("lineker")
        lineker.close()
        with messi:
            acknowledged = self.send_until_the_end(messi, daemon)
            self.assertEqual([event["event"] for event in messi.events], ["closing"])
        daemon.stopped()
        self.assertGreater(len(acknowledged), 0)
        again = self.start()
        with again.login("lineker", "lineker-password") as lineker:
            self.assertEqual(lineker.texts(), acknowledged)

    def send_until_the_end(self, messi: Talker, daemon: Daemon) -> list[str]:
        texts = [f"number {number}" for number in range(3000)]
        requests = [
            json.dumps({"id": text, "command": "send", "to": "lineker", "text": text})
            for text in texts
        ]
        messi.socket.sendall("".join(f"{request}\r\n" for request in requests[:1500]).encode())
        replies = [messi.line()]
        daemon.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionError):  # it may have ended already
            messi.socket.sendall("".join(f"{request}\r\n" for request in requests[1500:]).encode())
        while (reply := messi.line()) is not None:
            replies.append(reply)
        found = [reply["id"] for reply in replies if reply and reply["status"] == "OK"]
        self.assertEqual(len(found), len(replies), "all replies are OK")
        self.assertEqual(found, texts[: len(found)])
        return found

    @in_thread
    def test_a_client_that_says_nothing_does_not_keep_it(self) -> None:
        daemon = self.start()
        with daemon.register("messi") as messi, daemon.talk():
            daemon.stop()
            self.assertIsNone(messi.line())
            self.assertEqual([event["code"] for event in messi.events], ["shutting-down"])

    @in_thread
    def test_interrupt_ends_it_as_well(self) -> None:
        """Ctrl-C in the foreground stops the daemon in order."""
        daemon = self.start()
        daemon.process.send_signal(signal.SIGINT)
        daemon.stopped()
        self.assertIn("everything is on disk", daemon.out)


class LogTests(DaemonTestCase):
    """`[log]`"""

    @in_thread
    def test_json_is_one_object_a_line(self) -> None:
        daemon = self.start("[log]\nformat = json\n")
        daemon.register("messi").close()
        daemon.stop()
        events = [json.loads(line) for line in daemon.out.splitlines()]
        self.assertGreater(len(events), 3)
        for event in events:
            self.assertIsInstance(event, dict)
            self.assertEqual(event["log_level"]["name"], "info")
        told = next(event for event in events if "realm" in event)
        self.assertEqual(told["realm"], "realm1")

    @in_thread
    def test_values_of_json_can_be_read(self) -> None:
        """chatd's own log events have their values as fields, not only in the text."""
        daemon = self.start("[log]\nformat = json\n")
        daemon.stop()
        told = next(event for event in map(json.loads, daemon.out.splitlines()) if "state" in event)
        self.assertEqual(told["state"], str(self.root / "state"))

    @in_thread
    def test_level(self) -> None:
        """warn logs nothing in normal operation; debug logs more than info."""
        quiet = self.start("[log]\nlevel = warn\n")
        quiet.register("messi").close()
        quiet.stop()
        self.assertEqual((quiet.out, quiet.err), ("", ""))
        loud = self.start("[log]\nlevel = debug\n")
        loud.register("lineker").close()
        loud.stop()
        self.assertIn("speaks json", loud.out)
        usual = self.start()
        usual.register("henderson").close()
        usual.stop()
        self.assertNotIn("speaks json", usual.out)
        self.assertIn("realm realm1", usual.out)

    @in_thread
    def test_no_secret_is_logged(self) -> None:
        daemon = self.start("[log]\nlevel = debug\n")
        with daemon.talk() as messi:
            reply = messi.must(command="register", username="messi", password="rahasia-sekali")
            messi.ask(command="auth", username="messi", password="rahasia-lain")
            messi.ask(command="resume", token=reply["tokenId"])
        daemon.stop()
        for secret in ("rahasia", reply["tokenId"]):
            self.assertNotIn(secret, daemon.out + daemon.err)


class SecrecyTests(DaemonTestCase):
    """Other users of the machine can't read the state."""

    @in_thread
    def test_the_folder_is_its_owners_alone(self) -> None:
        """With every umask."""
        daemon = self.start(umask=0)
        daemon.register("messi").close()
        state = self.root / "state"
        self.assertEqual(state.stat().st_mode & MODE, 0o700)
        self.assertEqual((state / "chatd.db").stat().st_mode & MODE, 0o600)

    @in_thread
    def test_in_a_folder_that_others_may_enter(self) -> None:
        """An existing folder may be readable by others, but chatd's files in it are not."""
        (self.root / "state").mkdir()
        (self.root / "state").chmod(0o755)
        daemon = self.start(umask=0o022)
        with daemon.register("messi") as messi:
            messi.must(command="send", to="messi", text="halo")
            messi.send(command="sendfile", to="messi", filename="a.txt", size=4)
            reply = messi.line()
            self.assertTrue(reply and reply["status"] == "READY", reply)
            messi.socket.sendall(b"isi\n")
            reply = messi.line()
            self.assertTrue(reply and reply["status"] == "OK", reply)
            # A folder that is closed hides what is in it.
            for path in (self.root / "state").iterdir():
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)


class PackagingTests(TestCase):
    """The tree must let twistd find the plugin and Twisted itself."""

    def test_the_plugin_file_is_one_service_maker(self) -> None:
        plugins = ROOT / "twisted" / "plugins"
        self.assertEqual([path.name for path in plugins.glob("*.py")], ["chatd_plugin.py"])
        namespace: dict[str, object] = {}
        exec((plugins / "chatd_plugin.py").read_text(), namespace)  # noqa: S102 - our own file
        makers = [value for value in namespace.values() if IServiceMaker.providedBy(value)]
        self.assertEqual(len(makers), 1)
        maker = makers[0]
        assert isinstance(maker, ServiceMaker)
        self.assertEqual((maker.tapname, maker.module), ("chatd", "chatd.tap"))

    def test_twisted_itself_is_not_hidden(self) -> None:
        """With one of these files, `import twisted` would import this tree."""
        for path in ("twisted/__init__.py", "twisted/plugins/__init__.py"):
            self.assertFalse((ROOT / path).exists(), path)
