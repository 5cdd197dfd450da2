"""chatctl from its command line to its exit code, with a realm that is played by a thread."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chatd.commands.table import BY_VERB
from chatd.ctl import arguments
from chatd.ctl.main import main

OK = b'{"status":"OK","id":1,"message":"pong"}\r\n'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class CtlTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        # A short path, as sockets need
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-test-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.state = self.folder / "state"
        self.state.mkdir()
        self.config = self.folder / "chatd.ini"
        self.config.write_text("[realm]\nname = realm1\nstate = state\n")
        self.asked: list[dict[str, Any]] = []

    def serve(self, *answers: bytes) -> None:
        """Be a realm that gives the next request these answers, and closes the connection."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.state / "control.sock"))
        listening.listen()
        listening.settimeout(5)

        def answer() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as file:
                self.asked.append(json.loads(file.readline()))
                for each in answers:
                    connection.sendall(each)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        self.addCleanup(listening.close)
        self.addCleanup(thread.join, 10)

    def run_main(self, *words: str, typed: str | None = "") -> tuple[int, str, str]:
        """The exit code, the output and the errors. `typed` is what a pipe has; None: there is a terminal."""
        out, errors = io.StringIO(), io.StringIO()
        with (
            mock.patch("sys.stdout", out),
            mock.patch("sys.stderr", errors),
            mock.patch("sys.stdin", Terminal() if typed is None else io.StringIO(typed)),
        ):
            code = main(["--config", str(self.config), *words])
        return code, out.getvalue(), errors.getvalue()


class Commands(CtlTestCase):
    def test_done(self) -> None:
        """Events before the reply are skipped."""
        self.serve(b'{"event":"rooms"}\r\n', OK)
        self.assertEqual(self.run_main("stats"), (0, "pong\n", ""))
        self.assertEqual(self.asked, [{"id": 1, "command": "admin.stats"}])

    def test_as_an_object(self) -> None:
        self.serve(OK)
        code, out, _ = self.run_main("stats", "--json")
        self.assertEqual((code, json.loads(out)), (0, {"status": "OK", "message": "pong"}))

    def test_refused(self) -> None:
        self.serve(b'{"status":"ERROR","id":1,"code":"unknown-user","message":"There is no x"}\r\n')
        code, out, errors = self.run_main("user", "show", "x", "--json")
        self.assertEqual((code, errors), (1, "chatctl: There is no x\n"))
        self.assertEqual(json.loads(out)["code"], "unknown-user")

    def test_wrong_usage(self) -> None:
        """The realm is not asked."""
        for words in (
            ("nonsense",),
            ("user",),
            ("user", "role", "messi"),
            ("user", "role", "messi", "king"),
            ("user", "show", "a b"),
            ("audit", "--limit", "many"),
            ("audit", "--limit", "0"),
        ):
            code, out, errors = self.run_main(*words)
            self.assertEqual((code, out), (2, ""), words)
            self.assertTrue(errors.startswith("chatctl: "), errors)

    def test_wrong_configuration(self) -> None:
        self.config.write_text("[realm]\nnome = x\n")
        code, _, errors = self.run_main("stats")
        self.assertEqual(code, 2)
        self.assertIn("nome", errors)

    def test_not_running(self) -> None:
        code, _, errors = self.run_main("stats")
        self.assertEqual(code, 3)
        self.assertIn("no realm is running", errors)

    def test_forbidden(self) -> None:
        with mock.patch("socket.socket.connect", side_effect=PermissionError):
            code, _, errors = self.run_main("stats")
        self.assertEqual(code, 3)
        self.assertIn("you may not use", errors)

    def test_a_realm_that_closes_or_is_full(self) -> None:
        for answers, found in (
            ((), "before it replied"),
            ((b'{"event":"closing","code":"x","message":"It is full"}\r\n',), "It is full"),
        ):
            self.serve(*answers)
            code, _, errors = self.run_main("stats")
            self.assertEqual(code, 3)
            self.assertIn(found, errors)
            (self.state / "control.sock").unlink()

    def test_password_from_a_pipe(self) -> None:
        self.serve(OK)
        code, _, _ = self.run_main(
            "user", "passwd", "messi", "--password-stdin", typed="rahasia 99\nmore"
        )
        self.assertEqual(code, 0)
        self.assertEqual(self.asked[0]["password"], "rahasia 99")

    def test_password_without_a_terminal(self) -> None:
        code, _, errors = self.run_main("user", "passwd", "messi")
        self.assertEqual(code, 2)
        self.assertIn("--password-stdin", errors)

    def test_password_from_a_terminal(self) -> None:
        self.serve(OK)
        with mock.patch("getpass.getpass", side_effect=["one-password", "another"]):
            self.assertEqual(self.run_main("user", "passwd", "messi", typed=None)[0], 2)
        with mock.patch("getpass.getpass", return_value="one-password"):
            self.assertEqual(self.run_main("user", "passwd", "messi", typed=None)[0], 0)
        self.assertEqual([each["password"] for each in self.asked], ["one-password"])

    def test_stopped_realm(self) -> None:
        """Only commands that may be executed offline are."""
        reply = {"status": "OK", "message": "done"}
        with mock.patch("chatd.ctl.offline.run_offline", return_value=reply) as offline:
            self.assertEqual(self.run_main("user", "role", "messi", "user"), (0, "done\n", ""))
            self.assertEqual(self.run_main("user", "list")[0], 3)
        offline.assert_called_once()

    def test_help(self) -> None:
        code, out, _ = self.run_main("help", "user", "role")
        self.assertEqual(code, 0)
        self.assertIn("chatctl user role", out)

    def test_nobody_reads_the_output(self) -> None:
        self.serve(OK)
        reader, writer = os.pipe()
        os.close(reader)
        with (
            os.fdopen(writer, "w", buffering=1) as out,
            mock.patch("sys.stdout", out),
        ):
            self.assertEqual(main(["--config", str(self.config), "stats"]), 0)

    def test_interrupted(self) -> None:
        with mock.patch("chatd.ctl.main._ask", side_effect=KeyboardInterrupt):
            self.assertEqual(self.run_main("stats")[0], 130)


class Encodings(CtlTestCase):
    reply: ClassVar[dict[str, Any]] = {
        "id": 1,
        "status": "OK",
        "message": "Mésié \u6885\x9b\x7f\u202e",
    }

    def shown(self, encoding: str, *words: str) -> str:
        """What chatctl prints where the output has that encoding."""
        self.serve(json.dumps(self.reply).encode() + b"\n")
        raw = io.BytesIO()
        with mock.patch("sys.stdout", io.TextIOWrapper(raw, encoding=encoding)):
            self.assertEqual(main(["--config", str(self.config), "stats", *words]), 0)
            (self.state / "control.sock").unlink()
            return raw.getvalue().decode(encoding)

    def test_object(self) -> None:
        """A terminal obeys no text in an object, and each encoding can have it."""
        expected = {key: value for key, value in self.reply.items() if key != "id"}
        for encoding in ("utf-8", "latin-1", "ascii"):
            found = self.shown(encoding, "--json")
            self.assertEqual(json.loads(found), expected)
            self.assertTrue(found[:-1].isprintable())
            self.assertEqual("\u6885" in found, encoding == "utf-8")

    def test_text(self) -> None:
        for encoding, text in (
            ("utf-8", "Mésié \u6885\\x9b\\x7f\\u202e\n"),
            ("latin-1", "Mésié \\u6885\\x9b\\x7f\\u202e\n"),
            ("ascii", "M\\xe9si\\xe9 \\u6885\\x9b\\x7f\\u202e\n"),
        ):
            self.assertEqual(self.shown(encoding), text)


class Files(CtlTestCase):
    """A command whose reply is followed by a file."""

    def setUp(self) -> None:
        super().setUp()
        row = msgspec.structs.replace(BY_VERB["admin.user.show"], download=True)
        self.patch(arguments, "rows", lambda: {"user show": row})

    def answer(self, data: bytes) -> bytes:
        reply = {
            "status": "OK",
            "id": 1,
            "message": "7 bytes follow",
            "name": "../a.zip",
            "size": 7,
        }
        reply["sha256"] = hashlib.sha256(b"content").hexdigest()
        return json.dumps(reply).encode() + b"\r\n" + data

    def test_saved(self) -> None:
        path = self.folder / "out.zip"
        self.serve(self.answer(b"content"))
        code, out, errors = self.run_main("user", "show", "messi", "--output", str(path))
        self.assertEqual((code, path.read_bytes()), (0, b"content"))
        self.assertIn("7 bytes follow", out)
        self.assertIn(str(path), errors)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_under_the_name_in_the_reply(self) -> None:
        """In the current folder, wherever the name leads."""
        before = Path.cwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.state)
        self.serve(self.answer(b"content"))
        self.assertEqual(self.run_main("user", "show", "messi")[0], 0)
        self.assertEqual((self.state / "a.zip").read_bytes(), b"content")

    def test_to_the_standard_output(self) -> None:
        self.serve(self.answer(b"content"))
        out = io.TextIOWrapper(io.BytesIO())
        with mock.patch("sys.stdout", out):
            code = main(["-c", str(self.config), "user", "show", "messi", "--output", "-"])
        self.assertEqual((code, out.buffer.getvalue()), (0, b"content"))

    def test_cut_off(self) -> None:
        """A part of the file is not kept."""
        path = self.folder / "out.zip"
        self.serve(self.answer(b"cont"))
        code, _, errors = self.run_main("user", "show", "messi", "--output", str(path))
        self.assertEqual(code, 3)
        self.assertIn("4 bytes", errors)
        self.assertFalse(path.exists())

    def test_no_file_is_replaced(self) -> None:
        code, _, errors = self.run_main("user", "show", "messi", "--output", str(self.config))
        self.assertEqual(code, 2)
        self.assertIn("exists", errors)
        self.assertEqual(self.asked, [])

    def test_no_such_folder(self) -> None:
        self.serve(self.answer(b"content"))
        path = self.folder / "none" / "out.zip"
        code, _, errors = self.run_main("user", "show", "messi", "--output", str(path))
        self.assertEqual(code, 2)
        self.assertIn("can't be written", errors)
