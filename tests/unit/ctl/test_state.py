"""Backups, restores, checks and vacuuming of a stopped realm, on either kind of database."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from twisted.trial.unittest import TestCase

from chatd.base.errors import BackupFailed
from chatd.commands import values as ask
from chatd.commands.handlers.admin import upkeep
from chatd.commands.table import BY_VERB
from chatd.ctl import main, offline
from chatd.ctl.exits import NotReached
from tests.support.common import Realm, RealmTestCase, make_config, run
from tests.support.engines import only_sqlite
from tests.support.postgres import MISSING, find_programs, temporary_database


@only_sqlite("the files")
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

    def keep_in(self, url: str) -> None:
        self.config = msgspec.structs.replace(self.config, database_url=url)

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

    def test_restore_beside_another_database(self) -> None:
        """A realm whose database is elsewhere would not use what is restored."""
        self.execute("admin.backup", folder=str(self.backup))
        again = self.folder / "again"
        self.keep_in(f"sqlite:///{self.folder / 'elsewhere.db'}")
        reply = self.execute("admin.restore", again, folder=str(self.backup))
        self.assertEqual((reply["code"], (again / "chatd.db").exists()), ("backup-failed", False))
        self.keep_in(f"sqlite:///{again / 'chatd.db'}")
        reply = self.execute("admin.restore", again, folder=str(self.backup))
        self.assertEqual((reply["status"], (again / "chatd.db").exists()), ("OK", True))

    def test_unknown_database(self) -> None:
        self.keep_in("oracle://db.example.org/chatd")
        for reply in (
            self.execute("admin.restore", folder=str(self.backup)),
            self.execute("admin.check"),
        ):
            self.assertIn("[database] url can't be used", reply["message"])


class DatabaseOnServer(TestCase):
    """The database of the stopped realm is on a PostgreSQL server."""

    if find_programs() is None:
        skip = MISSING

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.config = msgspec.structs.replace(
            make_config(self.folder / "state"), database_url=temporary_database(self)
        )
        (self.folder / "state" / "uploads").mkdir(parents=True)

    def execute(self, verb: str, **given: Any) -> dict[str, Any]:
        return offline.run_offline(self.config, BY_VERB[verb], given)

    def test_refused(self) -> None:
        """Nothing is done that only a database of SQLite allows, and the reply says what to do instead."""
        backup = str(self.folder / "backup")
        for verb, given, way in (
            ("backup", {"folder": backup}, "pg_dump"),
            ("restore", {"folder": backup}, "pg_restore"),
            ("vacuum", {}, "VACUUM FULL"),
        ):
            reply = self.execute(f"admin.{verb}", **given)
            self.assertEqual((reply["status"], reply["code"]), ("ERROR", "backup-failed"))
            self.assertIn(way, reply["message"])
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"state"})
        found = {path.name for path in self.config.state.iterdir()}
        self.assertEqual(found, {"lock", "uploads"})

    def test_check(self) -> None:
        reply = self.execute("admin.check")
        self.assertEqual((reply["status"], reply["sound"]), ("OK", True), reply)


class RunningOnServer(RealmTestCase):
    """A running realm does not ask to be stopped for what it refuses then, too."""

    async def test_refused(self) -> None:
        self.patch(type(self.realm.database), "file", None)
        client: Any = mock.Mock(service=self.realm.service)
        with self.assertRaisesRegex(BackupFailed, "pg_restore"):
            await upkeep.restore(client, ask.RestoreBackup("/backup"), mock.Mock())
        with self.assertRaisesRegex(BackupFailed, "VACUUM FULL"):
            await upkeep.vacuum(client, ask.VacuumDatabase(), mock.Mock())
