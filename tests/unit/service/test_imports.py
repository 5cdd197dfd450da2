"""Imports: where imported messages go, and that an archive changes nothing for anybody else."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any
from unittest import mock

import msgspec
import sqlalchemy as sa
from twisted.internet.defer import fail

from chatd.base import errors
from chatd.base.account_archive import (
    ArchivedConversation,
    ArchivedFile,
    ArchivedGroup,
    ArchivedOpaque,
)
from chatd.base.entries import Deletion, Edit, Pin, React
from chatd.base.events import ImportChange
from chatd.base.model import Opaque, Privacy
from chatd.base.names import UNFILTERED, Address, parse_place
from chatd.base.throttle import Quota
from chatd.files import archive_reader
from chatd.service import imports as module
from chatd.store.accounts import contacts_of
from chatd.store.departures import unfinished
from chatd.store.files import Owner, find_file, used_bytes
from chatd.store.imported_messages import ImportJobs
from chatd.store.imports import CANCELLED, DONE, FAILED, RUNNING
from chatd.store.schema import import_places, imported_messages, imports, messages
from chatd.store.search import index as search_index
from chatd.store.sync import Cursor
from chatd.store.windows import Window
from tests.support.archives import AT, OLD, archive, direct, group, packed, said
from tests.support.common import Listener, sleep
from tests.support.imports import ImportsTestCase


class Places(ImportsTestCase):
    async def test_direct_with_somebody_elsewhere(self) -> None:
        """Imported messages come before all others, and are marked."""
        messi = await self.register("messi")
        data = archive(
            direct(5, "henderson", said(1, "messi", "halo"), said(3, "henderson", "hai", reply=1))
        )
        ended = await self.take(messi, data)
        self.assertEqual((ended.refused, ended.state, ended.source), (None, DONE, "messi@realm9"))
        self.assertEqual(ended.progress.messages, 2)
        first, second = await self.history(messi, "@henderson@realm9")
        self.assertEqual(
            (first.sender, first.text, first.to), ("messi", "halo", "henderson@realm9")
        )
        self.assertEqual((second.sender, second.to), ("henderson@realm9", "messi"))
        self.assertEqual(second.reply, first.seq)
        self.assertTrue(first.imported and second.imported)
        self.assertLess(second.seq, 0)

    async def test_before_what_is_there(self) -> None:
        """They don't take the numbers of other messages, and are neither unread nor in `sync`."""
        service = self.realm.service
        messi, budi = await self.register("messi"), await self.register("budi")
        here = await self.send(budi, "messi", "baru")
        await self.take(messi, archive(direct(5, "budi@realm1", said(7, "budi@realm1", "lama"))))
        self.assertEqual(await self.texts(messi, "budi"), ["lama", "baru"])
        old, new = await self.history(messi, "budi")
        self.assertEqual((old.conversation, new.seq), (here, 1))
        page = await service.reading.history(messi, here, 1)
        self.assertEqual((page.messages[0].text, page.remaining), ("baru", 1))
        page = await service.reading.history(messi, here, 5, Window(before=1))
        self.assertEqual(([each.text for each in page.messages], page.remaining), (["lama"], 0))
        page = await service.reading.history(messi, here, 5, Window(around=old.seq))
        self.assertEqual([each.text for each in page.messages], ["lama", "baru"])
        unread = await service.reading.unread(messi, {})
        self.assertEqual([each.unread for each in unread], [1])
        synced = await service.sync.one(messi, here, Cursor(0), 100)
        self.assertEqual([each.seq for each in synced.entries], [1])
        inbox = await service.reading.inbox(messi, UNFILTERED, {})
        self.assertEqual([each.text for each in inbox.messages], ["baru"])
        newest = await service.reading.newest(messi, None, {})
        self.assertEqual([each.text for each in newest.messages], ["baru"])
        await self.send(messi, "budi", "lagi")
        self.assertEqual(await self.texts(messi, "budi"), ["lama", "baru", "lagi"])

    async def test_others_see_nothing(self) -> None:
        """Nobody else sees what an account has imported, or is told of it."""
        service = self.realm.service
        messi, budi = await self.register("messi"), await self.register("budi")
        listener = Listener()
        service.presence.arrive(budi.id, listener)
        service.presence.listen(budi.id, listener, True, True)
        await self.take(messi, archive(direct(5, "budi@realm1", said(1, "budi@realm1", "palsu"))))
        self.assertEqual(await self.texts(messi, "budi"), ["palsu"])
        self.assertEqual(await self.texts(budi, "messi"), [])
        self.assertEqual((await service.conversations.all(budi, {}))[0], ())
        self.assertEqual(await service.reading.unread(budi, {}), ())
        self.assertEqual((await service.reading.search(budi, "palsu")).messages, [])
        self.assertEqual(listener.heard, [])
        here = await self.send(budi, "messi", "sungguh")
        self.assertEqual(await self.texts(budi, "messi"), ["sungguh"])
        await self.indexed()
        self.assertEqual((await service.reading.search(budi, "palsu")).messages, [])
        found = (await service.reading.search(messi, "palsu")).messages
        self.assertEqual([each.conversation for each in found], [here])

    async def indexed(self) -> None:
        """Wait until the index has everything."""
        while await self.realm.database.run(self.piece):
            pass

    def piece(self, connection: Any) -> bool:
        index = self.realm.service.indexing._index
        pieces = index.prepare(connection)
        for piece in pieces:
            index.store(connection, piece)
        return bool(pieces)

    async def test_search_index(self) -> None:
        """The index has all of them, wherever it was when they came, and however many there are."""
        service = self.realm.service
        for name, value in (("MAX_ROWS", 20), ("MAX_MESSAGES", 8)):
            self.patch(search_index, name, value)
        self.patch(archive_reader, "MAX_WEIGHT", 15)
        messi, _ = await self.register("messi"), await self.register("budi")
        for number in range(12):
            await self.send(messi, "budi", f"kata baru {number}")
        await self.indexed()
        pages = 0
        place = parse_place("@budi")
        add = ImportJobs.add

        def indexing(*args: Any) -> Any:
            """Let the index do some of its work between the pages."""
            nonlocal pages
            pages += 1
            if pages % 2:
                self.piece(args[1])
            return add(*args)

        self.patch(ImportJobs, "add", indexing)
        old = [said(number, "budi@realm1", f"kata lama {number}") for number in range(1, 101)]
        await self.take(messi, archive(direct(5, "budi@realm1", *old)))
        other = msgspec.structs.replace(OLD, realm="realm8")
        data = archive(direct(5, "budi@realm1", *old), profile=other)
        await self.take(messi, data)
        await self.indexed()
        here = (await service.reading.history(messi, place, 500)).messages
        self.assertEqual(len(here), 212)
        found = (await service.reading.search(messi, "kata")).messages
        self.assertEqual({each.seq for each in found}, {each.seq for each in here})
        self.assertEqual(len((await service.reading.search(messi, "lama 77")).messages), 2)

    async def test_both_import(self) -> None:
        """If the other has imported into a conversation, an account gets one of its own."""
        messi, budi = await self.register("messi"), await self.register("budi")
        await self.take(messi, archive(direct(5, "budi@realm1", said(1, "messi", "satu"))))
        other = msgspec.structs.replace(OLD, username="budi")
        data = archive(direct(6, "messi@realm1", said(1, "budi", "dua")), profile=other)
        await self.take(budi, data)
        self.assertEqual(await self.texts(budi, "messi"), [])
        self.assertEqual(await self.texts(budi, "~messi"), ["dua"])
        self.assertEqual(await self.texts(messi, "budi"), ["satu"])

    async def test_group(self) -> None:
        """The messages of a group are in a conversation of the account alone. They can't be changed or
        reported, and are listed as read."""
        service = self.realm.service
        messi = await self.register("messi")
        messages = (said(4, "budi", "kayuh", reactions={"👍": ("messi",)}), said(9, "messi", "ya"))
        await self.take(messi, archive(group(3, "rowing", *messages)))
        first, second = await self.history(messi, "~rowing@realm9")
        self.assertEqual((first.seq, first.sender, second.seq), (4, "budi@realm9", 9))
        self.assertEqual((second.sender, second.to), ("messi@realm9", "~rowing@realm9"))
        self.assertEqual(first.reactions[0].people, ("messi@realm9",))
        [listed], _ = await service.conversations.all(messi, {})
        self.assertEqual(
            (listed.user, listed.name, listed.unread), (2 * ("~rowing@realm9",)) + (0,)
        )
        self.assertEqual((listed.online, listed.seq, listed.read), (None, 9, 9))
        here = first.conversation
        for change in (React("👍", True), Deletion(), Edit("lain"), Pin(True)):
            with self.assertRaises((errors.ImportedMessage, errors.NotYours)):
                await service.changes.change(messi, here, 4, change, None)
        with self.assertRaises(errors.ImportedMessage):
            await service.reports.add(messi, here, 4, "spam")
        budi = await self.register("budi")
        with self.assertRaises(errors.UnknownConversation):
            await service.reading.history(budi, here, 10)
        with self.assertRaises(errors.ChatError):
            await service.changes.change(budi, here, 4, React("👍", True), None)
        self.assertEqual((await service.reading.newest(messi, None, {})).messages, [])

    async def test_group_that_is_here(self) -> None:
        """What the account sees of a group here is left out."""
        service = self.realm.service
        messi, budi = await self.register("messi"), await self.register("budi")
        found = await service.groups.create(budi, "bola", None)
        await service.messages.post(budi, Address("bola"), "satu", None)
        await service.groups.join(messi, Address("bola"), None)
        [shown] = await self.history(messi, "#bola")
        entry = said(shown.seq, "budi@realm1", "satu")
        other = said(shown.seq + 50, "budi@realm1", "palsu")
        data = archive(group(found.id, "bola@realm1", entry, other, home="realm1"))
        ended = await self.take(messi, data)
        self.assertEqual((ended.progress.messages, ended.progress.known), (1, 1))
        self.assertEqual(await self.texts(messi, "#bola"), ["satu"])
        self.assertEqual(await self.texts(messi, "~bola"), ["palsu"])
        self.assertEqual(await self.texts(budi, "#bola"), ["satu"])

    async def test_special_partners(self) -> None:
        """Notes to oneself stay so; what the realm has written, and people who are not here, get a
        conversation of the account alone. One without a name is left out."""
        messi = await self.register("messi")
        nameless = ArchivedConversation(9), (said(1, "x", "y"),)
        data = archive(
            direct(5, "messi", said(1, "messi", "catatan")),
            direct(6, "system", said(1, "system", "selamat")),
            direct(7, "hilang@realm1", said(1, "hilang@realm1", "hai")),
            direct(8, "a b", said(1, "a b", "x")),
            nameless,
        )
        ended = await self.take(messi, data)
        self.assertEqual((ended.progress.messages, ended.progress.known), (3, 2))
        self.assertEqual(await self.texts(messi, "messi"), ["catatan"])
        self.assertEqual(await self.texts(messi, "~system@realm9"), ["selamat"])
        self.assertEqual(await self.texts(messi, "~hilang"), ["hai"])

    async def test_twice(self) -> None:
        """The same archive again changes nothing, and a later one adds what is new."""
        messi = await self.register("messi")
        head, messages = direct(5, "budi", said(1, "budi", "satu"), said(2, "messi", "dua"))
        data = archive((head, messages), group(3, "rowing", said(1, "budi", "x")))
        await self.take(messi, data)
        before = await self.history(messi, "budi@realm9")
        again = await self.take(messi, data)
        self.assertEqual((again.progress.messages, again.progress.known), (0, 3))
        self.assertEqual(await self.history(messi, "budi@realm9"), before)
        later = archive((head, (*messages, said(4, "budi", "empat"))))
        ended = await self.take(messi, later)
        self.assertEqual((ended.progress.messages, ended.progress.known), (1, 2))
        self.assertEqual(await self.texts(messi, "budi@realm9"), ["satu", "dua", "empat"])
        self.assertLess((await self.history(messi, "budi@realm9"))[-1].seq, 0)


class Contents(ImportsTestCase):
    async def test_what_messages_have(self) -> None:
        """Edits, deletions, forwarded and opaque messages, mentions and reactions."""
        messi = await self.register("messi")
        opaque = ArchivedOpaque("application/x-test", b"\x00\x01")
        data = archive(
            direct(
                5,
                "budi",
                said(1, "budi", "kini", edited=AT, mentions=("messi", "ana@realm1", "a b")),
                said(2, "budi", deleted=True),
                said(3, "budi", opaque=opaque),
                said(4, "budi", "kata", forwarded="ana@realm2"),
                said(5, "budi", "a\x07b\r\nc", reactions={"👍": ("budi",), "x": ("budi",)}),
                said(6, "budi", ""),
                said(7, "budi", at="kapan"),
            )
        )
        await self.take(messi, data)
        found = await self.history(messi, "budi@realm9")
        self.assertEqual(len(found), 7)
        self.assertEqual((found[0].text, found[0].mentions), ("kini", ("messi@realm9", "ana")))
        self.assertIsNotNone(found[0].edited)
        self.assertTrue(found[1].deleted)
        self.assertEqual(found[2].opaque, Opaque("application/x-test", b"\x00\x01"))
        self.assertEqual(found[3].forwarded, "ana@realm2")
        self.assertEqual(found[4].text, "a\N{REPLACEMENT CHARACTER}b\nc")
        self.assertEqual([each.emoji for each in found[4].reactions], ["👍"])
        self.assertEqual(found[5].text, "\N{REPLACEMENT CHARACTER}")
        self.assertEqual(found[6].at, 0)
        self.assertFalse(any(each.withheld for each in found))

    async def test_files(self) -> None:
        """Files come with their messages, and count for the account. What is not in the archive leaves its
        name."""
        messi = await self.register("messi")
        here = ArchivedFile("files/k3x-rencana.txt", 4, sha256(b"halo").hexdigest(), "rencana.txt")
        gone = ArchivedFile("files/a-b.txt", 4, "", "../b.txt")
        data = archive(
            direct(5, "budi", said(1, "budi", file=here), said(2, "budi", file=gone)),
            files={here.path: b"halo"},
        )
        ended = await self.take(messi, data)
        self.assertEqual((ended.progress.messages, ended.progress.files), (2, 1))
        first, second = await self.history(messi, "budi@realm9")
        assert first.file is not None
        self.assertEqual((first.file.name, first.file.size), ("rencana.txt", 4))
        self.assertEqual(second.text, "\N{PAPERCLIP} b.txt")
        found = await self.realm.database.read(find_file, messi.id, first.file.code)
        assert found is not None
        download = await self.realm.service.downloads.open(found)
        self.assertEqual(await download.file.read(100), b"halo")
        await download.file.close()
        await self.take(messi, data)
        names = [path.name for path in self.realm.uploads.folder.glob("*rencana.txt")]
        self.assertEqual(len(names), 1)
        self.assertEqual(await self.realm.database.read(used_bytes, Owner(messi.id)), 4)

    async def test_profile(self) -> None:
        """What the account has not chosen is set, contacts and blocks are added."""
        service = self.realm.service
        messi, _ = await self.register("messi"), await self.register("ana")
        profile = msgspec.structs.replace(
            OLD,
            name="Leo",
            country="Argentina",
            status="di lapangan",
            contacts=("budi", "ana@realm1", "tidak ada", "messi@realm1", "hilang@realm1"),
            blocked=("joko", "@@realm7", "@@a b"),
            privacy={"receipts": False, "presence": True},
            groups=(ArchivedGroup("rowing", "Dayung", "abc:def", "private", True),),
        )
        ended = await self.take(messi, archive(profile=profile))
        self.assertEqual(ended.progress.contacts, 2)
        self.assertEqual([each.group for each in ended.progress.groups], ["rowing@realm9"])
        now = await service.accounts.find("messi")
        self.assertEqual(
            (now.display_name, now.country, now.status), ("Leo", "Argentina", "di lapangan")
        )
        contacts = await self.realm.database.read(contacts_of, messi.id)
        self.assertEqual(sorted(contacts), ["ana", "budi@realm9"])
        blocks = [each.address for each in await service.blocks.list(messi)]
        self.assertEqual(sorted(blocks), ["@@realm7", "joko@realm9"])
        self.assertEqual(await service.privacy.of(messi), Privacy(receipts=False))
        await service.accounts.change_profile(now, "Lionel", None)
        await service.privacy.choose(now, "presence", False)
        current = await service.accounts.find("messi")
        await self.take(current, archive(profile=profile))
        self.assertEqual((await service.accounts.find("messi")).display_name, "Lionel")
        self.assertEqual(await service.privacy.of(messi), Privacy(receipts=False, presence=False))


class Refusals(ImportsTestCase):
    limits = {"account_files": 2000, "account_messages": 1000}

    async def test_no_archive(self) -> None:
        """Other files are refused, with the reason, and are removed."""
        messi = await self.register("messi")
        for data in (b"", b"halo", packed({"a": b"b"}), packed({"profile.json": b"{}"})):
            ended = await self.take(messi, data)
            assert ended.refused is not None, ended
            self.assertEqual((ended.state, ended.refused.code), (FAILED, "bad-archive"))
            self.assertIsNone(ended.stored)
            await sleep(0.01)
            self.assertEqual(list(self.realm.uploads.folder.glob("*.zip")), [])
            self.realm.service.imports._quota = Quota(0)

    async def test_quotas(self) -> None:
        """Files and messages count against the account's quotas. What was imported before stays."""
        messi = await self.register("messi")
        size = 1500
        files = {f"files/{n}-a.bin": bytes(size) for n in range(2)}
        notes = [ArchivedFile(path, size, "", "a.bin") for path in files]
        big = archive(
            direct(5, "budi", *(said(n, "budi", file=note) for n, note in enumerate(notes, 1))),
            files=files,
        )
        uploads = self.realm.uploads
        with mock.patch.object(uploads, "receive", side_effect=uploads.receive) as receive:
            ended = await self.take(messi, big)
        assert ended.refused is not None, ended
        self.assertEqual((ended.refused.code, ended.progress.files), ("quota-exceeded", 0))
        written = [each for each in receive.mock_calls if each.args[0] == "a.bin"]
        self.assertEqual(len(written), 1)  # what is above the quota is not even unpacked
        self.assertEqual(list(self.realm.uploads.folder.glob("*a.bin")), [])
        many = [said(n, "budi", "x" * 150) for n in range(1, 9)]
        self.patch(archive_reader, "MAX_WEIGHT", 3)
        ended = await self.take(messi, archive(direct(6, "budi", *many)))
        assert ended.refused is not None, ended
        self.assertEqual((ended.refused.code, ended.progress.messages), ("message-quota", 6))
        self.realm.service.quotas._used.clear()
        ended = await self.take(messi, archive(direct(6, "budi", *many)))
        self.assertEqual((ended.state, ended.progress.messages), (DONE, 2))
        self.assertEqual(len(await self.history(messi, "budi@realm9")), 8)

    async def test_limits(self) -> None:
        """One import at a time, a few an hour, and none that is too large."""
        service = self.realm.service
        messi = await self.register("messi")
        with self.assertRaises(errors.FileTooLarge):
            service.imports.begin(messi, 2001)
        upload = service.imports.begin(messi, 10)
        with self.assertRaises(errors.TooManyUploads):
            service.imports.begin(messi, 10)
        upload.abort()
        full = mock.patch.object(service.disk, "check", side_effect=errors.DiskFull)
        with full, self.assertRaises(errors.DiskFull):
            service.imports.begin(messi, 10)
        for _ in range(module.PER_HOUR - 1):
            service.imports.begin(messi, 10).abort()
        with self.assertRaises(errors.TooManyImports):
            service.imports.begin(messi, 10)
        with self.assertRaises(errors.NoImport):
            await service.imports.state(messi)
        self.patch(module, "MAX_RUNNING", 0)
        with self.assertRaises(errors.Busy):
            service.imports.begin(await self.register("budi"), 10)
        self.assertEqual(service.disk.expected, 0)


class LimitedRuns:
    """Runs so many transactions of imports, and none after them."""

    def __init__(self, run: Callable[..., Any], left: int) -> None:
        self._run = run
        self.left = left

    def __call__(self, job: Any, *args: Any) -> Any:
        if "import" not in job.__module__:
            return self._run(job, *args)
        self.left -= 1
        return self._run(job, *args) if self.left >= 0 else fail(errors.ShuttingDown())


class Interruptions(ImportsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(archive_reader, "MAX_WEIGHT", 1)  # a message a page

    def make(self) -> bytes:
        note = ArchivedFile("files/k-a.txt", 4, "", "a.txt")
        return archive(
            direct(
                5, "budi", said(1, "budi", "1"), said(2, "budi", file=note), said(3, "budi", "3")
            ),
            group(3, "rowing", said(1, "budi", "4")),
            files={note.path: b"halo"},
        )

    async def test_every_step(self) -> None:
        """A daemon that is killed after any step continues, and imports everything once."""
        note = ArchivedFile("files/k-a.txt", 4, "", "a.txt")
        messages = said(1, "budi", "1"), said(2, "budi", file=note)
        data = archive(direct(5, "budi", *messages), files={note.path: b"halo"})
        steps = completed = 0
        while True:
            messi = await self.register(f"messi{steps}")
            upload = self.realm.service.imports.begin(messi, len(data))
            upload.write(data)
            database = self.realm.database
            limited = LimitedRuns(database.run, steps)
            with mock.patch.object(database, "run", limited):
                try:
                    await upload.finish()
                except errors.ShuttingDown:
                    steps += 1
                    continue  # nothing was begun
                await self.ended(messi)
            interrupted = limited.left < 0
            await self.reopen()
            messi = await self.realm.service.accounts.find(messi.name)
            ended = await self.ended(messi)
            with self.subTest(steps=steps):
                self.assertEqual((ended.state, ended.progress.messages), (DONE, 2))
                found = await self.history(messi, "budi@realm9")
                self.assertEqual([each.seq - found[0].seq for each in found], [0, 1])
                completed += 1
                files = list(self.realm.uploads.folder.glob("*a.txt"))
                self.assertEqual((ended.progress.files, len(files)), (1, completed))
            if not interrupted:
                break
            steps += 1

    async def test_cancel(self) -> None:
        """What was imported before stays, and the rest can be imported later."""
        service = self.realm.service
        messi = await self.register("messi")
        listener = Listener()
        service.presence.arrive(messi.id, listener)
        service.presence.listen(messi.id, listener, True, True)
        data = self.make()
        upload = service.imports.begin(messi, len(data))
        upload.write(data)
        await service.imports._tools.turn.acquire()
        await upload.finish()
        with self.assertRaises(errors.ImportUnfinished):
            service.imports.begin(messi, 10)
        ended = await service.imports.cancel(messi)
        service.imports._tools.turn.release()
        self.assertEqual((ended.state, ended.stored), (CANCELLED, None))
        with self.assertRaises(errors.NoImport):
            await service.imports.cancel(messi)
        await self.ended(messi)
        states = [each.state for each in listener.heard if isinstance(each, ImportChange)]
        self.assertEqual(states[-1], CANCELLED)
        ended = await self.take(messi, data)
        self.assertEqual((ended.state, ended.progress.messages), (DONE, 4))

    async def test_disk_full(self) -> None:
        """While the database stores nothing, an import waits, and continues later."""
        service = self.realm.service
        messi = await self.register("messi")
        data = self.make()
        upload = service.imports.begin(messi, len(data))
        upload.write(data)
        add = mock.patch.object(ImportJobs, "add", side_effect=errors.StorageFailed)
        with add:
            await upload.finish()
            ended = await self.ended(messi)
        self.assertEqual((ended.state, ended.progress.messages), (RUNNING, 0))
        self.assertEqual(len(service.imports._interrupted), 1)
        service.imports._timer.cancel()
        service.imports._continue()
        await sleep(0.01)
        ended = await self.ended(messi)
        self.assertEqual((ended.state, ended.progress.messages), (DONE, 4))

    async def test_reserve(self) -> None:
        """Below the reserve of the disk an import fails, and what it has imported stays."""
        service = self.realm.service
        messi = await self.register("messi")
        data = self.make()
        upload = service.imports.begin(messi, len(data))
        upload.write(data)
        with mock.patch.object(service.disk, "expect", side_effect=errors.DiskFull):
            await upload.finish()
            ended = await self.ended(messi)
        assert ended.refused is not None, ended
        self.assertEqual((ended.refused.code, ended.progress.messages), ("disk-full", 2))
        self.assertEqual(list(self.realm.uploads.folder.glob("*a.txt")), [])


class Deleted(ImportsTestCase):
    async def test_deleted_account(self) -> None:
        """Nothing that it has imported is left of an account that is deleted."""
        service = self.realm.service
        messi, budi = await self.register("messi"), await self.register("budi")
        note = ArchivedFile("files/k-a.txt", 4, "", "a.txt")
        data = archive(
            direct(5, "budi@realm1", said(1, "messi", "1"), said(2, "messi", file=note)),
            group(3, "rowing", said(1, "budi", "2")),
            files={note.path: b"halo"},
        )
        await self.take(messi, data)
        await self.send(messi, "budi", "tinggal")
        self.patch(module, "FORGET_PAGE", 2)
        await service.departures.delete(messi, "surabaya", False, "")
        while await self.realm.database.read(unfinished):
            await sleep(0.002)
        counted = await self.realm.database.read(self.count)
        self.assertEqual(counted, [1, 0, 0, 0])
        self.assertEqual(await self.texts(budi, "messi"), ["tinggal"])
        while list(self.realm.uploads.folder.glob("*a.txt")):
            await sleep(0.002)

    def count(self, connection: Any) -> list[int]:
        tables = messages, imported_messages, import_places, imports
        count = sa.func.count()
        return [connection.scalar(sa.select(count).select_from(table)) for table in tables]
