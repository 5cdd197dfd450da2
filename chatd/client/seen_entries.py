"""Which entries of a log were seen, and from where `sync` has to continue."""

from __future__ import annotations

MAX_BEYOND = 500  # entries that are kept while an earlier one is missing


class SeenEntries:
    """The seqs of one log that were seen.

    A reply may come before the event of an earlier entry, and a connection may be lost between the two. So
    `end` passes a gap only when the missing entries are known, or when `sync` or a page has told everything
    up to there.
    """

    def __init__(self) -> None:
        self.end = 0  # all entries up to here were seen
        self._beyond: set[int] = set()

    def __contains__(self, seq: object) -> bool:
        return isinstance(seq, int) and (seq <= self.end or seq in self._beyond)

    def add(self, seq: int) -> None:
        """Note an entry that was seen. The first one is where the log begins for this client."""
        if self.end == 0:
            self.end = seq
        elif seq > self.end:
            self._beyond.add(seq)
            if len(self._beyond) > MAX_BEYOND:
                self.end = min(self._beyond) - 1  # what is missing never came
        self._close_gaps()

    def reach(self, seq: int) -> None:
        """Note that everything up to `seq` was seen."""
        self.end = max(self.end, seq)
        self._beyond = {each for each in self._beyond if each > self.end}
        self._close_gaps()

    def restart(self, seq: int) -> None:
        """The log continues after `seq` with other entries."""
        self.end = seq
        self._beyond.clear()

    def _close_gaps(self) -> None:
        while self.end + 1 in self._beyond:
            self.end += 1
            self._beyond.remove(self.end)
