"""Attachments' bytes: whole on disk under a safe name, or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import unicodedata
from pathlib import Path
from typing import IO, Any
from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatd.errors import BadFileName
from chatd.uploads import MAX_NAME_BYTES, MAX_PENDING, Incoming, Uploads, guess_type, safe_name
from tests.common import sleep

# What is sent as a name, and what is kept of it.
NAMES = (
    ("pokijan.jpg", "pokijan.jpg"),
    ("Foto saya.JPG", "Foto saya.JPG"),
    ("/etc/passwd", "passwd"),
    ("../../x.txt", "x.txt"),
    ("C:\\Users\\messi\\gol.png", "gol.png"),
    (".bashrc", "bashrc"),
    ("...x", "x"),
    ("  x.txt  ", "x.txt"),
    ("a\x00b\x1b[2J\n.txt", "ab[2J.txt"),
    ("e\u0301.txt", "é.txt"),
    ("no-ending", "no-ending"),
    ("a.tar.gz", "a.tar.gz"),
    ("a" * 300, "a" * 200),
    ("a" * 300 + ".jpg", "a" * 196 + ".jpg"),
    ("é" * 150 + ".jpg", "é" * 98 + ".jpg"),
    ("a." + "b" * 300, "a." + "b" * 198),
)
NOT_NAMES = ("", ".", "..", "...", "/", "a/", "\\", " ", "\x00", ". .", "a/..", "\ud800")

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(20)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"


class SafeName(SynchronousTestCase):
    def test_kept(self) -> None:
        for name, safe in NAMES:
            self.assertEqual(safe_name(name), safe)

    def test_refused(self) -> None:
        """A name of which nothing is left is an error that can be shown."""
        for name in NOT_NAMES:
            with self.assertRaises(BadFileName) as caught:
                safe_name(name)
            self.assertTrue(str(caught.exception).isprintable())

    @given(st.text(st.characters(exclude_categories=())))
    @example(". .bashrc")
    @example(".\u2003.x")
    @example("a" * 184 + "." + "\U0001f600" * 16)
    def test_any_text(self, name: str) -> None:
        """Never a path, a control character or a leading dot, nor more than file systems take."""
        try:
            safe = safe_name(name)
        except BadFileName:
            return
        self.assertTrue(safe)
        for bad in "/\\\x00":
            self.assertNotIn(bad, safe)
        self.assertFalse({"Cc", "Cs"} & {unicodedata.category(c) for c in safe})
        self.assertFalse(safe.startswith("."), f"{name!r} became {safe!r}")
        self.assertEqual(safe.lstrip(), safe)
        self.assertLessEqual(len(safe.encode()), MAX_NAME_BYTES)

    @given(st.text(st.characters(exclude_categories=())))
    @example(". .bashrc")
    def test_safe_stays_safe(self, name: str) -> None:
        """A safe name is kept as it is."""
        try:
            safe = safe_name(name)
        except BadFileName:
            return
        self.assertEqual(safe_name(safe.rstrip()), safe.rstrip())


class GuessType(SynchronousTestCase):
    def test_by_content(self) -> None:
        """The first bytes tell, whatever the name says."""
        self.assertEqual(guess_type(PNG, "x.txt"), "image/png")
        self.assertEqual(guess_type(JPEG, "x"), "image/jpeg")
        self.assertEqual(guess_type(PDF, "x.jpg"), "application/pdf")

    def test_by_ending(self) -> None:
        """Where the bytes tell nothing, the name's ending does."""
        self.assertEqual(guess_type(b"halo semua\n", "x.txt"), "text/plain")
        self.assertEqual(guess_type(b"", "x.png"), "image/png")

    def test_unknown(self) -> None:
        self.assertEqual(guess_type(b"halo", "x"), "application/octet-stream")
        self.assertEqual(guess_type(b"", "x"), "application/octet-stream")

    @given(st.binary(max_size=200), st.sampled_from(("x", "x.txt", "x.zzz", "x.jpg")))
    def test_any_bytes(self, head: bytes, name: str) -> None:
        """Any bytes have a type."""
        self.assertRegex(guess_type(head, name), r"\A[\w.+-]+/[\w.+-]+\Z")


class UploadsTestCase(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.uploads = Uploads(reactor, self.folder)
        self.uploads.start()
        self.addCleanup(self.uploads.stop)
        self.drained = 0

    def count_drained(self) -> None:
        self.drained += 1

    def receive(self, size: int, name: str = "x.bin") -> Incoming:
        return self.uploads.receive(name, size, self.count_drained)

    def files(self) -> list[str]:
        """All that lies in the folder, by name."""
        return sorted(
            str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()
        )

    async def until_empty(self) -> None:
        """Wait until nothing is left of what was given up."""
        for _ in range(1000):
            if not self.files():
                return
            await sleep(0.002)
        self.fail(f"still there: {self.files()}")


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
        """`<UTC timestamp>-<safe name>`, for the daemon's eyes only."""
        incoming = self.receive(1, "foto saya.jpg")
        incoming.write(b"x")
        stored = await incoming.finish()
        self.assertRegex(stored.stored, r"\A\d{8}T\d{6}\.\d{6}Z-foto saya\.jpg\Z")
        mode = stat.S_IMODE((self.folder / stored.stored).stat().st_mode)
        self.assertEqual(mode, 0o600)
        self.assertEqual(stat.S_IMODE((self.folder / "incoming").stat().st_mode), 0o700)

    async def test_in_pieces(self) -> None:
        """However the bytes arrive, the same file comes of them."""
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
        """Files of one name that arrive together become several."""
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
        """The longest safe name fits behind its timestamp."""
        incoming = self.receive(0, safe_name("é" * 500 + ".jpg"))
        self.assertTrue((await incoming.finish()).stored.endswith("é.jpg"))

    async def test_pause(self) -> None:
        """Who sends faster than the disk takes is asked to pause, and told when to go on."""
        incoming = self.receive(4 * MAX_PENDING)
        self.assertTrue(incoming.write(b"x"))
        self.assertFalse(incoming.write(bytes(MAX_PENDING)))
        while not self.drained:
            await sleep(0.002)
        for _ in range(1000):
            if incoming.write(b"x"):
                break
            await sleep(0.002)
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


class GivingUp(UploadsTestCase):
    async def test_aborted(self) -> None:
        """An upload that is given up leaves nothing, whenever that is."""
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
        """What still comes for an upload that was given up goes nowhere."""
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
        """Finishing errs with OSError, and nothing is left."""
        with self.assertRaises(OSError) as caught:
            await incoming.finish()
        if number is not None:
            self.assertEqual(caught.exception.errno, number)
        self.assertEqual(self.files(), [])

    async def test_full_while_writing(self) -> None:
        """A full disk is told at the end; until then the rest of the bytes is swallowed."""
        incoming = self.receive(300)
        incoming.write(b"x" * 100)
        await sleep(0.02)

        def full(*_args: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with mock.patch.object(Incoming, "_append", full):
            incoming.write(b"x" * 100)
            await sleep(0.02)
            self.assertTrue(incoming.write(b"x" * 100))
            await self.fails(incoming, errno.ENOSPC)

    async def test_full_device(self) -> None:
        """As before, on a device that is really full."""
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
        """When the finished file can't have its name, nothing is left under that name either."""

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

    async def test_others_go_on(self) -> None:
        """One upload's trouble is its own."""
        bad, good = self.receive(3), self.receive(3)
        good.write(b"abc")
        await sleep(0.02)
        real = Incoming._append

        def sometimes(incoming: Incoming, chunks: list[bytes]) -> None:
            if incoming is bad:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(incoming, chunks)

        with mock.patch.object(Incoming, "_append", sometimes):
            bad.write(b"abc")
            finished = bad.finish()
            stored = await good.finish()
            with self.assertRaises(OSError):
                await finished
        self.assertEqual(self.files(), [stored.stored])


class Cleaning(UploadsTestCase):
    async def test_leftovers(self) -> None:
        """At the start broken uploads go, and what no attachment owns is set aside, not thrown away."""
        kept = await self._store(b"kept")
        lost = await self._store(b"lost")
        (self.folder / "incoming" / "123-4").write_bytes(b"half")
        self.assertEqual(self.uploads.clean({kept}), 1)
        self.assertEqual(list((self.folder / "incoming").iterdir()), [])
        self.assertEqual((self.folder / "unclaimed" / lost).read_bytes(), b"lost")
        self.assertTrue((self.folder / kept).exists())
        self.assertEqual(self.uploads.clean({kept}), 0)

    async def _store(self, data: bytes) -> str:
        incoming = self.receive(len(data), "x")
        incoming.write(data)
        return (await incoming.finish()).stored

    async def test_starting_again(self) -> None:
        """The folder of an earlier run is taken over with what is in it."""
        kept = await self._store(b"kept")
        again = Uploads(reactor, self.folder)
        again.start()
        self.addCleanup(again.stop)
        file = await again.open(kept)
        self.assertEqual(await file.read(10), b"kept")
        await file.close()

    async def test_removing(self) -> None:
        stored = await self._store(b"x")
        await self.uploads.remove(stored)
        self.assertEqual(self.files(), [])
        await self.uploads.remove(stored)


class Reading(UploadsTestCase):
    async def test_in_pieces(self) -> None:
        incoming = self.receive(10, "x")
        incoming.write(b"0123456789")
        stored = await incoming.finish()
        file = await self.uploads.open(stored.stored)
        self.assertEqual(file.size, 10)
        self.assertEqual(await file.read(4), b"0123")
        self.assertEqual(await file.read(100), b"456789")
        self.assertEqual(await file.read(1), b"")
        await file.close()
        await file.close()

    async def test_not_there(self) -> None:
        with self.assertRaises(FileNotFoundError):
            await self.uploads.open("nothing")
