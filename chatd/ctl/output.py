"""Prints replies as text: a sentence, facts, and lists as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

GAP = "  "
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
# What an accepted reply has besides its facts
_FRAME = ("status", "message", "remaining")


def reply_lines(reply: Mapping[str, Any]) -> list[str]:
    """The lines of an accepted reply."""
    lists = [value for value in reply.values() if isinstance(value, list)]
    items = next((each for each in lists if each and isinstance(each[0], dict)), [])
    facts = {
        key.replace("_", " "): cell(key, value)
        for key, value in reply.items()
        if key not in _FRAME and is_fact(value)
    }
    lines = table(items) if items else [printable(str(reply.get("message", "")))]
    if remaining := reply.get("remaining"):
        lines.append(f"({remaining} more)")
    width = max(map(len, facts), default=0) + 1
    lines += [f"{GAP}{f'{name}:':{width}} {text}" for name, text in facts.items()]
    return lines


def json_line(reply: Mapping[str, Any], encoding: str) -> str:
    """The reply as a JSON object on a line, for an output with this encoding. What a terminal would obey, and
    what the encoding lacks, is written as an escape of JSON."""
    line = json.dumps(reply, ensure_ascii=False)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = json.dumps(reply)
    if not line.isprintable():
        line = "".join(each if each.isprintable() else _escape(each) for each in line)
    return f"{line}\n"


def _escape(character: str) -> str:
    # JSON escapes all but DEL by itself.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def is_fact(value: Any) -> bool:
    return not isinstance(value, list | dict) and value is not None


def table(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """The items as a table with a head. Its columns are all keys of the items."""
    keys = _columns(items)
    rows = [[cell(key, item.get(key)) for key in keys] for item in items]
    numeric = [
        all(isinstance(item.get(key, 0), int) and key in item for item in items) for key in keys
    ]
    head = [key.upper().replace("_", " ") for key in keys]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        GAP.join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in (head, *rows)
    ]


def _columns(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """All keys, in the order that they have in the items. Items may lack some, so the fullest come first."""
    keys: list[str] = []
    for item in sorted(items, key=len, reverse=True):
        after = 0
        for key in item:
            if key not in keys:
                keys.insert(after, key)
            after = keys.index(key) + 1
    return keys


def cell(key: str, value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key.endswith("size"):
        return human_size(value)
    if isinstance(value, list):
        return ", ".join(cell(key, each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {cell(name, each)}" for name, each in value.items())
    return printable(str(value))


def human_size(size: int) -> str:
    """A number of bytes with a unit, such as 1.5 MiB."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{size} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def printable(text: str) -> str:
    """`text` without characters that a terminal obeys or that reorder what follows."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
