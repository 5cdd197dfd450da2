"""Counts of files that arrive or are in rooms, for limits that hold for all nodes of a realm together.

Each node counts its own, and tells the others the sums (chatd.service.soft_state).
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime

from chatd.base.timers import Timer
from chatd.service.node_news import NodeNews
from chatd.service.soft_state import SoftState, StatePage, StateSource

# Seconds within which the others are told that files have grown, as they do with each piece that arrives
GROWTH_TOLD = 0.25


class FileCount(NamedTuple):
    """A number of files, and the bytes in them."""

    files: int
    size: int


class NodeCounts:
    """The files of each owner, at this node and at the others. `name` is that of the topic."""

    def __init__(self, news: NodeNews, clock: IReactorTime, name: str) -> None:
        # Those of this node. Owners without any are left out.
        self.files: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._grown: dict[str, None] = {}
        self._growth = Timer(clock, self._tell_growth)
        self._state = SoftState[str, FileCount](
            news,
            clock,
            name,
            StatePage[str, FileCount],
            StateSource(lambda: self.files.keys(), self._here),
            lambda *_: None,
        )

    def stop(self) -> None:
        """Tell the other nodes nothing any more."""
        self._growth.cancel()
        self._state.stop()

    def _here(self, owner: str) -> FileCount | None:
        files = self.files.get(owner)
        return None if files is None else FileCount(files, self.bytes[owner])

    def of(self, owner: str) -> FileCount:
        """What an owner has at all nodes."""
        files, size = self.files[owner], self.bytes[owner]
        for copy in self._state.copies.values():
            if (there := copy.get(owner)) is not None:
                files += there.files
                size += there.size
        return FileCount(files, size)

    def add(self, owner: str, size: int) -> None:
        """Count a file."""
        self.files[owner] += 1
        self.bytes[owner] += size
        self._state.changed(owner)

    def grow(self, owner: str, more: int) -> None:
        """Change the size of a file that was counted."""
        self.bytes[owner] += more
        if self._state.copies:
            self._grown[owner] = None
            self._growth.start(GROWTH_TOLD)

    def _tell_growth(self) -> None:
        grown, self._grown = self._grown, {}
        for owner in grown:
            self._state.changed(owner)

    def remove(self, owner: str, size: int) -> None:
        """Stop counting a file, which has `size` bytes now."""
        self.files[owner] -= 1
        self.bytes[owner] -= size
        if not self.files[owner]:
            del self.files[owner], self.bytes[owner]
        self._state.changed(owner)
