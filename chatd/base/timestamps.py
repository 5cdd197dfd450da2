"""Times as texts (RFC 3339)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=1024)
def _from_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def timestamp(milliseconds: int) -> str:
    """RFC 3339, in UTC, to the second: 2026-11-20T10:15:03Z."""
    return _from_seconds(milliseconds // 1000)
