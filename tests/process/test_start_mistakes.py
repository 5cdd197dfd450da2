"""Mistakes of configuration and state: the daemon does not start, and says why in one sentence."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import closing
from unittest import SkipTest

from tests.support.ports import free_port
from tests.support.processes import Daemon, DaemonTestCase, in_thread, wait_until


class MistakeTests(DaemonTestCase):
    """A mistake ends the start with one sentence on stderr and a non-zero exit code."""

    def refused(self, daemon: Daemon, *parts: str) -> None:
        """The start failed, and its sentence contains all `parts`."""
        code = daemon.ended()
        self.assertNotIn("Traceback", daemon.out + daemon.err)
        self.assertNotEqual(code, 0, daemon.err)
        sentence = daemon.err
        self.assertEqual(sentence.count("\n"), 1, f"one sentence on stderr: {sentence!r}")
        self.assertTrue(sentence.endswith("\n"), sentence)
        self.assertTrue(sentence.startswith("chatd: "), sentence)
        for part in parts:
            self.assertIn(part, sentence)

    def start_with(self, more: str) -> Daemon:
        return self.launch(self.configure(more), "--config", "../chatd.ini")

    @in_thread
    def test_unknown_key(self) -> None:
        daemon = self.start_with("[log]\nlevels = info\n")
        self.refused(daemon, "chatd.ini", "[log]", "levels", "expected", "format, level")

    @in_thread
    def test_unknown_section(self) -> None:
        daemon = self.start_with("[logging]\nlevel = info\n")
        self.refused(daemon, "chatd.ini", "[logging]", "expected", "[log]")

    @in_thread
    def test_bad_value(self) -> None:
        daemon = self.start_with("[log]\nlevel = loud\n")
        self.refused(daemon, "chatd.ini", "[log] level", "'loud'", "expected", "info")

    @in_thread
    def test_not_an_ini_file(self) -> None:
        (self.root / "chatd.ini").write_text("name = realm1\n")
        daemon = self.launch(free_port(), "--config", "../chatd.ini")
        self.refused(daemon, "chatd.ini", "not an ini file")

    @in_thread
    def test_missing_file(self) -> None:
        daemon = self.launch(free_port(), "--config", "../nowhere.ini")
        self.refused(daemon, "nowhere.ini", "No such file")

    @in_thread
    def test_port_in_use(self) -> None:
        port = self.configure()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            daemon = self.launch(port, "--config", "../chatd.ini")
            self.refused(daemon, "[listen] json", str(port), "Address already in use", "expected")

    @in_thread
    def test_endpoint_that_is_none(self) -> None:
        self.configure()
        path = self.root / "chatd.ini"
        path.write_text(path.read_text().replace("tcp:", "tcp:x"))
        daemon = self.launch(free_port(), "--config", "../chatd.ini")
        self.refused(daemon, "[listen] json", "tcp:x", "expected", "endpoint")

    @in_thread
    def test_data_door_behind_a_proxy(self) -> None:
        """Files are matched to their requests by network address, which a proxy hides."""
        data, lines = free_port(), free_port()
        for more in (
            f"tugas4-data = haproxy:tcp:{data}\ntugas4 = tcp:{lines}\n",
            f"tugas4-data = unix:data.sock\ntugas4 = tcp:{lines}\n",
            f"tugas4-data = tcp:{data}\ntugas4 = haproxy:tcp:{lines}\n",
            f"tugas4-data = tcp:{data}\n",
        ):
            self.configure()
            path = self.root / "chatd.ini"
            path.write_text(path.read_text().replace("[listen]\n", f"[listen]\n{more}"))
            daemon = self.launch(free_port(), "--config", "../chatd.ini")
            self.refused(daemon, "[listen] tugas4", "without a proxy", "by network address")

    @in_thread
    def test_state_is_no_folder(self) -> None:
        (self.root / "state").write_text("in the way")
        self.refused(self.start_with(""), "[realm] state", str(self.root / "state"), "expected")

    @in_thread
    def test_state_folder_is_not_writable(self) -> None:
        if os.geteuid() == 0:
            raise SkipTest("root may write everywhere")
        (self.root / "state").mkdir(mode=0o500)
        self.refused(self.start_with(""), "[realm] state", "Permission denied", "expected")

    @in_thread
    def test_state_folder_of_another_daemon(self) -> None:
        """The first daemon continues to run."""
        first = self.start()
        second = self.launch(self.configure(), "--config", "../chatd.ini")
        self.refused(second, "[realm] state", str(first.process.pid), "expected")
        first.register("messi").close()

    @in_thread
    def test_database_of_a_newer_version(self) -> None:
        """The database is not changed."""
        self.start().stop()
        path = self.root / "state" / "chatd.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = '9876'")
        before = path.read_bytes()
        self.refused(self.start_with(""), "[database]", "9876", "newer")
        self.assertEqual(path.read_bytes(), before)

    @in_thread
    def test_database_that_is_none(self) -> None:
        (self.root / "state").mkdir()
        (self.root / "state" / "chatd.db").write_bytes(b"not a database at all" * 100)
        self.refused(
            self.start_with(""), "[database]", "is not an SQLite database", "--accept-loss"
        )

    @in_thread
    def test_database_url_without_a_driver(self) -> None:
        self.refused(self.start_with("[database]\nurl = nosuch://x\n"), "[database] url", "nosuch")

    @in_thread
    def test_a_password_in_a_database_url_is_not_shown(self) -> None:
        daemon = self.start_with("[database]\nurl = postgresql+nosuch://chatd:s3cret@localhost/x\n")
        self.assertNotEqual(daemon.ended(), 0)
        self.assertNotIn("s3cret", daemon.out + daemon.err)

    @in_thread
    def test_as_a_daemon(self) -> None:
        """The whole sentence reaches the terminal, although the process runs in the background."""
        port = self.configure()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            daemon = self.launch(port, "--config", "../chatd.ini", twistd=(), forked=True)
            self.assertNotEqual(daemon.ended(), 0)
        log = (self.folder / "twistd.log").read_text()
        self.assertIn("[listen] json", log)
        self.assertIn("expected an address of this machine", log)
        # The process in the background removes the file after it has reported the mistake.
        wait_until(lambda: not (self.folder / "twistd.pid").exists(), lambda: "twistd.pid is left")
        self.assertNotIn("Traceback", daemon.err)
        self.assertIn("[listen] json", daemon.err)
        self.assertIn("expected an address of this machine", daemon.err)
