"""Safe names for stored files, and the names that they have on disk."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from chatd.base.characters import MAX_FILE_NAME, without_hidden
from chatd.base.errors import BadFileName
from chatd.base.file_handles import stamped
from chatd.base.names import printable

UNCLAIMED = "unclaimed"  # the folder in that of uploads for files that no message carries
MAX_NAME_BYTES = 200  # of the 255 that file systems allow, with room for the timestamp and a number
MAX_LATER = 60  # seconds, from the one in which it was sent, that a file may have in its name
MAX_ENDING = 16  # characters of an ending that is never cut off

_LEADING = re.compile(r"^[\s.]+")
_SPACE = re.compile(r"\s")


def safe_name(name: str) -> str:
    """`name` without path, leading dots, and characters that control, hide or reorder text.

    Raises BadFileName if nothing is left.
    """
    bare = without_hidden(re.split(r"[/\\]", name)[-1][-MAX_FILE_NAME:])
    safe = _LEADING.sub("", bare).rstrip()
    if not safe:
        raise BadFileName(name=printable(name))
    stem, ending = _parts(safe)
    room = MAX_NAME_BYTES - len(ending.encode())
    return stem.encode()[:room].decode(errors="ignore") + ending


def _parts(name: str) -> tuple[str, str]:
    """The name without its ending, and the ending with its dot."""
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if ending and len(ending) <= MAX_ENDING else (name, "")


def stored_names(name: str, at: int) -> Iterator[str]:
    """The names under which a file with this safe name that was sent at `at` (ms since 1970 UTC) may be
    stored, best first: `YYYY_MM_DD_HH_MM_SS_NAME`, with the time or one of the next seconds, then with a
    number. They have no spaces."""
    bare = _SPACE.sub("_", name)
    for second in range(MAX_LATER):
        yield stamped(bare, at + second * 1000)
    stem, ending = _parts(stamped(bare, at))
    for number in count(2):
        yield f"{stem}_{number}{ending}"


def unique_name(name: str, at: int, mark: str) -> str:
    """As the first of `stored_names`, with `mark` before its ending, so that no other file has it."""
    stem, ending = _parts(stamped(_SPACE.sub("_", name), at))
    return f"{stem}~{mark}{ending}"


def to_disk(stored: str) -> str:
    """The name of a stored file for the functions of the operating system. On disk it is UTF-8, whatever
    encoding Python uses for names of files."""
    return os.fsdecode(stored.encode())


def stored_path(folder: Path, stored: str) -> Path:
    """The path of a stored file in the uploads folder."""
    path = folder / to_disk(stored)
    older = folder / stored  # older releases left the encoding to Python
    return older if older != path and older.exists() else path


def from_disk(name: str) -> str:
    """The stored file whose name the operating system gave, which may have decomposed its letters."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode(errors="surrogateescape"))


def free_path(path: Path) -> Path:
    """The path, or one with a number at its end that is free."""
    free = path
    for number in count(2):
        if not free.exists():
            break
        free = path.with_name(f"{path.name}.{number}")
    return free
