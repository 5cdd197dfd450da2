"""The inbox with the bytes of files: what one reply has, what waits, and what counts as read.

It is read in kelompok3, whose client has no other way to get a file. A program that uses json sees what is
unread.
"""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from chatd.lines.dialect import Dialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from tests.support.common import RealmTestCase, Wire

BUDGET = 768  # bytes of files in one reply


class InboxTestCase(RealmTestCase):
    limits = {"inline_line": 1024, "line": 1024}

    def open(self, dialect: Dialect) -> Wire:
        wire = self.connect(dialect)
        self.addCleanup(self.close, wire)
        return wire

    def close(self, wire: Wire) -> None:
        if wire.transport.connected:
            wire.lose(Failure(ConnectionDone()))

    async def begin(self) -> None:
        self.writer = self.open(JsonDialect())
        await self.writer.ask(command="register", username="messi", password="surabaya")
        self.reader = self.open(JsonDialect())
        await self.reader.ask(command="register", username="henderson", password="surabaya")
        await self.log_in()

    async def log_in(self) -> None:
        """Open the connection that reads the inbox."""
        self.wire = self.open(Kelompok3Dialect())
        self.wire.feed(b"auth henderson surabaya \r\n")
        self.token = json.loads(await self.wire.until(b"\r\n\r\n"))["tokenid"]

    async def send_file(self, name: str, size: int) -> str:
        """Send `size` times the first letter of the name. Returns the code of the file."""
        ready = await self.writer.ask(command="sendfile", to="henderson", filename=name, size=size)
        assert ready["status"] == "READY", ready
        self.writer.feed(name[0].encode() * size)
        return str((await self.writer.line())["code"])

    async def send(self, text: str) -> None:
        await self.writer.ask(command="send", to="henderson", text=text)

    def ask(self) -> None:
        self.wire.feed(f"inbox {self.token} \r\n".encode())

    async def inbox(self) -> list[str]:
        """Read the inbox. A file is its name and its size, if its bytes are there."""
        self.ask()
        return self.shown(await self.wire.until(b"\r\n\r\n"))

    def shown(self, reply: bytes) -> list[str]:
        found: dict[str, Any] = json.loads(reply)
        self.assertTrue(reply.isascii())
        return [_text(entry) for entry in found["messages"].get("messi", [])]

    async def unread(self) -> int:
        found = await self.reader.ask(command="conversations")
        counted = await self.reader.ask(command="unread")
        listed: int = found["conversations"][0]["unread"]
        self.assertEqual(sum(each["unread"] for each in counted["conversations"]), listed)
        return listed


def _text(entry: dict[str, Any]) -> str:
    if "file_content" not in entry:
        return str(entry["msg"])
    data = base64.b64decode(ast.literal_eval(entry["file_content"]), validate=True)
    assert data == entry["file_name"][0].encode() * entry["file_size"]
    return f"{entry['file_name']} {len(data)}"


class WhatFits(InboxTestCase):
    async def test_files_wait(self) -> None:
        """Files that do not fit into the reply stay unread, and come alone with the next ones."""
        await self.begin()
        for name, size in (("a.txt", 400), ("b.txt", 300), ("c.txt", 600), ("d.txt", 0)):
            await self.send_file(name, size)
        await self.send("halo")
        await self.send_file("e.txt", 168)
        self.assertEqual(await self.inbox(), ["a.txt 400", "b.txt 300", "d.txt 0", "halo"])
        await self.send("lagi")
        self.assertEqual(await self.unread(), 7)  # nothing is acknowledged yet
        self.assertEqual(await self.inbox(), ["c.txt 600", "e.txt 168", "lagi"])
        self.assertEqual(await self.unread(), 3)
        self.assertEqual(await self.inbox(), [])
        self.assertEqual(await self.unread(), 0)

    async def test_skipped_file_in_another_dialect(self) -> None:
        """A dialect that shows files by their names shows what another one has left behind."""
        await self.begin()
        await self.send_file("a.txt", 500)
        await self.send_file("b.txt", 500)
        await self.send("halo")
        self.assertEqual(await self.inbox(), ["a.txt 500", "halo"])
        self.wire.feed(b"info\r\n")
        await self.wire.until(b"\r\n\r\n")
        self.assertEqual(await self.unread(), 1)
        found = (await self.reader.ask(command="conversations"))["conversations"][0]
        self.assertEqual((found["read"], found["seq"]), (1, 3))
        reply = await self.reader.ask(command="inbox")
        self.assertEqual([each["file"]["name"] for each in reply["messages"]], ["b.txt"])
        self.assertEqual(await self.unread(), 0)
        self.assertEqual(await self.inbox(), [])

    async def test_what_never_fits_is_named(self) -> None:
        await self.begin()
        code = await self.send_file("large.txt", BUDGET + 1)
        await self.send_file("b.txt", BUDGET)
        named = f"file large.txt ({BUDGET + 1} bytes) code {code}"
        self.assertEqual(await self.inbox(), [named, f"b.txt {BUDGET}"])
        self.assertEqual(await self.inbox(), [])

    async def test_lost_files_are_named(self) -> None:
        """A file that is not in the folder any more, or has changed, is named with its code."""
        await self.begin()
        codes = [await self.send_file(name, 100) for name in ("a.txt", "b.txt", "c.txt")]
        gone, changed, _ = sorted(
            path for path in self.realm.service.uploads.folder.iterdir() if path.is_file()
        )
        gone.unlink()
        changed.write_bytes(b"x" * 100)
        expected = [
            f"file a.txt (100 bytes) code {codes[0]}",
            f"file b.txt (100 bytes) code {codes[1]}",
            "c.txt 100",
        ]
        self.assertEqual(await self.inbox(), expected)
        self.flushLoggedErrors()
        self.assertEqual(await self.inbox(), [])

    async def test_pipelined(self) -> None:
        """Requests that arrive together get different files."""
        await self.begin()
        for name in ("a.txt", "b.txt", "c.txt"):
            await self.send_file(name, 500)
        self.ask()
        self.wire.feed(f"inbox {self.token} \r\ninbox {self.token} \r\n".encode())
        replies = b""
        while replies.count(b"\r\n\r\n") < 3:
            replies += await self.wire.until(b"\r\n\r\n")
        shown = [self.shown(each + b"\r\n") for each in replies.split(b"\r\n\r\n")[:3]]
        self.assertEqual(shown, [["a.txt 500"], ["b.txt 500"], ["c.txt 500"]])


class Broken(InboxTestCase):
    async def test_lost_before_it_is_acknowledged(self) -> None:
        await self.begin()
        for name in ("a.txt", "b.txt"):
            await self.send_file(name, 500)
        self.assertEqual(await self.inbox(), ["a.txt 500"])
        self.wire.lose(Failure(ConnectionLost()))
        await self.log_in()
        self.assertEqual(await self.unread(), 2)
        self.assertEqual(await self.inbox(), ["a.txt 500"])

    async def test_closed_within_the_reply(self) -> None:
        """A connection that ends before the whole reply was sent proves nothing, even if it ends cleanly."""
        await self.begin()
        await self.send_file("a.txt", 500)
        with self.opening(Deferred()):
            self.ask()
            await self.wire.until(b"b'")
            self.wire.lose(Failure(ConnectionDone()))
        await self.log_in()
        self.assertEqual(await self.unread(), 1)
        self.assertEqual(await self.inbox(), ["a.txt 500"])

    async def test_file_that_vanishes(self) -> None:
        """If a file can't be opened when its turn comes, the connection is dropped, and all stays unread."""
        await self.begin()
        await self.send("halo")
        await self.send_file("a.txt", 500)
        with self.opening(fail(OSError("gone"))):
            self.ask()
            await self.wire.until(lambda _data: self.wire.transport.aborted)
        self.wire.lose(Failure(ConnectionDone()))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        await self.log_in()
        self.assertEqual(await self.inbox(), ["halo", "a.txt 500"])

    @contextmanager
    def opening(self, result: Deferred[Any]) -> Iterator[None]:
        """Files are there when they are checked. Opening one has this result."""
        uploads = self.realm.service.uploads
        with (
            mock.patch.object(uploads, "is_whole", mock.AsyncMock(return_value=True)),
            mock.patch.object(uploads, "open", mock.Mock(return_value=result)),
        ):
            yield
