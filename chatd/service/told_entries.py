"""Which entries of logs this node has told to its listeners, or has heard from other nodes."""

from __future__ import annotations

import msgspec

from chatd.base.cache import Cache
from chatd.base.events import (
    AddressChange,
    Deleted,
    Edited,
    Event,
    GroupChange,
    MemberChange,
    Pinned,
    Reaction,
)
from chatd.base.model import Message

# The events that tell of an entry
ENTRIES = (
    Message,
    Edited,
    Deleted,
    Reaction,
    Pinned,
    MemberChange,
    GroupChange,
    AddressChange,
)
MAX_LOGS = 50_000  # that are kept; beyond it, the one that was used least recently is forgotten
MAX_SKIPPED = 50  # entries of a log that were not told before later ones
BEFORE_FIRST = 3  # entries before the first one that is noted, which may not be told yet
NONE: frozenset[int] = frozenset()
MAX_READ = 10_000  # entries


class ToldLog(msgspec.Struct, gc=False):
    """What was told of a log: the entries up to `upto`, but not those in `skipped`. What was told before the
    log was first noted is not known: the last entries before that count as skipped."""

    upto: int
    skipped: frozenset[int]


class ToldEntries:
    """The entries that were told, by conversation, and those that were told after they were read."""

    def __init__(self) -> None:
        self._logs: Cache[int, ToldLog] = Cache(MAX_LOGS)
        self._read: Cache[tuple[int, int], bool] = Cache(MAX_READ)

    def note(self, event: Event) -> None:
        """An event is told."""
        if isinstance(event, ENTRIES):
            self.note_entry(event.conversation, event.seq)

    def note_entry(self, conversation: int, seq: int) -> None:
        """An entry is told. Without numbers it is none."""
        if not conversation or seq < 1:
            return
        log = self._logs.get(conversation)
        if log is None:
            before = frozenset(range(max(seq - BEFORE_FIRST, 1), seq))
            self._logs[conversation] = ToldLog(seq, before or NONE)
        elif seq > log.upto:
            if seq > log.upto + 1:
                first = max(log.upto + 1, seq - MAX_SKIPPED)
                skipped = sorted(log.skipped.union(range(first, seq)))
                log.skipped = frozenset(skipped[-MAX_SKIPPED:])
            log.upto = seq
        elif seq in log.skipped:
            log.skipped = log.skipped - {seq} or NONE

    def note_read(self, conversation: int, seq: int) -> None:
        """An entry is told after it was read, so that it is not told again if it is heard after all."""
        self.note_entry(conversation, seq)
        self._read[conversation, seq] = True

    def was_read(self, event: Event) -> bool:
        """Whether an event is about an entry that was told after it was read."""
        return isinstance(event, ENTRIES) and (event.conversation, event.seq) in self._read

    def upto(self, conversation: int) -> int:
        """The last entry that was told; 0 if none is known."""
        log = self._logs.get(conversation)
        return 0 if log is None else log.upto

    def first_untold(self, conversation: int) -> int:
        """The first entry that was perhaps not told; 0 if nothing is known of the log."""
        log = self._logs.get(conversation)
        return 0 if log is None else min(log.skipped, default=log.upto + 1)

    def is_told(self, conversation: int, seq: int) -> bool:
        """Whether an entry is known to be told."""
        log = self._logs.get(conversation)
        return log is not None and seq <= log.upto and seq not in log.skipped
