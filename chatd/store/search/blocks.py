"""Blocks of the index: up to 512 messages of one conversation, as columns.

A block is stored in parts, so that a search reads only those that it needs. The texts are folded
(chatd.base.folding), so none contains a line end, which separates them.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterable, Sequence
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


class Columns(NamedTuple):
    """The messages of a block, in the order of `order_of`. `texts` are separated by line ends."""

    times: array[int]
    ids: array[int]
    facts: Facts
    texts: bytes


def columns_of(records: Iterable[Record]) -> Columns:
    ordered = sorted(records, key=order_of)
    return Columns(
        array("q", [each.at for each in ordered]),
        array("q", [each.id for each in ordered]),
        make_facts([each.sender for each in ordered], bytes([each.has_file for each in ordered])),
        b"\n".join([each.text for each in ordered]),
    )


def make_facts(senders: Sequence[str], files: bytes) -> Facts:
    codes = {sender: code for code, sender in enumerate(dict.fromkeys(senders))}
    return Facts(list(codes), array("H", [codes[each] for each in senders]).tobytes(), files)


def merge(parts: Iterable[Columns]) -> Columns:
    """The messages of all `parts`. It is fast if they follow one another in the order of `order_of`."""
    some = [each for each in parts if each.ids]
    if len(some) == 1:
        return some[0]
    ends = [(each.times[-1], each.ids[-1]) for each in some]
    starts = [(each.times[0], each.ids[0]) for each in some]
    if any(end > start for end, start in zip(ends, starts[1:], strict=False)):
        return columns_of([record for each in some for record in records_in(each)])
    times, ids = array("q"), array("q")
    for each in some:
        times += each.times
        ids += each.ids
    facts = _merge_facts([each.facts for each in some])
    return Columns(times, ids, facts, b"\n".join([each.texts for each in some]))


def _merge_facts(parts: Sequence[Facts]) -> Facts:
    places: dict[str, int] = {}
    codes = array("H")
    for each in parts:
        new = [places.setdefault(sender, len(places)) for sender in each.senders]
        codes.extend([new[code] for code in memoryview(each.codes).cast("H")])
    return Facts(list(places), codes.tobytes(), b"".join([each.files for each in parts]))


def encode_columns(columns: Columns) -> dict[Part, bytes]:
    return {
        Part.KEYS: (columns.times + columns.ids).tobytes(),
        Part.TEXTS: columns.texts,
        Part.FACTS: msgspec.msgpack.encode(columns.facts),
    }


def decode_columns(keys: bytes, texts: bytes, facts: bytes) -> Columns:
    columns = array("q", keys)
    count = len(columns) // 2
    return Columns(columns[:count], columns[count:], decode_facts(facts), texts)


def records_in(columns: Columns) -> list[Record]:
    times, ids, facts, texts = columns
    if not ids:
        return []
    codes = memoryview(facts.codes).cast("H")
    rows = zip(ids, times, codes, facts.files, texts.split(b"\n"), strict=True)
    return [
        Record(ident, at, facts.senders[code], bool(file), text)
        for ident, at, code, file, text in rows
    ]


def decode_keys(data: bytes) -> Keys:
    columns = memoryview(data).cast("q")
    count = len(columns) // 2
    return Keys(columns[:count], columns[count:])


def decode_facts(data: bytes) -> Facts:
    return msgspec.msgpack.decode(data, type=Facts)
