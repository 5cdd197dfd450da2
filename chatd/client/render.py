"""Renders messages as lines of styled text.

Text from other users goes through `safe`, so that it can't control the terminal or change the direction of
the text around it. The further lines of a message are marked, so that none can be taken for another message.
Widths are in terminal cells; an emoji takes two.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
import zlib
from collections.abc import Mapping
from typing import Any

from wcwidth import wcswidth, wcwidth

from chatd.base.names import key_of
from chatd.client.state import State
from chatd.client.translations import loss, tr, trc

Line = list[tuple[str, str]]  # (style class, text)
Item = Mapping[str, Any]

COLOURS = 12  # for the names of senders; the styles are in screen.py
QUOTED = 30  # cells of a message in a quotation of it
MAX_MARKS = 4  # combining characters on one letter; more would cover other lines
_KEPT = "\u200c\u200d"  # joiners, which emoji and several scripts need
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def safe(text: object) -> str:
    """`text` on one line, without control, formatting and invisible characters."""
    found: list[str] = []
    marks = 0
    for c in str(text):
        if c == "\t":
            found.append("    ")
            continue
        category = unicodedata.category(c)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > MAX_MARKS:
            continue
        if c in _TURNS or category in ("Cc", "Cs", "Zl", "Zp"):
            found.append("\N{REPLACEMENT CHARACTER}")
        elif category == "Cf" and c not in _KEPT:
            continue  # invisible
        else:
            found.append(c)
    return "".join(found)


def safe_lines(text: object) -> str:
    """As `safe`, but LF still ends lines."""
    return "\n".join(map(safe, str(text).split("\n")))


def cells(text: str) -> int:
    """The width of `text` in cells. It may be too large, but not too small."""
    return max(wcswidth(text), sum(max(wcwidth(c), 0) for c in text))


def cut(text: str, width: int) -> str:
    """`text` shortened to `width` cells, with an ellipsis if needed."""
    if cells(text) <= width:
        return text
    kept, used = "", 0
    for c in text:
        used += max(wcwidth(c), 0)
        if used > width - 1:
            break
        kept += c
    return f"{kept}…"


def colour_of(name: str) -> str:
    """The style of a sender's name, the same in every run."""
    return f"sender{zlib.crc32(key_of(name).encode()) % COLOURS}"


def wrap(line: Line, width: int, indent: int) -> list[Line]:
    """Break `line` at LF and between words, and indent the following lines by `indent` cells. What follows an
    LF is marked as well.

    A long word without wide characters, such as a URL, is not broken, so that it can be copied.
    """
    first, *further = _split(line)
    lines = _wrap_one(first, width, indent)
    for each in further:
        lines += _wrap_one([("time", f"{' ' * indent}| "), *each], width, indent + 2)
    return lines


def _split(line: Line) -> list[Line]:
    """The lines of `line`, which LF ends."""
    lines: list[Line] = [[]]
    for style, text in line:
        first, *further = text.split("\n")
        lines[-1].append((style, first))
        lines.extend([(style, each)] for each in further)
    return lines


def _wrap_one(line: Line, width: int, indent: int) -> list[Line]:
    if width < indent + 10 or sum(cells(text) for _, text in line) <= width:
        return [line]
    lines: list[Line] = [[]]
    used = 0
    for style, text in line:
        for word in _words(text):
            size = cells(word)
            bare = cells(word.rstrip(" "))
            if used + bare > width and used > indent:
                _strip(lines[-1])
                lines.append([("", " " * indent)])
                used = indent
            lines[-1].append((style, word))
            used += size
    _strip(lines[-1])
    return lines


def _strip(line: Line) -> None:
    """Remove trailing spaces, which would wrap onto a line of their own."""
    while line and not line[-1][1].strip(" "):
        line.pop()
    if line:
        line[-1] = (line[-1][0], line[-1][1].rstrip(" "))


def _words(text: str) -> list[str]:
    """Split where a line may break: after spaces and around wide characters."""
    found: list[str] = []
    current = ""
    for c in text:
        wide = wcwidth(c) == 2
        joined = current.endswith("\u200d") or wcwidth(c) == 0 or c == "\u200d"
        previous_wide = bool(current) and wcwidth(current[0]) == 2 and not joined
        after_space = current.endswith(" ") and c != " "
        if current and not joined and (wide or previous_wide or after_space):
            found.append(current)
            current = ""
        current += c
    return [*found, current] if current else found


class Renderer:
    """Renders messages. `stamps`: full timestamps, for scripts."""

    def __init__(self, state: State, stamps: bool = False) -> None:
        self._state = state
        self._stamps = stamps

    def time(self, at: object) -> str:
        if self._stamps:
            return safe(at)
        try:
            then = dt.datetime.fromisoformat(str(at)).astimezone()
        except ValueError:
            return safe(at)
        today = dt.datetime.now().astimezone().date()
        return then.strftime("%H:%M" if then.date() == today else "%Y-%m-%d %H:%M")

    def message(self, message: Item, inbox: bool = False) -> Line:
        """One message."""
        sender = str(message.get("from", ""))
        mine = self._state.is_me(sender)
        who = safe(sender)
        line: Line = [("time", f"{self.time(message.get('at'))} ")]
        if message.get("room") is not None:
            place = " " + tr("in room {room}", room=safe(message["room"]))
        elif message.get("group") is not None:
            place = " " + tr("in {group}", group=safe(message["group"]))
        elif mine and message.get("to") is not None:
            place = " " + tr("to {user}", user=safe(message.get("to")))
        else:
            place = ""
        opening, colon = "", ":"
        if inbox:
            opening, _, colon = trc("inbox", "{user}:").partition("{user}")
        if opening:
            line.append(("", opening))
        line.append(("own" if mine else colour_of(sender), who))
        line.append(("", f"{place}{colon} "))
        line += self._origin(message)
        mention = not mine and message.get("to") is None and self._state.mentions_me(message)
        line.append(("mention" if mention else "", self.content(message)))
        return [*line, *self._marks(message)]

    def _origin(self, message: Item) -> Line:
        """What a message replies to, or from whom it was forwarded."""
        found: Line = []
        if message.get("forwarded"):
            found.append(("time", tr("(from {user}) ", user=safe(message["forwarded"]))))
        if isinstance(seq := message.get("reply"), int):
            thread = self._state.threads.of(self._state.place_of(message).key)
            shown = thread.get(seq)
            quote = f"#{seq}" if shown is None else cut(safe(shown.text), QUOTED)
            found.append(("time", f"[↩ {quote}] "))
        return found

    def _marks(self, message: Item) -> Line:
        """What has happened to a message since it was sent."""
        marks = []
        if message.get("edited"):
            marks.append(tr("edited"))
        if message.get("imported"):
            marks.append(tr("imported"))
        if message.get("unverified"):
            marks.append(tr("not verified"))
        if message.get("pinned"):
            marks.append(tr("pinned"))
        if message.get("blocked"):
            marks.append(tr("blocked"))
        state = message.get("state")
        if state == "queued":
            marks.append(tr("waiting for its realm"))
        elif state == "requested":
            marks.append(tr("waits to be accepted"))
        elif state == "refused":
            marks.append(tr("not delivered: {reason}", reason=safe(message.get("reason", ""))))
        marks += self._file_marks(message.get("file") or {})
        found: Line = [("time", f" ({', '.join(marks)})")] if marks else []
        for emoji, people in (message.get("reactions") or {}).items():
            found.append(("time", f" {safe(emoji)} {len(people)}"))
        return found

    def _file_marks(self, file: Item) -> list[str]:
        """Whether the file of a message is still on its way from another realm, or lost."""
        match file.get("state"):
            case "arriving":
                return [tr("on its way")]
            case "lost":
                return [tr("did not arrive: {reason}", reason=safe(loss(file.get("reason", ""))))]
            case _:
                return []

    def content(self, message: Item) -> str:
        if message.get("deleted"):
            return tr("(deleted)")
        if message.get("opaque") is not None:
            return tr("(encrypted)")
        file = message.get("file")
        if file is None:
            return safe_lines(message.get("text", ""))
        return tr(
            "file {name} ({size} bytes) code {code}",
            name=safe(file.get("name")),
            size=amount(file.get("size")),
            code=safe(file.get("code")),
        )


def amount(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else safe(value)


def text_of(line: Line) -> str:
    """The text for a file or a pipe. Further lines begin with `  | `, as in the dialect plain."""
    return "".join(text for _, text in line).replace("\n", "\n  | ")


def indent_of(line: Line) -> int:
    """The indentation of wrapped lines: the width of a message's time, or 2."""
    return cells(line[0][1]) if line and line[0][0] == "time" else 2


def note(text: str) -> Line:
    return [("note", text)]


def error(text: str) -> Line:
    return [("error", text)]


def plain(text: str) -> Line:
    return [("", text)]
