"""Attachments' bytes: whole on disk under a safe name, or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatd.base.errors import BadFileName, FileMissing
from chatd.base.model import Attachment
from chatd.files import incoming as incoming_module
from chatd.files.folder import (
    KEEP_PARTS,
    MAX_NAME_BYTES,
    MAX_PENDING,
    ChangedBytes,
    Incoming,
    StoredFile,
    Uploads,
    guess_type,
    safe_name,
)
from tests.support.common import sleep

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
    ("holiday_\u202egpj.exe", "holiday_gpj.exe"),
    ("\u200f\u2067.a\u2069.txt", "a.txt"),
    ("a\u3164\u200b.txt\u2060", "a.txt"),
    ("a" * 300, "a" * 200),
    ("a" * 300 + ".jpg", "a" * 196 + ".jpg"),
    ("é" * 150 + ".jpg", "é" * 98 + ".jpg"),
    ("a." + "b" * 300, "a." + "b" * 198),
)
NOT_NAMES = (
    "",
    ".",
    "..",
    "...",
    "/",
    "a/",
    "\\",
    " ",
    "\x00",
    ". .",
    "a/..",
    "\ud800",
    "\u3164",
    "\u202e.\u200b",
)

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

    def test_long_ones_are_cut_before_they_are_normalised(self) -> None:
        """That takes seconds for many marks. The end stays, which says what kind of file it is."""
        with mock.patch("unicodedata.normalize", wraps=unicodedata.normalize) as normalize:
            safe = safe_name("/tmp/a" + "\u0315\u0300" * 10_000 + ".png")
        self.assertTrue(safe.endswith(".png"))
        self.assertLessEqual(max(len(call.args[1]) for call in normalize.mock_calls), 512)

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

    async def until(self, done: Callable[[], bool]) -> None:
        for _ in range(1000):
            if done():
                return
            await sleep(0.002)
        self.fail(f"waited in vain; there is {self.files()}")

    async def until_empty(self) -> None:
        """Wait until nothing is left of what was given up."""
        await self.until(lambda: not self.files())


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


def crash(incoming: Incoming) -> None:
    """What the daemon's end does to an open file: its buffer is lost."""
    incoming._file.raw.close()  # type: ignore[union-attr]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class ResumingTestCase(UploadsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.part = self.folder / "incoming" / "k.part"
        self.data = PNG + os.urandom(100_000)

    def resume(self, size: int | None = None, key: str = "k") -> Deferred[Incoming]:
        size = len(self.data) if size is None else size
        return self.uploads.resume(key, "gol.png", size, self.count_drained)

    async def idle(self, incoming: Incoming) -> None:
        """Wait until the disk has taken what there is."""
        await self.until(lambda: not incoming._busy)

    async def suspended(self, data: bytes) -> None:
        """Leave so much of the file."""
        incoming = await self.resume()
        incoming.write(data)
        await incoming.suspend()

    def restart(self) -> None:
        """Another daemon on the same folder."""
        self.uploads = Uploads(reactor, self.folder)
        self.uploads.start()
        self.addCleanup(self.uploads.stop)
        self.uploads.clean(())

    async def goes_on(self, offset: int) -> StoredFile:
        """The file is resumed there, and comes out whole."""
        incoming = await self.resume()
        self.assertEqual(incoming.offset, offset)
        self.assertEqual(incoming.missing, len(self.data) - offset)
        incoming.write(self.data[offset:])
        self.assertEqual(incoming.missing, 0)
        stored = await incoming.finish(sha256(self.data))
        self.assertEqual(stored.size, len(self.data))
        self.assertEqual(stored.sha256, sha256(self.data))
        self.assertEqual((self.folder / stored.stored).read_bytes(), self.data)
        self.assertEqual(self.files(), [stored.stored])
        return stored


class Resuming(ResumingTestCase):
    async def test_nothing_there(self) -> None:
        self.assertEqual((await self.goes_on(0)).mime, "image/png")

    async def test_after_a_break(self) -> None:
        """What was accepted is there, down to the last byte; and the type is still told by the head."""
        await self.suspended(self.data[:12_345])
        self.assertEqual(self.part.read_bytes(), self.data[:12_345])
        self.assertEqual((await self.goes_on(12_345)).mime, "image/png")

    async def test_break_within_the_head(self) -> None:
        await self.suspended(self.data[:5])
        self.assertEqual((await self.goes_on(5)).mime, "image/png")

    async def test_many_breaks(self) -> None:
        for start in range(0, 50_000, 5000):
            incoming = await self.resume()
            self.assertEqual(incoming.offset, start)
            for at in range(start, start + 5000, 1000):
                incoming.write(self.data[at : at + 1000])
            await incoming.suspend()
        await self.goes_on(50_000)

    async def test_after_a_restart(self) -> None:
        await self.suspended(self.data[:50_000])
        self.restart()
        await self.goes_on(50_000)

    async def test_after_a_crash(self) -> None:
        """What was still in a buffer is lost, and simply asked for again."""
        incoming = await self.resume()
        incoming.write(self.data[:50_000])
        await self.idle(incoming)
        incoming.write(self.data[50_000:50_010])
        await self.idle(incoming)
        crash(incoming)
        left = self.part.stat().st_size
        self.assertLess(left, 50_010)
        self.restart()
        await self.goes_on(left)

    async def test_torn_tail(self) -> None:
        await self.suspended(self.data[:50_000])
        os.truncate(self.part, 49_321)
        self.restart()
        await self.goes_on(49_321)

    async def test_all_there(self) -> None:
        """The break was between the last byte and its acknowledgement."""
        await self.suspended(self.data)
        await self.goes_on(len(self.data))

    async def test_empty(self) -> None:
        self.data = b""
        await self.suspended(b"")
        await self.goes_on(0)

    async def test_more_than_there_should_be(self) -> None:
        """Then it is another file, and nothing of it is used."""
        await self.suspended(self.data)
        self.data = os.urandom(len(self.data) - 1)
        await self.goes_on(0)

    async def test_read_back_in_steps(self) -> None:
        """A large file is read back a piece at a time, so that others get their turn; before that ends
        nobody is told to go on. Who gives up waiting stops it."""
        await self.suspended(self.data[:80_000])
        self.drained = 0
        with (
            mock.patch.object(incoming_module, "READ", 1000),
            mock.patch.object(incoming_module, "STEP", 8000),
            mock.patch.object(self.uploads, "in_thread", wraps=self.uploads.in_thread) as steps,
        ):
            incoming = await self.resume()
            self.assertEqual(steps.call_count, 11)
            self.assertEqual(incoming.offset, 80_000)
            self.assertEqual(self.drained, 0)
            await incoming.suspend()
            steps.reset_mock()
            given_up = self.resume()
            given_up.cancel()
            self.failureResultOf(given_up, CancelledError)
            incoming = await self.resume()
            self.assertEqual(steps.call_count, 2 + 11)
        await incoming.suspend()
        await self.goes_on(80_000)

    async def test_pause(self) -> None:
        """As for any upload: who is too fast is paused."""
        self.data = os.urandom(4 * MAX_PENDING)
        incoming = await self.resume()
        self.assertTrue(incoming.write(self.data[:1]))
        self.assertFalse(incoming.write(self.data[1 : MAX_PENDING + 1]))
        await self.until(lambda: self.drained > 0)
        await incoming.suspend()
        await self.goes_on(MAX_PENDING + 1)

    async def test_mode(self) -> None:
        await self.suspended(b"x")
        self.assertEqual(stat.S_IMODE(self.part.stat().st_mode), 0o600)

    async def test_keys(self) -> None:
        """What could leave the folder is no key."""
        for key in ("", "a/b", "..\n", "A", "a b", "\x00", "é"):
            with self.assertRaises(AssertionError):
                self.resume(key=key)
        for key in (".", "..", "realm1.example-42", "-"):
            incoming = await self.resume(key=key)
            incoming.write(b"x")
            await incoming.suspend()
            self.assertEqual(self.files(), [f"incoming/{key}.part"])
            await self.uploads.forget(key)


class Suspending(ResumingTestCase):
    async def test_writes_what_was_accepted(self) -> None:
        """Also what still waits for the disk is written; nobody is told to go on."""
        incoming = await self.resume()
        for at in range(0, 50_000, 100):
            incoming.write(self.data[at : at + 100])
        done = incoming.suspend()
        drained = self.drained
        await done
        self.assertEqual(self.drained, drained)
        self.assertEqual(self.part.read_bytes(), self.data[:50_000])

    async def test_afterwards(self) -> None:
        """The upload is over: nothing that is done with it touches the file."""
        incoming = await self.resume()
        incoming.write(b"abc")
        done = incoming.suspend()
        self.assertTrue(incoming.write(b"x" * MAX_PENDING))
        incoming.abort()
        await done
        incoming.abort()
        self.assertTrue(incoming.write(b"x"))
        await incoming.suspend()
        with self.assertRaises(OSError):
            await incoming.finish()
        self.assertEqual(self.part.read_bytes(), b"abc")

    async def test_twice(self) -> None:
        incoming = await self.resume()
        incoming.write(b"abc")
        first, second = incoming.suspend(), incoming.suspend()
        await second
        await first
        self.assertEqual(self.part.read_bytes(), b"abc")

    async def test_while_finishing(self) -> None:
        """What is being finished is finished."""
        incoming = await self.resume()
        incoming.write(self.data)
        finished = incoming.finish(sha256(self.data))
        await incoming.suspend()
        stored = self.successResultOf(finished)
        self.assertEqual(self.files(), [stored.stored])

    async def test_while_aborting(self) -> None:
        incoming = await self.resume()
        incoming.write(self.data)
        incoming.abort()
        await incoming.suspend()
        self.assertEqual(self.files(), [])

    async def test_only_resumable(self) -> None:
        incoming = self.receive(1)
        with self.assertRaises(AssertionError):
            incoming.suspend()


class Ending(ResumingTestCase):
    async def test_abort(self) -> None:
        """Nothing is left, neither of now nor of before."""
        await self.suspended(self.data[:1000])
        incoming = await self.resume()
        incoming.write(self.data[1000:2000])
        incoming.abort()
        await self.until_empty()
        await self.goes_on(0)

    async def test_abort_at_once(self) -> None:
        await self.suspended(self.data[:1000])
        (await self.resume()).abort()
        await self.until_empty()

    async def test_forget(self) -> None:
        await self.suspended(self.data[:1000])
        await self.uploads.forget("k")
        self.assertEqual(self.files(), [])
        await self.uploads.forget("k")
        await self.goes_on(0)

    async def test_forget_waits(self) -> None:
        incoming = await self.resume()
        forgotten = self.uploads.forget("k")
        incoming.write(b"abc")
        await self.idle(incoming)
        self.assertNoResult(forgotten)
        incoming.suspend()
        await forgotten
        self.assertEqual(self.files(), [])

    async def test_wrong_hash(self) -> None:
        """The file is thrown away, so that the next try starts anew."""
        await self.suspended(b"\0" * 1000)
        incoming = await self.resume()
        incoming.write(self.data[1000:])
        with self.assertRaises(ChangedBytes):
            await incoming.finish(sha256(self.data))
        self.assertEqual(self.files(), [])
        await self.goes_on(0)

    async def test_wrong_hash_of_others(self) -> None:
        """As before, for what is not resumable."""
        incoming = self.receive(3)
        incoming.write(b"abc")
        with self.assertRaises(ChangedBytes):
            await incoming.finish(sha256(b"abd"))
        self.assertEqual(self.files(), [])

    async def test_without_hash(self) -> None:
        await self.suspended(self.data[:1000])
        incoming = await self.resume()
        incoming.write(self.data[1000:])
        self.assertEqual((await incoming.finish()).sha256, sha256(self.data))

    async def test_finish_after_abort(self) -> None:
        """However long ago that was, it errs."""
        for later in (False, True):
            incoming = await self.resume()
            incoming.abort()
            if later:
                await self.until(lambda incoming=incoming: incoming._closed)  # type: ignore[misc]
            with self.assertRaises(OSError):
                await incoming.finish()


class SameKey(ResumingTestCase):
    async def waits(self, end: Callable[[Incoming], object], offset: int) -> None:
        """The second one waits until the first is at its end."""
        first = await self.resume()
        second, other = self.resume(), self.resume(key="other")
        await (await other).suspend()
        await self.uploads.forget("other")
        first.write(self.data[:70_000])
        await self.idle(first)
        self.assertNoResult(second)
        end(first)
        self.assertNoResult(second)
        resumed = await second
        self.assertEqual(resumed.offset, offset)
        await resumed.suspend()
        await self.goes_on(offset)

    async def test_waits_for_suspend(self) -> None:
        await self.waits(lambda first: first.suspend(), 70_000)

    async def test_waits_for_abort(self) -> None:
        await self.waits(lambda first: first.abort(), 0)

    async def test_waits_for_finish(self) -> None:
        first = await self.resume()
        second = self.resume()
        first.write(self.data)
        stored = await first.finish()
        resumed = await second
        self.assertEqual(resumed.offset, 0)
        resumed.abort()
        await self.until(lambda: self.files() == [stored.stored])

    async def test_waits_for_failing_finish(self) -> None:
        first = await self.resume()
        second = self.resume()
        first.write(self.data)
        with self.assertRaises(ChangedBytes):
            await first.finish("no")
        self.assertEqual((await second).offset, 0)

    async def test_one_after_the_other(self) -> None:
        """Each gets what those before it have left."""
        pending = [self.resume() for _ in range(5)]
        for number, each in enumerate(pending):
            incoming = await each
            self.assertEqual(incoming.offset, number * 10)
            for other in pending[number + 1 :]:
                self.assertNoResult(other)
            incoming.write(self.data[number * 10 : number * 10 + 10])
            incoming.suspend()
        await self.goes_on(50)
        self.assertEqual(self.uploads._parts, {})

    async def test_cancelled_while_waiting(self) -> None:
        first = await self.resume()
        second, third = self.resume(), self.resume()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        first.suspend()
        await (await third).suspend()
        self.assertEqual(self.uploads._parts, {})

    async def test_cancelled_while_reading_back(self) -> None:
        """The file is not anybody's before the thread has let go of it."""
        await self.suspended(self.data[:1000])
        second, third = self.resume(), self.resume()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertNoResult(third)
        resumed = await third
        self.assertEqual(resumed.offset, 1000)
        await resumed.suspend()
        self.assertEqual(self.uploads._parts, {})


class DiskErrorsWhileResuming(ResumingTestCase):
    async def test_folder_is_gone(self) -> None:
        shutil.rmtree(self.folder / "incoming")
        with self.assertRaises(FileNotFoundError):
            await self.resume()
        self.assertEqual(self.uploads._parts, {})

    async def test_can_not_be_read(self) -> None:
        """What is there stays, for a better time."""
        await self.suspended(self.data[:1000])
        bad = OSError(errno.EIO, "Input/output error")
        with mock.patch.object(Incoming, "_take", side_effect=bad):
            first, second = self.resume(), self.resume()
            for each in (first, second):
                with self.assertRaises(OSError) as caught:
                    await each
                self.assertIs(caught.exception, bad)
        self.assertEqual(self.part.read_bytes(), self.data[:1000])
        await self.goes_on(1000)

    async def test_full_while_writing(self) -> None:
        """`error` tells at once; what the disk took is there when there is room again."""
        incoming = await self.resume()
        incoming.write(self.data[:1000])
        await self.idle(incoming)
        self.assertIsNone(incoming.error)
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch.object(Incoming, "_append", side_effect=full):
            incoming.write(self.data[1000:2000])
            await self.idle(incoming)
        self.assertIs(incoming.error, full)
        self.assertTrue(incoming.write(self.data[2000:3000]))
        await incoming.suspend()
        await self.goes_on(1000)

    async def test_full_until_the_end(self) -> None:
        """Who finishes in spite of it loses the file."""
        await self.suspended(self.data[:1000])
        incoming = await self.resume()
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch.object(Incoming, "_append", side_effect=full):
            incoming.write(self.data[1000:])
            with self.assertRaises(OSError) as caught:
                await incoming.finish(sha256(self.data))
        self.assertIs(caught.exception, full)
        self.assertEqual(self.files(), [])
        await self.goes_on(0)

    async def test_full_while_closing(self) -> None:
        """The buffer's end is lost, which is found when the file is resumed."""
        incoming = await self.resume()
        incoming.write(self.data[:50_000])
        await self.idle(incoming)
        full = OSError(errno.ENOSPC, "No space left on device")

        def leave(incoming: Incoming) -> None:
            crash(incoming)
            raise full

        incoming.write(self.data[50_000:50_010])
        with mock.patch.object(Incoming, "_leave", leave):
            await incoming.suspend()
        left = self.part.stat().st_size
        self.assertLess(left, 50_010)
        await self.goes_on(left)

    async def test_forgetting_fails(self) -> None:
        """That is for the log; the next start cleans."""
        await self.suspended(self.data[:1000])
        bad = OSError(errno.EIO, "Input/output error")
        with mock.patch.object(Path, "unlink", side_effect=bad):
            await self.uploads.forget("k")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        await self.goes_on(1000)


class ByHand(Uploads):
    """Its threads work when told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Clock(), folder)
        self.jobs: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.jobs.append((done, work, args))
        return done

    def step(self) -> bool:
        """Do one piece of work; False if there is none."""
        if not self.jobs:
            return False
        done, work, args = self.jobs.pop(0)
        try:
            result = work(*args)
        except Exception:
            done.errback(Failure())
        else:
            done.callback(result)
        return True

    def run(self) -> None:
        while self.step():
            pass


class Journey:
    """One file on its way over many breaks; what happens, `random` says."""

    def __init__(self, folder: Path, data: bytes, random: random.Random) -> None:
        self.folder = folder
        self.data = data
        self.random = random
        self.accepted = 0
        self.uploads = self.start()
        self.incoming = self.resume()

    def start(self) -> ByHand:
        uploads = ByHand(self.folder)
        for each in (self.folder, self.folder / "incoming"):
            each.mkdir(exist_ok=True)
        return uploads

    def resume(self) -> Incoming:
        """Go on, perhaps with others in the way that give it up again."""
        resumed = self.uploads.resume("k", "x", len(self.data), lambda: None)
        if self.random.random() < 0.2:
            for _ in range(self.random.randrange(3)):
                self.uploads.step()
            resumed.cancel()
            resumed.addCallbacks(
                lambda incoming: incoming.suspend(), lambda failure: failure.trap(CancelledError)
            )
            resumed = self.uploads.resume("k", "x", len(self.data), lambda: None)
        self.uploads.run()
        incoming: Incoming = resumed.result  # type: ignore[assignment]
        assert incoming.offset <= self.accepted
        self.accepted = incoming.offset
        return incoming

    def write(self) -> None:
        size = self.random.choice((1, 10, 1000, 20_000))
        chunk = self.data[self.accepted : self.accepted + size]
        self.accepted += len(chunk)
        self.incoming.write(chunk)

    def step(self) -> None:
        self.uploads.step()

    def suspend(self) -> None:
        """The link breaks: nothing of what was accepted is lost."""
        accepted = self.accepted
        self.incoming.suspend()
        self.incoming = self.resume()
        assert self.incoming.offset == accepted

    def crash(self) -> None:
        """The daemon ends, and perhaps the machine, too."""
        crash(self.incoming)
        part = self.folder / "incoming" / "k.part"
        if self.random.random() < 0.3:
            os.truncate(part, self.random.randint(0, part.stat().st_size))
        self.uploads = self.start()
        self.uploads.clean(())
        self.incoming = self.resume()

    def travel(self) -> StoredFile:
        while self.accepted < len(self.data):
            weights = (10, 10, 2, 1)
            (act,) = self.random.choices((self.write, self.step, self.suspend, self.crash), weights)
            act()
        finished = self.incoming.finish(sha256(self.data))
        self.uploads.run()
        stored: StoredFile = finished.result  # type: ignore[assignment]
        return stored


class AnyJourney(SynchronousTestCase):
    @given(st.binary(max_size=200), st.integers(1, 300), st.randoms(use_true_random=False))
    @example(b"", 1, random.Random(0))  # noqa: S311
    def test_same_bytes(self, seed: bytes, times: int, chance: random.Random) -> None:
        """However often a file is suspended, resumed and torn, in the end it is the file that was sent."""
        data = seed * times
        with tempfile.TemporaryDirectory() as folder:
            stored = Journey(Path(folder), data, chance).travel()
            self.assertEqual(stored.sha256, sha256(data))
            self.assertEqual((Path(folder) / stored.stored).read_bytes(), data)
            self.assertEqual(list((Path(folder) / "incoming").iterdir()), [])


class Cleaning(UploadsTestCase):
    async def test_parts(self) -> None:
        """Parts are kept for a week after they were written to; other broken uploads go."""
        clock = Clock()
        clock.advance(1_000_000_000)
        uploads = Uploads(clock, self.folder, wall=clock.seconds)
        folder = self.folder / "incoming"
        for name, age in (("a", 0), ("b", KEEP_PARTS), ("c", KEEP_PARTS + 1), ("d", -5)):
            path = folder / f"{name}.part"
            path.write_bytes(b"half")
            os.utime(path, (clock.seconds() - age,) * 2)
        (folder / "123-4").write_bytes(b"half")
        uploads.clean(())
        self.assertEqual(self.files(), [f"incoming/{name}.part" for name in "abd"])
        uploads.clean((), keep_parts=-5)
        self.assertEqual(self.files(), ["incoming/d.part"])
        uploads.clean((), keep_parts=-6)
        self.assertEqual(self.files(), [])

    async def test_leftovers(self) -> None:
        """At the start broken uploads go, and what no attachment owns is set aside, not thrown away."""
        kept = await self._store(b"kept")
        lost = await self._store(b"lost")
        (self.folder / "incoming" / "123-4").write_bytes(b"half")
        foreign = self.folder / "incoming" / "lost+found"  # a folder that chatd has not made
        foreign.mkdir()
        self.assertEqual(self.uploads.clean({kept}), 1)
        self.assertEqual(list((self.folder / "incoming").iterdir()), [foreign])
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
        file = await again.open(noted(StoredFile(kept, 4, hashlib.sha256(b"kept").hexdigest(), "")))
        self.assertEqual(await file.read(10), b"kept")
        await file.close()

    async def test_removing(self) -> None:
        stored = await self._store(b"x")
        await self.uploads.remove(stored)
        self.assertEqual(self.files(), [])
        await self.uploads.remove(stored)


def noted(file: StoredFile) -> Attachment:
    """As the database has it."""
    return Attachment(1, "code", "x", file.size, file.sha256, file.mime, file.stored, 0)


class Reading(UploadsTestCase):
    async def test_in_pieces(self) -> None:
        incoming = self.receive(10, "x")
        incoming.write(b"0123456789")
        stored = await incoming.finish()
        file = await self.uploads.open(noted(stored))
        self.assertEqual(file.size, 10)
        self.assertEqual(await file.read(4), b"0123")
        self.assertEqual(await file.read(100), b"456789")
        self.assertEqual(await file.read(1), b"")
        await file.close()
        await file.close()

    async def test_not_there(self) -> None:
        with self.assertRaises(FileMissing):
            await self.uploads.open(noted(StoredFile("nothing", 1, "", "")))

    async def test_from_the_middle(self) -> None:
        incoming = self.receive(10, "x")
        incoming.write(b"0123456789")
        file = await self.uploads.open(noted(await incoming.finish()))
        await file.seek(7)
        self.assertEqual(await file.read(2), b"78")
        await file.seek(0)
        self.assertEqual(await file.read(2), b"01")
        await file.seek(10)
        self.assertEqual(await file.read(2), b"")
        await file.close()
