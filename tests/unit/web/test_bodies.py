"""Bodies of HTTP requests that are not uploads."""

from __future__ import annotations

from chatd.web.async_resource import MAX_BODY
from tests.support.common import sleep
from tests.unit.web.upload_cases import UploadTestCase


class OtherBodies(UploadTestCase):
    """Bodies of requests other than uploads."""

    async def test_bounded(self) -> None:
        login = b'{"username":"messi","password":"surabaya1"}'
        await self.people("messi")
        padded = login + b" " * (MAX_BODY - len(login))
        self.assertEqual((await self.say("POST", "/session", body=padded)).status, 200)
        for where in ("/session", "/nowhere", "/uploads/k", "/"):
            answer = await self.say("POST", where, body=padded + b" ")
            self.assertEqual((answer.status, answer.json["code"]), (413, "body-too-large"))
            self.assertEqual(answer.headers["connection"], "close")

    async def test_announced(self) -> None:
        """A body that is too large is refused before it is sent."""
        raw = await self.dial()
        raw.begin("POST", "/session", {"Content-Length": 10**12, "Expect": "100-continue"})
        self.assertEqual((await raw.answer()).status, 413)
        await raw.gone()

    async def test_continue(self) -> None:
        raw = await self.dial()
        raw.begin("POST", "/session", {"Content-Length": 2, "Expect": "100-continue"})
        await raw.until(lambda: raw.got == b"HTTP/1.1 100 Continue\r\n\r\n")
        raw.got.clear()
        raw.send(b"{}")
        self.assertEqual((await raw.answer()).status, 400)

    async def test_chunked(self) -> None:
        """Chunked bodies have the same limit."""
        await self.people("messi")
        login = b'{"username":"messi","password":"surabaya1"}'
        raw = await self.dial()
        raw.begin("POST", "/session", {"Transfer-Encoding": "chunked"})
        for piece in (login[:10], login[10:], b""):
            raw.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.assertEqual((await raw.answer()).status, 200)
        raw.begin("POST", "/session", {"Transfer-Encoding": "chunked"})
        raw.send((b"ffff\r\n" + b" " * 0xFFFF + b"\r\n") * 3 + b"0\r\n\r\n")
        self.assertEqual((await raw.answer()).json["code"], "body-too-large")
        await raw.gone()
        raw = await self.dial()
        raw.begin("POST", "/session", {"Transfer-Encoding": "chunked"})
        raw.send(b"xyz\r\n")
        await raw.gone()
        self.assertTrue(raw.got.startswith(b"HTTP/1.1 400"))

    async def test_lost(self) -> None:
        """A connection may end at any point without an error in the log."""
        whole = b"POST /session HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde"
        for end in (1, 10, len(whole) - 5, len(whole) - 1):
            raw = await self.dial()
            raw.send(whole[:end])
            await sleep(0.01)
            raw.cut()
        await sleep(0.05)
        self.assertEqual(len(self.site._channels), 0)
