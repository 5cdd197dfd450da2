"""Finds words in blocks of texts, and decides which messages a search wants."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from chatd.store.search.blocks import Facts, Keys, Record
from chatd.store.search.interface import Wanted

MAX_SKIPPED = 128  # for more messages, looking into all texts of a block is faster
_NONE = -1, 0  # before any hit


def newest_first(texts: bytes, words: Sequence[bytes], count: int, start: int = 0) -> Iterator[int]:
    """The numbers of the messages that contain all of `words`, from the newest to the oldest. `texts` are
    those of a block with `count` messages. Messages before the place `start` may be left out."""
    if not words:
        yield from range(count - 1, -1, -1)
        return
    first, *others = words
    number, end = count - 1, len(texts)  # of the newest message that was not looked at
    while end >= start and (at := texts.rfind(first, start, end)) >= 0:
        number -= texts.count(b"\n", at, end)
        begin = texts.rfind(b"\n", 0, at) + 1
        if not others or _contains_all(texts[begin : _end_of(texts, at, end)], others):
            yield number
        number, end = number - 1, begin - 1


def start_of_last(texts: bytes, count: int) -> int:
    """The place in `texts` where the last `count` messages begin, or a place before it."""
    place = len(texts) if count <= MAX_SKIPPED else 0
    for _ in range(count):
        if place <= 0:
            return 0
        place = texts.rfind(b"\n", 0, place)
    return place + 1


def _end_of(texts: bytes, at: int, end: int) -> int:
    found = texts.find(b"\n", at, end)
    return end if found < 0 else found


def _contains_all(text: bytes, words: Sequence[bytes]) -> bool:
    return all(word in text for word in words)


class Matcher:
    """Decides whether a search wants a message."""

    def __init__(self, wanted: Wanted) -> None:
        # A long word is found faster, and less often.
        self.words = sorted((word.encode() for word in wanted.words), key=len, reverse=True)
        self._wanted = wanted
        self.filters = (
            wanted.senders is not None
            or wanted.has_file
            or wanted.after is not None
            or wanted.before is not None
        )

    def in_time(self, earliest: int, latest: int) -> bool:
        """Whether it may want a message from this time."""
        after, before = self._wanted.after, self._wanted.before
        return (after is None or latest >= after) and (before is None or earliest < before)

    def wants(self, record: Record) -> bool:
        return self._passes(record.at, record.sender, record.has_file) and _contains_all(
            record.text, self.words
        )

    def numbers(self, texts: bytes, keys: Keys, facts: Facts | None, since: int) -> Iterator[int]:
        """The numbers of the wanted messages of a block, newest first. Those before the time `since` may be
        left out. `facts` is needed if there are `filters`."""
        times = keys.times
        start = start_of_last(texts, len(times) - bisect_left(times, since)) if since else 0
        found = newest_first(texts, self.words, len(times), start)
        if facts is None:
            return found
        codes = memoryview(facts.codes).cast("H")
        senders, files, passes = facts.senders, facts.files, self._passes
        return (
            each for each in found if passes(times[each], senders[codes[each]], bool(files[each]))
        )

    def _passes(self, at: int, sender: str, has_file: bool) -> bool:
        wanted = self._wanted
        return (
            (wanted.senders is None or sender in wanted.senders)
            and (has_file or not wanted.has_file)
            and self.in_time(at, at)
        )


class NewestHits:
    """The newest `limit` hits of those added: times and ids of messages."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[int, int]] = []

    @property
    def floor(self) -> tuple[int, int]:
        """Hits up to this one change nothing."""
        return self._heap[0] if len(self._heap) >= self._limit else _NONE

    def add(self, hit: tuple[int, int]) -> None:
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, hit)
        elif hit > self._heap[0]:
            heapq.heapreplace(self._heap, hit)

    def __len__(self) -> int:
        return len(self._heap)

    def ids(self) -> list[int]:
        return [ident for _, ident in self._heap]
