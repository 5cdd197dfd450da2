"""Imports that are cancelled, that the disk or the database interrupts, and archives that nothing true has
made."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import Any, cast
from unittest import mock

import msgspec
import sqlalchemy as sa
from twisted.internet import reactor
from twisted.internet.defer import fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread

from chatd.base import errors
from chatd.base.account_archive import ArchivedConversation, ArchivedFile
from chatd.files import incoming
from chatd.files.archive_reader import ArchiveReader
from chatd.files.partial_file import PartialFile
from chatd.service import import_run
from chatd.service.import_files import ImportFiles
from chatd.store import imports as store
from chatd.store.departures import unfinished
from chatd.store.files import Owner, used_bytes
from chatd.store.imported_messages import ImportJobs
from chatd.store.imports import CANCELLED, DONE, FAILED, RUNNING
from chatd.store.schema import import_places
from tests.support.archives import archive, direct, said
from tests.support.common import run, sleep
from tests.support.imports import ImportsTestCase

NOTE = ArchivedFile("files/k-a.txt", 4, "", "a.txt")
WITH_FILE = archive(
    direct(5, "budi", said(1, "budi", file=NOTE), said(2, "budi", "lama")),
    direct(6, "joko", said(1, "joko", "lama")),
    files={NOTE.path: b"halo"},
)


def with_size(data: bytes, path: str, size: int) -> bytes:
    """The archive, whose directory gives that size for a file."""
    made = BytesIO(data)
    with zipfile.ZipFile(made, "a") as opened:
        opened.getinfo(path).file_size = size
        opened._didModify = True  # type: ignore[attr-defined]  # the directory is written again
    return made.getvalue()


class Cancelled(ImportsTestCase):
    timeout = 5

    async def test_another_one_at_once(self) -> None:
        """A cancelled import that still waits for the disk stores nothing more, and ends no other import that
        the account has begun meanwhile."""
        messi = await self.register("messi")
        going_on = await self.held(messi, WITH_FILE)
        await self.realm.service.imports.cancel(messi)
        texts = [said(number, "ana", str(number)) for number in (1, 2, 3)]
        await self.start(messi, archive(direct(7, "ana", *texts)))
        await sleep(0.01)  # the new one waits for its turn
        going_on.callback(None)
        ended = await self.ended(messi)
        self.assertEqual((ended.state, ended.progress.messages, ended.progress.of), (DONE, 3, 1))
        self.assertEqual(await self.texts(messi, "ana@realm9"), ["1", "2", "3"])
        self.assertEqual(await self.texts(messi, "budi@realm9"), [])
        self.assertEqual(list(self.realm.uploads.folder.glob("*a.txt")), [])

    async def test_not_stored(self) -> None:
        """An import that can't be cancelled because the database stores nothing goes on."""
        messi = await self.register("messi")
        going_on = await self.held(messi, WITH_FILE)
        broken = mock.patch.object(
            self.realm.database, "run", side_effect=lambda *_: fail(errors.StorageFailed())
        )
        with broken, self.assertRaises(errors.StorageFailed):
            await self.realm.service.imports.cancel(messi)
        going_on.callback(None)
        ended = await self.ended(messi)
        self.assertEqual((ended.state, ended.progress.messages), (DONE, 3))

    async def test_before_a_conversation(self) -> None:
        """No conversation begins after an import was cancelled, also none without messages."""
        messi = await self.register("messi")
        service = self.realm.service
        begin = ArchiveReader.begin

        def cancel(reader: ArchiveReader, name: str) -> ArchivedConversation:
            """In the thread that reads the archive: cancel the import at its second conversation."""
            if name == "conversations/6.json":
                blockingCallFromThread(
                    cast(IReactorFromThreads, reactor), run, service.imports.cancel(messi)
                )
            return begin(reader, name)

        with mock.patch.object(ArchiveReader, "begin", cancel):
            await self.start(messi, archive(direct(5, "budi"), direct(6, "joko"), direct(7, "ana")))
            await self.ended(messi)
        await sleep(0.01)
        self.assertEqual((await service.imports.state(messi)).state, CANCELLED)
        query = sa.select(import_places.c.origin)
        places = await self.realm.database.read(lambda reading: list(reading.scalars(query)))
        self.assertEqual(places, ["@realm9:5"])

    async def test_deleted_account(self) -> None:
        """An import that runs while its account is deleted leaves nothing."""
        messi = await self.register("messi")
        going_on = await self.held(messi, WITH_FILE)
        await self.realm.service.departures.delete(messi, "surabaya", False, "")
        going_on.callback(None)
        while await self.realm.database.read(unfinished):
            await sleep(0.002)
        while [*self.realm.uploads.folder.glob("*a.txt"), *self.realm.uploads.folder.glob("*.zip")]:
            await sleep(0.002)
        self.assertIsNone(await self.realm.database.read(store.import_of, messi.id))


class Disks(ImportsTestCase):
    timeout = 5

    async def test_file_not_stored(self) -> None:
        """If the disk refuses a file, the import waits, and continues later."""
        messi = await self.register("messi")
        refusals: tuple[tuple[object, str, str], ...] = (
            (self.realm.uploads, "keep", "under its name"),
            (PartialFile, "append", "its bytes"),
        )
        self.patch(incoming, "MAX_PENDING", 1)
        note = msgspec.structs.replace(NOTE, size=200_000)  # several pieces
        for number, (owner, name, what) in enumerate(refusals):
            with self.subTest(what):
                data = archive(
                    direct(number + 5, f"budi{number}", said(1, "x", file=note)),
                    files={note.path: bytes(note.size)},
                )
                take = ImportFiles.take

                async def refused(
                    *args: Any, owner: object = owner, name: str = name, take: Any = take
                ) -> Any:
                    with mock.patch.object(owner, name, side_effect=OSError("full")):
                        return await take(*args)

                with mock.patch.object(ImportFiles, "take", refused):
                    ended = await self.take(messi, data)
                self.assertEqual((ended.state, ended.progress.messages), (RUNNING, 0))
                ended = await self.ended_later(messi)
                self.assertEqual((ended.state, ended.progress.files), (DONE, 1))

    async def test_archive_not_readable(self) -> None:
        """An archive that the disk does not give back ends the import."""
        messi = await self.register("messi")
        broken = mock.patch.object(self.realm.uploads, "open_stored", side_effect=OSError("broken"))
        with broken:
            ended = await self.take(messi, WITH_FILE)
        assert ended.refused is not None, ended
        self.assertEqual((ended.state, ended.refused.code), (FAILED, "bad-archive"))
        self.assertIn("can't be read", ended.refused.sentence)

    async def test_cut_off_file(self) -> None:
        """A file with fewer bytes than the directory of the archive says is none. Nothing is left of it."""
        messi = await self.register("messi")
        note = msgspec.structs.replace(NOTE, size=5)
        data = archive(direct(5, "budi", said(1, "budi", file=note)), files={NOTE.path: b"halo"})
        ended = await self.take(messi, with_size(data, NOTE.path, 5))
        assert ended.refused is not None, ended
        self.assertIn("cut off", ended.refused.sentence)
        self.assertEqual(await self.realm.database.read(used_bytes, Owner(messi.id)), 0)
        self.assertEqual(list(self.realm.uploads.folder.glob("*a.txt")), [])

    async def test_retry_after_a_failed_read(self) -> None:
        """An import that can't even be looked up waits again, and the others continue."""
        imports = self.realm.service.imports
        people = [await self.register(name) for name in ("messi", "ana")]
        add = mock.patch.object(ImportJobs, "add", side_effect=errors.StorageFailed)
        with add:
            for each in people:
                await self.start(each, archive(direct(5, "budi", said(1, "budi", "lama"))))
            while len(imports._interrupted) < 2:
                await sleep(0.001)
        imports._timer.cancel()
        order = list(imports._interrupted)
        people.sort(key=lambda each: order.index(each.id))
        read = self.realm.database.read
        failed: list[object] = []

        def fail_once(query: Any, *args: Any) -> Any:
            if query is store.import_of and not failed:
                failed.append(args)
                return fail(errors.StorageFailed())
            return read(query, *args)

        with mock.patch.object(self.realm.database, "read", fail_once):
            imports._continue()
            while (await imports.state(people[1])).state == RUNNING:
                await sleep(0.001)
        self.assertEqual(list(imports._interrupted), [people[0].id])
        self.assertIsNotNone(imports._timer.due)
        imports._timer.cancel()
        imports._continue()
        while (await imports.state(people[0])).state == RUNNING:
            await sleep(0.001)
        self.assertEqual(await self.texts(people[0], "budi@realm9"), ["lama"])
        self.assertEqual(await self.texts(people[1], "budi@realm9"), ["lama"])

    async def test_code_in_use(self) -> None:
        """A file whose code another one has gets the next code."""
        messi = await self.register("messi")
        first, second = (
            archive(
                direct(number, "budi", said(number, "budi", file=NOTE)), files={NOTE.path: b"halo"}
            )
            for number in (5, 6)
        )
        with mock.patch.object(import_run, "new_code", side_effect=["aaaaaa"]):
            await self.take(messi, first)
        with mock.patch.object(import_run, "new_code", side_effect=["aaaaaa", "bbbbbb"]) as made:
            ended = await self.take(messi, second)
        self.assertEqual((ended.state, ended.progress.files, made.call_count), (DONE, 1, 2))
        [old, new] = await self.history(messi, "budi@realm9")
        codes = sorted(each.file.code for each in (old, new) if each.file is not None)
        self.assertEqual(codes, ["aaaaaa", "bbbbbb"])

    async def test_no_free_code(self) -> None:
        """If all codes that are tried are in use, the import waits, and its file is removed."""
        messi = await self.register("messi")
        data = archive(direct(6, "budi", said(9, "budi", file=NOTE)), files={NOTE.path: b"halo"})
        with mock.patch.object(import_run, "new_code", return_value="aaaaaa"):
            await self.take(messi, WITH_FILE)
            ended = await self.take(messi, data)
        self.assertEqual((ended.state, ended.progress.files), (RUNNING, 0))
        self.assertEqual(len(list(self.realm.uploads.folder.glob("*a.txt"))), 1)
        ended = await self.ended_later(messi)
        self.assertEqual((ended.state, ended.progress.files), (DONE, 1))


class Stopped(ImportsTestCase):
    timeout = 5

    async def test_between_pages(self) -> None:
        """A daemon that stops begins no other page, and nothing else of an import."""
        messi = await self.register("messi")
        imports = self.realm.service.imports
        going_on = await self.held(messi, WITH_FILE)
        imports.stop()
        going_on.callback(None)
        while imports._running:
            await sleep(0.001)
        found = await imports.state(messi)
        self.assertEqual((found.state, found.progress.messages), (RUNNING, 2))
        await imports.resume([found])
        self.assertEqual(imports._running, {})
        with self.assertRaises(errors.ShuttingDown):
            await imports.forget(messi)

    async def test_not_stored(self) -> None:
        """A daemon that stops does not try again what was not stored."""
        messi = await self.register("messi")
        imports = self.realm.service.imports
        going_on = await self.held(messi, WITH_FILE)
        imports.stop()
        self.patch(self.realm.database, "run", lambda *_: fail(errors.ShuttingDown()))
        going_on.callback(None)
        while imports._running:
            await sleep(0.001)
        self.assertEqual((imports._interrupted, imports._timer.due), ({}, None))

    async def test_cancelled_meanwhile(self) -> None:
        """An import that was cancelled while it waited for the database does not continue."""
        messi = await self.register("messi")
        imports = self.realm.service.imports
        with mock.patch.object(ImportJobs, "add", side_effect=errors.StorageFailed):
            found = await self.take(messi, WITH_FILE)
        await imports.cancel(messi)
        await imports.resume([found])
        self.assertEqual(imports._running, {})
        self.assertEqual(await self.texts(messi, "budi@realm9"), [])


class Forged(ImportsTestCase):
    timeout = 5

    async def test_numbers_out_of_range(self) -> None:
        """An archive may claim any numbers. Messages that have no place with theirs are left out."""
        messi = await self.register("messi")
        end = (1 << 62) - 1
        heads = (
            ArchivedConversation(5, user="budi", first=-end, last=end),
            ArchivedConversation(6, user="budi", first=end, last=end),
            ArchivedConversation(7, user="budi", first=-end, last=0),
            ArchivedConversation(8, user="budi", first=-end, last=0),
            ArchivedConversation(9, user="budi", first=1, last=2),
        )
        messages = said(-end, "budi", "awal"), said(1, "budi", "satu"), said(end, "budi", "akhir")
        ended = await self.take(messi, archive(*((head, messages) for head in heads)))
        self.assertEqual((ended.state, ended.refused), (DONE, None))
        found = await self.history(messi, "budi@realm9")
        archived = await self.history(messi, "~budi@realm9")
        self.assertIn("satu", [each.text for each in found])
        self.assertTrue(archived)
        self.assertEqual(ended.progress.messages, len(found) + len(archived))
        await self.send(messi, "messi", "lagi")
