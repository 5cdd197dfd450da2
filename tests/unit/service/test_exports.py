"""Exports: what is in the archive, and how many are made."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from typing import Any
from unittest import mock

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from chatd.base.account_archive import (
    FORMAT,
    MESSAGES_BEGIN,
    MESSAGES_END,
    ArchivedGroup,
    ArchivedMessage,
    ArchivedProfile,
)
from chatd.base.attachments import Attachment
from chatd.base.entries import Deletion
from chatd.base.errors import (
    Busy,
    DiskFull,
    ExportUnfinished,
    StorageFailed,
    TooManyExports,
    TransferBroken,
)
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.base.throttle import Quota
from chatd.files.archive import Archive
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.service import exports as module
from chatd.service.downloads import Download
from chatd.service.exports import Exports
from chatd.store import exports as exports_store
from chatd.store.avatars import Avatar
from tests.support.archives import archive, direct, group, said
from tests.support.common import ClockedTestCase, sleep


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

    async def make(self, account: Account, checks: int | None = None) -> Download:
        """An export. Its client is gone after so many checks."""
        is_gone = mock.Mock(return_value=False)
        if checks is not None:
            is_gone.side_effect = [False] * checks + [True]
        return await self.exports.make(account, is_gone)

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
        download = await self.make(await service.accounts.find("ana"))
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

    async def test_received(self) -> None:
        """The newest files that the account has received, as many bytes as its own files may have; its
        picture, and its groups with their codes."""
        service = self.realm.service
        ana, budi = await self.register("ana"), await self.register("budi")
        for name in ("1.txt", "2.txt", "3.txt"):
            await self.send_file(budi, "ana", name, b"halo")
        await service.avatars.keep_own(ana, None, Avatar("1", b"picture"))
        group = await service.groups.create(ana, "bagan", None)
        limits = msgspec.structs.replace(service.config.limits, account_files=8)
        config = msgspec.structs.replace(service.config, limits=limits)
        context = dataclasses.replace(service.context, config=config)
        self.patch(module, "FILES_PAGE", 1)
        with mock.patch.object(self.exports, "_context", context):
            found = await self.read(await self.make(ana))
        files = [name.partition("-")[2] for name in found if name.startswith("files/")]
        self.assertEqual(files, ["3.txt", "2.txt"])
        profile = msgspec.json.decode(found["profile.json"], type=ArchivedProfile)
        self.assertEqual((profile.format, profile.realm), (FORMAT, service.config.realm))
        self.assertEqual(profile.picture, b"picture")
        self.assertEqual(profile.groups, (ArchivedGroup("bagan", code=group.code, admin=True),))
        lines = next(found[each] for each in found if each.startswith("conversations/")).split(
            b"\n"
        )
        self.assertTrue(lines[0].endswith(MESSAGES_BEGIN))
        self.assertEqual(lines[-1], MESSAGES_END)
        message = msgspec.json.decode(lines[1].rstrip(b","), type=ArchivedMessage)
        assert message.file is not None
        self.assertEqual((message.seq, message.sender, message.file.name), (1, "budi", "1.txt"))

    async def test_group_left_meanwhile(self) -> None:
        """A conversation that is no longer readable has no messages in the archive."""
        ana = await self.register("ana")
        here = await self.send(ana, "ana", "x")
        with mock.patch.object(self.exports, "_places", mock.AsyncMock(return_value=[here, 999])):
            found = await self.read(await self.make(ana))
        left: Any = msgspec.json.decode(found["conversations/999.json"])
        self.assertEqual(left["messages"], [])

    async def test_arriving_file(self) -> None:
        """A file whose bytes have not come takes no room of the others."""
        ana, budi = await self.register("ana"), await self.register("budi")
        for name in ("1.txt", "2.txt"):
            await self.send_file(budi, "ana", name, b"halo")
        received = exports_store.received_files

        def arriving(*args: Any) -> list[Attachment]:
            return [
                msgspec.structs.replace(each, arrival="" if each.name == "2.txt" else None)
                for each in received(*args)
            ]

        limits = msgspec.structs.replace(self.realm.service.config.limits, account_files=4)
        config = msgspec.structs.replace(self.realm.service.config, limits=limits)
        context = dataclasses.replace(self.realm.service.context, config=config)
        self.patch(exports_store, "received_files", arriving)
        with mock.patch.object(self.exports, "_context", context):
            found = await self.read(await self.make(ana))
        files = [name.partition("-")[2] for name in found if name.startswith("files/")]
        self.assertEqual(files, ["1.txt"])

    async def test_imported(self) -> None:
        """A conversation that came from an archive is marked, and its messages have the keys from there."""
        ana = await self.register("ana")
        data = archive(
            direct(5, "hilang@realm1", said(1, "hilang@realm1", "hai")),
            group(7, "rowing", said(2, "budi", "kayuh")),
        )
        imports = self.realm.service.imports
        upload = imports.begin(ana, len(data))
        upload.write(data)
        await upload.finish()
        while imports._running:
            await sleep(0.001)
        found = await self.read(await self.make(ana))
        heads: list[Any] = [
            msgspec.json.decode(data) for name, data in found.items() if name.startswith("conv")
        ]
        self.assertEqual(
            [(each["archive"], each["user"], each["group"], each["home_id"]) for each in heads],
            [(True, "~hilang", None, None), (True, None, "rowing@realm9", 7)],
        )
        keys = [each["messages"][0]["key"] for each in heads]
        self.assertEqual(keys, ["@realm9:5:1", "#realm9:7:2"])

    async def test_lost_file(self) -> None:
        """A file that is missing from the disk is left out."""
        ana = await self.register("ana")
        await self.send_file(ana, "ana", "a.txt", b"halo")
        for path in self.realm.uploads.folder.glob("*a.txt"):
            path.unlink()
        found = await self.read(await self.make(ana))
        self.assertEqual([name for name in found if name.startswith("files/")], [])


class Limits(ExportsTestCase):
    async def test_per_hour(self) -> None:
        """The number of exports in an hour is limited. Failed exports do not count."""
        ana = await self.register("ana")
        service = self.realm.service
        with mock.patch.object(service.disk, "check", side_effect=DiskFull):
            for _ in range(module.PER_HOUR + 1):
                await self.assertFailure(self.making(ana), DiskFull)
        with mock.patch.object(Archive, "finish", side_effect=OSError("full")):
            await self.assertFailure(self.making(ana), StorageFailed)
        for _ in range(module.PER_HOUR):
            await (await self.make(ana)).file.close()
        await self.assertFailure(self.making(ana), TooManyExports)

    async def test_of_operators(self) -> None:
        """They do not count, and are made when the account may make no more."""
        ana = await self.register("ana")

        async def made() -> None:
            found = await self.exports.make(ana, lambda: False, counted=False)
            await found.file.close()

        with mock.patch.object(self.realm.service.disk, "check", side_effect=DiskFull):
            await self.assertFailure(Deferred.fromCoroutine(made()), DiskFull)
        for _ in range(module.PER_HOUR + 1):
            await made()
        for _ in range(module.PER_HOUR):
            await (await self.make(ana)).file.close()
        await self.assertFailure(self.making(ana), TooManyExports)
        await made()

    def making(self, account: Account, checks: int | None = None) -> Deferred[Download]:
        return Deferred.fromCoroutine(self.make(account, checks))

    async def test_one_at_a_time(self) -> None:
        """Until an archive is fetched, or its download is dropped, its account gets no other."""
        ana = await self.register("ana")
        first = self.making(ana)
        await self.assertFailure(self.making(ana), ExportUnfinished)
        download = await first
        await self.assertFailure(self.making(ana), ExportUnfinished)
        await (await self.make(await self.register("budi"))).file.close()
        await download.file.close()
        del download, first
        await (await self.make(ana)).file.close()

    async def test_slow_reader(self) -> None:
        """A client that reads too slowly does not keep its archive on the disk for long."""
        download = await self.make(await self.register("ana"))
        size = download.attachment.size
        half = await download.file.read(size // 2)
        self.assertEqual(len(half), size // 2)
        self.clock.advance(module.READ_TIME + size / module.READ_RATE + 1)
        await self.assertFailure(download.file.read(1), OSError)
        await download.file.close()

    async def test_gone(self) -> None:
        """No archive is made for a client that is gone, and it has used its turn."""
        ana = await self.register("ana")
        await self.send_file(ana, "ana", "a.txt", b"halo")
        drop = mock.patch.object(Archive, "abandon", autospec=True, side_effect=Archive.abandon)
        for checks, dropped in ((0, 0), (1, 1), (2, 1)):
            with self.subTest(checks), drop as dropping:
                self.exports._quota = Quota(1)
                await self.assertFailure(self.making(ana, checks), TransferBroken)
                self.assertEqual(dropping.call_count, dropped)
                await self.assertFailure(self.making(ana), TooManyExports)

    async def test_connection_lost(self) -> None:
        """An export whose connection ends is not completed, and no error is logged."""
        wire = self.connect(JsonDialect())
        await wire.ask(command="register", username="ana", password="surabaya")
        with mock.patch.object(Archive, "finish") as finish:
            wire.feed(b'{"command":"export"}\r\n')
            wire.lose(Failure(ConnectionLost()))
            while self.exports._making:
                await sleep(0.002)
        finish.assert_not_called()
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_waiting(self) -> None:
        """The number of exports that wait for their turn is limited."""
        ana = await self.register("ana")
        with mock.patch.object(module, "MAX_WAITING", 0):
            await self.assertFailure(self.making(ana), Busy)
