"""Test cases with a folder of stored files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from chatd.base.attachments import Attachment, StoredFile
from chatd.files.folder import Uploads
from chatd.files.incoming import Incoming
from chatd.files.partial_file import PartialFile
from tests.support.common import sleep

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(20)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def part_of(incoming: Incoming) -> PartialFile:
    """The part of a file that arrives in a folder."""
    part = incoming._part
    assert isinstance(part, PartialFile)
    return part


def crash(incoming: Incoming) -> None:
    """Lose the buffer of an open file, as a crash does."""
    part_of(incoming)._file.raw.close()  # type: ignore[union-attr]


def noted(file: StoredFile) -> Attachment:
    """The attachment of a stored file, as in the database."""
    return Attachment(1, "code", "x", file.size, file.sha256, file.mime, file.stored, 0)


class UploadsTestCase(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.uploads = Uploads(reactor, self.folder)
        self.uploads.start()
        self.addCleanup(self.uploads.stop)

    def receive(self, size: int, name: str = "x.bin") -> Incoming:
        return self.uploads.receive(name, size)

    def files(self) -> list[str]:
        """All files in the folder, by name."""
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
        """Wait until the folder is empty."""
        await self.until(lambda: not self.files())


class ResumingTestCase(UploadsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.part = self.folder / "incoming" / "k.part"
        self.data = PNG + os.urandom(100_000)

    def resume(self, size: int | None = None, key: str = "k") -> Deferred[Incoming]:
        size = len(self.data) if size is None else size
        return self.uploads.resume(key, "gol.png", size)

    async def idle(self, incoming: Incoming) -> None:
        """Wait until no job is under way."""
        await self.until(lambda: not incoming._busy)

    async def suspended(self, data: bytes) -> None:
        """Suspend the file with these bytes."""
        incoming = await self.resume()
        incoming.write(data)
        await incoming.suspend()

    def restart(self) -> None:
        """Start another daemon on the same folder."""
        self.uploads = Uploads(reactor, self.folder)
        self.uploads.start()
        self.addCleanup(self.uploads.stop)
        self.uploads.clean(())

    async def goes_on(self, offset: int) -> StoredFile:
        """Resume the file at `offset`, and check that it arrives intact."""
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
