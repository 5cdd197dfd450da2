"""A daemon whose realm has its database on a PostgreSQL server."""

from __future__ import annotations

from typing import Any

from tests.support.order import long_test
from tests.support.postgres import MISSING, find_programs, temporary_database
from tests.support.processes import Daemon, DaemonTestCase, in_thread
from tests.support.talker import Talker

FILE = bytes(range(256)) * 40


class PostgresSmoke(DaemonTestCase):
    if find_programs() is None:
        skip = MISSING

    def setUp(self) -> None:
        super().setUp()
        url = temporary_database(self)
        self.port = self.configure(f"\n[database]\nurl = {url}\n")

    def serve(self) -> Daemon:
        return self.launch(self.port, "--config", "../chatd.ini").listening()

    def history(self, talker: Talker, **of: Any) -> list[tuple[str, str]]:
        """The sender, and the text or the name of the file, of each message, oldest first."""
        page = talker.must(command="history", **of)
        return [
            (each["from"], each.get("text") or each["file"]["name"]) for each in page["messages"]
        ]

    @long_test
    @in_thread
    def test_stop_and_kill(self) -> None:
        """What was acknowledged is there after a stop and after a kill: messages, a group and a file."""
        daemon = self.serve()
        with daemon.register("ana") as ana, daemon.register("budi") as budi:
            ana.must(command="send", to="budi", text="satu")
            budi.must(command="send", to="ana", text="dua")
            self.assertEqual(budi.texts(), ["satu"])
        daemon.stop()

        daemon = self.serve()
        with daemon.login("ana", "ana-password") as ana:
            self.assertEqual(self.history(ana, user="budi"), [("ana", "satu"), ("budi", "dua")])
            ana.must(command="addgroup", group="keluarga")
            ana.must(command="sendgroup", group="keluarga", text="tiga")
            self.send_file(ana, "budi", "gambar.bin")
            daemon.kill()

        daemon = self.serve()
        with daemon.login("budi", "budi-password") as budi:
            budi.must(command="joingroup", group="keluarga")
            budi.must(command="sendgroup", group="keluarga", text="empat")
            both = [("ana", "satu"), ("budi", "dua"), ("ana", "gambar.bin")]
            self.assertEqual(self.history(budi, user="ana"), both)
        with daemon.login("ana", "ana-password") as ana:
            posts = [("ana", "tiga"), ("budi", "empat")]
            self.assertEqual(self.history(ana, group="keluarga"), posts)
        daemon.stop()
        self.assertFalse((self.root / "state" / "chatd.db").exists())

    def send_file(self, talker: Talker, to: str, name: str) -> None:
        reply = talker.ask(command="sendfile", to=to, filename=name, size=len(FILE))
        self.assertEqual(reply["status"], "READY")
        talker.socket.sendall(FILE)
        done = talker.line()
        self.assertIsNotNone(done)
        self.assertEqual((done or {})["status"], "OK")
