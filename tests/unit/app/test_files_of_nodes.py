"""Two nodes with one database and one store of files: a client changes the node during an upload."""

from __future__ import annotations

import os
import shutil
import time
from itertools import count
from pathlib import Path
from typing import cast
from unittest import mock

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from chatd.app import file_store
from chatd.app.file_store import StoreParts, open_store
from chatd.base.clocks import IReactor
from chatd.base.config import FilesConfig
from chatd.base.counters import Counters
from chatd.base.errors import StorageFailed
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.files.folder import Uploads
from chatd.service.attachments import Upload
from tests.support.common import Realm, make_config, sleep
from tests.support.object_storage import environment, object_service
from tests.unit.files.cases import sha256

TO = [Address("budi")]

_numbers = count(1)


class NodesCase(TestCase):
    """A realm with two nodes. Subclasses say where the files are."""

    def files(self) -> FilesConfig:
        raise NotImplementedError

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.config = self.files()
        self.data = os.urandom(300_000)
        return Deferred.fromCoroutine(self._begin())

    async def _begin(self) -> None:
        self.first = self.start("first")
        accounts = self.first.service.accounts
        self.ana, _ = [
            (await accounts.register(name, "surabaya", None, None)).account
            for name in ("ana", "budi")
        ]

    def start(self, name: str) -> Realm:
        config = msgspec.structs.replace(
            make_config(self.folder / name),
            files=self.config,
            database_url=f"sqlite:///{self.folder / 'chatd.db'}",
        )
        config.state.mkdir(mode=0o700)
        for file in (self.folder / "first").glob("*.[kp]e[ym]"):
            shutil.copy(file, config.state)  # one realm has one identity
        realm = Realm(config, random_bytes=os.urandom)
        realm.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(realm.close()))
        return realm

    async def resume(self, realm: Realm) -> Upload:
        return await realm.service.files.resume(self.ana, TO, "a.bin", len(self.data), "key", None)

    async def write(self, upload: Upload, end: int) -> None:
        """Send the bytes up to `end`, and wait until the node has written them."""
        upload.write(self.data[len(self.data) - upload.missing : end])
        while upload._incoming._busy or upload._incoming._chunks:
            await sleep(0.002)

    async def read(self, realm: Realm, account: Account) -> bytes:
        download = await realm.service.downloads.fetch(account, "a.bin")
        data = await download.file.read(1 << 20)
        await download.file.close()
        return data

    async def test_upload_goes_on_at_another_node(self) -> None:
        """The first node is not asked, and its own transfer is refused or gets the same answer."""
        dead = await self.resume(self.first)
        await self.write(dead, 200_000)
        second = self.start("second")
        offset = await second.service.files.offset(self.ana, "key")
        self.assertGreaterEqual(offset, 200_000 - 8192)
        upload = await self.resume(second)
        self.assertEqual(upload.offset, offset)
        upload.write(self.data[offset:])
        file, sent = await upload.finish()
        self.assertEqual((file.sha256, len(sent.receipts)), (sha256(self.data), 1))
        for realm in (self.first, second):
            self.assertEqual(await self.read(realm, self.ana), self.data)
        dead.write(self.data[200_000:])
        try:
            again, _ = await dead.finish()
        except StorageFailed:
            self.assertIsNone(self.first.uploads.trouble)
        else:
            self.assertEqual(again.code, file.code)
        answered = await self.first.service.files.answered(self.ana, TO, "key")
        assert answered is not None
        self.assertEqual(answered[0].code, file.code)
        self.assertEqual(await self.first.service.files.offset(self.ana, "key"), 0)


class OwnFolders(TestCase):
    def test_warned(self) -> None:
        """A node whose files the others can't read says so at its start."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        for is_node in (False, True):
            parts = StoreParts(
                cast(IReactor, reactor), Counters(), time.time, os.urandom, Uploads, is_node
            )
            with mock.patch.object(file_store.log, "warn") as warn:
                opened = open_store(FilesConfig(), folder, folder / "uploads", parts)
            self.addCleanup(opened.files.stop)
            self.assertEqual(warn.called, is_node)


class InSharedFolder(NodesCase):
    def files(self) -> FilesConfig:
        return FilesConfig(folder=self.folder / "files")


class InSharedBucket(NodesCase):
    def files(self) -> FilesConfig:
        service = object_service()
        shared = mock.patch("chatd.files.bucket.connect", return_value=service.client)
        # What has come is a piece, and small enough for a test.
        part = mock.patch("chatd.files.bucket.PART", 200_000)
        smallest = mock.patch("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 100_000)
        counted = mock.patch("chatd.files.object_part.MIN_PART", 100_000)
        for patch in (environment(), shared, part, smallest, counted):
            patch.start()
            self.addCleanup(patch.stop)
        return service.files(f"nodes{next(_numbers)}/")


del NodesCase  # it is not a test
