"""Sending, fetching and listing files: limits, access rights, and cleaning up after errors."""

from __future__ import annotations

import hashlib
from typing import Any
from unittest import mock

import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base.attachments import Attachment
from chatd.base.errors import (
    BadFileName,
    FileDamaged,
    FileMissing,
    FileTooLarge,
    NotMember,
    QuotaExceeded,
    StorageFailed,
    UnknownFile,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.file_handles import distinct_handles
from chatd.base.model import Account, Message, Sent
from chatd.base.names import UNFILTERED, Address, Place
from chatd.base.replies import FileInfo
from chatd.files.partial_file import PartialFile
from chatd.service import downloads as module
from chatd.service.attachments import Files, Upload
from chatd.service.downloads import Downloads
from chatd.service.message_maker import MessageMaker
from chatd.simulate.databases import copy_state
from chatd.store.files import all_stored
from chatd.store.schema import attachments
from tests.support.common import ClockedTestCase, Listener, Realm, make_config, run, sleep

DATA = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256))


class FilesTestCase(ClockedTestCase):
    @property
    def files(self) -> Files:
        return self.realm.service.files

    @property
    def downloads(self) -> Downloads:
        return self.realm.service.downloads

    async def people(self, *names: str) -> list[Account]:
        accounts = self.realm.service.accounts
        return [(await accounts.register(name, "surabaya", None, None)).account for name in names]

    async def begin(self, sender: Account, to: str, size: int, name: str = "laporan.pdf") -> Upload:
        """Start an upload to people, or to a group if its name begins with `#`."""
        where: Any = (
            Address(to[1:])
            if to.startswith("#")
            else [Address(*each.split("@")) for each in to.split(",")]
        )
        return await self.files.begin(sender, where, name, size, None)

    async def send(
        self, sender: Account, to: str, data: bytes = DATA, name: str = "laporan.pdf"
    ) -> tuple[Attachment, Sent]:
        upload = await self.begin(sender, to, len(data), name)
        upload.write(data)
        return await upload.finish()

    async def fetch(self, who: Account, name: str) -> bytes:
        download = await self.downloads.fetch(who, name)
        data: bytes = await download.file.read(1 << 20)
        await download.file.close()
        return data

    def on_disk(self) -> set[str]:
        """The names of all files in the uploads folder, and in its folder of arriving files."""
        folder = self.realm.state.uploads
        return {path.name for path in folder.rglob("*") if path.is_file()}


class Sending(FilesTestCase):
    async def test_arrives_whole(self) -> None:
        """The message carries name, size, hash, type and code of the file, and its bytes are the same."""
        ana, budi = await self.people("ana", "budi")
        file, sent = await self.send(ana, "budi")
        self.assertEqual((file.name, file.size), ("laporan.pdf", len(DATA)))
        self.assertEqual(file.sha256, hashlib.sha256(DATA).hexdigest())
        self.assertEqual(file.mime, "application/pdf")
        self.assertRegex(file.code, r"\A[a-z2-9]{6}\Z")
        self.assertEqual([each.to for each in sent.receipts], ["budi"])
        page = await self.realm.service.reading.inbox(budi, UNFILTERED, {})
        (message,) = page.messages
        self.assertEqual((message.sender, message.text, message.file), ("ana", None, file))
        self.assertEqual(message.seq, sent.receipts[0].seq)
        self.assertEqual(await self.fetch(budi, file.code), DATA)

    async def test_kept(self) -> None:
        """Files and messages are still there after a restart."""
        ana, budi = await self.people("ana", "budi")
        file, _ = await self.send(ana, "budi")
        await self.reopen()
        page = await self.realm.service.reading.history(budi, Place(user=Address("ana")), 5)
        self.assertEqual([each.file for each in page.messages], [file])
        self.assertEqual(await self.fetch(budi, file.code), DATA)

    async def test_list(self) -> None:
        """A file to several people is stored once, and unknown names are reported."""
        ana, budi, citra = await self.people("ana", "budi", "citra")
        file, sent = await self.send(ana, "budi,citra,nobody")
        self.assertEqual([each.to for each in sent.receipts], ["budi", "citra"])
        self.assertEqual(list(sent.refused), ["nobody"])
        self.assertIsInstance(sent.refused["nobody"], UnknownUser)
        for who in (budi, citra):
            self.assertEqual(await self.fetch(who, file.code), DATA)
        self.assertEqual(self.on_disk(), {file.stored})

    async def test_heard(self) -> None:
        """Listeners get the file with the message that carries it."""
        ana, budi = await self.people("ana", "budi")
        listener = Listener()
        self.realm.service.presence.arrive(budi.id, listener)
        self.realm.service.presence.listen(budi.id, listener, on=True)
        file, _ = await self.send(ana, "budi")
        await sleep(0)
        (event,) = listener.heard
        assert isinstance(event, Message)
        self.assertEqual(event.file, file)

    async def test_empty(self) -> None:
        ana, budi = await self.people("ana", "budi")
        file, _ = await self.send(ana, "budi", b"", "kosong.txt")
        self.assertEqual((file.size, file.mime), (0, "text/plain"))
        self.assertEqual(await self.fetch(budi, file.code), b"")

    async def test_in_order_with_messages(self) -> None:
        """A file is numbered among the messages of its conversation."""
        ana, budi = await self.people("ana", "budi")
        for expected in (1, 2, 3):
            _, sent = await self.send(ana, "budi")
            self.assertEqual(sent.receipts[0].seq, expected)
        page = await self.realm.service.reading.search(budi, "LAPORAN")
        self.assertEqual([each.seq for each in page.messages], [3, 2, 1])

    async def test_path_is_dropped(self) -> None:
        ana, _ = await self.people("ana", "budi")
        file, _ = await self.send(ana, "budi", DATA, "../../etc/passwd")
        self.assertEqual(file.name, "passwd")
        self.assertRegex(file.stored, r"\A\d{4}(_\d\d){5}_passwd\Z")

    async def test_code_that_is_taken(self) -> None:
        """If a new code belongs to another file already, the next one is used."""
        ana, _ = await self.people("ana", "budi")
        with mock.patch("chatd.service.codes.new_code", side_effect=["aaaaaa", "aaaaaa", "bbbbbb"]):
            first, _ = await self.send(ana, "budi")
            second, _ = await self.send(ana, "budi")
        self.assertEqual((first.code, second.code), ("aaaaaa", "bbbbbb"))


class Refusing(FilesTestCase):
    limits = {"file": 1000, "account_files": 1500}

    async def test_recipient_and_name_are_checked_first(self) -> None:
        """Recipients and names are checked before any byte is sent."""
        ana, budi = await self.people("ana", "budi")
        await self.realm.service.groups.create(budi, "bagan")
        for to, name, size, error in (
            ("nobody", "x", 1, UnknownUser),
            ("budi@realm2", "x", 1, UnknownRealm),
            ("#nowhere", "x", 1, UnknownGroup),
            ("#bagan", "x", 1, NotMember),
            ("budi", "..", 1, BadFileName),
            ("budi", "x", 1001, FileTooLarge),
        ):
            self.assertIs(await self.refused(self.begin(ana, to, size, name)), error, to)
        self.assertEqual(self.on_disk(), set())

    async def test_largest(self) -> None:
        ana, _ = await self.people("ana", "budi")
        file, _ = await self.send(ana, "budi", bytes(1000))
        self.assertEqual(file.size, 1000)

    async def test_quota(self) -> None:
        """All stored files of a sender count, even after restarts. Files of others do not."""
        ana, budi = await self.people("ana", "budi")
        await self.send(ana, "budi", bytes(1000))
        await self.reopen()
        with self.assertRaises(QuotaExceeded) as caught:
            await self.begin(ana, "budi", 501)
        self.assertEqual(caught.exception.details, {"limit": 1500, "left": 500})
        await self.send(budi, "ana", bytes(1000))
        await self.send(ana, "budi", bytes(500))
        self.assertIs(await self.refused(self.begin(ana, "budi", 1)), QuotaExceeded)
        await self.send(ana, "budi", b"")

    async def test_quota_while_arriving(self) -> None:
        """An announced file counts before it has arrived, and no longer once it is aborted."""
        ana, _ = await self.people("ana", "budi")
        upload = await self.begin(ana, "budi", 1000)
        self.assertIs(await self.refused(self.begin(ana, "budi", 501)), QuotaExceeded)
        upload.abort()
        second = await self.begin(ana, "budi", 1000)
        second.write(bytes(1000))
        await second.finish()
        self.assertIs(await self.refused(self.begin(ana, "budi", 501)), QuotaExceeded)
        self.assertEqual(len(self.files.under_way.counts.bytes), 0)

    async def test_quota_at_the_same_moment(self) -> None:
        """Two uploads that are announced together do not share the same room."""
        ana, _ = await self.people("ana", "budi")
        waiting = [run(self.begin(ana, "budi", 1000)) for _ in range(3)]
        uploads = []
        refused = 0
        for each in waiting:
            try:
                uploads.append(await each)
            except QuotaExceeded:
                refused += 1
        self.assertEqual(refused, 2)
        for upload in uploads:
            upload.abort()
        await sleep(0.02)

    async def test_quota_between_last_byte_and_row(self) -> None:
        """A file still counts between its last byte and its row in the database."""
        ana, _ = await self.people("ana", "budi")
        gate: Deferred[None] = Deferred()
        real = self.files.commit
        reached: Deferred[None] = Deferred()

        async def slow(*args: Any) -> Any:
            reached.callback(None)
            await gate
            return await real(*args)

        with mock.patch.object(self.files, "commit", slow):
            upload = await self.begin(ana, "budi", 1000)
            upload.write(bytes(1000))
            finishing = run(upload.finish())
            await reached
            refused = await self.refused(self.begin(ana, "budi", 1000))
            gate.callback(None)
            await finishing
        self.assertIs(refused, QuotaExceeded)


class Fetching(FilesTestCase):
    async def test_who_may(self) -> None:
        """The sender and the recipient may fetch a file. Nobody else may, by any name."""
        ana, budi, citra = await self.people("ana", "budi", "citra")
        file, _ = await self.send(ana, "budi")
        for name in (file.code, file.name, file.stored):
            self.assertEqual(await self.fetch(ana, name), DATA)
            self.assertEqual(await self.fetch(budi, name), DATA)
            self.assertIs(await self.refused(self.downloads.fetch(citra, name)), UnknownFile)

    async def test_group(self) -> None:
        """Members of the group may fetch a file, including later ones. Former members may not, except the
        sender."""
        ana, budi, citra = await self.people("ana", "budi", "citra")
        groups = self.realm.service.groups
        await groups.create(ana, "bagan")
        await groups.join(budi, Address("bagan"))
        file, _ = await self.send(budi, "#bagan")
        self.assertEqual(await self.fetch(ana, file.code), DATA)
        self.assertIs(await self.refused(self.downloads.fetch(citra, file.code)), UnknownFile)
        await groups.join(citra, Address("bagan"))
        self.assertEqual(await self.fetch(citra, file.code), DATA)
        await groups.leave(citra, Address("bagan"))
        await groups.leave(budi, Address("bagan"))
        self.assertIs(await self.refused(self.downloads.fetch(citra, file.code)), UnknownFile)
        self.assertEqual(await self.fetch(budi, file.code), DATA)

    async def test_newest_of_a_name(self) -> None:
        """A name that several files have means the newest one that the account may fetch."""
        ana, budi, citra = await self.people("ana", "budi", "citra")
        await self.send(ana, "budi", b"first")
        await self.send(ana, "budi", b"second")
        await self.send(ana, "citra", b"third")
        self.assertEqual(await self.fetch(budi, "laporan.pdf"), b"second")
        self.assertEqual(await self.fetch(citra, "laporan.pdf"), b"third")

    async def test_code_before_name(self) -> None:
        """A file cannot be replaced by giving another one its code as a name."""
        ana, budi = await self.people("ana", "budi")
        file, _ = await self.send(ana, "budi", b"real")
        await self.send(ana, "budi", b"false", file.code)
        self.assertEqual(await self.fetch(budi, file.code), b"real")

    async def test_every_file_of_a_name(self) -> None:
        """Earlier files of a name are found by their codes, alone or before the name."""
        ana, budi, citra = await self.people("ana", "budi", "citra")
        sent = [(await self.send(ana, "budi", data))[0] for data in (b"1", b"2", b"3")]
        for data, file in zip((b"1", b"2", b"3"), sent, strict=True):
            for name in (file.code, f"{file.code}-laporan.pdf", file.stored):
                self.assertEqual(await self.fetch(budi, name), data)
                self.assertIs(await self.refused(self.downloads.fetch(citra, name)), UnknownFile)
        unknown = self.downloads.fetch(budi, f"{sent[0].code}-other.pdf")
        self.assertIs(await self.refused(unknown), UnknownFile)

    async def test_distinct_handles(self) -> None:
        """What a list calls a file means this file, also if another file has that as its name."""
        ana, budi = await self.people("ana", "budi")
        first, _ = await self.send(ana, "budi", b"0", "a.txt")
        for name in ("a.txt", first.code, f"{first.code}-a.txt", "b-c.txt", "b-c.txt", "-", "a-"):
            await self.send(ana, "budi", name.encode(), name)
        files = await self.downloads.list(budi)
        handles = distinct_handles(files)
        self.assertEqual(len(set(handles)), 8)
        for file, handle in zip(files, handles, strict=True):
            download = await self.downloads.fetch(budi, handle)
            await download.file.close()
            self.assertEqual(download.attachment.code, file.code, handle)
        self.assertEqual(handles[:2], [f"{first.code}-a.txt", "a.txt"])

    async def test_stored_by_an_older_release(self) -> None:
        """Its name on disk is another, and stays."""
        ana, budi = await self.people("ana", "budi")
        file, _ = await self.send(ana, "budi")
        older = "20260101T101503.123456Z-laporan.pdf"
        (self.realm.state.uploads / file.stored).rename(self.realm.state.uploads / older)
        change = sa.update(attachments).values(stored=older)
        await self.realm.database.run(lambda connection: connection.execute(change))
        await self.reopen()
        self.assertEqual(self.on_disk(), {older})
        for name in (file.code, file.name, older):
            self.assertEqual(await self.fetch(budi, name), DATA)
        second = file.at // 1000 * 1000
        found = await self.downloads.find(budi, "x", stamped=("laporan.pdf", second))
        await (await self.downloads.open(found)).file.close()
        with self.assertRaises(UnknownFile):
            await self.downloads.find(budi, "x", stamped=("laporan.pdf", second + 1000))

    async def test_unknown(self) -> None:
        (ana,) = await self.people("ana")
        for name in ("aaaaaa", "../chatd.db", "", "\x1b[2J", "%", "x" * 10000):
            with self.assertRaises(UnknownFile) as caught:
                await self.downloads.fetch(ana, name)
            self.assertTrue(str(caught.exception).isprintable())

    async def test_missing_or_changed_on_disk(self) -> None:
        """A missing or changed file is not sent, and the error is logged for the operator."""
        ana, budi = await self.people("ana", "budi")
        file, _ = await self.send(ana, "budi")
        path = self.realm.state.uploads / file.stored
        path.write_bytes(DATA[:-1])
        self.assertIs(await self.refused(self.downloads.fetch(budi, file.code)), FileDamaged)
        path.unlink()
        self.assertIs(await self.refused(self.downloads.fetch(budi, file.code)), FileMissing)

    async def test_changed_on_disk_after_it_was_fetched(self) -> None:
        """Different bytes of the same size are noticed. An unchanged file is not hashed again."""
        ana, budi = await self.people("ana", "budi")
        file, _ = await self.send(ana, "budi")
        with mock.patch("hashlib.file_digest", wraps=hashlib.file_digest) as digest:
            for _ in range(3):
                download = await self.downloads.fetch(budi, file.code)
                self.assertEqual(await download.file.read(len(DATA) + 1), DATA)
                await download.file.close()
            self.assertEqual(digest.call_count, 1)
        path = self.realm.state.uploads / file.stored
        path.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
        self.assertIs(await self.refused(self.downloads.fetch(budi, file.code)), FileDamaged)
        path.write_bytes(DATA)  # as from a backup
        download = await self.downloads.fetch(budi, file.code)
        await download.file.close()


class Listing(FilesTestCase):
    async def test_mine(self) -> None:
        """The files of the account's conversations, oldest first, each once, with their senders."""
        ana, budi, citra = await self.people("ana", "budi", "citra")
        first, _ = await self.send(ana, "budi,citra", DATA, "a.txt")
        self.clock.advance(1)
        second, _ = await self.send(budi, "ana", b"x", "b.txt")
        await self.send(budi, "citra", b"y", "c.txt")
        expected = (
            FileInfo(first.code, "a.txt", len(DATA), "ana", 1_000_000_000),
            FileInfo(second.code, "b.txt", 1, "budi", 1_000_001_000),
        )
        self.assertEqual(await self.downloads.list(ana), expected)
        self.assertEqual(
            [each.name for each in await self.downloads.list(citra)], ["a.txt", "c.txt"]
        )

    async def test_own_in_a_group_that_was_left(self) -> None:
        """It may still be fetched, so it is listed: its name means this file, and no older one."""
        ana, budi = await self.people("ana", "budi")
        older, _ = await self.send(budi, "ana", b"older")
        await self.realm.service.groups.create(ana, "bagan")
        own, _ = await self.send(ana, "#bagan", b"own")
        await self.realm.service.groups.leave(ana, Address("bagan"))
        files = await self.downloads.list(ana)
        self.assertEqual([each.code for each in files], [older.code, own.code])
        self.assertEqual(await self.fetch(ana, distinct_handles(files)[0]), b"older")

    async def test_newest_if_there_are_many(self) -> None:
        ana, _ = await self.people("ana", "budi")
        for number in range(4):
            await self.send(ana, "budi", b"", f"{number}.txt")
        with mock.patch.object(module, "MAX_LISTED", 2):
            self.assertEqual(
                [each.name for each in await self.downloads.list(ana)], ["2.txt", "3.txt"]
            )


class GoingWrong(FilesTestCase):
    async def test_killed_before_the_row_is_there(self) -> None:
        """The file is whole and set aside. One that is sent again in that second is another one."""
        ana, budi = await self.people("ana", "budi")
        killed = self.folder / "killed"
        real = Files.commit

        async def commit(*args: Any) -> Any:
            copy_state(self.realm.state.path, killed)
            return await real(*args)

        with mock.patch.object(Files, "commit", commit):
            file, _ = await self.send(ana, "budi", b"first")
        await self.realm.close()
        self.realm = Realm(make_config(killed), self.clock)
        self.realm.open()
        self.assertEqual(await self.downloads.list(budi), ())
        aside = self.realm.state.uploads / "unclaimed" / file.stored
        self.assertEqual(aside.read_bytes(), b"first")
        again, _ = await self.send(ana, "budi", b"second")
        self.assertEqual(again.stored, file.stored)
        await self.reopen()
        self.assertEqual(await self.fetch(budi, again.code), b"second")
        self.assertEqual(await self.fetch(budi, again.stored), b"second")
        self.assertEqual(aside.read_bytes(), b"first")

    async def test_given_up(self) -> None:
        """An aborted upload leaves no bytes and no message, and uses no quota."""
        ana, budi = await self.people("ana", "budi")
        upload = await self.begin(ana, "budi", 1000)
        upload.write(bytes(500))
        self.assertEqual(upload.missing, 500)
        upload.abort()
        await self._until_empty()
        self.assertEqual(
            (await self.realm.service.reading.inbox(budi, UNFILTERED, {})).messages, []
        )
        self.assertEqual(await self.downloads.list(ana), ())
        self.assertEqual(len(self.files.under_way.counts.bytes), 0)

    async def _until_empty(self) -> None:
        for _ in range(1000):
            if not self.on_disk():
                return
            await sleep(0.002)
        self.fail(f"still there: {self.on_disk()}")

    async def test_disk_error(self) -> None:
        """If the bytes cannot be stored, the sender is told, and nothing is left."""
        ana, budi = await self.people("ana", "budi")
        upload = await self.begin(ana, "budi", 3)
        failing = mock.patch.object(PartialFile, "append", side_effect=OSError(28, "No space left"))
        with failing:
            upload.write(b"abc")
            self.assertIs(await self.refused(upload.finish()), StorageFailed)
        self.assertEqual(self.on_disk(), set())
        self.assertEqual(
            (await self.realm.service.reading.inbox(budi, UNFILTERED, {})).messages, []
        )
        self.assertEqual(len(self.files.under_way.counts.bytes), 0)
        await self.send(ana, "budi")

    async def test_database_error(self) -> None:
        """If the messages cannot be stored, the bytes are removed."""
        ana, budi = await self.people("ana", "budi")
        upload = await self.begin(ana, "budi", 3)
        upload.write(b"abc")
        with mock.patch.object(MessageMaker, "store_file", side_effect=StorageFailed()):
            self.assertIs(await self.refused(upload.finish()), StorageFailed)
        self.assertEqual(self.on_disk(), set())
        self.assertEqual(await self.downloads.list(budi), ())

    async def test_file_and_messages_are_stored_together(self) -> None:
        """If one of the messages cannot be stored, neither the file nor the other messages are."""
        ana, budi, citra = await self.people("ana", "budi", "citra")
        upload = await self.begin(ana, "budi,citra", 3)
        upload.write(b"abc")
        writer = type(self.realm.service.context.writers.messages)
        with mock.patch.object(writer, "store", side_effect=StorageFailed()):
            self.assertIs(await self.refused(upload.finish()), StorageFailed)
        self.assertEqual(await self.realm.database.read(all_stored), set())
        self.assertEqual(self.on_disk(), set())
        for who in (budi, citra):
            self.assertEqual(
                (await self.realm.service.reading.inbox(who, UNFILTERED, {})).messages, []
            )

    async def test_unexpected_error(self) -> None:
        """Even an unexpected error leaves no bytes without a message."""
        ana, _ = await self.people("ana", "budi")
        upload = await self.begin(ana, "budi", 3)
        upload.write(b"abc")
        broken = mock.patch.object(MessageMaker, "store_file", side_effect=ZeroDivisionError)
        with broken, self.assertRaises(ZeroDivisionError):
            await upload.finish()
        self.assertEqual(self.on_disk(), set())

    async def test_no_leftover_files(self) -> None:
        """The stored attachments are exactly the files on disk."""
        ana, _ = await self.people("ana", "budi")
        await self.send(ana, "budi")
        await self.send(ana, "budi")
        self.assertEqual(await self.realm.database.read(all_stored), self.on_disk())
