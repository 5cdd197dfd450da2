"""Safe names for stored files."""

from __future__ import annotations

import re

from chatd.base.characters import MAX_FILE_NAME, without_hidden
from chatd.base.errors import BadFileName
from chatd.base.names import printable

MAX_NAME_BYTES = 200  # of the 255 that file systems allow, with room for the timestamp

_LEADING = re.compile(r"^[\s.]+")


def safe_name(name: str) -> str:
    """`name` without path, leading dots, and characters that control, hide or reorder text.

    Raises BadFileName if nothing is left.
    """
    bare = without_hidden(re.split(r"[/\\]", name)[-1][-MAX_FILE_NAME:])
    safe = _LEADING.sub("", bare).rstrip()
    if not safe:
        raise BadFileName(name=printable(name))
    stem, dot, ending = safe.rpartition(".")
    if not dot or len(ending) > 16:
        stem, ending = safe, ""
    room = MAX_NAME_BYTES - len((dot + ending).encode()) if ending else MAX_NAME_BYTES
    stem = stem.encode()[:room].decode(errors="ignore")
    return f"{stem}.{ending}" if ending else stem
