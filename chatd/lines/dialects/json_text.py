"""Encodes JSON: compact, in UTF-8 or in ASCII."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from chatd.base.texts import Secret


def _write_secret(value: Any) -> str:
    """A Secret as a str, which msgspec does not make of it. Raises TypeError for anything else."""
    if isinstance(value, Secret):
        return str(value)
    raise TypeError(f"json has no words for {type(value).__name__}")


encode = msgspec.json.Encoder(enc_hook=_write_secret).encode

# A part of an object that is sent later: the bytes of a file in base64, alone or as Python prints bytes.
# JSON cannot contain NUL anywhere else.
HOLE = b"\x00"
CONTENT = msgspec.Raw(b'"\x00"')
PRINTED_CONTENT = msgspec.Raw(b"\"b'\x00'\"")

_BEYOND_ASCII = re.compile("[^\x00-\x7f]+")


def encode_ascii(value: Any) -> bytes:
    """`value` in ASCII: other characters are escaped (RFC 8259, section 7). The clients of the older systems
    decode each piece that they read by itself, so a character must not be cut."""
    data = encode(value)
    if data.isascii():
        return data
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], data.decode()).encode()


def split(data: bytes) -> tuple[bytes, ...]:
    """The pieces of encoded JSON around its holes."""
    return tuple(data.split(HOLE))
