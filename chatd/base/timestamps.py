"""Times as texts (RFC 3339)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_FORM = "%Y-%m-%dT%H:%M:%SZ"


@lru_cache(maxsize=1024)
def _from_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_FORM)


def timestamp(milliseconds: int) -> str:
    """RFC 3339, in UTC, to the second: 2026-11-20T10:15:03Z."""
    return _from_seconds(milliseconds // 1000)


def parse_timestamp(text: str) -> int | None:
    """The time of a text that `timestamp` has made, in ms since 1970 UTC; None if it is none."""
    try:
        return int(datetime.strptime(text, _FORM).replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return None


_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def duration_text(seconds: int) -> str:
    """A duration in the largest unit of which it is a multiple: 90min, 7d."""
    unit, length = next(each for each in _UNITS if seconds % each[1] == 0)
    return f"{seconds // length}{unit}"
