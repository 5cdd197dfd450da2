"""Downloads over HTTP: complete, in ranges, to slow readers; on real sockets."""

from __future__ import annotations

import hashlib
import io
import random
import time
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote, unquote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.files.outgoing import Outgoing
from chatd.web import downloads
from chatd.web.downloads import BadRange, disposition, range_of
from tests.support.common import sleep
from tests.support.rawhttp import Heard, Raw, RawTestCase

MIB = 1 << 20
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + bytes(range(200))


class Ranges(SynchronousTestCase):
    def test_understood(self) -> None:
        for header, found in (
            ("bytes=0-0", (0, 1)),
            ("bytes=0-", (0, 10)),
            ("bytes=3-5", (3, 3)),
            ("bytes=9-", (9, 1)),
            ("bytes=5-100", (5, 5)),
            ("bytes=-3", (7, 3)),
            ("bytes=-10", (0, 10)),
            ("bytes=-99", (0, 10)),
            ("BYTES = 3 - 5 ", (3, 3)),
            (f"bytes=0-{'9' * 500}", (0, 10)),
        ):
            self.assertEqual(range_of(header, 10), found, header)

    def test_all_of_it(self) -> None:
        """A malformed range and several ranges ask for the whole file."""
        for header in (
            None,
            "",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=0-1,3-4",
            "bytes=a-b",
            "bytes=1.5-2",
            "bytes=0x1-0x2",
            "bytes=\u0661-\u0662",
            "items=0-1",
            "0-1",
            "bytes=--1",
            "bytes=+1-2",
            f"bytes={'1' * 5000}-",
        ):
            self.assertIsNone(range_of(header, 10), header)

    def test_white_space(self) -> None:
        """A header as long as a head may be takes no noticeable time."""
        space = " " * (16 << 10)
        begun = time.process_time()
        for header in (
            f"bytes={space}x",
            f"bytes{space}x",
            f"bytes=1{space}x",
            f"bytes=1-{space}x",
        ):
            self.assertIsNone(range_of(header, 10))
        self.assertEqual(range_of(f"bytes={space}3{space}-{space}5{space}", 10), (3, 3))
        self.assertLess(time.process_time() - begun, 0.2)

    def test_nothing_there(self) -> None:
        for header in ("bytes=10-", "bytes=10-20", "bytes=-0", f"bytes={'9' * 500}-"):
            self.assertRaises(BadRange, range_of, header, 10)
        for header in ("bytes=0-", "bytes=0-0", "bytes=-1"):
            self.assertRaises(BadRange, range_of, header, 0)

    @given(st.binary(max_size=50), st.integers(0, 60), st.integers(0, 60))
    def test_as_slices(self, data: bytes, first: int, last: int) -> None:
        """A range has the bytes that a slice has."""
        for header, wanted in (
            (f"bytes={first}-{last}", data[first : last + 1] if first <= last else data),
            (f"bytes={first}-", data[first:]),
            (f"bytes=-{last}", data[-last:] if last else b""),
        ):
            try:
                found = range_of(header, len(data))
            except BadRange:
                self.assertEqual(wanted, b"")
                continue
            start, size = found or (0, len(data))
            self.assertEqual(data[start : start + size], wanted)


class Names(SynchronousTestCase):
    def test_plain(self) -> None:
        self.assertEqual(
            disposition("laporan akhir.pdf", False),
            "attachment; filename=\"laporan akhir.pdf\"; filename*=UTF-8''laporan%20akhir.pdf",
        )

    def test_turning(self) -> None:
        """A name is never shown with another extension than it has."""
        shown = disposition("foto\u202egpj.exe", True)
        self.assertEqual(shown, "inline; filename=\"fotogpj.exe\"; filename*=UTF-8''fotogpj.exe")
        self.assertIn('"file"', disposition("\u202e", False))

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    def test_any_name_is_quoted(self, name: str) -> None:
        """The header is one line of ASCII, and the name stays within its quotes."""
        shown = disposition(name, False)
        self.assertRegex(
            shown, r"""\Aattachment; filename="[ !#-\[\]-~]*"; filename\*=UTF-8''[\w.~%-]*\Z"""
        )
        kept = unquote(shown.rpartition("''")[2])
        self.assertEqual(kept, downloads._DIRECTIONAL.sub("", name) or "file")


class DownloadTestCase(RawTestCase):
    async def send(self, data: bytes, name: str = "laporan.pdf") -> str:
        """Send a file from messi to budi. Returns its code."""
        path = (
            f"/uploads/{random.randbytes(8).hex()}?to=budi&filename={quote(name)}&size={len(data)}"  # noqa: S311
        )
        code = (await self.say("PUT", path, "messi", data)).json["code"]
        assert isinstance(code, str)
        return code

    async def get(self, code: str, who: str = "budi", method: str = "GET", **headers: Any) -> Heard:
        return await self.say(method, f"/files/{code}", who, **headers)

    async def closed(self) -> None:
        """Wait until all files are closed."""
        for _ in range(500):
            if not self.open_files():
                return
            await sleep(0.01)
        self.fail(f"{self.open_files()} are still open")

    def open_files(self) -> list[str]:
        """The files of the uploads folder that this process has open."""
        folder = str(self.realm.state.uploads.resolve())
        found = []
        for each in Path("/proc/self/fd").iterdir():
            try:
                target = str(each.readlink())
            except OSError:
                continue
            if target.startswith(folder):
                found.append(target)
        return found


class Exports(DownloadTestCase):
    async def test_export(self) -> None:
        """Everything of the account that is logged in, in an archive that is gone afterwards."""
        await self.people("messi", "budi")
        await self.send(b"halo")
        answer = await self.say("GET", "/export", "messi")
        self.assertEqual(answer.status, 200)
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            names = archive.namelist()
        self.assertIn("profile.json", names)
        self.assertIn("laporan.pdf", "".join(names))
        await self.closed()
        self.assertEqual((await self.say("POST", "/export", "messi")).status, 405)
        await self.say("GET", "/export", "messi")
        await self.closed()
        refused = await self.say("GET", "/export", "messi")
        self.assertEqual((refused.status, refused.json["code"]), (429, "too-many-exports"))


class Whole(DownloadTestCase):
    async def test_headers(self) -> None:
        await self.people("messi", "budi")
        data = b"%PDF-1.7\n" + bytes(1000)
        answer = await self.get(await self.send(data))
        self.assertEqual((answer.status, answer.body), (200, data))
        wanted = {
            "content-type": "application/octet-stream",
            "content-length": str(len(data)),
            "content-disposition": "attachment; filename=\"laporan.pdf\"; filename*=UTF-8''laporan.pdf",
            "content-security-policy": "sandbox; default-src 'none'",
            "x-content-type-options": "nosniff",
            "cache-control": "private, no-cache",
            "accept-ranges": "bytes",
            "etag": f'"{hashlib.sha256(data).hexdigest()}"',
        }
        self.assertEqual({name: answer.headers.get(name) for name in wanted}, wanted)

    async def test_head(self) -> None:
        await self.people("messi", "budi")
        code = await self.send(b"halo")
        whole, head = await self.get(code), await self.get(code, method="HEAD")
        self.assertEqual(head.body, b"")
        for headers in (whole.headers, head.headers):
            headers.pop("date", None)
        self.assertEqual(head.headers, whole.headers)
        head = await self.get(code, method="HEAD", Range="bytes=0-1")
        self.assertEqual((head.status, head.headers["content-length"]), (200, "4"))

    async def test_changed_on_disk(self) -> None:
        """A damaged file is not sent, not even in part."""
        await self.people("messi", "budi")
        code = await self.send(b"halo dunia")
        self.assertEqual((await self.get(code)).body, b"halo dunia")
        (stored,) = [path for path in self.realm.state.uploads.iterdir() if path.is_file()]
        stored.write_bytes(b"halo dunya")
        for headers in ({}, {"Range": "bytes=0-3"}):
            answer = await self.get(code, **headers)
            self.assertEqual((answer.status, answer.json["code"]), (410, "file-damaged"))
        stored.unlink()
        answer = await self.get(code)
        self.assertEqual((answer.status, answer.json["code"]), (410, "file-missing"))
        await self.closed()

    async def test_empty(self) -> None:
        await self.people("messi", "budi")
        answer = await self.get(await self.send(b""))
        self.assertEqual((answer.status, answer.headers["content-length"]), (200, "0"))

    async def test_by_name(self) -> None:
        await self.people("messi", "budi")
        await self.send(b"first", "é 文+.txt")
        await self.send(b"second", "é 文+.txt")
        answer = await self.get(quote("é 文+.txt"))
        self.assertEqual(answer.body, b"second")
        self.assertEqual(
            answer.headers["content-disposition"],
            "attachment; filename=\"_ _+.txt\"; filename*=UTF-8''%C3%A9%20%E6%96%87%2B.txt",
        )

    async def test_who_may(self) -> None:
        await self.people("messi", "budi", "henderson")
        code = await self.send(b"halo")
        self.assertEqual((await self.get(code, "messi")).body, b"halo")
        for who, where, status, error in (
            ("henderson", code, 404, "unknown-file"),
            ("", code, 401, "not-logged-in"),
            ("budi", "nothing", 404, "unknown-file"),
            ("budi", "../../etc/passwd", 404, "unknown-file"),
            ("budi", "%2e%2e%2fchatd.db", 404, "unknown-file"),
            ("budi", "%00", 404, "unknown-file"),
            ("budi", "%ff", 404, "unknown-file"),
            ("budi", "", 404, "unknown-file"),
        ):
            answer = await self.get(where, who)
            self.assertEqual((answer.status, answer.json["code"]), (status, error), where)
            self.assertNotIn("content-disposition", answer.headers)
        self.assertEqual((await self.get("nothing", method="HEAD")).status, 404)
        self.assertEqual((await self.say("POST", f"/files/{code}", "budi", b"")).status, 405)
        await self.closed()

    async def test_pictures(self) -> None:
        """A page may show harmless types only, and only with `?inline`."""
        await self.people("messi", "budi")
        code = await self.send(PNG, "gol.png")
        answer = await self.get(f"{code}?inline")
        self.assertEqual(answer.headers["content-type"], "image/png")
        self.assertTrue(answer.headers["content-disposition"].startswith("inline; "))
        self.assertEqual(answer.headers["content-security-policy"], "sandbox; default-src 'none'")
        self.assertEqual((await self.get(code)).headers["content-type"], "application/octet-stream")
        for data, name in (
            (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "x.svg"),
            (b"<!doctype html><script>alert(1)</script>", "x.html"),
            (b"%PDF-1.7\n", "x.pdf"),
            (b"alert(1)", "x.js"),
        ):
            answer = await self.get(f"{await self.send(data, name)}?inline=1")
            self.assertEqual(answer.headers["content-type"], "application/octet-stream", name)
            self.assertTrue(answer.headers["content-disposition"].startswith("attachment; "))


class Conditions(DownloadTestCase):
    async def test_known(self) -> None:
        await self.people("messi", "budi")
        code = await self.send(b"halo")
        tag = (await self.get(code)).headers["etag"]
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*", f'"a,b" , {tag},'):
            answer = await self.get(code, If_None_Match=known)
            self.assertEqual((answer.status, answer.body), (304, b""), known)
            self.assertEqual(answer.headers["etag"], tag)
            self.assertNotIn("content-length", answer.headers)
        for known in ('"x"', tag.strip('"'), tag.upper(), "", '"' * 5000, "W/*"):
            self.assertEqual((await self.get(code, If_None_Match=known)).status, 200, known)
        self.assertEqual((await self.get(code, method="HEAD", If_None_Match=tag)).status, 304)
        answer = await self.get(code, If_None_Match=tag, Range="bytes=0-1")
        self.assertEqual(answer.status, 304)
        await self.closed()

    async def test_parts(self) -> None:
        await self.people("messi", "budi")
        code = await self.send(b"0123456789")
        for header, status, body, shown in (
            ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
            ("bytes=-3", 206, b"789", "bytes 7-9/10"),
            ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
            ("bytes=0-1,5-6", 200, b"0123456789", None),
            ("bytes=10-", 416, b"", "bytes */10"),
        ):
            answer = await self.get(code, Range=header)
            self.assertEqual((answer.status, answer.body), (status, body), header)
            self.assertEqual(answer.headers.get("content-range"), shown)
            self.assertEqual(answer.headers["content-length"], str(len(body)))

    async def test_if_range(self) -> None:
        """A range is sent only of the file that If-Range names."""
        await self.people("messi", "budi")
        code = await self.send(b"0123456789")
        tag = (await self.get(code)).headers["etag"]
        for which, status in (
            (tag, 206),
            ('"other"', 200),
            (f"W/{tag}", 200),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 200),
        ):
            answer = await self.get(code, Range="bytes=2-4", If_Range=which)
            self.assertEqual(answer.status, status, which)


class Large(DownloadTestCase):
    limits = {"file": 64 * MIB, "account_files": 128 * MIB}

    async def test_in_ranges(self) -> None:
        """20 MiB in ranges, over connections that break, are the same file."""
        await self.people("messi", "budi")
        data = random.Random(1).randbytes(20 * MIB)  # noqa: S311
        code = await self.send(data)
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        found = b""
        while len(found) < len(data):
            raw = await self.dial()
            headers = {
                "Cookie": self.cookies["budi"],
                "Range": f"bytes={len(found)}-",
                "If-Range": tag,
            }
            raw.begin("GET", f"/files/{code}", headers)
            wanted = min(7 * MIB, len(data) - len(found))
            await self.some(raw, wanted)
            raw.cut()
            head, _, body = raw.got.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 206 "), head)
            found += body
        self.assertEqual(hashlib.sha256(found).hexdigest(), tag.strip('"'))
        await self.closed()

    async def some(self, raw: Raw, size: int) -> None:
        """Wait until more than `size` bytes have arrived."""
        await raw.until(lambda: len(raw.got) > size)

    async def test_slow_reader(self) -> None:
        """Little more is read from the disk than the client reads. A client that reads nothing is cut off."""
        await self.people("messi", "budi")
        data = random.Random(2).randbytes(48 * MIB)  # noqa: S311
        code = await self.send(data)
        sizes: list[int] = []
        read = Outgoing.read

        def count(file: Outgoing, size: int) -> Any:
            sizes.append(size)
            return read(file, size)

        self.patch(Outgoing, "read", count)
        raw = await self.dial()
        raw.transport.pauseProducing()
        raw.begin("GET", f"/files/{code}", {"Cookie": self.cookies["budi"]})
        await raw.until(lambda: bool(sizes))
        before = -1
        while before != len(sizes):
            before = len(sizes)
            await sleep(0.2)
        self.assertLess(sum(sizes), 24 * MIB)  # buffers of the sockets
        self.assertEqual(len(self.open_files()), 1)
        raw.transport.resumeProducing()
        answer = await raw.answer()
        self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(data).digest())
        await self.closed()
        self.patch(downloads, "MAX_FULL", 0.1)
        raw.transport.pauseProducing()
        raw.begin("GET", f"/files/{code}", {"Cookie": self.cookies["budi"]})
        await sleep(0.5)
        await self.closed()
        raw.transport.resumeProducing()
        await raw.gone()

    async def test_reader_gone(self) -> None:
        """The file is closed, whenever that happens."""
        await self.people("messi", "budi")
        code = await self.send(bytes(32 * MIB))
        for pause in (0, 0.001, 0.003, 0.01, 0.03, 0.1):
            raw = await self.dial()
            raw.transport.pauseProducing()
            raw.begin("GET", f"/files/{code}", {"Cookie": self.cookies["budi"]})
            await sleep(pause)
            raw.cut()
        await self.closed()
        await raw.until(lambda: not self.site._channels)

    async def test_pipelined_requests(self) -> None:
        """Pipelined requests are answered in order."""
        await self.people("messi", "budi")
        data = random.Random(3).randbytes(MIB)  # noqa: S311
        code = await self.send(data)
        raw = await self.dial()
        for _ in range(5):
            raw.begin("GET", f"/files/{code}", {"Cookie": self.cookies["budi"]})
        for _ in range(5):
            self.assertEqual((await raw.answer()).body, data)

    async def test_disk_fails(self) -> None:
        """An answer whose bytes are missing is cut off, not padded."""
        await self.people("messi", "budi")
        code = await self.send(bytes(8 * MIB))
        read = Outgoing.read
        reads = 0

        def fail(file: Outgoing, size: int) -> Any:
            nonlocal reads
            reads += 1
            if reads > 5:
                raise OSError(5, "Input/output error")
            return read(file, size)

        with mock.patch.object(Outgoing, "read", fail):
            raw = await self.dial()
            raw.begin("GET", f"/files/{code}", {"Cookie": self.cookies["budi"]})
            await raw.gone()
        self.assertLess(len(raw.got), 8 * MIB)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        await self.closed()
