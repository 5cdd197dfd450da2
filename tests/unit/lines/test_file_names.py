"""Names of files in the older dialects: with spaces, and as they are stored. Empty files."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import BadArgument, BadRequest, UnknownFile
from chatd.base.names import Address
from chatd.commands import values as ask
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects import kelompok3
from chatd.lines.dialects.blocks import said
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from chatd.lines.dialects.verbs import MAX_WORD, Verb, send_file
from chatd.store.schema import attachments
from tests.support.common import Wire
from tests.unit.lines.cases import ProtocolTestCase

SENT = said("File sent")
SPACED = Verb(
    "sendfile",
    ask.SendFile,
    (args.TO, args.SPACED_FILENAME, args.FILE),
    SENT,
    make=send_file,
)


class SpacedNames(SynchronousTestCase):
    """All words between the recipient and the file are the name."""

    def reads(self, rest: str, name: str, data: bytes) -> None:
        found = SPACED.read(rest)
        self.assertEqual(found.command, ask.SendFile((Address("budi"),), name, len(data)))
        assert found.content is not None
        self.assertEqual(b"".join(found.content.chunks()), data)

    def test_names(self) -> None:
        for name in (
            "foto.jpg",
            "foto saya.jpg",
            "a  b",
            "img/foto saya.jpg",
            "app\\upload\\a b.txt",
            "b'QUJD' QUJD",
            "é ü",
        ):
            for content in ("QUJD", "b'QUJD'"):
                self.reads(f"budi {name} {content}", name, b"ABC")
                self.reads(f"budi {name} {content} ", name, b"ABC")

    def test_empty(self) -> None:
        self.reads("budi foto saya.jpg b''", "foto saya.jpg", b"")
        self.reads("budi foto.jpg b''", "foto.jpg", b"")

    def test_long(self) -> None:
        """The file may be as long as the line."""
        self.reads(f"budi a b {'QUJD' * 1_000_000}", "a b", b"ABC" * 1_000_000)

    def test_missing(self) -> None:
        """One word after the recipient is a name without a file."""
        for rest in ("budi foto.jpg", "budi foto.jpg "):
            self.assertRaises(UnknownFile, SPACED.read, rest)
        for rest in ("", " ", "budi", "budi "):
            self.assertRaises(BadRequest, SPACED.read, rest)

    def test_refused(self) -> None:
        for rest in ("budi foto saya.jpeg", f"budi {'a ' * MAX_WORD}QUJD", "A" * 100_000):
            self.assertRaises(BadRequest, SPACED.read, rest)


class PlainNames(SynchronousTestCase):
    """In the documents' form a name is one word."""

    def test_second_word_is_the_file(self) -> None:
        verb = kelompok3.VERBS["sendfile"]
        self.assertRaises(BadArgument, verb.read, "budi a aGFs bw==")
        found = verb.read("budi kosong.txt b''")
        assert found.content is not None
        self.assertEqual(found.content.size, 0)

    def test_empty_payload(self) -> None:
        line = b"file_send session=x&username=budi&payload=&filename=kosong.txt"
        found = UrlencodedDialect().read(line).read(True)
        assert isinstance(found.command, ask.SendFile)
        self.assertEqual((found.command.filename, found.command.size), ("kosong.txt", 0))
        assert found.content is not None
        self.assertEqual(list(found.content.chunks()), [])


class OlderRelease(ProtocolTestCase):
    """tugas4 shows a file that an older release stored as if its name on disk were of today's form."""

    async def ask(self, wire: Wire, line: str) -> dict[str, Any]:
        wire.feed(f"{line}\r\n".encode())
        found: dict[str, Any] = json.loads(await wire.until(b"\r\n\r\n"))
        return found

    async def test_name_with_the_time(self) -> None:
        messi = await self.logged_in("messi", Tugas4Dialect)
        henderson = await self.logged_in("henderson", Tugas4Dialect)
        sent = await self.ask(messi, "send_file henderson foto.png iVBORwo=")
        uploads = self.realm.state.uploads
        older = "20260101T101503.123456Z-foto.png"
        (uploads / sent["filename"]).rename(uploads / older)
        change = sa.update(attachments).values(stored=older)
        await self.realm.database.run(lambda connection: connection.execute(change))
        (entry,) = (await self.ask(henderson, "inbox"))["messages"]["messi"]
        self.assertRegex(entry["file_name"], r"\A\d{4}(_\d\d){5}_foto\.png\Z")
        for name in (entry["file_name"], "foto.png", older, entry["file_code"]):
            found = await self.ask(henderson, f"download_file {name}")
            self.assertEqual(found["filename"], entry["file_name"])
            self.assertEqual(found["file_content"], "iVBORwo=")
