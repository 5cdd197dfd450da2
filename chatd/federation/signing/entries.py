"""Signed entries as they travel and are stored, and their verification."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec

from chatd.base.cache import Cache
from chatd.base.content_hash import content_hash
from chatd.base.errors import BadSignature
from chatd.federation.parcel_fields import FileNote
from chatd.federation.signing.keys import KeyRing
from chatd.federation.signing.merkle import KnownRoots
from chatd.federation.signing.proofs import Proof, is_signed, signed_root
from chatd.federation.signing.statements import (
    MAX_ATTRIBUTES,
    MAX_STATEMENT,
    SALT,
    Attributes,
    EditAttributes,
    MessageAttributes,
    Statement,
    decode_attributes,
    decode_statement,
    kind_of,
)

CACHED_ROOTS = 4096
MAX_KNOWN = 1000  # nodes of trees; a tree of 64 entries has some 120
MAX_IN_QUESTION = 25  # entries; that many fit into a value of AMP


class SignedEntry(msgspec.Struct, frozen=True, array_like=True):
    """A statement with its proof and the content that it vouches for: the encoded attributes, the body, and
    the salt. Once the content is deleted, these three are empty. Entries of version 1 have no proof."""

    statement: Annotated[bytes, msgspec.Meta(max_length=MAX_STATEMENT)]
    proof: Proof | None
    salt: Annotated[bytes, msgspec.Meta(max_length=SALT)]
    attributes: Annotated[bytes, msgspec.Meta(max_length=MAX_ATTRIBUTES)]
    body: bytes = b""

    @property
    def is_blank(self) -> bool:
        """Whether the content was deleted."""
        return not (self.salt or self.attributes or self.body)

    def blank(self) -> SignedEntry:
        """The entry without its content. It still verifies."""
        return msgspec.structs.replace(self, salt=b"", attributes=b"", body=b"")


_entry = msgspec.msgpack.Decoder(SignedEntry)
_entries = msgspec.msgpack.Decoder(
    Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_IN_QUESTION)]
)


def decode_entry(data: bytes | msgspec.Raw) -> SignedEntry:
    """Raises BadSignature."""
    try:
        entry: SignedEntry = _entry.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="it can't be decoded") from None
    return entry


def decode_entries(data: bytes) -> list[msgspec.Raw]:
    """The encoded entries of a question. Raises BadSignature."""
    try:
        entries: list[msgspec.Raw] = _entries.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="it can't be decoded") from None
    return entries


class OpenedEntry(msgspec.Struct, frozen=True):
    """A decoded entry, whose content has the hash of its statement. `attributes` is None once the content is
    deleted."""

    statement: Statement
    attributes: Attributes | None
    body: bytes

    @property
    def text(self) -> str | None:
        """The text of a message or an edit, or None if it has none."""
        attributes = self.attributes
        is_text = isinstance(attributes, EditAttributes) or (
            isinstance(attributes, MessageAttributes) and attributes.media is None
        )
        return self.body.decode() if is_text and self.body else None

    @property
    def file(self) -> FileNote | None:
        """The file of a message, or None."""
        return self.attributes.file if isinstance(self.attributes, MessageAttributes) else None

    @property
    def opaque(self) -> bytes | None:
        """The bytes of an opaque message, or None."""
        attributes = self.attributes
        is_opaque = isinstance(attributes, MessageAttributes) and attributes.media is not None
        return self.body if is_opaque else None


class Trust(Enum):
    """What is known about the signature of an entry."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"  # the key is not known yet
    UNSIGNED = "unsigned"  # of version 1
    FORGED = "forged"  # the key became known later, and did not sign it


def open_entry(entry: SignedEntry) -> OpenedEntry:
    """Decode an entry, and check its content against the hash. Raises BadSignature.

    Who has signed it is checked by `Verifier`.
    """
    try:
        statement = decode_statement(entry.statement)
        if not entry.statement.endswith(statement.hash):
            raise BadSignature(reason="its statement has other fields")
        if entry.is_blank:
            return OpenedEntry(statement, None, b"")
        if content_hash(entry.salt, entry.attributes, entry.body) != statement.hash:
            raise BadSignature(reason="its content is not the one that was signed")
        attributes = decode_attributes(entry.attributes)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="it can't be decoded") from None
    if len(entry.salt) != SALT or kind_of(attributes) != statement.kind:
        raise BadSignature(reason="its content is of another kind")
    return OpenedEntry(statement, attributes, _checked_body(attributes, entry.body))


def _checked_body(attributes: Attributes, body: bytes) -> bytes:
    """Raises BadSignature if the body does not belong to such attributes."""
    if not isinstance(attributes, MessageAttributes | EditAttributes):
        if body:
            raise BadSignature(reason="its content is of another kind")
    elif isinstance(attributes, EditAttributes) or attributes.media is None:
        try:
            body.decode()
        except UnicodeDecodeError:
            raise BadSignature(reason="its text is not UTF-8") from None
    return body


class Verifier:
    """Checks who has signed. It remembers roots whose signatures were right, so that a batch costs one
    verification."""

    def __init__(self, keys: KeyRing) -> None:
        self.keys = keys
        self._roots: Cache[tuple[bytes, bytes, bytes], bool] = Cache(CACHED_ROOTS)
        self._known: KnownRoots = {}
        self.verified = 0  # signatures that were verified; the user of `check` may set it back

    def check(self, statement: bytes, realm: str, at: int, proof: Proof) -> Trust:
        """Whether `realm` has signed an encoded statement of the time `at`. Raises BadSignature."""
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        root = signed_root(statement, proof, self._known)
        if root is None:
            raise BadSignature(reason="its proof leads nowhere")
        key = self.keys.get(realm, proof.key)
        if key is None:
            return Trust.UNVERIFIED
        if not key.holds(at):
            raise BadSignature(reason="its key was replaced before")
        name = (key.public, root, proof.signature)
        if name not in self._roots:
            self.verified += 1
            if not is_signed(key.public, root, proof.signature):
                raise BadSignature(reason="its realm did not sign it")
            self._roots[name] = True
        return Trust.VERIFIED
