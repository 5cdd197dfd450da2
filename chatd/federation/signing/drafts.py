"""Entries of this realm before they are signed, which is when they are stored and get their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from chatd.base.content_hash import content_hash
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.proofs import Proof, SigningKey
from chatd.federation.signing.statements import (
    SALT,
    Attributes,
    StatedRef,
    Statement,
    encode,
    kind_of,
)
from chatd.store.sealing import VERIFIED, NewSignature

SALTS = 64  # that are made at a time

# Makes the encoded parcel that carries an entry with this seq (0: the group's home numbers it).
Wrap = Callable[[SignedEntry, int], bytes]


class EntryPlace(msgspec.Struct, frozen=True):
    """The group of an entry: the key of its home, and its id there. A name stands for the id if the author's
    realm does not know that, because the author is no member."""

    home: str
    group: int | str


class EntryDraft:
    """One entry (`chatd.store.sealing.Draft`). `_unnumbered` is its statement with the number 0. Once it is
    signed, `sealed` is the entry, `signature` what is stored of it, and `parcel` carries it."""

    __slots__ = (
        "_attributes",
        "_body",
        "_key",
        "_salt",
        "_unnumbered",
        "_wrap",
        "parcel",
        "sealed",
        "signature",
    )

    sealed: SignedEntry
    signature: NewSignature

    def __init__(
        self,
        key: SigningKey,
        unnumbered: Statement,
        salt: bytes,
        attributes: bytes,
        body: bytes,
        wrap: Wrap,
    ) -> None:
        self._key = key
        self._unnumbered = unnumbered
        self._salt = salt
        self._attributes = attributes
        self._body = body
        self._wrap = wrap
        self.parcel = b""

    def sign(self, statements: Sequence[bytes]) -> Sequence[Proof]:
        return self._key.sign(statements)

    def statement(self, number: int) -> bytes:
        return encode(msgspec.structs.replace(self._unnumbered, number=number))

    def entry(self, statement: bytes, proof: Proof | None) -> SignedEntry:
        """The entry with this statement, which is its own with a number."""
        return SignedEntry(statement, proof, self._salt, self._attributes, self._body)

    def seal(self, statement: bytes, proof: Proof, seq: int) -> tuple[bytes, NewSignature]:
        self.sealed = self.entry(statement, proof)
        self.parcel = self._wrap(self.sealed, seq)
        self.signature = signature_of(self.sealed, self._unnumbered.realm)
        return self.parcel, self.signature


def sign_now(drafts: Sequence[EntryDraft], numbers: Sequence[int]) -> list[SignedEntry]:
    """The entries of at least one draft, with these numbers."""
    statements = [draft.statement(number) for draft, number in zip(drafts, numbers, strict=True)]
    proofs = drafts[0].sign(statements)
    return [
        draft.entry(statement, proof)
        for draft, statement, proof in zip(drafts, statements, proofs, strict=True)
    ]


def signature_of(entry: SignedEntry, realm: str, status: str = VERIFIED) -> NewSignature:
    """What is stored of an entry, which has a proof, besides its content."""
    assert entry.proof is not None  # noqa: S101 - the caller has checked it
    return NewSignature(
        realm,
        entry.proof.key,
        entry.statement,
        encode(entry.proof),
        entry.salt or None,
        entry.attributes or None,
        status,
    )


class EntrySigner:
    """Drafts entries of this realm, whose key is `realm`."""

    def __init__(self, realm: str, key: SigningKey, random_bytes: Callable[[int], bytes]) -> None:
        self._realm = realm
        self._key = key
        self._random_bytes = random_bytes
        self._salts = b""  # that are not used yet

    def use(self, key: SigningKey) -> None:
        """Sign with another key from now on."""
        self._key = key

    def _salt(self) -> bytes:
        if not self._salts:
            # Asking the system takes as long for many.
            self._salts = self._random_bytes(SALT * SALTS)
        salt, self._salts = self._salts[:SALT], self._salts[SALT:]
        return salt

    def sign(self, statement: bytes) -> Proof:
        """The proof of a statement that is no entry."""
        return self._key.sign([statement])[0]

    def draft(
        self,
        place: EntryPlace,
        author: str,
        at: int,
        attributes: Attributes,
        body: bytes,
        wrap: Wrap,
        target: StatedRef | None = None,
    ) -> EntryDraft:
        """An entry that `author`, by name, makes at `at` (ms since 1970 UTC)."""
        salt = self._salt()
        encoded = encode(attributes)
        statement = Statement(
            self._realm,
            0,
            place.home,
            place.group,
            kind_of(attributes),
            author,
            target,
            at,
            content_hash(salt, encoded, body),
        )
        return EntryDraft(self._key, statement, salt, encoded, body, wrap)
