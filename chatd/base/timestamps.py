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
