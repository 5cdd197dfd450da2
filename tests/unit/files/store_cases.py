"""What all stores of files promise. Each store runs these tests: those of StoreTests alone, and those of
NodesTests with a second node."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from chatd.base.attachments import StoredFile
from chatd.base.errors import FileDamaged, FileMissing
from chatd.files.incoming import Incoming
from chatd.files.partial_file import ChangedBytes
from chatd.files.store import IFileStore
from tests.support.common import sleep
from tests.support.pictures import exif, picture
from tests.unit.files.cases import PNG, noted, sha256

PLACE = "52 North"


class StoreCase(TestCase):
    """A store of which nodes can be started. Subclasses say how; `size` is that of a file that arrives in
    several steps."""

    size = 100_000

    def setUp(self) -> None:
        self.store = self.start()
        self.data = PNG + os.urandom(self.size)

    def start(self) -> IFileStore:
        """Start a node."""
        raise NotImplementedError

    async def end(self, store: IFileStore) -> None:
        """Let a node end in an orderly way."""
        raise NotImplementedError

    async def kill(self, store: IFileStore, *incoming: Incoming) -> None:
        """Let a node end as with kill -9, while these files arrive."""
        raise NotImplementedError

    def replace(self, stored: str, data: bytes) -> None:
        """Give a stored file other bytes."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """The names of everything in the store."""
        raise NotImplementedError

    def grow_old(self) -> None:
        """Let everything in the store be two hours old."""
        raise NotImplementedError

    async def clean(self, store: IFileStore, *known: str) -> int:
        """Clean as at the start of a node, or in the background. Returns how many files are set aside."""
        raise NotImplementedError

    # What the tests do

    def whole(self, store: IFileStore, data: bytes, name: str = "x.bin") -> Deferred[StoredFile]:
        """Store a file."""
        incoming = store.receive(name, len(data))
        incoming.write(data)
        return incoming.finish()

    def resume(
        self, store: IFileStore, size: int | None = None, key: str = "k"
    ) -> Deferred[Incoming]:
        return store.resume(key, "gol.png", len(self.data) if size is None else size)

    async def written(self, incoming: Incoming) -> None:
        """Wait until everything that was accepted is written."""
        for _ in range(5000):
            if not incoming._busy and not incoming._chunks:
                return
            await sleep(0.002)
        self.fail("the bytes are not written")

    async def read(self, store: IFileStore, stored: StoredFile) -> bytes:
        """The bytes of a stored file, in pieces."""
        file = await store.open(noted(stored))
        data = b""
        while piece := await file.read(40_000):
            data += piece
        await file.close()
        return data

    async def goes_on(self, store: IFileStore, offset: int) -> StoredFile:
        """Resume the file at `offset` or before, and check that it arrives intact."""
        incoming = await self.resume(store)
        self.assertLessEqual(incoming.offset, offset)
        self.assertEqual(incoming.missing, len(self.data) - incoming.offset)
        incoming.write(self.data[incoming.offset :])
        stored = await incoming.finish(sha256(self.data))
        self.assertEqual((stored.size, stored.sha256), (len(self.data), sha256(self.data)))
        self.assertEqual(await self.read(store, stored), self.data)
        self.assertEqual(self.names(), [stored.stored])
        return stored


class StoreTests(StoreCase):
    """One node."""

    async def test_whole(self) -> None:
        stored = await self.whole(self.store, self.data, "foto saya.png")
        self.assertRegex(stored.stored, r"\A\d{4}(_\d\d){5}_foto_saya[\w~]*\.png\Z")
        self.assertEqual((stored.size, stored.sha256), (len(self.data), sha256(self.data)))
        self.assertEqual(stored.mime, "image/png")
        self.assertEqual(await self.read(self.store, stored), self.data)
        self.assertEqual(self.names(), [stored.stored])
        self.assertTrue(await self.store.is_whole(noted(stored)))

    async def test_empty(self) -> None:
        stored = await self.store.receive("x.txt", 0).finish()
        self.assertEqual((stored.size, stored.sha256), (0, sha256(b"")))
        self.assertEqual(await self.read(self.store, stored), b"")

    async def test_ranges(self) -> None:
        stored = await self.whole(self.store, self.data)
        file = await self.store.open(noted(stored))
        end = len(self.data)
        for offset, size in ((70_000, 9), (0, 5), (end - 3, 9), (end, 9), (10, 70_000)):
            await file.seek(offset)
            data = b""
            while len(data) < size and (piece := await file.read(size - len(data))):
                data += piece
            self.assertEqual(data, self.data[offset : offset + size])
        await file.close()
        await file.close()
        self.assertTrue(file.is_closed)
        self.assertEqual(
            await self.store.read_piece(noted(stored), 50_000, 7), self.data[50_000:50_007]
        )
        self.assertEqual(await self.store.read_piece(noted(stored), end, 7), b"")

    async def test_same_name_at_once(self) -> None:
        datas = [os.urandom(50) for _ in range(5)]
        stored = await gatherResults([self.whole(self.store, data) for data in datas])
        self.assertEqual(len({each.stored for each in stored}), 5)
        for data, each in zip(datas, stored, strict=True):
            self.assertEqual(await self.read(self.store, each), data)

    async def test_location_data(self) -> None:
        """A picture loses them, unless it has to have a certain SHA-256."""
        data = picture("JPEG", exif=exif(PLACE)) + bytes(self.size)
        self.assertIn(PLACE.encode(), data)
        stored = await self.whole(self.store, data, "a.jpg")
        self.assertEqual(stored.received, sha256(data))
        cleaned = await self.read(self.store, stored)
        self.assertNotIn(PLACE.encode(), cleaned)
        self.assertEqual((stored.size, stored.sha256), (len(cleaned), sha256(cleaned)))
        incoming = await self.resume(self.store, len(data))
        incoming.write(data)
        signed = await incoming.finish(sha256(data))
        self.assertEqual(await self.read(self.store, signed), data)
        self.assertEqual(set(self.names()), {stored.stored, signed.stored})

    async def test_changed_bytes(self) -> None:
        incoming = await self.resume(self.store)
        incoming.write(self.data)
        with self.assertRaises(ChangedBytes):
            await incoming.finish(sha256(b"others"))
        self.assertEqual(self.names(), [])
        self.assertIsNone(self.store.trouble)

    async def test_suspended(self) -> None:
        """Nothing that was accepted is lost when a transfer is suspended, however often."""
        offset = 0
        for size in (10, 1, 0, self.size // 2, 100, self.size // 3):
            incoming = await self.resume(self.store)
            self.assertEqual(incoming.offset, offset)
            incoming.write(self.data[offset : offset + size])
            offset += size
            await incoming.suspend()
        self.assertEqual(await self.store.suspended("k"), {"k": offset})
        await self.goes_on(self.store, offset)
        self.assertEqual(await self.store.suspended("k"), {})

    async def test_complete_when_suspended(self) -> None:
        incoming = await self.resume(self.store)
        incoming.write(self.data)
        await incoming.suspend()
        incoming = await self.resume(self.store)
        self.assertEqual((incoming.offset, incoming.missing), (len(self.data), 0))
        stored = await incoming.finish()
        self.assertEqual(await self.read(self.store, stored), self.data)

    async def test_another_file(self) -> None:
        """More bytes than the file has belong to another one, and are dropped."""
        incoming = await self.resume(self.store)
        incoming.write(b"\0" * (len(self.data) - 1))
        await incoming.suspend()
        self.data = self.data[:1000]
        await self.goes_on(self.store, 0)

    async def test_aborted(self) -> None:
        for incoming in (await self.resume(self.store), self.store.receive("x", len(self.data))):
            incoming.write(self.data[:-1])
            await self.written(incoming)
            incoming.abort()
        for _ in range(1000):
            if not self.names():
                return
            await sleep(0.002)
        self.assertEqual(self.names(), [])

    async def test_forgotten(self) -> None:
        incoming = await self.resume(self.store)
        incoming.write(self.data[:-1])
        await incoming.suspend()
        await self.store.forget("k")
        await self.store.forget("other")
        self.assertEqual(self.names(), [])
        self.assertEqual(await self.store.suspended(""), {})
        await self.goes_on(self.store, 0)

    async def test_list_of_suspended(self) -> None:
        """The oldest is first. Those that arrive are not in it."""
        for key, size in (("a-2", 5), ("a-1", 7), ("b-1", 9)):
            incoming = await self.resume(self.store, key=key)
            incoming.write(self.data[:size])
            await incoming.suspend()
            await sleep(0.01)
        arriving = await self.resume(self.store, key="a-3")
        self.assertEqual(self.store.claimed("a-"), {"a-3"})
        found = await self.store.suspended("a-")
        self.assertEqual(found, {"a-2": 5, "a-1": 7})
        self.assertEqual(next(iter(found)), self.oldest(found))
        await arriving.suspend()

    def oldest(self, found: dict[str, int]) -> str:
        """The key that is first in the list of those that were suspended as a-2 and a-1."""
        return "a-2"

    async def test_missing_and_damaged(self) -> None:
        stored = await self.whole(self.store, b"0123456789")
        self.replace(stored.stored, b"0123456xxx")
        for _ in range(2):
            with self.assertRaises(FileDamaged):
                await self.store.open(noted(stored))
        with self.assertRaises(FileDamaged):
            await self.store.read_piece(noted(stored), 0, 4)
        self.assertFalse(await self.store.is_whole(noted(stored)))
        self.replace(stored.stored, b"0123456789")
        self.assertEqual(await self.read(self.store, stored), b"0123456789")
        await self.store.remove(stored.stored)
        await self.store.remove(stored.stored)
        with self.assertRaises(FileMissing):
            await self.store.open(noted(stored))
        with self.assertRaises(FileMissing):
            await self.store.read_piece(noted(stored), 0, 4)

    async def test_deleted(self) -> None:
        """Nothing is left of a file that is erased: not its thumbnail, and not a part of it."""
        stored = await self.whole(self.store, self.data)
        small = picture("WEBP")
        await self.store.keep_thumbnail(stored.stored, small)
        self.assertEqual(await self.store.thumbnail(stored.stored), small)
        arriving = await self.resume(self.store, key="realm-1.code")
        arriving.write(self.data[:-1])
        await self.written(arriving)
        suspended = await self.resume(self.store, key="realm-1.other")
        suspended.write(self.data[:-1])
        await suspended.suspend()
        names = [f"incoming/realm-1.{code}.part" for code in ("code", "other", "third")]
        await self.store.erase([stored.stored, *names, "gone"])
        await arriving.suspend()
        self.assertEqual(self.names(), [])
        self.assertIsNone(await self.store.thumbnail(stored.stored))
        await self.store.keep_thumbnail(stored.stored, small)
        self.assertEqual(self.names(), [])

    async def test_archive(self) -> None:
        """An archive is opened by its name, and files without names are gone when they are closed."""
        stored = await self.whole(self.store, self.data)
        file = await self.store.open_stored(stored.stored)
        file.seek(50_000)
        self.assertEqual(file.read(7), self.data[50_000:50_007])
        file.close()
        with self.store.open_nameless() as nameless:
            nameless.write(b"x")
            self.assertEqual(self.names(), [stored.stored])
        with self.assertRaises(OSError):
            await self.store.open_stored("nothing")

    async def test_probe(self) -> None:
        self.store.trouble = "full"
        await self.store.probe()
        self.assertIsNone(self.store.trouble)
        self.assertEqual(self.names(), [])

    async def test_unknown_files(self) -> None:
        """A file that no message carries is set aside when it can't belong to one any more."""
        kept, lost = [await self.whole(self.store, name, "x") for name in (b"kept", b"lost")]
        self.grow_old()
        self.assertEqual(await self.clean(self.store, kept.stored), 1)
        self.assertEqual(self.names(), sorted([kept.stored, f"unclaimed/{lost.stored}"]))
        self.assertEqual(await self.clean(self.store, kept.stored), 0)


class NodesTests(StoreCase):
    """Several nodes."""

    def setUp(self) -> None:
        super().setUp()
        self.other = self.start()

    async def test_seen_by_all(self) -> None:
        stored = await self.whole(self.store, self.data)
        self.assertEqual(await self.read(self.other, stored), self.data)
        small = picture("WEBP")
        await self.other.keep_thumbnail(stored.stored, small)
        self.assertEqual(await self.store.thumbnail(stored.stored), small)
        await self.other.erase([stored.stored])
        with self.assertRaises(FileMissing):
            await self.store.open(noted(stored))
        self.assertEqual(self.names(), [])

    async def test_same_name(self) -> None:
        """Two nodes never give two files one name."""
        stores = [self.store, self.other] * 3
        datas = [os.urandom(50) for _ in stores]
        pairs = zip(stores, datas, strict=True)
        stored = await gatherResults([self.whole(store, data) for store, data in pairs])
        self.assertEqual(len({each.stored for each in stored}), len(stores))
        for data, each in zip(datas, stored, strict=True):
            self.assertEqual(await self.read(self.other, each), data)

    async def test_resumed_on_another_node(self) -> None:
        """Nothing that was suspended is lost, however often the client changes the node."""
        offset = 0
        for number, size in enumerate((10, 1, self.size // 2, 100, self.size // 3)):
            incoming = await self.resume((self.store, self.other)[number % 2])
            self.assertEqual(incoming.offset, offset)
            incoming.write(self.data[offset : offset + size])
            offset += size
            await incoming.suspend()
            for store in (self.store, self.other):
                self.assertEqual(await store.suspended("k"), {"k": offset})
        await self.goes_on(self.other, offset)

    async def test_killed_in_the_middle(self) -> None:
        """What the store has is resumed on another node. The digest is read back from the bytes."""
        for size in (10, self.size // 2, self.size - 1):
            incoming = await self.resume(self.store)
            incoming.write(self.data[incoming.offset : size])
            await self.written(incoming)
            await self.kill(self.store, incoming)
            self.store, self.other = self.other, self.start()
        await self.goes_on(self.store, self.size - 1)

    async def test_two_nodes_at_once(self) -> None:
        """The bytes of two transfers under one key are never mixed: each is complete, or refused."""
        mine, theirs = self.data, PNG + os.urandom(self.size)
        first = await self.resume(self.store)
        first.write(mine[: self.size // 2])
        await self.written(first)
        second = await self.resume(self.other)
        taken = second.offset
        expected = mine[:taken] + theirs[taken:]
        second.write(theirs[taken:])
        first.write(mine[self.size // 2 :])
        found: list[Any] = [
            await each.finish().addErrback(lambda why: why.value) for each in (first, second)
        ]
        stored = [each for each in found if isinstance(each, StoredFile)]
        self.assertTrue(stored)
        for each, data in zip(found, (mine, expected), strict=True):
            if isinstance(each, StoredFile):
                self.assertEqual(each.sha256, sha256(data))
                self.assertEqual(await self.read(self.other, each), data)
            else:
                self.assertIsInstance(each, OSError)
        self.assertEqual(self.names(), sorted(each.stored for each in stored))
        self.assertIsNone(self.store.trouble)

    async def test_forgotten_on_another_node(self) -> None:
        for store in (self.store, self.other):
            incoming = await self.resume(self.store)
            incoming.write(self.data[:-1])
            await incoming.suspend()
            await store.forget("k")
            self.assertEqual(self.names(), [])

    async def test_start_of_another_node(self) -> None:
        """It takes nothing from a node that runs: not its files in rooms, not those that arrive, and not
        those whose messages are about to be stored."""
        room = self.store.receive_temporary("x", 3)
        room.write(b"abc")
        in_room = await room.finish()
        arriving = [await self.resume(self.store), self.store.receive("x", len(self.data))]
        for each in arriving:
            each.write(self.data[: self.size // 2])
            await self.written(each)
        recent = await self.whole(self.store, b"about to be stored")
        third = self.start()
        self.assertEqual(await self.clean(third), 0)
        for each in arriving:
            each.write(self.data[self.size // 2 :])
            stored = await each.finish(sha256(self.data))
            self.assertEqual(await self.read(third, stored), self.data)
        self.assertEqual(await self.read(third, recent), b"about to be stored")
        self.assertEqual(await self.read(third, in_room), b"abc")

    async def test_files_of_rooms(self) -> None:
        """All nodes can read them. They go with their node."""
        room = self.store.receive_temporary("x", 3)
        room.write(b"abc")
        stored = await room.finish()
        self.assertEqual(await self.read(self.other, stored), b"abc")
        await self.other.remove(stored.stored)
        with self.assertRaises(FileMissing):
            await self.store.open(noted(stored))
        room = self.store.receive_temporary("x", 3)
        room.write(b"abc")
        await room.finish()
        await self.end(self.store)
        self.assertEqual(self.names(), [])
