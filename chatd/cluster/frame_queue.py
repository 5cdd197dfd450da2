"""A queue of frames between the reactor's thread and another one. Frames beyond its bounds are lost."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from chatd.cluster.bus import Packet

MAX_FRAMES = 5000
MAX_BYTES = 16 << 20


class FrameQueue:
    """May be used from any thread. `put` never waits for more than the copying of a list."""

    def __init__(self, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, frames: Sequence[bytes], to: str = "") -> bool:
        """Add frames for the node of that name, or for all, as far as there is room: those for one node leave
        half of it to the others. Returns whether the queue was empty before."""
        share = 2 if to else 1
        max_frames, max_bytes = self._max_frames // share, self._max_bytes // share
        with self._changed:
            was_empty = not self._packets
            for frame in frames:
                if len(self._packets) >= max_frames or self._bytes + len(frame) > max_bytes:
                    break  # all the others, so that the order stays
                self._packets.append(Packet(to, frame))
                self._bytes += len(frame)
            self._changed.notify()
            return was_empty

    def take(self, count: int, seconds: float = 0.0) -> list[Packet]:
        """Take up to `count` frames. Waits for one for so many seconds, or until `close`."""
        with self._changed:
            if seconds and not self._packets and not self._closed:
                self._changed.wait(seconds)
            taken = [self._packets.popleft() for _ in range(min(count, len(self._packets)))]
            self._bytes -= sum(len(each.frame) for each in taken)
            return taken

    def clear(self) -> None:
        with self._changed:
            self._packets.clear()
            self._bytes = 0

    def close(self) -> None:
        """Let `take` wait no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
