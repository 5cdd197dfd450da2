"""A queue of frames between the reactor's thread and another one. Frames beyond its bounds are lost."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

MAX_FRAMES = 5000
MAX_BYTES = 16 << 20


class FrameQueue:
    """May be used from any thread. `put` never waits for more than the copying of a list."""

    def __init__(self, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, frames: Sequence[bytes]) -> bool:
        """Add frames, as far as there is room. Returns whether the queue was empty before."""
        with self._changed:
            was_empty = not self._frames
            for frame in frames:
                if (
                    len(self._frames) >= self._max_frames
                    or self._bytes + len(frame) > self._max_bytes
                ):
                    break  # all the others, so that the order stays
                self._frames.append(frame)
                self._bytes += len(frame)
            self._changed.notify()
            return was_empty

    def take(self, count: int, seconds: float = 0.0) -> list[bytes]:
        """Take up to `count` frames. Waits for one for so many seconds, or until `close`."""
        with self._changed:
            if seconds and not self._frames and not self._closed:
                self._changed.wait(seconds)
            taken = [self._frames.popleft() for _ in range(min(count, len(self._frames)))]
            self._bytes -= sum(map(len, taken))
            return taken

    def clear(self) -> None:
        with self._changed:
            self._frames.clear()
            self._bytes = 0

    def close(self) -> None:
        """Let `take` wait no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
