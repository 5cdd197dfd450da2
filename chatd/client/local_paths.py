"""Local files: the paths that users type, and safe names for downloads."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from chatd.base.characters import INVISIBLE
from chatd.client.translations import tr

MAX_NAME = 200  # bytes; file systems allow 255, and a number may be added
_TOKEN = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*'|["'\\])+""", re.DOTALL)


class BadPath(Exception):
    """A path that can't be sent. `str()` is a sentence for the user."""


def split(text: str) -> list[str]:
    """Split into words like a shell: quotes and backslashes keep spaces. An unclosed quote is an ordinary
    character."""
    return [_unquote(word) for word in _TOKEN.findall(text)]


def _unquote(word: str) -> str:
    def plain(found: re.Match[str]) -> str:
        part = found.group()
        if part[0] == "'" and len(part) > 1:
            return part[1:-1]
        if part[0] == '"' and len(part) > 1:
            return re.sub(r'\\(["\\])', r"\1", part[1:-1])
        return part[1:] if part[0] == "\\" and len(part) > 1 else part

    return re.sub(r"""\\.|"(?:[^"\\]|\\.)*"|'[^']*'|.""", plain, word, flags=re.DOTALL)


def quote(path: str) -> str:
    """Escape `path` so that `split` returns it."""
    return re.sub(r"""([\s"'\\])""", r"\\\1", path)


def expand(words: list[str], whole: str) -> list[Path]:
    """The files that these words name. `~` is the home folder, `*` and `?` are wildcards, and `whole` may be
    the name of one file with spaces. Some of the files may not exist."""
    alone = Path(whole.strip(" ")).expanduser() if whole else None
    if alone is not None and len(words) > 1 and alone.is_file():
        return [alone]
    found: list[Path] = []
    for word in words:
        path = _home(word)
        if path.exists() or not any(sign in word for sign in "*?["):
            found.append(path)
        else:
            anchor = Path(path.anchor) if path.is_absolute() else Path()
            pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else str(path)
            matches = sorted(each for each in anchor.glob(pattern) if each.is_file())
            found.extend(matches or [path])
    return found


def _home(word: str) -> Path:
    try:
        return Path(word).expanduser()
    except RuntimeError:
        return Path(word)  # "~nobody"


def check(path: Path) -> None:
    """Raises BadPath if `path` can't be sent."""
    if path.is_dir():
        raise BadPath(tr("{path} is a folder; name the files in it, {path}/*", path=path))
    if not path.exists():
        raise BadPath(tr("There is no file {path} here", path=path))
    if not path.is_file():
        raise BadPath(tr("{path} is not a file", path=path))


def size_of(path: Path) -> int:
    """Raises OSError."""
    return path.stat().st_size


def sent_name(path: Path) -> str:
    """The name under which a file is sent. Bytes that are not UTF-8 are replaced."""
    return path.name.encode("utf-8", "replace").decode()


def safe_name(name: str) -> str:
    """Turn a received file name into a safe one: no folders, no hidden files, no control characters."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    name = "".join(c if c.isprintable() and c not in ':*?"<>|' else "_" for c in name)
    name = INVISIBLE.sub("_", name).strip(" ")
    stem, dot, suffix = name.rpartition(".")
    while len(name.encode()) > MAX_NAME:
        if len(suffix.encode()) > 20 or not stem:
            stem, dot, suffix = name[:-1], "", ""
        else:
            stem = stem[:-1]
        name = f"{stem}{dot}{suffix}"
    return f"_{name}" if name.startswith(".") or not name else name


def free_name(folder: Path, name: str, number: int) -> Path:
    """The name to try after `number` attempts, so that no file is overwritten."""
    if number == 0:
        return folder / name
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    return folder / f"{stem} ({number}){dot}{suffix}"
