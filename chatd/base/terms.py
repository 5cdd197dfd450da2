"""Until when somebody is kept out, and why, as a detail of an error."""

from __future__ import annotations

import msgspec

from chatd.base.timestamps import timestamp

LATEST = 253_402_300_799_999  # ms since 1970 UTC: the last moment of the year 9999


class Term(msgspec.Struct, frozen=True):
    """`until` is in ms since 1970 UTC; None: there is no end. `str()` is for English sentences."""

    until: int | None
    reason: str = ""

    def __str__(self) -> str:
        return self.worded("until")

    def worded(self, word: str) -> str:
        """The term for sentences of a language in which `until` is `word`."""
        until = "" if self.until is None else f" {word} {timestamp(self.until)}"
        return f"{until} ({self.reason})" if self.reason else until
