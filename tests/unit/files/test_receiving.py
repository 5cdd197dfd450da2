"""Files that arrive in one transfer."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from unittest import mock

from chatd.files.file_names import safe_name
from chatd.files.incoming import MAX_PENDING, Incoming
from chatd.files.partial_file import PartialFile
from tests.support.common import sleep
from tests.unit.files.cases import JPEG, PNG, UploadsTestCase


class Receiving(UploadsTestCase):
    async def test_whole(self) -> None:
        data = PNG + os.urandom(5000)
        incoming = self.receive(len(data), "gol.png")
        incoming.write(data)
        stored = await incoming.finish()
        self.assertEqual(stored.size, len(data))
        self.assertEqual(stored.sha256, hashlib.sha256(data).hexdigest())
        self.assertEqual(stored.mime, "image/png")
        self.assertEqual((self.folder / stored.stored).read_bytes(), data)
        self.assertEqual(self.files(), [stored.stored])

    async def test_name_and_mode(self) -> None:
        """The name is `YYYY_MM_DD_HH_MM_SS_<safe name>` (UTC), and only the daemon may read the file."""
        incoming = self.receive(1, "foto saya.jpg")
        incoming.write(b"x")
        stored = await incoming.finish()
        self.assertRegex(stored.stored, r"\A\d{4}(_\d\d){5}_foto_saya\.jpg\Z")
        mode = stat.S_IMODE((self.folder / stored.stored).stat().st_mode)
        self.assertEqual(mode, 0o600)
        self.assertEqual(stat.S_IMODE((self.folder / "incoming").stat().st_mode), 0o700)

    async def test_in_pieces(self) -> None:
        """The file is the same, however the bytes arrive."""
        data = JPEG + os.urandom(3000)
        incoming = self.receive(len(data), "x")
        for start in range(0, len(data), 7):
            incoming.write(data[start : start + 7])
            if start % 700 == 0:
                await sleep(0)
        stored = await incoming.finish()
        self.assertEqual(stored.sha256, hashlib.sha256(data).hexdigest())
        self.assertEqual(stored.mime, "image/jpeg")
        self.assertEqual((self.folder / stored.stored).read_bytes(), data)

    async def test_type_of_a_file_that_comes_byte_by_byte(self) -> None:
        incoming = self.receive(len(PNG), "x")
        for byte in PNG:
            incoming.write(bytes([byte]))
            await sleep(0)
        self.assertEqual((await incoming.finish()).mime, "image/png")

    async def test_empty(self) -> None:
        stored = await self.receive(0, "x.txt").finish()
        self.assertEqual(stored.size, 0)
        self.assertEqual(stored.sha256, hashlib.sha256().hexdigest())
        self.assertEqual((self.folder / stored.stored).read_bytes(), b"")
        self.assertEqual(self.files(), [stored.stored])

    async def test_missing(self) -> None:
        """`missing` says how many bytes are still to come."""
        incoming = self.receive(10)
        incoming.write(b"abc")
        self.assertEqual(incoming.missing, 7)
        incoming.write(b"defghij")
        self.assertEqual(incoming.missing, 0)
        await incoming.finish()

    async def test_same_name_at_once(self) -> None:
        """Files of one name that arrive at the same time are stored separately."""
        pending = []
        for number in range(20):
            incoming = self.receive(1, "x")
            incoming.write(bytes([number]))
            pending.append(incoming.finish())
        stored = [await each for each in pending]
        self.assertEqual(len({each.stored for each in stored}), 20)
        for number, each in enumerate(stored):
            self.assertEqual((self.folder / each.stored).read_bytes(), bytes([number]))

    async def test_longest_name(self) -> None:
        """The longest safe name fits after its timestamp."""
        incoming = self.receive(0, safe_name("é" * 500 + ".jpg"))
        self.assertTrue((await incoming.finish()).stored.endswith("é.jpg"))

    async def test_pause(self) -> None:
        """A sender that is faster than the disk is asked to pause, and told when to continue."""
        incoming = self.receive(4 * MAX_PENDING)
        self.assertTrue(incoming.write(b"x"))
        self.assertFalse(incoming.write(bytes(MAX_PENDING)))
        room = incoming.room()
        self.assertNoResult(room)
        await room
        for _ in range(1000):
            if incoming.write(b"x"):
                break
            await incoming.room()
        else:
            self.fail("the pause never ended")
        incoming.abort()
        await self.until_empty()

    async def test_synced_before_it_is_there(self) -> None:
        """The bytes are synced before the file gets its name, and the folder after that."""
        order: list[str] = []
        real_sync, real_replace = os.fsync, Path.replace

        def fsync(fd: int) -> None:
            order.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "bytes")
            real_sync(fd)

        def replace(path: Path, target: Path) -> Path:
            order.append("name")
            return real_replace(path, target)

        incoming = self.receive(3)
        incoming.write(b"abc")
        with mock.patch("os.fsync", fsync), mock.patch.object(Path, "replace", replace):
            await incoming.finish()
        self.assertEqual(order, ["bytes", "name", "folder"])


class Aborting(UploadsTestCase):
    async def test_aborted(self) -> None:
        """An aborted upload leaves nothing, whenever it is aborted."""
        for pieces in range(4):
            incoming = self.receive(1000)
            for _ in range(pieces):
                incoming.write(b"x" * 100)
                await sleep(0.005)
            incoming.abort()
            await self.until_empty()

    async def test_aborted_at_once(self) -> None:
        incoming = self.receive(1000)
        incoming.write(b"x" * 100)
        incoming.write(b"x" * 100)
        incoming.abort()
        await sleep(0.02)
        await self.until_empty()

    async def test_bytes_after_the_end(self) -> None:
        """Bytes for an aborted upload are dropped."""
        incoming = self.receive(1000)
        incoming.write(b"x" * 100)
        incoming.abort()
        self.assertTrue(incoming.write(b"x" * 100))
        await sleep(0.02)
        await self.until_empty()


def open_full() -> IO[bytes]:
    return Path("/dev/full").open("wb")


class DiskErrors(UploadsTestCase):
    async def fails(self, incoming: Incoming, number: int | None = None) -> None:
        """`finish` fails with OSError, and nothing is left."""
        with self.assertRaises(OSError) as caught:
            await incoming.finish()
        if number is not None:
            self.assertEqual(caught.exception.errno, number)
        self.assertEqual(self.files(), [])

    async def test_full_while_writing(self) -> None:
        """The error of a full disk is raised at the end. Until then, further bytes are dropped."""
        incoming = self.receive(300)
        incoming.write(b"x" * 100)
        await sleep(0.02)

        def full(*_args: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with mock.patch.object(PartialFile, "append", full):
            incoming.write(b"x" * 100)
            await sleep(0.02)
            self.assertTrue(incoming.write(b"x" * 100))
            await self.fails(incoming, errno.ENOSPC)

    async def test_full_device(self) -> None:
        """The same on a device that is really full."""
        incoming = self.receive(MAX_PENDING)
        full = mock.patch.object(Path, "open", return_value=open_full())
        with full, mock.patch("os.chmod"):
            incoming.write(b"x" * MAX_PENDING)
            await self.fails(incoming, errno.ENOSPC)

    async def test_sync_fails(self) -> None:
        def fail(_fd: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        incoming = self.receive(3)
        incoming.write(b"abc")
        with mock.patch("os.fsync", fail):
            await self.fails(incoming, errno.EIO)

    async def test_naming_fails(self) -> None:
        """If the finished file can't get its name, nothing is left under that name either."""

        def fail(_path: Path, _target: Path) -> None:
            raise OSError(errno.EIO, "Input/output error")

        incoming = self.receive(3)
        incoming.write(b"abc")
        with mock.patch.object(Path, "replace", fail):
            await self.fails(incoming, errno.EIO)

    async def test_folder_can_not_be_synced(self) -> None:
        real = os.fsync

        def fail(fd: int) -> None:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(errno.EIO, "Input/output error")
            real(fd)

        incoming = self.receive(3)
        incoming.write(b"abc")
        with mock.patch("os.fsync", fail):
            await self.fails(incoming, errno.EIO)

    async def test_folder_is_gone(self) -> None:
        shutil.rmtree(self.folder / "incoming")
        incoming = self.receive(3)
        incoming.write(b"abc")
        await self.fails(incoming, errno.ENOENT)

    async def test_given_up_after_an_error(self) -> None:
        shutil.rmtree(self.folder / "incoming")
        incoming = self.receive(6)
        incoming.write(b"abc")
        await sleep(0.02)
        incoming.abort()
        await sleep(0.02)
        self.assertEqual(self.files(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_other_uploads_continue(self) -> None:
        """An error in one upload does not affect others."""
        bad, good = self.receive(3), self.receive(3)
        good.write(b"abc")
        await sleep(0.02)
        real = PartialFile.append

        def sometimes(part: PartialFile, chunks: Sequence[bytes]) -> None:
            if part is bad._part:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(part, chunks)

        with mock.patch.object(PartialFile, "append", sometimes):
            bad.write(b"abc")
            finished = bad.finish()
            stored = await good.finish()
            with self.assertRaises(OSError):
                await finished
        self.assertEqual(self.files(), [stored.stored])
