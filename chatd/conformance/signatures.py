"""Signed entries: made and verified as docs/federation.md describes them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TAG = "chatd entry 1"
BATCH = b"chatd batch 1\n"
NODE = 32  # bytes of a hash
KEY_ID = 8
SALT = 16
DAY = 86_400_000  # milliseconds
MAX_STATEMENTS = 64  # of a batch

pack = msgspec.msgpack.Encoder().encode


def now() -> int:
    """The time in milliseconds since 1970."""
    return int(time.time() * 1000)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def leaf(statement: bytes) -> bytes:
    return sha256(b"\0", statement)


def merkle(statements: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The root of a batch, and the audit path of each of its statements."""
    row = [leaf(statement) for statement in statements]
    paths = [b""] * len(row)
    places = list(range(len(row)))
    while len(row) > 1:
        for index, place in enumerate(places):
            if place ^ 1 < len(row):
                paths[index] += row[place ^ 1]
            places[index] = place // 2
        pairs = [row[at : at + 2] for at in range(0, len(row), 2)]
        row = [sha256(b"\1", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return row[0], paths


def root_of(statement: bytes, index: int, count: int, path: bytes) -> bytes | None:
    """The root to which an audit path leads, or None if it is not one of such a batch."""
    if not 0 <= index < count <= MAX_STATEMENTS:
        return None
    node = leaf(statement)
    while count > 1:
        if index ^ 1 < count:
            sibling, path = path[:NODE], path[NODE:]
            node = sha256(b"\1", sibling, node) if index & 1 else sha256(b"\1", node, sibling)
        index, count = index // 2, (count + 1) // 2
    return None if path else node


class Signer:
    """A key pair of a realm of the suite."""

    def __init__(self, seed: bytes | None = None) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed or os.urandom(32))
        self.public = self._private.public_key().public_bytes_raw()

    @property
    def announced(self) -> list[Any]:
        """What Hello says of the key."""
        return [self.public, 0, None]

    def sign(self, statements: Sequence[bytes]) -> list[list[Any]]:
        """The proofs of a batch."""
        root, paths = merkle(statements)
        signature = self._private.sign(BATCH + root)
        key_id, count = sha256(self.public)[:KEY_ID], len(statements)
        return [[key_id, index, count, path, signature] for index, path in enumerate(paths)]


class UnsignedEntry(msgspec.Struct):
    """What an entry will say. `group` is an id, or a name's key; `target` a realm's key and a number."""

    realm: str
    number: int
    home: str
    group: int | str
    author: str
    attributes: list[Any]
    body: bytes = b""
    target: list[Any] | None = None
    at: int = msgspec.field(default_factory=now)

    def content(self) -> list[bytes]:
        """Salt, attributes and body."""
        return [os.urandom(SALT), pack(self.attributes), self.body]

    def statement(self, content: Sequence[bytes]) -> bytes:
        head = [TAG, self.realm, self.number, self.home, self.group, self.attributes[0]]
        return pack([*head, self.author, self.target, self.at, sha256(*content)])


def signed(drafts: Sequence[UnsignedEntry], signer: Signer) -> list[list[Any]]:
    """Signed entries, in one batch."""
    contents = [draft.content() for draft in drafts]
    statements = [draft.statement(content) for draft, content in zip(drafts, contents, strict=True)]
    proofs = signer.sign(statements)
    parts = zip(statements, proofs, contents, strict=True)
    return [[statement, proof, *content] for statement, proof, content in parts]


class ReadEntry(msgspec.Struct):
    """A signed entry that came from the tested realm."""

    realm: str
    number: int
    home: str
    group: int | str
    kind: str
    author: str
    target: list[Any] | None
    at: int
    attributes: list[Any]
    body: bytes


def read_entry(entry: Any, keys: Sequence[Sequence[Any]]) -> ReadEntry:
    """Decode an entry, and verify it with the announced keys of its realm. Raises ValueError, which says what
    is wrong."""
    try:
        statement, proof, salt, attributes, body = entry
        tag, realm, number, home, group, kind, author, target, at, digest = msgspec.msgpack.decode(
            statement
        )
        key_id, index, count, path, signature = proof
    except (TypeError, ValueError, msgspec.DecodeError) as error:
        raise ValueError("a signed entry can't be decoded") from error
    if tag != TAG or pack(msgspec.msgpack.decode(statement)) != statement:
        raise ValueError("a statement has another tag, or not the shortest form")
    if (salt or attributes or body) and sha256(salt, attributes, body) != digest:
        raise ValueError("the content of an entry does not have the hash of its statement")
    root = root_of(statement, index, count, path)
    public = next((key for key, *_ in keys if sha256(key)[:KEY_ID] == key_id), None)
    if root is None or public is None:
        raise ValueError("a proof has an unknown key, or a path that leads nowhere")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, BATCH + root)
    except InvalidSignature as error:
        raise ValueError("a signature is wrong") from error
    said = msgspec.msgpack.decode(attributes) if attributes else [kind]
    if said[0] != kind:
        raise ValueError("the kind of a statement is not that of its attributes")
    return ReadEntry(realm, number, home, group, kind, author, target, at, said, body)
