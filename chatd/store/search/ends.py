"""Reads the newest messages of blocks without the others.

Once the hits of a search are not counted any more, only the messages that are newer than the page's oldest
hit matter. They are at the end of a block. Where a value is stored in pieces, its end is read faster.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from chatd.store.backend import Backend
from chatd.store.search.blocks import PARTS, Facts, Keys, Part, decode_facts

_KEY = 8  # bytes of a time, and of an id
# How much more is read than the messages that are expected to be new enough
_MORE = 1.25
_MORE_MESSAGES = 8
_MORE_BYTES = 256
_KEYS = 3  # keys are small, and those of all texts that are read have to be there


class Span(NamedTuple):
    """How much of the end of a block is read: the keys of `messages`, and `size` bytes of texts."""

    messages: int
    size: int


class End(NamedTuple):
    """The last messages of a block, as they were read. `facts` are those of all its messages."""

    texts: bytes
    times: bytes
    ids: bytes
    facts: bytes | None = None


def statement(backend: Backend, with_facts: bool) -> str | None:
    """A query for the ends of blocks. Its parameters are their ids, and the two numbers of their spans. None
    if reading the end of a value takes as long as reading all of it."""
    if backend.each_span is None:
        return None
    ends = [
        "substr(texts.data, greatest(length(texts.data) - ids.size, 0)::int + 1)",
        _end_of_half(1),
        _end_of_half(2),
    ]
    wanted = {"texts": Part.TEXTS, "keys": Part.KEYS}
    if with_facts:
        wanted["facts"] = Part.FACTS
        ends.append("facts.data")
    return backend.lookup(
        ", ".join(["ids.value", *ends]),
        backend.each_span,
        " CROSS JOIN ".join(f"search_parts AS {name}" for name in wanted),
        "TRUE",
        " AND ".join(
            f"{name}.id = ids.value * {PARTS} + {part:d}" for name, part in wanted.items()
        ),
    )


def _end_of_half(half: int) -> str:
    """The last keys of the first half of the keys, the times, or of the second one, the ids."""
    size = f"{_KEY} * ids.messages"
    return f"substr(keys.data, (length(keys.data) / 2 * {half} - {size})::int + 1, ({size})::int)"


def span_of(
    messages: int, size: int, earliest: int, latest: int, since: int, limit: float = 0.5
) -> Span | None:
    """What to read of a block for its messages from the time `since` on, if its messages come regularly. None
    if that is more than the part `limit` of them."""
    share = (latest - since + 1) / (latest - earliest + 1)
    expected = int(messages * share * _MORE) + _MORE_MESSAGES
    if expected > messages * limit:
        return None
    bytes_of_texts = int(expected * size / messages * _MORE) + _MORE_BYTES
    return Span(min(_KEYS * expected, messages), bytes_of_texts)


def whole_messages(end: End, since: int) -> int:
    """How many messages were read whole. 0 if there may be others from the time `since` on."""
    count = end.texts.count(b"\n")  # the first text may lack its beginning
    times = memoryview(end.times).cast("q")
    return count if 0 < count <= len(times) and times[-count] < since else 0


def decode_end(end: End, count: int) -> tuple[bytes, Keys, Facts | None]:
    """The texts, the keys and the facts of the last `count` messages, as many as were read whole."""
    times, ids = memoryview(end.times).cast("q"), memoryview(end.ids).cast("q")
    keys = Keys(times[-count:], ids[-count:])
    texts = end.texts[end.texts.find(b"\n") + 1 :]
    return texts, keys, None if end.facts is None else _last_facts(decode_facts(end.facts), count)


def _last_facts(facts: Facts, count: int) -> Facts:
    return Facts(facts.senders, facts.codes[-count * array("H").itemsize :], facts.files[-count:])
