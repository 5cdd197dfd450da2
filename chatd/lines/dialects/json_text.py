"""Encodes JSON: compact, in UTF-8 or in ASCII."""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii
from typing import Any

import msgspec

from chatd.base.texts import Secret


def _write_secret(value: Any) -> str:
    """A Secret as a str, which msgspec does not make of it. Raises TypeError for anything else."""
    if isinstance(value, Secret):
        return str(value)
    raise TypeError(f"json has no words for {type(value).__name__}")


encode = msgspec.json.Encoder(enc_hook=_write_secret).encode

# Where the bytes of a file are sent later: the file's number between two NULs, which JSON has nowhere else.
_HOLE = re.compile(rb"\x00(\d+)\x00")


def file_bytes(number: int) -> msgspec.Raw:
    """A string that is filled later: the bytes of a file in base64."""
    return msgspec.Raw(b'"\x00%d\x00"' % number)


def printed_file_bytes(number: int) -> msgspec.Raw:
    """As `file_bytes`, in the way in which Python prints bytes."""
    return msgspec.Raw(b"\"b'\x00%d\x00'\"" % number)


CONTENT = file_bytes(0)  # of the only file


def encode_ascii(value: Any) -> bytes:
    """`value` in ASCII: other characters are escaped (RFC 8259, section 7). The clients of the older systems
    decode each piece that they read by itself, so a character must not be cut."""
    data = encode(value)
    if data.isascii():
        return data
    # Fast, whatever the text is: escape all of it, as if it became a string in JSON, and take back what
    # concerns ASCII. A pair of backslashes stands for one, which \x01 marks meanwhile.
    escaped = encode_basestring_ascii(data.decode())[1:-1]
    escaped = escaped.replace("\\\\", "\x01").replace('\\"', '"').replace("\\u0000", "\x00")
    return escaped.replace("\x01", "\\").encode()


def split(data: bytes) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """The pieces of encoded JSON around the bytes of files, and the numbers of these files."""
    parts = _HOLE.split(data)
    return tuple(parts[::2]), tuple(map(int, parts[1::2]))
