"""Messages that were stored lately, in memory, so that the index need not read them again.

Reading a message takes half of the time in which it is indexed. The writer has the rows at hand, so it keeps
them here until the index has them. What does not fit is left out, and the index reads it from the database.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from sys import getsizeof
from typing import Any, NamedTuple, TypeAlias

# At most; the second is of texts. At 15,000 messages a second, this is some four seconds of them.
MAX_MESSAGES = 65_536
MAX_BYTES = 24 << 20
# Once there are as many, the index should take them: there is room for those that come meanwhile.
MANY_MESSAGES = MAX_MESSAGES * 3 // 4
MANY_BYTES = MAX_BYTES * 3 // 4

STEP = 8192  # messages between two pauses

# The first columns of `messages`: id, conversation, seq, sender's id, sender, time, text. More may follow.
Row: TypeAlias = tuple[Any, ...]
_CONVERSATION, _TEXT = 1, 6
_text = itemgetter(_TEXT)


def _no_pause() -> None:
    pass


class Batch(NamedTuple):
    """Messages with consecutive ids. `others` are conversations of messages among them that have more than a
    text."""

    first: int
    last: int
    rows: Sequence[Row]
    others: Collection[int]
    size: int


class Taken(NamedTuple):
    """Messages by their conversation, in the order of their ids. Of the conversations in `others`, and of
    those that have a message with an id in `gaps`, the database may have more than these. A gap is after its
    first id, up to its second one."""

    rows: dict[int, list[Row]]
    others: set[int]
    gaps: list[tuple[int, int]]


class FreshMessages:
    """The thread of the writer calls `add`, that of the index the other methods; `clear` is for all threads.

    Messages may have been changed or deleted since they were added. The caller of `take` has to know those.
    """

    def __init__(self) -> None:
        self._keeps = True
        self._lock = threading.Lock()
        self._batches: deque[Batch] = deque()
        self._count = 0
        self._size = 0

    @property
    def are_many(self) -> bool:
        """Whether the index should take them soon. May be called in any thread."""
        return self._count >= MANY_MESSAGES or self._size >= MANY_BYTES

    def add(self, rows: Sequence[Row], others: Collection[int] = ()) -> None:
        """Keep messages that the present transaction stores, if there is room. At least one; their ids are
        consecutive. `others`: the conversations of those that have more than a text."""
        if not self._keeps:
            self._count += len(rows)
            return
        size = sum(map(getsizeof, map(_text, rows)))
        with self._lock:
            if self._count + len(rows) <= MAX_MESSAGES and self._size + size <= MAX_BYTES:
                self._batches.append(Batch(rows[0][0], rows[-1][0], rows, others, size))
                self._count += len(rows)
                self._size += size

    def stop_keeping(self) -> None:
        """Only count messages from now on. Where several nodes write, messages in memory may be a part of
        what was stored, and it may not be certain that they were."""
        with self._lock:
            self._keeps = False
            self._batches.clear()
            self._count = self._size = 0

    def clear(self) -> None:
        """Drop all, because some of them were not stored, and others get their ids."""
        with self._lock:
            self._batches.clear()
            self._size = 0
            if self._keeps:
                self._count = 0

    def take(self, after: int, upto: int, pause: Callable[[], None] = _no_pause) -> Taken:
        """The messages with ids after `after` up to `upto`, which are committed. They stay until `release`.
        `pause` is called every few ms, in which Python's lock was held."""
        with self._lock:
            batches = [each for each in self._batches if each.last > after and each.first <= upto]
        found: defaultdict[int, list[Row]] = defaultdict(list)
        others: set[int] = set()
        gaps = []
        end = after
        unpaused = 0  # messages since the last pause
        for first, last, rows, unlike, _ in batches:
            if first > end + 1:
                gaps.append((end, first - 1))
            for row in rows[max(end + 1 - first, 0) : upto + 1 - first]:
                found[row[_CONVERSATION]].append(row)
            others.update(unlike)
            end = min(last, upto)
            unpaused += len(rows)
            if unpaused > STEP:
                unpaused = 0
                pause()
        if end < upto:
            gaps.append((end, upto))
        return Taken(dict(found), others, gaps)

    def release(self, upto: int) -> None:
        """Drop the messages up to this id, because the index has them."""
        batches = self._batches
        with self._lock:
            if not self._keeps:
                self._count = 0
            while batches and batches[0].last <= upto:
                gone = batches.popleft()
                self._count -= len(gone.rows)
                self._size -= gone.size
