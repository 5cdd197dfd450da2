"""Files in rooms: who may fetch them, how long they last, and their limits."""

from __future__ import annotations

from collections.abc import Hashable
from unittest import mock

from twisted.internet import reactor

from chatd.base import errors
from chatd.base.attachments import Attachment
from chatd.base.events import RoomTalk
from chatd.base.model import Account
from chatd.files.folder import Uploads
from chatd.files.partial_file import PartialFile
from chatd.service import room_files as module
from chatd.service.room_files import RoomFiles, RoomUpload
from chatd.service.rooms import Rooms
from chatd.store.files import all_stored
from tests.support.common import ClockedTestCase, Listener, sleep

DATA = b"gol!" * 100


def account(number: int) -> Account:
    return Account(number, f"user{number}", f"user{number}", f"User {number}", "")


ANA, BUDI, CITRA = account(1), account(2), account(3)


class RoomFilesTestCase(ClockedTestCase):
    """ANA and BUDI are in the room "tamu"; CITRA is not."""

    limits = {"file": 1000}

    def setUp(self) -> None:
        super().setUp()
        self.ana, self.budi, self.citra = Listener(), Listener(), Listener()
        self.rooms.join(self.ana, ANA, self.ana, "tamu")
        self.rooms.join(self.budi, BUDI, self.budi, "tamu")

    @property
    def rooms(self) -> Rooms:
        return self.realm.service.rooms

    @property
    def files(self) -> RoomFiles:
        return self.realm.service.room_files

    def begin(self, size: int = len(DATA), name: str = "gol.txt", who: Account = ANA) -> RoomUpload:
        sessions: dict[int, Hashable] = {1: self.ana, 2: self.budi, 3: self.citra}
        return self.files.begin(sessions[who.id], who, name, size)

    async def send(
        self, data: bytes = DATA, name: str = "gol.txt", who: Account = ANA
    ) -> Attachment:
        upload = self.begin(len(data), name, who)
        upload.write(data)
        return await upload.finish()

    async def fetch(self, session: Hashable, name: str) -> bytes:
        download = await self.files.fetch(session, name)
        data: bytes = await download.file.read(1 << 20)
        await download.file.close()
        return data

    def on_disk(self) -> list[str]:
        folder = self.realm.state.uploads
        return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]

    async def until_gone(self) -> None:
        for _ in range(1000):
            if not self.on_disk():
                return
            await sleep(0.002)
        self.fail(f"there is {self.on_disk()}")

    def assert_nothing_counted(self) -> None:
        self.assertEqual(self.files._counts.files, {})
        self.assertEqual(self.files._counts.bytes, {})
        self.assertEqual(self.realm.service.disk.expected, 0)


class Sharing(RoomFilesTestCase):
    async def test_the_others_fetch_it(self) -> None:
        file = await self.send()
        for name in (file.code, "gol.txt", f"{file.code}-gol.txt"):
            self.assertEqual(await self.fetch(self.budi, name), DATA)
        (info,) = self.files.list(self.budi)
        self.assertEqual(
            (info.code, info.name, info.size, info.sender), (file.code, "gol.txt", 400, "user1")
        )

    async def test_the_others_hear_of_it(self) -> None:
        file = await self.send()
        (heard,) = self.budi.heard
        assert isinstance(heard, RoomTalk)
        self.assertEqual((heard.sender, heard.file), ("user1", file))
        self.assertEqual(self.ana.heard, [])

    async def test_client_that_announces_by_itself(self) -> None:
        upload = self.files.begin(self.ana, ANA, "gol.txt", 0, announce=False)
        await upload.finish()
        self.assertEqual(self.budi.heard, [])

    async def test_only_in_the_room(self) -> None:
        """Who is not in the room, or in another, gets nothing. Who enters later gets it."""
        await self.send()
        with self.assertRaises(errors.NotInRoom):
            await self.files.fetch(self.citra, "gol.txt")
        with self.assertRaises(errors.NotInRoom):
            self.files.list(self.citra)
        with self.assertRaises(errors.NotInRoom):
            self.begin(who=CITRA)
        self.rooms.join(self.citra, CITRA, self.citra, "dapur")
        with self.assertRaises(errors.UnknownFile):
            await self.files.fetch(self.citra, "gol.txt")
        self.rooms.join(self.citra, CITRA, self.citra, "TAMU")
        self.assertEqual(await self.fetch(self.citra, "gol.txt"), DATA)
        self.rooms.leave(self.citra)
        with self.assertRaises(errors.NotInRoom):
            await self.files.fetch(self.citra, "gol.txt")

    async def test_same_name(self) -> None:
        """The newest file has the name; the one before is there under its code."""
        first = await self.send(b"satu")
        second = await self.send(b"dua", who=BUDI)
        self.assertNotEqual(first.code, second.code)
        self.assertEqual(await self.fetch(self.ana, "gol.txt"), b"dua")
        self.assertEqual(await self.fetch(self.ana, first.code), b"satu")
        self.assertEqual(await self.fetch(self.ana, f"{first.code}-gol.txt"), b"satu")

    async def test_names_are_made_safe(self) -> None:
        """No part of a name reaches the disk."""
        file = await self.send(name="..\\../etc/\x00pass\nwd")
        self.assertEqual(file.name, "passwd")
        (path,) = self.on_disk()
        self.assertRegex(path, r"\Arooms/[0-9]+-[0-9]+\Z")
        with self.assertRaises(errors.BadFileName):
            self.begin(name="../..")
        self.assertEqual(await self.fetch(self.budi, "passwd"), DATA)

    async def test_no_row(self) -> None:
        await self.send()
        self.assertEqual(await self.realm.database.read(all_stored), set())


class Lasting(RoomFilesTestCase):
    async def test_gone_with_the_room(self) -> None:
        """The file stays when its sender leaves, and goes with the last occupant."""
        await self.send()
        self.rooms.leave(self.ana)
        self.assertEqual(await self.fetch(self.budi, "gol.txt"), DATA)
        self.rooms.leave(self.budi)
        await self.until_gone()
        self.assert_nothing_counted()
        self.rooms.join(self.ana, ANA, self.ana, "tamu")
        with self.assertRaises(errors.UnknownFile):
            await self.files.fetch(self.ana, "gol.txt")

    async def test_download_under_way(self) -> None:
        """A download that has begun is completed."""
        await self.send()
        download = await self.files.fetch(self.budi, "gol.txt")
        self.rooms.leave(self.ana)
        self.rooms.leave(self.budi)
        await self.until_gone()
        self.assertEqual(await download.file.read(1000), DATA)
        await download.file.close()

    async def test_sender_left_during_the_upload(self) -> None:
        upload = self.begin()
        upload.write(DATA)
        self.rooms.leave(self.ana)
        with self.assertRaises(errors.NotInRoom):
            await upload.finish()
        upload.abort()
        await self.until_gone()
        self.assert_nothing_counted()

    async def test_another_room_of_that_name(self) -> None:
        """A file does not come into a room that began after it was sent."""
        upload = self.begin()
        upload.write(DATA)
        self.rooms.leave(self.ana)
        self.rooms.leave(self.budi)
        self.rooms.join(self.ana, ANA, self.ana, "tamu")
        with self.assertRaises(errors.NotInRoom):
            await upload.finish()
        await self.until_gone()
        self.assert_nothing_counted()
        self.assertEqual(self.files.list(self.ana), ())

    async def test_broken_off(self) -> None:
        upload = self.begin()
        upload.write(DATA[:100])
        upload.abort()
        await self.until_gone()
        self.assert_nothing_counted()

    async def test_disk_error(self) -> None:
        """The file counts once as gone, also if the client breaks off after that."""
        full = mock.patch.object(PartialFile, "complete", side_effect=OSError("full"))
        upload = self.begin()
        upload.write(DATA)
        with full, self.assertRaises(errors.StorageFailed):
            await upload.finish()
        upload.abort()
        await self.until_gone()
        self.assert_nothing_counted()

    async def test_emptied_at_the_start(self) -> None:
        """A daemon that was killed leaves files of rooms. The next one removes them."""
        await self.send()
        killed = [self.realm.state.uploads / path for path in self.on_disk()]
        uploads = Uploads(reactor, self.realm.state.uploads)
        uploads.start()
        self.addCleanup(uploads.stop)
        self.assertEqual([path for path in killed if path.exists()], [])

    async def test_a_stop_leaves_nothing(self) -> None:
        await self.send()
        self.rooms.leave(self.ana)
        self.rooms.leave(self.budi)
        await self.realm.close()
        self.assertEqual(self.on_disk(), [])
        self.realm.open()


class Bounds(RoomFilesTestCase):
    def refuses(self, size: int, who: Account = ANA) -> None:
        with self.assertRaises(errors.RoomFilesFull):
            self.begin(size, who=who)

    async def test_size(self) -> None:
        with self.assertRaises(errors.FileTooLarge):
            self.begin(1001)

    async def test_bytes_of_an_account(self) -> None:
        """Files that are arriving count. An upload that is given up makes room."""
        first, second = self.begin(600), self.begin(400)
        self.refuses(1)
        self.begin(1000, who=BUDI).abort()
        second.abort()
        self.begin(400).abort()
        first.abort()
        self.assert_nothing_counted()

    async def test_number_of_an_account(self) -> None:
        with mock.patch.dict(module.COUNTS, account=2):
            uploads = [self.begin(0), self.begin(0)]
            self.refuses(0)
            self.begin(0, who=BUDI).abort()
            for each in uploads:
                each.abort()
        self.assert_nothing_counted()

    async def test_room(self) -> None:
        with mock.patch.dict(module.COUNTS, room=2):
            self.begin(0), self.begin(0, who=BUDI)
            self.refuses(0)
        with mock.patch.dict(module.SIZES, room=1):
            self.begin(999)
            self.refuses(2, BUDI)
            self.rooms.join(self.citra, CITRA, self.citra, "dapur")
            self.begin(2, who=CITRA)

    async def test_realm(self) -> None:
        self.rooms.join(self.citra, CITRA, self.citra, "dapur")
        with mock.patch.dict(module.SIZES, realm=1):
            self.begin(999)
            self.refuses(2, CITRA)
        with mock.patch.dict(module.COUNTS, realm=1):
            self.refuses(0, CITRA)

    async def test_disk(self) -> None:
        """Files that are arriving count as if they were on the disk."""
        with mock.patch.object(self.realm.service.disk, "room", return_value=1000):
            upload = self.begin(600)
            with self.assertRaises(errors.DiskFull):
                self.begin(600, who=BUDI)
            upload.abort()
            self.begin(600, who=BUDI).abort()
        self.assert_nothing_counted()
