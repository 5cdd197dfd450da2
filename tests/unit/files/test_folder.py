"""The folder of stored files: cleaning it at the start, and reading from it."""

from __future__ import annotations

import hashlib
import os
from unittest import mock

from twisted.internet import reactor
from twisted.internet.task import Clock

from chatd.base.attachments import StoredFile
from chatd.base.errors import FileDamaged, FileMissing
from chatd.files import folder as module
from chatd.files import verified_files
from chatd.files.folder import Uploads
from chatd.files.store import KEEP_PARTS
from tests.unit.files.cases import UploadsTestCase, noted


class Cleaning(UploadsTestCase):
    async def test_parts(self) -> None:
        """Parts are kept for a week after the last write. Other interrupted uploads are removed."""
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
        """At the start, interrupted uploads are removed, and files without an attachment are set aside."""
        kept = await self._store(b"kept")
        lost = await self._store(b"lost")
        (self.folder / "incoming" / "123-4").write_bytes(b"half")
        foreign = self.folder / "incoming" / "lost+found"  # a folder that chatd did not create
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
        """The folder of an earlier run is used with its files."""
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

    async def test_erasing(self) -> None:
        """The folder is synced when the files are gone, so that a power cut does not bring them back."""
        stored = [await self._store(b"x"), await self._store(b"y")]
        synced: list[list[str]] = []
        self.patch(module, "sync_folder", lambda _: synced.append(self.files()))
        await self.uploads.erase([*stored, "gone"])
        self.assertEqual(synced, [[]])


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

    async def test_damaged(self) -> None:
        """The bytes of a damaged file are compared and reported once, until the file changes again."""
        incoming = self.receive(10, "x")
        incoming.write(b"0123456789")
        stored = await incoming.finish()
        path, file = self.folder / stored.stored, noted(stored)
        path.write_bytes(b"0123456xxx")
        with mock.patch("hashlib.file_digest", wraps=hashlib.file_digest) as digest:
            with mock.patch.object(verified_files.log, "critical") as critical:
                for offset in (0, 4, 8):
                    with self.assertRaises(FileDamaged):
                        await self.uploads.read_piece(file, offset, 4)
                self.assertFalse(await self.uploads.is_whole(file))
            self.assertEqual((digest.call_count, critical.call_count), (1, 1))
        path.write_bytes(b"0123456789")
        self.assertEqual(await self.uploads.read_piece(file, 4, 3), b"456")

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
