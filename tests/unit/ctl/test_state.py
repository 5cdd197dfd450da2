"""Backups, restores, checks and vacuuming of a stopped realm."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from twisted.trial.unittest import TestCase

from chatd.commands.table import BY_VERB
from chatd.ctl import main, offline
from chatd.ctl.exits import NotReached
from tests.support.common import Realm, make_config, run


class StoppedRealm(TestCase):
    def setUp(self) -> Any:
        self.folder = Path(self.mktemp()).absolute()
        self.config = make_config(self.folder / "state")
        self.backup = self.folder / "backup"
        return run(self._prepare())

    async def _prepare(self) -> None:
        realm = Realm(self.config)
        realm.open()
        await realm.service.accounts.register("ana", "surabaya", None, None)
        await realm.close()

    def execute(self, verb: str, state: Path | None = None, **given: Any) -> dict[str, Any]:
        config = self.config
        if state is not None:
            config = msgspec.structs.replace(config, state=state)
        return offline.run_offline(config, BY_VERB[verb], given)

    async def test_backup_and_restore(self) -> None:
        made = self.execute("admin.backup", folder=str(self.backup))
        self.assertEqual((made["status"], made["files"]), ("OK", 0))
        again = self.execute("admin.restore", self.folder / "again", folder=str(self.backup))
        self.assertEqual(again["status"], "OK")
        realm = Realm(make_config(self.folder / "again"))
        realm.open()
        self.addCleanup(lambda: run(realm.close()))
        self.assertEqual((await realm.service.accounts.find("ana")).name, "ana")

    def test_refused(self) -> None:
        reply = self.execute("admin.restore", folder=str(self.backup))
        self.assertEqual((reply["status"], reply["code"]), ("ERROR", "backup-failed"))
        self.assertIn("no complete backup", reply["message"])

    def test_no_realm(self) -> None:
        """A wrong path makes neither a folder nor a database."""
        nowhere, empty = self.folder / "nowhere", self.folder / "empty"
        with self.assertRaises(NotReached):
            self.execute("admin.check", nowhere)
        self.assertFalse(nowhere.exists())
        empty.mkdir()
        reply = self.execute("admin.backup", empty, folder=str(self.backup))
        self.assertIn("no database", reply["message"])
        self.assertFalse((empty / "chatd.db").exists())

    def test_vacuum(self) -> None:
        reply = self.execute("admin.vacuum")
        self.assertEqual(reply["status"], "OK")
        self.assertGreater(reply["after_size"], 0)
        self.assertLessEqual(reply["after_size"], reply["before_size"])

    def test_exit_code_of_a_check(self) -> None:
        """A script learns from the exit code that something is wrong."""
        reply = self.execute("admin.check")
        self.assertEqual((reply["sound"], reply.get("problems")), (True, []))
        unsound = {"status": "OK", "message": "Something is wrong", "sound": False}
        config = self.folder / "chatd.ini"
        config.write_text(f"[realm]\nname = realm1\nstate = {self.config.state}\n")
        for found, code in ((reply, 0), (unsound, 1)):
            with (
                mock.patch.object(main, "_ask", return_value=found),
                mock.patch("sys.stdout", io.StringIO()),
            ):
                self.assertEqual(main.main(["-c", str(config), "check", "--quick"]), code)

    def test_running(self) -> None:
        realm = Realm(self.config)
        realm.open()
        self.addCleanup(lambda: run(realm.close()))
        with self.assertRaises(NotReached):
            self.execute("admin.vacuum")
