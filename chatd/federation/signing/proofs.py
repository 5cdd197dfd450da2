"""Proofs: Ed25519 signatures under the Merkle roots of batches of statements."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chatd.federation.signing.merkle import BadPath, KnownRoots, leaf_hash, root_from, tree_of

# Statements under one root. A larger batch would save little time, and makes each proof longer.
MAX_BATCH = 64
MAX_PATH = 16 * 32  # bytes that are accepted
KEY_ID = 8  # bytes

_CONTEXT = b"chatd batch 1\n"


class Proof(msgspec.Struct, frozen=True, array_like=True):
    """Leads from a statement to a signature: the place of the statement in its batch, and its audit path to
    the root, which is signed with the key `key`."""

    key: Annotated[bytes, msgspec.Meta(min_length=KEY_ID, max_length=KEY_ID)]
    index: Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
    size: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    path: Annotated[bytes, msgspec.Meta(max_length=MAX_PATH)]
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


def key_id(public: bytes) -> bytes:
    """The id of a public key (its 32 raw bytes)."""
    return sha256(public).digest()[:KEY_ID]


class SigningKey:
    """The private key with which a realm signs."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.id = key_id(self.public)

    def pem(self) -> bytes:
        """The private key in PEM, without a password."""
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, statements: Sequence[bytes]) -> list[Proof]:
        """A proof for each of these statements. They share signatures."""
        proofs: list[Proof] = []
        for start in range(0, len(statements), MAX_BATCH):
            batch = statements[start : start + MAX_BATCH]
            root, paths = tree_of([leaf_hash(each) for each in batch])
            signature = self._private.sign(_CONTEXT + root)
            proofs += [
                Proof(self.id, index, len(batch), path, signature)
                for index, path in enumerate(paths)
            ]
        return proofs


def signed_root(statement: bytes, proof: Proof, known: KnownRoots | None = None) -> bytes | None:
    """The root that has to be signed if `proof` is one of `statement`; None if it can't be. `known`: see
    `root_from`."""
    try:
        return root_from(leaf_hash(statement), proof.index, proof.size, proof.path, known)
    except BadPath:
        return None


def is_signed(public: bytes, root: bytes, signature: bytes) -> bool:
    """Whether the owner of a public key (32 raw bytes) has signed a root. Takes about 150 µs."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _CONTEXT + root)
    except (InvalidSignature, ValueError):
        return False
    return True
