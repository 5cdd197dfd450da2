"""A test case that uploads files over HTTP on real sockets."""

from __future__ import annotations

import hashlib
import random
from typing import Any
from urllib.parse import urlencode

from chatd.files.incoming import Incoming
from tests.support.rawhttp import Heard, Raw, RawTestCase

MIB = 1 << 20
KEY = "aB3_-xyz0123456789abcd"


def path(
    size: int, key: str = KEY, to: str = "budi", name: str = "laporan.pdf", **more: str
) -> str:
    place = {"group": to[1:]} if to.startswith("#") else {"to": to}
    return f"/uploads/{key}?{urlencode({**place, 'filename': name, 'size': size, **more})}"


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class UploadTestCase(RawTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.written = 0  # bytes that were read from bodies
        write = Incoming.write

        def count(incoming: Incoming, data: bytes) -> bool:
            self.written += len(data)
            return write(incoming, data)

        self.patch(Incoming, "write", count)

    async def put(
        self, data: bytes, offset: int = 0, size: int | None = None, who: str = "messi", **more: Any
    ) -> Heard:
        """PUT the bytes of a file from `offset` on."""
        whole = offset + len(data) if size is None else size
        headers = {"Upload_Offset": offset} if offset else {}
        return await self.say("PUT", path(whole, **more), who, data, **headers)

    async def offset(self, size: int, **more: Any) -> int:
        answer = await self.say("HEAD", path(size, **more), "messi")
        self.assertEqual(answer.status, 200)
        return int(answer.headers["upload-offset"])

    async def begin(
        self, size: int, offset: int = 0, length: int | None = None, **more: Any
    ) -> Raw:
        """Send the head of a PUT, without its body."""
        raw = await self.dial()
        length = size - offset if length is None else length
        headers = {"Upload-Offset": offset, "Content-Length": length}
        raw.begin("PUT", path(size, **more), {"Cookie": self.cookies["messi"], **headers})
        return raw

    async def taken(self, raw: Raw, data: bytes) -> None:
        """Send part of a body, and wait until it is accepted. It may not be in the file yet."""
        wanted = self.written + len(data)
        raw.send(data)
        await raw.until(lambda: self.written == wanted)

    def bytes_kept(self) -> int:
        return sum(part.stat().st_size for part in self.parts())

    def parts(self) -> list[Any]:
        return list((self.realm.state.uploads / "incoming").iterdir())

    async def stored(self, code: str) -> bytes:
        """The file's bytes as budi downloads them."""
        return (await self.say("GET", f"/files/{code}", "budi")).body
