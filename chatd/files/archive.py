"""A ZIP archive that is written step by step, so that other files do not wait for it."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from chatd.files.outgoing import Outgoing
from chatd.files.store import IFileStore

if TYPE_CHECKING:
    from hashlib import _Hash

STEP = 1 << 20  # bytes that are hashed at a time


class Archive:
    """An archive in the folder of files. It has no name there, so nothing is left of it when it is closed, or
    when the daemon is killed. All methods may raise OSError."""

    def __init__(self, uploads: IFileStore) -> None:
        self._uploads = uploads
        self._file: IO[bytes]
        self._zip: zipfile.ZipFile

    async def begin(self) -> None:
        """Create the archive."""
        await self._uploads.in_thread(self._create)

    def _create(self) -> None:
        self._file = self._uploads.open_nameless()
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED)

    async def add(self, name: str, pieces: AsyncIterable[bytes], packed: bool = True) -> None:
        """Add a file with this content. One that is not `packed` is stored as it is."""
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        info.external_attr = 0o600 << 16
        entry = await self._uploads.in_thread(self._open, info)
        try:
            async for piece in pieces:
                await self._uploads.in_thread(entry.write, piece)
        finally:
            await self._uploads.in_thread(entry.close)

    def _open(self, info: zipfile.ZipInfo) -> IO[bytes]:
        return self._zip.open(info, "w", force_zip64=True)

    async def finish(self, lateness: Callable[[int], Callable[[], bool]]) -> tuple[Outgoing, str]:
        """Complete the archive. Returns it, open for reading until it is late, and its SHA-256. `lateness`
        makes, for a size, the function that tells that."""
        in_thread = self._uploads.in_thread
        size = await in_thread(self._complete)
        digest = hashlib.sha256()
        while await in_thread(self._hash_step, digest):
            pass
        await in_thread(self._file.seek, 0)
        return Outgoing(self._uploads, self._file, size, lateness(size)), digest.hexdigest()

    def _complete(self) -> int:
        self._zip.close()
        size = self._file.tell()
        self._file.seek(0)
        return size

    def _hash_step(self, digest: _Hash) -> bool:
        piece = self._file.read(STEP)
        digest.update(piece)
        return bool(piece)

    async def abandon(self) -> None:
        """Drop the archive."""
        await self._uploads.in_thread(self._drop)

    def _drop(self) -> None:
        with suppress(OSError, ValueError):
            self._zip.close()
        self._file.close()
