"""Where the picture of a person or a group is over HTTP."""

from __future__ import annotations

import re
from typing import TypeGuard
from urllib.parse import quote

_HASH = re.compile("[0-9a-f]{32}", re.ASCII)


def is_hash(found: object) -> TypeGuard[str]:
    """Whether that can be the hash of a picture."""
    return isinstance(found, str) and _HASH.fullmatch(found) is not None


def avatar_path(place: str, found: str) -> str:
    """The path of the picture of `@` and a user or `#` and a group. `found` is its hash: another picture has
    another path, so it may be cached for long."""
    return f"/pictures/{quote(place, safe='@')}?v={found}"


def user_picture(name: str, found: str | None) -> str | None:
    """The path of a user's picture, or None."""
    return None if found is None else avatar_path(f"@{name}", found)


def group_picture(name: str, found: str | None) -> str | None:
    """The path of a group's picture, or None."""
    return None if found is None else avatar_path(f"#{name}", found)
