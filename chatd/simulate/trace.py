"""What happens in a simulation, line by line. Two runs are the same if their digests are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


class Trace:
    """Lines with the virtual time in seconds since the beginning. `write`, if given, gets each of them."""

    def __init__(self, seconds: Callable[[], float], write: Callable[[str], object] | None) -> None:
        self._seconds = seconds
        self._write = write
        self._hash = hashlib.sha256()
        self.count = 0

    def say(self, what: str) -> None:
        line = f"{self._seconds():10.3f} {what}\n"
        self._hash.update(line.encode())
        self.count += 1
        if self._write is not None:
            self._write(line)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()[:16]
