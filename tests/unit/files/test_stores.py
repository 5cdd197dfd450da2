"""All stores of files keep the same promises: a folder of one node, and one that nodes share."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import cast
from unittest import mock

from twisted.internet import reactor

from chatd.files import shared_folder
from chatd.files.folder import Uploads
from chatd.files.incoming import Incoming
from chatd.files.shared_folder import LOCK, SharedFolder
from chatd.files.store import ABOUT_TO_BE_STORED, KEEP_PARTS, IFileStore
from tests.unit.files import store_cases
from tests.unit.files.cases import crash, part_of


class FolderCase(store_cases.StoreCase):
    folder: Path

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        super().setUp()

    def replace(self, stored: str, data: bytes) -> None:
        (self.folder / stored).write_bytes(data)

    def paths(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and path.name != LOCK]

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.paths())

    def grow_old(self) -> None:
        for path in self.paths():
            changed = path.stat().st_mtime - 2 * ABOUT_TO_BE_STORED
            os.utime(path, (changed, changed))

    async def clean(self, store: IFileStore, *known: str) -> int:
        return cast(Uploads, store).clean(known)


class OwnFolder(FolderCase, store_cases.StoreTests):
    def start(self) -> IFileStore:
        store = Uploads(reactor, self.folder)
        store.start()
        self.addCleanup(store.stop)
        return store


class FolderOfNodes(FolderCase, store_cases.StoreTests, store_cases.NodesTests):
    def setUp(self) -> None:
        self.running: list[SharedFolder] = []
        super().setUp()
        self.addCleanup(self.stop_all)

    async def stop_all(self) -> None:
        for each in [*self.running]:
            await self.end(each)

    async def end(self, store: IFileStore) -> None:
        assert isinstance(store, SharedFolder)
        self.running.remove(store)
        await store.stop()

    def start(self) -> IFileStore:
        store = SharedFolder(reactor, self.folder)
        store.start()
        self.running.append(store)
        return store

    async def kill(self, store: IFileStore, *incoming: Incoming) -> None:
        assert isinstance(store, SharedFolder)
        for each in incoming:
            with contextlib.suppress(OSError):
                crash(each)
        self.running.remove(store)
        assert store._lock is not None
        os.close(store._lock)  # as the system does
        store._lock = None
        await Uploads.stop(store)

    async def test_left_by_a_killed_node(self) -> None:
        """The start of any node removes what belonged to one that does not run."""
        room = self.store.receive_temporary("x", 3)
        room.write(b"abc")
        await room.finish()
        arriving = self.store.receive("x", len(self.data))
        arriving.write(self.data[:-1])
        await self.written(arriving)
        self.assertEqual(len(self.names()), 2)
        await self.kill(self.store, arriving)
        self.start()
        self.assertEqual(self.names(), [])
        self.assertEqual(len(list((self.folder / "nodes").iterdir())), 2)

    async def test_joining_while_another_node_cleans(self) -> None:
        """A node whose folder is removed before it is locked takes another one."""
        calls: list[Path] = []
        real = os.open

        def open_(path: Path, *args: int) -> int:
            if Path(path).name == LOCK and not calls:
                calls.append(path)
                shared_folder._remove_left(path.parent)
            return real(path, *args)

        with mock.patch.object(os, "open", open_):
            third = self.start()
        self.assertEqual(len(calls), 1)
        self.assertNotIn(calls[0].parent, list((self.folder / "nodes").iterdir()))
        await self.whole(third, b"abc")

    async def test_locked_too_late(self) -> None:
        """As above, between opening and locking."""
        path = self.folder / LOCK
        path.touch()
        lock = os.open(path, os.O_RDWR)
        path.unlink()
        self.assertFalse(shared_folder._locked(lock, path))
        with self.assertRaises(OSError):
            os.fstat(lock)

    async def test_no_locks(self) -> None:
        with (
            mock.patch("fcntl.flock", side_effect=OSError(95, "Operation not supported")),
            self.assertRaises(OSError),
        ):
            SharedFolder(reactor, self.folder).start()

    async def test_old_parts(self) -> None:
        """A part is kept for a week after the last write, whose ever it is."""
        incoming = await self.resume(self.store)
        incoming.write(self.data[:10])
        await incoming.suspend()
        (part,) = self.paths()
        self.grow_old()
        await self.clean(self.other)
        self.assertEqual(self.paths(), [part])
        os.utime(part, (part.stat().st_atime, part.stat().st_mtime - KEEP_PARTS))
        await self.clean(self.other)
        self.assertEqual(self.paths(), [])

    async def test_shared_later(self) -> None:
        """A part that was there before the folder was shared is resumed."""
        (self.folder / "incoming" / "k.part").write_bytes(self.data[:1000])
        self.assertEqual(await self.store.suspended("k"), {"k": 1000})
        await self.goes_on(self.store, 1000)

    async def test_stored_late(self) -> None:
        """A file that was suspended with all its bytes counts as new when it is stored."""
        incoming = await self.resume(self.store)
        incoming.write(self.data)
        await incoming.suspend()
        self.grow_old()
        stored = await (await self.resume(self.store)).finish()
        self.assertEqual(await self.clean(self.other), 0)
        self.assertEqual(self.names(), [stored.stored])

    async def test_killed_while_taking_over(self) -> None:
        """The part of the other node goes when all of its bytes are copied."""
        incoming = await self.resume(self.store)
        incoming.write(self.data[: self.size // 2])
        await incoming.suspend()
        full = mock.patch("shutil.copyfileobj", side_effect=OSError("full"))
        with full, self.assertRaises(OSError):
            await self.resume(self.other)
        await self.goes_on(self.other, self.size // 2)

    async def test_thumbnails(self) -> None:
        """The start of another node leaves those alone that are new."""
        stored = await self.whole(self.store, self.data)
        await self.store.keep_thumbnail(stored.stored, b"RIFF\4\0\0\0WEBP")
        thumbnail = f"thumbnails/{stored.stored}"
        self.assertEqual(await self.clean(self.other), 0)
        self.assertIn(thumbnail, self.names())
        self.grow_old()
        self.assertEqual(await self.clean(self.other), 1)
        self.assertNotIn(thumbnail, self.names())

    async def test_part_of_another_process(self) -> None:
        incoming = await self.resume(self.store)
        self.assertNotEqual(part_of(incoming).path, part_of(await self.resume(self.other)).path)
