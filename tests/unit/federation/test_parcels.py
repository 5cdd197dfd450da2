"""Parcels that are malformed, or lose their content."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import (
    Direct,
    DirectDeletion,
    DirectEdit,
    Post,
    Ref,
    blanked,
    encode,
    try_decode,
)
from chatd.federation.signing.entries import SignedEntry
from tests.support.signing import SigningRealm

FILE = FileNote("a.txt", 3, "0" * 64, "7")


class Malformed(SynchronousTestCase):
    def test_contents(self) -> None:
        """A message has at most one content, and an opaque one has a type."""
        media = "application/x"
        wrong: tuple[dict[str, Any], ...] = (
            {"text": "satu", "file": FILE},
            {"media": media},
            {"body": b"x"},
            {"body": b"x", "media": media, "text": "satu"},
            {"body": b"x", "media": media, "file": FILE},
        )
        for contents in wrong:
            with self.assertRaises(ValueError, msg=str(contents)):
                Direct("ana", "budi", 1, **contents)

    def test_decoding(self) -> None:
        """A parcel with two contents is as unreadable as one that is none."""
        good = encode(Direct("ana", "budi", 1, "satu"))
        fields = msgspec.msgpack.decode(good)
        self.assertEqual(try_decode(good), Direct("ana", "budi", 1, "satu"))
        fields[5] = msgspec.msgpack.decode(encode(FILE))
        only_file = encode([*fields[:4], None, *fields[5:]])
        self.assertEqual(try_decode(only_file), Direct("ana", "budi", 1, file=FILE))
        for bad in (encode(fields), b"", b"x", b"\x91" * 5000 + b"\x01"):
            self.assertIsNone(try_decode(bad))


class Blanked(SynchronousTestCase):
    def test_direct(self) -> None:
        parcel = blanked(encode(Direct("ana", "budi", 1, "satu", mentions=())))
        found = try_decode(parcel)
        self.assertEqual(found, Direct("ana", "budi", 1))
        assert isinstance(found, Direct)
        self.assertTrue(found.is_blank)

    def test_edit(self) -> None:
        target = Ref(own=True, number=3)
        parcel = blanked(encode(DirectEdit("ana", "budi", 1, target, "dua")))
        self.assertEqual(try_decode(parcel), DirectEdit("ana", "budi", 1, target))

    def test_others(self) -> None:
        """What has no words of people stays as it is, and so does what can't be read."""
        deletion = encode(DirectDeletion("ana", "budi", 1, Ref(own=True, number=3)))
        for parcel in (deletion, b"x"):
            self.assertEqual(blanked(parcel), parcel)

    def test_entry(self) -> None:
        """An entry loses its content, also if nobody can tell what it is."""
        said = SigningRealm("realm1").says()
        strange = SignedEntry(b"x", said.proof, said.salt, said.attributes, said.body)
        for entry in (said, strange):
            found = try_decode(blanked(encode(Post(entry, "bagan"))))
            assert isinstance(found, Post)
            self.assertTrue(found.entry.is_blank)
            self.assertEqual(found.entry.statement, entry.statement)
