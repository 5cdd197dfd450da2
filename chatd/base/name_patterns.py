"""Patterns of realm names: names in which `*` stands for any characters, as in `*.example.net`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from chatd.base.names import key_of

_PATTERN = re.compile(r"[\w.*-]{1,192}")


def parse_pattern(text: str) -> str:
    """The pattern in the form of keys. Raises ValueError."""
    key = key_of(text)
    if _PATTERN.fullmatch(key) is None:
        raise ValueError("names of realms, in which * stands for any characters")
    return key


def matches(realm: str, patterns: Iterable[str]) -> bool:
    """Whether the key of a realm fits one of the patterns. `*.example.net` does not fit `example.net`."""
    return any(fnmatchcase(realm, pattern) for pattern in patterns)
