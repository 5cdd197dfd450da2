"""Files that are suspended and resumed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from twisted.internet.defer import CancelledError

from chatd.files import partial_file
from chatd.files.incoming import MAX_PENDING, Incoming, State
from chatd.files.partial_file import ChangedBytes, Digest, PartialFile
from tests.unit.files.cases import ResumingTestCase, crash, part_of, sha256


class Resuming(ResumingTestCase):
    async def test_nothing_there(self) -> None:
        self.assertEqual((await self.goes_on(0)).mime, "image/png")

    async def test_after_a_break(self) -> None:
        """All accepted bytes are there, and the type is still guessed from the first ones."""
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
        """Bytes in a buffer are lost, and sent again."""
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
        """The link broke between the last byte and its acknowledgement."""
        await self.suspended(self.data)
        await self.goes_on(len(self.data))

    async def test_empty(self) -> None:
        self.data = b""
        await self.suspended(b"")
        await self.goes_on(0)

    async def test_more_than_there_should_be(self) -> None:
        """A longer file is another file, and none of its bytes are used."""
        await self.suspended(self.data)
        self.data = os.urandom(len(self.data) - 1)
        await self.goes_on(0)

    async def test_read_back_in_steps(self) -> None:
        """A large file is read back in several jobs, so that others get their turn. Cancelling stops that."""
        await self.suspended(self.data[:80_000])
        self.restart()
        with (
            mock.patch.object(partial_file, "READ", 1000),
            mock.patch.object(partial_file, "STEP", 8000),
            mock.patch.object(self.uploads, "in_thread", wraps=self.uploads.in_thread) as steps,
        ):
            incoming = await self.resume()
            self.assertEqual(steps.call_count, 11)
            self.assertEqual(incoming.offset, 80_000)
            await incoming.suspend()
            self.uploads._claims.digests.pop("k")
            steps.reset_mock()
            given_up = self.resume()
            given_up.cancel()
            self.failureResultOf(given_up, CancelledError)
            incoming = await self.resume()
            self.assertEqual(steps.call_count, 2 + 11)
        await incoming.suspend()
        await self.goes_on(80_000)

    async def test_unchanged_file_is_not_read_again(self) -> None:
        """Each chunk of an upload over HTTP resumes its file, so that must not cost the bytes before it."""
        await self.suspended(self.data[:80_000])
        with (
            mock.patch.object(partial_file, "READ", 1000),
            mock.patch.object(
                PartialFile, "_add", autospec=True, side_effect=PartialFile._add
            ) as add,
        ):
            incoming = await self.resume()
            self.assertEqual(add.call_count, 0)
            incoming.write(self.data[80_000:80_010])
            await incoming.suspend()
            self.part.write_bytes(self.data[:80_000])
            incoming = await self.resume()
            self.assertEqual(add.call_count, 1 + 80)
        await incoming.suspend()
        await self.goes_on(80_000)

    async def test_suspended_before_it_was_read(self) -> None:
        """A digest of only some bytes is not used."""
        await self.suspended(self.data[:80_000])
        self.restart()
        with (
            mock.patch.object(partial_file, "READ", 1000),
            mock.patch.object(partial_file, "STEP", 8000),
        ):
            given_up = self.resume()
            await self.until(lambda: bool(self.uploads.claimed("k")))
            given_up.cancel()
            self.failureResultOf(given_up, CancelledError)
            await (await self.resume()).suspend()
        await self.goes_on(80_000)

    async def test_pause(self) -> None:
        """A sender that is too fast is paused, as for any upload."""
        self.data = os.urandom(4 * MAX_PENDING)
        incoming = await self.resume()
        self.assertTrue(incoming.write(self.data[:1]))
        self.assertFalse(incoming.write(self.data[1 : MAX_PENDING + 1]))
        await incoming.room()
        await incoming.suspend()
        await self.goes_on(MAX_PENDING + 1)

    async def test_mode(self) -> None:
        await self.suspended(b"x")
        self.assertEqual(stat.S_IMODE(self.part.stat().st_mode), 0o600)

    async def test_keys(self) -> None:
        """A key can't name a path outside the folder."""
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
        """Bytes that wait for the disk are written."""
        incoming = await self.resume()
        for at in range(0, 50_000, 100):
            incoming.write(self.data[at : at + 100])
        await incoming.suspend()
        self.assertEqual(self.part.read_bytes(), self.data[:50_000])

    async def test_afterwards(self) -> None:
        """After `suspend`, nothing changes the file."""
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
        """A file that is being finished is finished."""
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
        """Neither new bytes nor earlier ones are left."""
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
        """The file is removed, so the next transfer starts at 0."""
        await self.suspended(b"\0" * 1000)
        incoming = await self.resume()
        incoming.write(self.data[1000:])
        with self.assertRaises(ChangedBytes):
            await incoming.finish(sha256(self.data))
        self.assertEqual(self.files(), [])
        await self.goes_on(0)

    async def test_wrong_hash_of_others(self) -> None:
        """The same for a file that is not resumable."""
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
        """`finish` fails, however long ago `abort` was."""
        for later in (False, True):
            incoming = await self.resume()
            incoming.abort()
            if later:
                await self.until(lambda incoming=incoming: incoming._state is State.CLOSED)  # type: ignore[misc]
            with self.assertRaises(OSError):
                await incoming.finish()


class SameKey(ResumingTestCase):
    async def waits(self, end: Callable[[Incoming], object], offset: int) -> None:
        """The second transfer waits until the first one has ended."""
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
        """Each transfer gets the bytes that those before it left."""
        pending = [self.resume() for _ in range(5)]
        for number, each in enumerate(pending):
            incoming = await each
            self.assertEqual(incoming.offset, number * 10)
            for other in pending[number + 1 :]:
                self.assertNoResult(other)
            incoming.write(self.data[number * 10 : number * 10 + 10])
            incoming.suspend()
        await self.goes_on(50)
        self.assertEqual(self.uploads._claims.locks, {})

    async def test_cancelled_while_waiting(self) -> None:
        first = await self.resume()
        second, third = self.resume(), self.resume()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        first.suspend()
        await (await third).suspend()
        self.assertEqual(self.uploads._claims.locks, {})

    async def test_cancelled_while_reading_back(self) -> None:
        """The key is released after the thread is done with the file."""
        await self.suspended(self.data[:1000])
        second, third = self.resume(), self.resume()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertNoResult(third)
        resumed = await third
        self.assertEqual(resumed.offset, 1000)
        await resumed.suspend()
        self.assertEqual(self.uploads._claims.locks, {})


class DiskErrorsWhileResuming(ResumingTestCase):
    async def test_folder_is_gone(self) -> None:
        shutil.rmtree(self.folder / "incoming")
        with self.assertRaises(FileNotFoundError):
            await self.resume()
        self.assertEqual(self.uploads._claims.locks, {})

    async def test_can_not_be_read(self) -> None:
        """The bytes stay, and can be read later."""
        await self.suspended(self.data[:1000])
        self.restart()
        bad = OSError(errno.EIO, "Input/output error")
        with mock.patch.object(PartialFile, "_add", side_effect=bad):
            first, second = self.resume(), self.resume()
            for each in (first, second):
                with self.assertRaises(OSError) as caught:
                    await each
                self.assertIs(caught.exception, bad)
        self.assertEqual(self.part.read_bytes(), self.data[:1000])
        await self.goes_on(1000)

    async def test_full_while_writing(self) -> None:
        """`error` is set at once. The bytes that were written are there when the disk has room again."""
        incoming = await self.resume()
        incoming.write(self.data[:1000])
        await self.idle(incoming)
        self.assertIsNone(incoming.error)
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch.object(PartialFile, "append", side_effect=full):
            incoming.write(self.data[1000:2000])
            await self.idle(incoming)
        self.assertIs(incoming.error, full)
        self.assertTrue(incoming.write(self.data[2000:3000]))
        await incoming.suspend()
        await self.goes_on(1000)

    async def test_full_until_the_end(self) -> None:
        """`finish` removes the file."""
        await self.suspended(self.data[:1000])
        incoming = await self.resume()
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch.object(PartialFile, "append", side_effect=full):
            incoming.write(self.data[1000:])
            with self.assertRaises(OSError) as caught:
                await incoming.finish(sha256(self.data))
        self.assertIs(caught.exception, full)
        self.assertEqual(self.files(), [])
        await self.goes_on(0)

    async def test_full_while_closing(self) -> None:
        """The end of the buffer is lost, which shows when the file is resumed."""
        incoming = await self.resume()
        incoming.write(self.data[:50_000])
        await self.idle(incoming)
        full = OSError(errno.ENOSPC, "No space left on device")

        def leave(_part: PartialFile) -> Digest | None:
            crash(incoming)
            raise full

        incoming.write(self.data[50_000:50_010])
        with mock.patch.object(PartialFile, "leave", leave):
            await incoming.suspend()
        left = self.part.stat().st_size
        self.assertLess(left, 50_010)
        await self.goes_on(left)

    async def test_full_while_closing_closes(self) -> None:
        """Bytes that stayed in a buffer would get between those of the next transfer."""
        incoming = await self.resume()
        incoming.write(self.data[:1000])
        await self.idle(incoming)
        file = part_of(incoming)._file
        assert file is not None
        with mock.patch.object(file.raw, "write", side_effect=OSError(errno.ENOSPC, "full")):  # type: ignore[attr-defined]
            await incoming.suspend()
        self.assertIsInstance(incoming.error, OSError)
        self.assertTrue(file.closed)
        await self.goes_on(0)

    async def test_forgetting_fails(self) -> None:
        """The error is logged, and the next start cleans up."""
        await self.suspended(self.data[:1000])
        bad = OSError(errno.EIO, "Input/output error")
        with mock.patch.object(Path, "unlink", side_effect=bad):
            await self.uploads.forget("k")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        await self.goes_on(1000)
