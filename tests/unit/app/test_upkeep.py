"""Backups and checks of a running realm run in a thread, one at a time, and end with the realm."""

from __future__ import annotations

import threading
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred

from chatd.app import upkeep
from chatd.app.backup.making import BackupMaker
from chatd.app.backup.manifest import read_manifest
from chatd.base.errors import BackupFailed, Busy, ShuttingDown
from chatd.files.copying import Stopped
from tests.support.common import ClockedTestCase
from tests.support.engines import only_sqlite


class UpkeepTests(ClockedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = (self.folder / "backup").absolute()

    @only_sqlite("the backup")
    async def test_backup(self) -> None:
        report = await self.realm.service.upkeep.back_up(str(self.target))
        self.assertEqual(read_manifest(self.target), report.manifest)

    async def test_check(self) -> None:
        report = await self.realm.service.upkeep.check(True, False)
        self.assertTrue(report.is_sound)

    @only_sqlite("the backup")
    async def test_refusal(self) -> None:
        state = str(self.realm.state.path.absolute())
        with self.assertRaises(BackupFailed) as caught:
            await self.realm.service.upkeep.back_up(state)
        self.assertIn("contain each other", str(caught.exception))
        await self.realm.service.upkeep.back_up(str(self.target))

    async def test_unreadable_state(self) -> None:
        with (
            mock.patch.object(upkeep, "StateChecker", side_effect=OSError(5, "Input/output error")),
            self.assertRaises(BackupFailed) as caught,
        ):
            await self.realm.service.upkeep.check(True, False)
        self.assertIn("Input/output error", str(caught.exception))

    async def test_one_at_a_time_and_stopped_with_the_realm(self) -> None:
        began, stopped = threading.Event(), threading.Event()

        def make(maker: Any) -> None:
            began.set()
            while not maker._is_stopped():
                stopped.wait(0.001)
            raise Stopped

        self.patch(BackupMaker, "make", make)
        first: Deferred[Any] = self.realm.service.upkeep.back_up(str(self.target))
        began.wait(10)
        self.assertIs(await self.refused(self.realm.service.upkeep.check(True, False)), Busy)
        await self.realm.upkeep.stop()
        self.assertIs(await self.refused(first), ShuttingDown)
        late = self.realm.service.upkeep.back_up(str(self.target))
        self.assertIs(await self.refused(late), ShuttingDown)
