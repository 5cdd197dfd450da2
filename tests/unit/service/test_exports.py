"""Exports: what is in the archive, and how many are made."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any
from unittest import mock

import msgspec
from twisted.internet.defer import Deferred

from chatd.base.entries import Deletion
from chatd.base.errors import Busy, DiskFull, StorageFailed, TooManyExports
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.files.archive import Archive
from chatd.service import exports as module
from chatd.service.attachments import Download
from chatd.service.exports import Exports
from tests.support.common import ClockedTestCase


class ExportsTestCase(ClockedTestCase):
    @property
    def exports(self) -> Exports:
        return self.realm.service.exports

    async def register(self, name: str) -> Account:
        return (await self.realm.service.accounts.register(name, "surabaya", None, None)).account

    async def send(self, who: Account, to: str, text: str) -> int:
        sent = await self.realm.service.messages.send(who, [Address(to)], text, None)
        return sent.receipts[0].conversation

    async def send_file(self, who: Account, to: str, name: str, data: bytes) -> None:
        upload = await self.realm.service.files.begin(who, [Address(to)], name, len(data), None)
        upload.write(data)
        await upload.finish()

    async def read(self, download: Download) -> dict[str, bytes]:
        """The files in an archive, which matches its description."""
        data = await download.file.read(1 << 20)
        self.assertEqual(len(data), download.attachment.size)
        self.assertEqual(hashlib.sha256(data).hexdigest(), download.attachment.sha256)
        await download.file.close()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            self.assertIsNone(archive.testzip())
            return {name: archive.read(name) for name in archive.namelist()}


class Contents(ExportsTestCase):
    async def test_everything(self) -> None:
        """The profile, all messages in pages, and the files that the account has sent; what is deleted is not
        in it."""
        self.patch(module, "PAGE", 2)
        service = self.realm.service
        ana, budi = await self.register("ana"), await self.register("budi")
        await service.accounts.set_status(ana, "di kantor")
        await service.blocks.block(ana, "realm9")
        await service.contacts.add(ana, Address("budi"))
        here = await self.send(ana, "budi", "rahasia")
        await service.changes.change(ana, here, 1, Deletion(), None)
        for text in "23":
            await self.send(budi, "ana", text)
        await self.send_file(ana, "budi", "a.txt", b"halo")
        group = await service.groups.create(ana, "bagan", None)
        download = await self.exports.make(await service.accounts.find("ana"))
        self.assertTrue(download.attachment.name.startswith("ana-"))
        found = await self.read(download)
        self.assertNotIn(b"rahasia", b"".join(found.values()))
        profile: Any = msgspec.json.decode(found["profile.json"])
        self.assertEqual(
            (profile["username"], profile["status"], profile["contacts"], profile["blocked"]),
            ("ana", "di kantor", ["budi"], ["@@realm9"]),
        )
        direct: Any = msgspec.json.decode(found[f"conversations/{here}.json"])
        self.assertEqual((direct["user"], direct["group"]), ("budi", None))
        seqs = [each["seq"] for each in direct["messages"]]
        self.assertEqual(seqs, [1, 3, 4, 5])
        self.assertEqual(direct["messages"][1]["text"], "2")
        path = direct["messages"][3]["file"]["path"]
        self.assertEqual(found[path], b"halo")
        empty: Any = msgspec.json.decode(found[f"conversations/{group.id}.json"])
        self.assertEqual((empty["group"], empty["messages"]), ("bagan", []))
        self.assertEqual(list((self.realm.uploads.folder / "rooms").iterdir()), [])

    async def test_group_left_meanwhile(self) -> None:
        """The archive has the rest."""
        ana = await self.register("ana")
        here = await self.send(ana, "ana", "x")
        with mock.patch.object(self.exports, "_places", mock.AsyncMock(return_value=[here, 999])):
            found = await self.read(await self.exports.make(ana))
        left: Any = msgspec.json.decode(found["conversations/999.json"])
        self.assertEqual(left["messages"], [])

    async def test_lost_file(self) -> None:
        """It is left out."""
        ana = await self.register("ana")
        await self.send_file(ana, "ana", "a.txt", b"halo")
        for path in self.realm.uploads.folder.glob("*a.txt"):
            path.unlink()
        found = await self.read(await self.exports.make(ana))
        self.assertEqual([name for name in found if name.startswith("files/")], [])


class Limits(ExportsTestCase):
    async def test_per_hour(self) -> None:
        """An account has some an hour; those that fail do not count."""
        ana = await self.register("ana")
        service = self.realm.service
        with mock.patch.object(service.disk, "check", side_effect=DiskFull):
            for _ in range(module.PER_HOUR + 1):
                await self.assertFailure(self.making(ana), DiskFull)
        with mock.patch.object(Archive, "finish", side_effect=OSError("full")):
            await self.assertFailure(self.making(ana), StorageFailed)
        for _ in range(module.PER_HOUR):
            await (await self.exports.make(ana)).file.close()
        await self.assertFailure(self.making(ana), TooManyExports)

    def making(self, account: Account) -> Deferred[Download]:
        return Deferred.fromCoroutine(self.exports.make(account))

    async def test_waiting(self) -> None:
        """A limited number wait for their turn."""
        ana = await self.register("ana")
        with mock.patch.object(module, "MAX_WAITING", 0):
            await self.assertFailure(self.making(ana), Busy)
