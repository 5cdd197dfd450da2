"""Commands for the state folder and the configuration, as chatctl sends them to a running realm."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from chatd.base.backup_records import CheckReport, StateProblem
from chatd.base.config_changes import ReloadReport
from chatd.base.errors import OwnRealm, ReloadFailed, ShuttingDown, StillRunning, UnknownRealm
from chatd.base.principals import Principal
from chatd.base.replies import Reply
from chatd.base.roles import OPERATOR
from chatd.commands import connection
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.admin.upkeep import check_reply
from chatd.commands.values import Command
from tests.support.common import ClockedTestCase, Listener
from tests.support.engines import only_sqlite


class Upkeep(ClockedTestCase):
    def setUp(self) -> None:
        super().setUp()
        made = connection.Connection(self.realm.sessions, Listener(), connection.Origin("local", 0))
        made.actor = Principal("local:root", OPERATOR, is_local=True)
        self.client: Client = made.own

    async def execute(self, command: Command) -> Any:
        result = self.client.execute(command)
        return await result if isinstance(result, Deferred) else result

    @only_sqlite("the backup")
    async def test_backup(self) -> None:
        target = (self.folder / "backup").absolute()
        reply = await self.execute(ask.MakeBackup(str(target)))
        self.assertEqual((reply.message, reply.fields["files"]), ("The backup is complete", 0))
        again = await self.execute(ask.MakeBackup(str(target)))
        self.assertEqual(again.fields["copied"], 0)
        entries, _ = await self.realm.service.audit.list(10, None)
        self.assertEqual((entries[0].act, entries[0].target), ("admin.backup", str(target)))

    @only_sqlite("the vacuum")
    async def test_only_for_a_stopped_realm(self) -> None:
        for command in (ask.RestoreBackup("/backup"), ask.VacuumDatabase()):
            self.assertIs(await self.refused(self.execute(command)), StillRunning)

    async def test_reload(self) -> None:
        service = self.realm.service
        self.assertIs(await self.refused(self.execute(ask.ReloadConfig())), ShuttingDown)
        service.reload = lambda: succeed(
            ReloadReport(error="[limits] message is x; expected bytes")
        )
        self.assertIs(await self.refused(self.execute(ask.ReloadConfig())), ReloadFailed)
        service.reload = lambda: succeed(
            ReloadReport(changed=("[limits] message", "[log] level"), restart=("[realm] name",))
        )
        reply = await self.execute(ask.ReloadConfig())
        self.assertEqual(
            reply.fields, {"changed": "[limits] message, [log] level", "restart": "[realm] name"}
        )
        self.assertIn("restart", reply.message)

    async def test_peers(self) -> None:
        """Nobody is logged in at the control socket."""
        self.assertEqual((await self.execute(ask.ListPeers())).message, "0 realms")
        own = ask.LinkRealm("realm1", "127.0.0.1", 8890)
        self.assertIs(await self.refused(self.execute(own)), OwnRealm)
        self.assertIs(await self.refused(self.execute(ask.UnlinkRealm("x"))), UnknownRealm)

    def test_what_a_check_says(self) -> None:
        wrong = StateProblem("file-missing", "a.bin is not there")
        repaired = StateProblem("file-unknown", "no message carries b.bin", "it is elsewhere now")
        for problems, sentence, sound in (
            ((), "Nothing is wrong", True),
            ((wrong,), "Something is wrong", False),
            ((repaired,), "All problems are repaired", True),
        ):
            found = {each.kind: 1 for each in problems}
            reply: Reply = check_reply(CheckReport(1, 2, found, tuple(problems)))
            self.assertEqual((reply.message, reply.fields["sound"]), (sentence, sound))
        many = check_reply(CheckReport(1, 2, {"file-missing": 5}, (wrong,)))
        self.assertEqual(many.fields["remaining"], 4)
