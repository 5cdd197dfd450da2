"""The salted hash of the content of a signed entry (docs/federation.md)."""

from __future__ import annotations

from hashlib import sha256

HASH = 32  # bytes


def content_hash(salt: bytes, attributes: bytes, body: bytes) -> bytes:
    """The salted hash of a content. Nothing can be moved between the three: the salt has a fixed length, and
    the attributes are one MessagePack value."""
    return sha256(salt + attributes + body).digest()
