"""Blocks of the index: up to 512 messages of one conversation, as columns.

A block is stored in parts, so that a search reads only those that it needs. The texts are folded
(chatd.base.folding), so none contains a line end, which separates them.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Sequence

import msgspec

MAX_MESSAGES = 512
MAX_TEXT = 64 << 10  # bytes; a larger message has a block of its own
PARTS = 4  # a part's id is the block's id * PARTS + the part


class Part(enum.IntEnum):
    IDS = 0
    TEXTS = 1
    FACTS = 2
    SIGNATURE = 3  # see chatd.store.search.signatures


class Record(msgspec.Struct, frozen=True):
    """A message as it is searched. `sender` is the key of its address, `at` is in ms since 1970 UTC."""

    id: int
    at: int
    sender: str
    has_file: bool
    text: bytes


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What filters look at. For each message: its time (64 bits), the place of its sender in `senders` (16
    bits), and whether it has a file (8 bits)."""

    times: bytes
    senders: list[str]
    codes: bytes
    files: bytes


def encode_ids(records: Sequence[Record]) -> bytes:
    return array("q", [each.id for each in records]).tobytes()


def decode_ids(data: bytes) -> memoryview:
    return memoryview(data).cast("q")


def encode_texts(records: Sequence[Record]) -> bytes:
    return b"\n".join([each.text for each in records])


def encode_facts(records: Sequence[Record]) -> bytes:
    senders = {sender: code for code, sender in enumerate({each.sender: 0 for each in records})}
    facts = Facts(
        array("q", [each.at for each in records]).tobytes(),
        list(senders),
        array("H", [senders[each.sender] for each in records]).tobytes(),
        bytes([each.has_file for each in records]),
    )
    return msgspec.msgpack.encode(facts)


def decode_facts(data: bytes) -> Facts:
    return msgspec.msgpack.decode(data, type=Facts)


def decode_records(ids: bytes, texts: bytes, facts: bytes) -> list[Record]:
    found = decode_facts(facts)
    times, codes = memoryview(found.times).cast("q"), memoryview(found.codes).cast("H")
    columns = zip(decode_ids(ids), times, codes, found.files, texts.split(b"\n"), strict=True)
    return [
        Record(ident, at, found.senders[code], bool(file), text)
        for ident, at, code, file, text in columns
    ]
