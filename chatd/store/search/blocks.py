"""Blocks of the index: up to 512 messages of one conversation, as columns.

A block is stored in parts, so that a search reads only those that it needs. The texts are folded
(chatd.base.folding), so none contains a line end, which separates them.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

MAX_MESSAGES = 512
MAX_TEXT = 64 << 10  # bytes; a larger message has a block of its own
PARTS = 4  # a part's id is the block's id * PARTS + the part


class Part(enum.IntEnum):
    KEYS = 0
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


class Keys(NamedTuple):
    """By what hits are ordered: the times and the ids of the messages of a block, which are in that order."""

    times: memoryview
    ids: memoryview


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What filters look at besides times. For each message: the place of its sender in `senders` (16 bits),
    and whether it has a file (8 bits)."""

    senders: list[str]
    codes: bytes
    files: bytes


def order_of(record: Record) -> tuple[int, int]:
    """The key by which messages are ordered: that of a hit, too."""
    return record.at, record.id


def encode_keys(records: Sequence[Record]) -> bytes:
    columns = [each.at for each in records] + [each.id for each in records]
    return array("q", columns).tobytes()


def decode_keys(data: bytes) -> Keys:
    columns = memoryview(data).cast("q")
    count = len(columns) // 2
    return Keys(columns[:count], columns[count:])


def encode_texts(records: Sequence[Record]) -> bytes:
    return b"\n".join([each.text for each in records])


def encode_facts(records: Sequence[Record]) -> bytes:
    senders = {sender: code for code, sender in enumerate({each.sender: 0 for each in records})}
    facts = Facts(
        list(senders),
        array("H", [senders[each.sender] for each in records]).tobytes(),
        bytes([each.has_file for each in records]),
    )
    return msgspec.msgpack.encode(facts)


def decode_facts(data: bytes) -> Facts:
    return msgspec.msgpack.decode(data, type=Facts)


def decode_records(keys: bytes, texts: bytes, facts: bytes) -> list[Record]:
    found, (times, ids) = decode_facts(facts), decode_keys(keys)
    codes = memoryview(found.codes).cast("H")
    columns = zip(ids, times, codes, found.files, texts.split(b"\n"), strict=True)
    return [
        Record(ident, at, found.senders[code], bool(file), text)
        for ident, at, code, file, text in columns
    ]
