"""The free space of the disk, and the reserve below which messages and files are refused.

Logins, read marks and the database's own log need the reserve.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from chatd.base.errors import DiskFull, StorageFailed
from chatd.base.isolation import guarded
from chatd.base.timers import cancel

MAX_RESERVE = 500 << 20  # bytes
RESERVED_FRACTION = 0.05  # of the disk
MEASURE_INTERVAL = 1.0  # seconds
# Seconds that a batch of another realm waits for space. That realm waits 30 s for an answer, so it learns the
# reason and sends the batch again over its next link.
WAIT = 20.0
RETRY = 2.0  # seconds between two looks while it waits

log = Logger()


def measure(folder: Path) -> tuple[int, int]:
    """The bytes that are free for this process on the folder's file system, and its size. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


class DiskSpace:
    """The free space on the disks that hold `folders`, measured once a second in a thread between `start` and
    `stop`.

    `reserve` is in bytes; None is the smaller of 500 MiB and 5 % of the disk. `low` is whether the last
    measurement found less than the reserve. `expected` are the bytes of all files that clients are sending,
    which may not be on the disk yet.
    """

    def __init__(
        self,
        clock: Any,
        in_thread: Callable[..., Deferred[Any]],
        folders: Sequence[Path],
        reserve: int | None = None,
    ) -> None:
        self._clock = clock
        self._in_thread = in_thread
        self._folders = folders
        self._reserve = reserve
        self._next = 0.0
        self._room = 0
        self._failing = False
        self._measuring = False
        self._timer: Any = None
        self._changed: list[Callable[[bool], None]] = []
        self.low = False
        self.expected = 0
        self.look()

    def set_reserve(self, reserve: int | None) -> None:
        """Use another reserve from the next measurement on, which is due now."""
        self._reserve = reserve
        self._next = 0.0
        self.room()

    def start(self) -> None:
        """Measure once a second from now on."""
        self._timer = self._clock.callLater(MEASURE_INTERVAL, self._tick)
        if self.low:
            self._tell()

    def stop(self) -> None:
        cancel(self._timer)
        self._timer = None

    def _tick(self) -> None:
        self._timer = self._clock.callLater(MEASURE_INTERVAL, self._tick)
        self.room()

    def on_change(self, then: Callable[[bool], None]) -> None:
        """Call `then(low)` whenever `low` changes, and at the start if the disk is low."""
        self._changed.append(then)

    def _tell(self) -> None:
        for then in self._changed:
            guarded("a listener of the disk space failed", then, self.low)

    def look(self) -> None:
        """Measure now. Blocks on the file system."""
        self._measured(self._measure())

    def settled(self) -> None:
        """Measure after a transaction, unless the last measurement is recent."""
        self.room()

    def is_low(self) -> bool:
        """Whether less than the reserve is free."""
        return self.room() < 0

    def room(self) -> int:
        """The bytes above the reserve at the last measurement; negative below it."""
        now = self._clock.seconds()
        if now >= self._next and not self._measuring:
            self._next = now + MEASURE_INTERVAL
            self._measuring = True
            self._in_thread(self._measure).addBoth(self._done).addCallback(self._measured)
        return self._room

    def _done(self, result: Any) -> Any:
        self._measuring = False
        return result

    def check(self, size: int = 0) -> None:
        """Raises DiskFull if another `size` bytes would leave less than the reserve."""
        if self.room() < size:
            raise DiskFull

    def expect(self, size: int) -> None:
        """Count `size` bytes that a client is going to send, until `arrived`. Raises DiskFull if they do not
        fit beside those of the other clients."""
        self.check(size + self.expected)
        self.expected += size

    def arrived(self, size: int) -> None:
        """`size` bytes are on the disk, or do not come."""
        self.expected -= size

    async def wait(self) -> None:
        """Wait until the disk is above its reserve. Raises StorageFailed after WAIT seconds."""
        left = WAIT
        while self.is_low():
            if left <= 0:
                raise StorageFailed
            left -= RETRY
            await deferLater(self._clock, RETRY)

    def _measure(self) -> int | None:
        """In a thread: the bytes above the reserve; None if the file system does not tell them."""
        try:
            return min(self._above_reserve(*measure(folder)) for folder in self._folders)
        except OSError as error:
            # Without figures nothing is refused. A full disk then shows when a write fails.
            if not self._failing:
                log.warn("the free disk space can't be measured: {error}", error=str(error))
            return None

    def _above_reserve(self, free: int, size: int) -> int:
        reserve = self._reserve
        if reserve is None:
            reserve = min(MAX_RESERVE, int(size * RESERVED_FRACTION))
        return free - reserve

    def _measured(self, room: int | None) -> None:
        self._failing = room is None
        if room is None:
            room = 1 << 62
        if (room < 0) != (self._room < 0):
            if room < 0:
                log.error("the disk is nearly full: messages and files are refused")
            else:
                log.info("the disk has room again: messages and files are accepted")
        was_low, self._room, self.low = self.low, room, room < 0
        if self.low != was_low:
            self._tell()
