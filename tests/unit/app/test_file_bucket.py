"""A realm whose files are in a bucket."""

from __future__ import annotations

import io
import re
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from chatd.app.backup.manifest import BackupError, read_manifest
from chatd.app.backup.restoring import BackupRestorer
from chatd.app.state import StartError
from chatd.app.upkeep import StateWork
from chatd.base.backup_records import CheckReport
from chatd.base.config import S3, Config, FilesConfig
from chatd.base.entries import Deletion
from chatd.base.names import Address
from chatd.commands.handlers.admin.upkeep import backup_reply, restore_reply
from chatd.files.bucket import Bucket
from chatd.files.store import ABOUT_TO_BE_STORED
from chatd.service import object_sweep
from tests.support import ROOT
from tests.support.common import Realm, make_config, sleep
from tests.support.object_storage import BUCKET, environment, object_service
from tests.unit.app import test_backup as backups

LARGE = re.compile(
    r"^(from|import) (boto3|botocore|chatd\.files\.(bucket|object_\w+))\b", re.MULTILINE
)

_numbers = count(1)


class BucketOfRealm(backups.BackupTestCase):
    wall = time.time  # as the service has it

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        self.service = object_service()
        self.prefix = f"realm{next(_numbers)}/"
        client = self.service.client
        # To make one takes long.
        shared = mock.patch("chatd.files.bucket.connect", return_value=client)
        for patch in (environment(), shared):
            patch.start()
            self.addCleanup(patch.stop)
        self.bucket = Bucket(self.service.client, BUCKET, self.prefix)
        return super().setUp()

    def make_config(self) -> Config:
        return msgspec.structs.replace(super().make_config(), files=self.service.files(self.prefix))

    def objects(self) -> list[str]:
        found = self.service.keys(self.prefix)
        return [each for each in found if not each.endswith("/probe")]

    def check(self, **options: bool) -> CheckReport:
        work = StateWork(self.realm.config, self.realm.state, time.time)
        return work.check(options.get("hashes", True), options.get("repair", False))

    async def until(self, done: Any) -> None:
        for _ in range(2000):
            if done():
                return
            self.clock.advance(1)
            await sleep(0.002)
        self.fail(f"waited in vain; there is {self.objects()}")

    async def look_through(self) -> None:
        assert self.realm.sweep is not None
        done = Deferred.fromCoroutine(self.realm.sweep.sweep())
        await self.until(lambda: done.called)

    async def read(self, name: str) -> bytes:
        download = await self.realm.service.downloads.fetch(self.ana, name)
        data = await download.file.read(100)
        await download.file.close()
        return data

    async def test_files(self) -> None:
        """They are in the bucket, and none is in the state folder; also after a restart."""
        self.assertEqual(self.objects(), sorted([self.first, self.second]))
        self.assertFalse((self.realm.state.path / "uploads").exists())
        self.assertEqual(await self.read("a.bin"), b"halo")
        await self.reopen()
        self.assertEqual(await self.read("b.bin"), b"dunia")
        self.assertFalse(self.realm.service.disk.low)

    async def test_deleted(self) -> None:
        """The object of a deleted message goes; also if the service did not answer then."""
        service = self.realm.service
        broken = mock.patch.object(Bucket, "delete", side_effect=OSError("SlowDown"))
        (place, *_), _ = await service.sync.all(self.ana, 0)
        with broken:
            await service.changes.change(self.ana, place.conversation, 2, Deletion(), None)
            await self.until(lambda: self.flushLoggedErrors(OSError))
        self.assertEqual(len(self.objects()), 2)
        await service.changes.change(self.ana, place.conversation, 3, Deletion(), None)
        await self.until(lambda: self.objects() == [self.first])
        await self.look_through()
        self.assertEqual(self.objects(), [])

    async def test_left_after_a_crash(self) -> None:
        """An unknown file is set aside when it is old enough, while the realm runs."""
        self.bucket.put("unknown", io.BytesIO(b"x"))
        self.service.grow_old(2 * ABOUT_TO_BE_STORED)
        self.clock.advance(object_sweep.FIRST)
        sweep = self.realm.sweep
        assert sweep is not None
        await self.until(lambda: sweep.is_complete)
        self.assertIn("unclaimed/unknown", self.objects())
        self.assertEqual(await self.read("a.bin"), b"halo")

    def test_backup(self) -> None:
        """It has the database and the keys, and says where the files are. So does the restore."""
        work = StateWork(self.realm.config, self.realm.state, time.time)
        reply = backup_reply(work.back_up(str(self.target)))
        where = f"s3://{BUCKET}/{self.prefix}"
        self.assertEqual((reply.fields["objects"], reply.fields["copied"]), (where, 0))
        made = read_manifest(self.target)
        assert made is not None
        self.assertEqual((made.files, made.missing), (0, ()))
        state = self.restored()
        report = BackupRestorer("realm1", state, self.target).restore()
        self.assertEqual(restore_reply(report).fields["objects"], where)
        self.assertEqual(report.missing, ())
        self.assertEqual(
            StateWork(self.realm.config, state, time.time).check(True, False).found, {}
        )

    def test_check(self) -> None:
        self.assertEqual(self.check().found, {})
        self.bucket.put(self.first, io.BytesIO(b"hola"))
        self.bucket.delete(self.second)
        self.bucket.put("unknown", io.BytesIO(b"x"))
        found = self.check()
        self.assertEqual(found.found, {"file-damaged": 1, "file-missing": 1})
        self.assertIn(f"s3://{BUCKET}/{self.prefix}", str(found.problems))
        self.assertEqual(self.check(hashes=False).found, {"file-missing": 1})
        self.service.grow_old(2 * ABOUT_TO_BE_STORED)
        found = self.check(repair=True)
        self.assertEqual(found.found["file-unknown"], 1)
        self.assertIn("unclaimed/unknown", self.objects())

    def test_check_without_boto3(self) -> None:
        with mock.patch.dict(sys.modules, {"chatd.files.bucket": None}):
            self.assertRaises(BackupError, self.check)

    async def test_uploads_go_on_at_another_node(self) -> None:
        """A client that changes the node finds the bytes that the first one had stored."""
        files = self.realm.service.files
        upload = await files.resume(self.ana, [Address("budi")], "c.bin", 6, "key", None)
        upload.write(b"abc")
        await upload.suspend()
        self.assertEqual(await files.offset(self.ana, "key"), 3)
        await self.reopen()
        files = self.realm.service.files
        self.assertEqual(await files.offset(self.ana, "key"), 3)
        upload = await files.resume(self.ana, [Address("budi")], "c.bin", 6, "key", None)
        upload.write(b"def")
        file, _ = await upload.finish()
        self.assertEqual(await self.read("c.bin"), b"abcdef")
        self.assertEqual(len(self.objects()), 3)
        self.assertIn(file.stored, self.objects())


class NotInstalled(TestCase):
    def test_imported_only_if_configured(self) -> None:
        """Other realms do not pay for boto3: only these modules import it, or each other, when they are
        imported."""
        found = {
            path.stem
            for path in (ROOT / "chatd").rglob("*.py")
            if LARGE.search(path.read_text(encoding="utf-8"))
        }
        self.assertEqual(found, {"bucket", "object_part", "object_reader", "object_store"})

    def test_refused(self) -> None:
        """The start says what to install."""
        folder = Path(self.mktemp())
        files = FilesConfig(store=S3, bucket="chat-files")
        config = msgspec.structs.replace(make_config(folder / "state"), files=files)
        realm = Realm(config)
        self.addCleanup(realm.release)
        with mock.patch.dict(sys.modules, {"chatd.files.bucket": None}):
            refusal = str(self.assertRaises(StartError, realm.open))
        self.assertIn("pip install 'chatd[s3]'", refusal)
