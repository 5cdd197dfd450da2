"""Signed entries: what was signed verifies, and nothing else does."""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.base.content_hash import content_hash
from chatd.base.errors import BadSignature
from chatd.federation.parcel_fields import FileNote
from chatd.federation.signing.entries import SignedEntry, Trust, Verifier, open_entry
from chatd.federation.signing.keys import GRACE, KeyRing, RealmKey
from chatd.federation.signing.proofs import MAX_BATCH, Proof, SigningKey
from chatd.federation.signing.statements import (
    PLAIN_MESSAGE,
    Attributes,
    DeletionAttributes,
    EditAttributes,
    GroupAttributes,
    MemberAttributes,
    MessageAttributes,
    PinAttributes,
    ReactionAttributes,
    StatedRef,
    Statement,
    encode,
    kind_of,
)

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
SALT = bytes(range(16))
AT = 1_764_200_000_000
PLAIN = MessageAttributes()

EVERY_KIND: tuple[Attributes, ...] = (
    MessageAttributes(
        StatedRef("realm2", 7),
        ("ana@realm1",),
        "budi@realm3",
        FileNote("a.txt", 3, "0" * 64, "AB12CD"),
    ),
    MessageAttributes(media="application/octet-stream"),
    EditAttributes(),
    DeletionAttributes(),
    ReactionAttributes("👍", True),
    PinAttributes(False),
    MemberAttributes("kicked", "budi@realm3"),
    GroupAttributes({"title": "Futsal", "topic": None, "closed": True}),
)


def statement(
    number: int = 1,
    attributes: Attributes = PLAIN,
    body: bytes = b"Halo semua",
) -> bytes:
    digest = content_hash(SALT, encode(attributes), body)
    kind = kind_of(attributes)
    return encode(Statement("realm1", number, "realm2", 12, kind, "messi", None, AT, digest))


def signed(attributes: Attributes = PLAIN, body: bytes = b"Halo semua") -> SignedEntry:
    stated = statement(1, attributes, body)
    return SignedEntry(stated, KEY.sign([stated])[0], SALT, encode(attributes), body)


def verifier(until: int | None = None) -> Verifier:
    return Verifier(KeyRing([("realm1", RealmKey(KEY.public, AT - 1, until))]))


def proof_of(entry: SignedEntry) -> Proof:
    assert entry.proof is not None
    return entry.proof


def check(entry: SignedEntry, by: Verifier | None = None) -> Trust:
    opened = open_entry(entry).statement
    return (by or verifier()).check(entry.statement, opened.realm, opened.at, proof_of(entry))


class SignedEntryTests(TestCase):
    def test_every_kind_verifies(self) -> None:
        for attributes in EVERY_KIND:
            body = b"Halo" if isinstance(attributes, MessageAttributes) else b""
            entry = signed(attributes, body)
            self.assertEqual(open_entry(entry).attributes, attributes)
            self.assertIs(check(entry), Trust.VERIFIED)

    def test_travels(self) -> None:
        entry = signed()
        self.assertEqual(msgspec.msgpack.decode(encode(entry), type=SignedEntry), entry)

    def test_without_content_it_still_verifies(self) -> None:
        entry = signed().blank()
        self.assertTrue(entry.is_blank)
        self.assertIsNone(open_entry(entry).attributes)
        self.assertIs(check(entry), Trust.VERIFIED)

    def test_another_content(self) -> None:
        entry = signed()
        for changed in (
            {"body": b"Halo semuanya"},
            {"body": b""},
            {"salt": bytes(16)},
            {"salt": b""},
            {"attributes": encode(MessageAttributes(forwarded="ana@realm1"))},
            {"attributes": PLAIN_MESSAGE + b"H", "body": b"alo semua"},
        ):
            with self.assertRaises(BadSignature):
                open_entry(msgspec.structs.replace(entry, **changed))

    def test_moved_into_the_attributes(self) -> None:
        """The hash stays the same, but the attributes are no longer one value."""
        entry = msgspec.structs.replace(
            signed(), attributes=PLAIN_MESSAGE + b"Halo", body=b" semua"
        )
        with self.assertRaises(BadSignature):
            open_entry(entry)

    def test_salt_of_another_length(self) -> None:
        stated = Statement(
            "realm1", 1, "realm2", 12, "message", "messi", None, AT,
            content_hash(b"salt", PLAIN_MESSAGE, b""),
        )  # fmt: skip
        data = encode(stated)
        with self.assertRaises(BadSignature):
            open_entry(SignedEntry(data, KEY.sign([data])[0], b"salt", PLAIN_MESSAGE, b""))

    def test_content_of_another_kind(self) -> None:
        attributes = encode(PinAttributes(True))
        stated = Statement(
            "realm1", 1, "realm2", 12, "message", "messi", None, AT,
            content_hash(SALT, attributes, b""),
        )  # fmt: skip
        data = encode(stated)
        with self.assertRaises(BadSignature):
            open_entry(SignedEntry(data, KEY.sign([data])[0], SALT, attributes, b""))

    def test_body_where_none_belongs(self) -> None:
        with self.assertRaises(BadSignature):
            open_entry(signed(PinAttributes(True), b"x"))
        with self.assertRaises(BadSignature):
            open_entry(signed(MessageAttributes(), b"\xff"))
        self.assertEqual(open_entry(signed(MessageAttributes(media="a/b"), b"\xff")).body, b"\xff")

    def test_another_statement(self) -> None:
        entry = signed()
        other = msgspec.structs.replace(entry, statement=statement(2))
        with self.assertRaises(BadSignature):
            check(other)

    def test_text(self) -> None:
        self.assertEqual(open_entry(signed()).text, "Halo semua")
        self.assertIsNone(open_entry(signed(MessageAttributes(media="a/b"))).text)
        self.assertIsNone(open_entry(signed(PinAttributes(True), b"")).text)

    def test_largest_statement_fits(self) -> None:
        name = "\U00010400" * 64
        ref = StatedRef(name, 2**62)
        stated = Statement(name, 2**62, name, 2**62, "message", name, ref, 2**62, bytes(32))
        self.assertLessEqual(len(encode(stated)), 1280)

    @given(st.binary(max_size=300))
    def test_garbage(self, data: bytes) -> None:
        entry = msgspec.structs.replace(signed(), statement=data)
        with self.assertRaises(BadSignature):
            open_entry(entry)


class VerifierTests(TestCase):
    def test_unknown_key(self) -> None:
        self.assertIs(check(signed(), Verifier(KeyRing())), Trust.UNVERIFIED)

    def test_key_of_another_realm(self) -> None:
        ring = KeyRing([("realm3", RealmKey(KEY.public, 0))])
        self.assertIs(check(signed(), Verifier(ring)), Trust.UNVERIFIED)

    def test_replaced_key(self) -> None:
        self.assertIs(check(signed(), verifier(until=AT - GRACE)), Trust.VERIFIED)
        with self.assertRaises(BadSignature):
            check(signed(), verifier(until=AT - GRACE - 1))

    def test_wrong_signature(self) -> None:
        entry = signed()
        proof = msgspec.structs.replace(proof_of(entry), signature=bytes(64))
        by = verifier()
        for _ in range(2):
            with self.assertRaises(BadSignature):
                check(msgspec.structs.replace(entry, proof=proof), by)

    def test_bad_path(self) -> None:
        entry = signed()
        for changes in ({"size": 2}, {"index": 1}, {"path": bytes(32)}, {"path": b"x"}):
            proof = msgspec.structs.replace(proof_of(entry), **changes)
            with self.assertRaises(BadSignature):
                check(msgspec.structs.replace(entry, proof=proof))

    def test_batch_costs_one_verification(self) -> None:
        stated = [statement(number) for number in range(MAX_BATCH + 3)]
        proofs = KEY.sign(stated)
        self.assertEqual(len({proof.signature for proof in proofs}), 2)
        by = verifier()
        for each, proof in zip(stated, proofs, strict=True):
            self.assertIs(by.check(each, "realm1", AT, proof), Trust.VERIFIED)
        self.assertEqual(by.verified, 2)

    @given(st.integers(1, 70), st.data())
    def test_statement_of_the_batch_only(self, count: int, data: st.DataObject) -> None:
        """A proof holds for its own statement only, not for another of the same batch."""
        stated = [statement(number) for number in range(count)]
        proofs = KEY.sign(stated)
        one, other = (data.draw(st.integers(0, count - 1)) for _ in range(2))
        if one == other:
            return
        with self.assertRaises(BadSignature):
            verifier().check(stated[one], "realm1", AT, proofs[other])
