"""Archives that nobody should have made: what is read is bounded, and refused with a reason."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable
from typing import Any
from unittest import mock

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.account_archive import MESSAGES_BEGIN, ArchivedMessage
from chatd.base.errors import BadArchive
from chatd.files import archive_reader as module
from chatd.files.archive_reader import ArchiveReader
from tests.support.archives import AT, OLD, archive, direct, packed, said

NAME = "conversations/5.json"
WHOLE = archive(
    direct(5, "budi", said(1, "budi", "satu"), said(2, "messi", "dua")),
    files={"files/a-b.txt": b"halo"},
)


def read_all(data: bytes) -> list[ArchivedMessage]:
    """All messages of an archive. Raises BadArchive."""
    reader = ArchiveReader(io.BytesIO(data))
    try:
        reader.profile()
        found: list[ArchivedMessage] = []
        for name in reader.conversations():
            reader.begin(name)
            while page := reader.page():
                found += page
        return found
    finally:
        reader.close()


class ReaderTestCase(SynchronousTestCase):
    def refusal(self, data: bytes) -> str:
        """Why an archive is refused."""
        return str(self.assertRaises(BadArchive, read_all, data)).partition(": ")[2]

    def profile(self, **changed: Any) -> bytes:
        return msgspec.json.encode({**msgspec.to_builtins(OLD), **changed})

    def lines(self, *lines: bytes, end: bytes = b"\n]}") -> bytes:
        """An archive with a conversation of these lines."""
        body = b'{"conversation":5,"user":"budi"' + MESSAGES_BEGIN
        body += b",".join(b"\n" + each for each in lines) + end
        return packed({"profile.json": self.profile(), NAME: body})


class Reading(ReaderTestCase):
    def test_in_pages(self) -> None:
        """Pages end by weight and by size. Conversations come by number, and other files are ignored."""
        crowd = tuple(f"p{number}" for number in range(20))
        messages = [said(number, "budi", "x" * 50) for number in range(1, 7)]
        messages[2] = said(3, "budi", "x", reactions={"👍": crowd})
        data = archive(direct(10, "ana"), direct(9, "budi", *messages))
        reader = ArchiveReader(io.BytesIO(data))
        self.addCleanup(reader.close)
        self.assertEqual(reader.profile(), OLD)
        self.assertEqual(reader.conversations(), ["conversations/9.json", "conversations/10.json"])
        self.patch(module, "MAX_WEIGHT", 4)
        self.assertEqual(reader.begin("conversations/9.json").user, "budi")
        pages = [[each.seq for each in page] for page in iter(reader.page, [])]
        self.assertEqual(pages, [[1, 2, 3], [4, 5, 6]])
        self.patch(module, "MAX_PAGE", 150)
        reader.begin("conversations/9.json")
        pages = [[each.seq for each in page] for page in iter(reader.page, [])]
        self.assertEqual(pages, [[1, 2], [3], [4, 5], [6]])
        self.assertEqual(reader.begin("conversations/10.json").user, "ana")
        self.assertEqual(reader.page(), [])

    def test_files(self) -> None:
        """A file is looked up by its path in the archive, and read in pieces."""
        reader = ArchiveReader(io.BytesIO(WHOLE))
        self.addCleanup(reader.close)
        self.assertEqual(reader.size_of("files/a-b.txt"), 4)
        self.assertIsNone(reader.size_of("../../etc/passwd"))
        self.patch(module, "CHUNK", 3)
        self.assertEqual(list(reader.pieces("files/a-b.txt")), [b"hal", b"o"])

    def test_first_format(self) -> None:
        """An archive of the first format has a conversation in one line: it is refused, not misread."""
        body = b'{"conversation":5,"user":"budi","messages":[{"seq":1,"text":"a"}]}'
        data = packed({"profile.json": b'{"realm":"r","username":"a"}', NAME: body})
        self.assertIn("not as chatd writes it", self.refusal(data))


class Hostile(ReaderTestCase):
    def test_refusals(self) -> None:
        """Each kind of damage has its reason."""
        cases = {
            b"": "no ZIP",
            b"PK\x05\x06" + bytes(18): "profile.json",
            WHOLE[:-1]: "no ZIP",
            WHOLE + b"x": "no ZIP",
            packed({"a": b"b"}): "has no profile.json",
            packed({"profile.json": self.profile(realm=7)}): "not as chatd",
            packed({"profile.json": self.profile(format=3)}): "newer version",
            packed({"profile.json": b"["}): "not as chatd",
            packed({"profile.json": self.profile(contacts=["a"] * 10_001)}): "not as chatd",
            packed({"profile.json": self.profile()}, zipfile.ZIP_BZIP2): "packed in another way",
            packed({"profile.json": self.profile(), NAME: b"{}"}): "not as chatd",
            self.lines(b"{}"): "not as chatd",
            self.lines(b'{"seq":1}', end=b""): "cut off",
            self.lines(b'{"seq":1}', end=b"\n"): "cut off",
            self.lines(b'{"seq":99999999999999999999}'): "not as chatd",
            self.lines(b'{"seq":1,"text":"\xff"}'): "not as chatd",
            self.lines(b'{"seq":1,"text":"' + b"x" * 70_000 + b'"}'): "not as chatd",
            self.lines(b'{"seq":1,"x":"' + b"x" * module.MAX_LINE + b'"}'): "too long",
        }
        for data, reason in cases.items():
            with self.subTest(reason=reason, data=data[:40]):
                self.assertIn(reason, self.refusal(data))

    def test_nesting(self) -> None:
        """Values that nobody knows are skipped, however deep; others can't be nested."""
        for depth in (10, 1000, 100_000):
            deep = b"[" * depth + b"]" * depth
            self.tried(self.lines(b'{"seq":1,"x":' + deep + b"}"))
            self.assertIn(
                "not as chatd", self.refusal(self.lines(b'{"seq":1,"text":' + deep + b"}"))
            )
            self.tried(
                self.lines(b'{"seq":1,"reactions":' + b'{"a":' * depth + b"1" + b"}" * depth)
            )

    def test_too_much(self) -> None:
        """What comes out is bounded by what goes in, and so are the messages and the files."""
        self.patch(module, "FREE", 1000)
        bomb = self.lines(*(b'{"seq":1,"x":"' + b"x" * 90_000 + b'"}' for _ in range(50)))
        self.assertLess(len(bomb), 10_000)
        self.assertIn("far more comes out", self.refusal(bomb))
        self.patch(module, "MAX_MESSAGES", 1)
        self.assertIn("more than 1 messages", self.refusal(WHOLE))
        self.patch(module, "MAX_MEMBERS", 1)
        self.assertIn("more than 1 files", self.refusal(WHOLE))
        self.patch(module, "MAX_PROFILE", 10)
        self.patch(module, "MAX_MEMBERS", 10)
        self.assertIn("too large", self.refusal(WHOLE))

    def test_large_directory(self) -> None:
        """A directory is not read into memory before its size is known, also that of ZIP64."""
        reading = mock.patch.object(zipfile, "ZipFile", side_effect=AssertionError)
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 1 << 30, 0, 0)
        full = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0, 0)
        locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
        record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 9, 9, 1 << 40, 0)
        with reading:
            for data in (end, record + locator + full):
                self.assertIn("more than", self.refusal(data))
            elsewhere = b"x" + record + locator + full
            self.assertIn("no ZIP", self.refusal(elsewhere))
            other = record.replace(b"PK\x06\x06", b"PK\x06\x05") + locator + full
            self.assertIn("no ZIP", self.refusal(other))

    def test_encrypted(self) -> None:
        """An encrypted file is refused."""
        data = WHOLE.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
        )
        self.assertNotEqual(data, WHOLE)
        self.assertIn("damaged or encrypted", self.refusal(data))

    @given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8))
    def test_altered_bytes(self, changes: Iterable[tuple[int, int]]) -> None:
        """Whatever bytes are altered, the archive is read or refused."""
        data = bytearray(WHOLE)
        for at, byte in changes:
            data[at] = byte
        self.tried(bytes(data))

    @given(st.integers(0, len(WHOLE)), st.binary(max_size=40))
    def test_cut(self, at: int, rest: bytes) -> None:
        """So is one that is cut off and goes on otherwise."""
        self.tried(WHOLE[:at] + rest)

    @given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
    def test_any_values(self, value: Any) -> None:
        """So is one whose fields have other values."""
        for key in (
            "seq",
            "at",
            "from",
            "text",
            "file",
            "mentions",
            "reactions",
            "opaque",
            "signed",
        ):
            line = msgspec.json.encode({"seq": 1, "at": AT, key: value})
            self.tried(self.lines(line))

    def tried(self, data: bytes) -> None:
        try:
            for message in read_all(data):
                self.assertIsInstance(message, ArchivedMessage)
        except BadArchive as error:
            self.assertTrue(str(error).isprintable())
