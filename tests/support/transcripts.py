"""Reads transcripts: scenarios between named actors and a realm, one in each file.

A transcript begins with comments that say what it guards against. Then it may set up the realm:

    ! cast messi henderson          these accounts exist (CAST in plays.py), registered in this order
    ! limits message=100            settings of the realm; `! accounts` does the same for [accounts]
    ! at pychat messi henderson     these actors use that dialect; all others use that of the folder
    ! peer realm2                   there is another realm of that name (tests/support/fake_realms.py)

The lines follow. An actor is a connection. The first line of an actor connects it and expects the greeting.

    messi> send henderson halo      sends the line, ended by CRLF
    messi>> halo\\xff\\n              sends these bytes; \\x.., \\n, \\r, \\t and \\\\ as in Python
    messi< status: OK               the next line that arrives is exactly this
    messi<< \\xff\\xfb\\x01            the next bytes that arrive are exactly these
    messi>| inbox session=1         sends the request in blocks of 1024 bytes, the last one padded with spaces
    messi<| {"status":"OK"}         the next blocks contain exactly this
    messi>} {"COMMAND": "GROUP-GET"}  sends this, and no line end
    messi<} {"FOR":"GROUP-GET"}     the next bytes that arrive are exactly this, and no line end
    messi: logs in [as messi]       with the password in plays.py, and the welcome (its token: {token-messi})
    messi: connects                 connects without expecting the greeting
    messi: closes                   closes the connection cleanly
    messi: is lost                  the connection breaks
    messi: sends no more            half-closes; earlier requests are still answered
    messi: is cut off               everything that arrived was read, and the realm has closed the connection
    . 10 s pass                     the clock advances; otherwise it stands still
    . {stored} is the newest upload the name of the newest file in the uploads folder

`{a*70000}` is that many letters a. `{operator}` is the code for the first operator; a realm with a cast has
used it, because the first account of the cast is the operator. `{token…}`, `{code…}`, `{reference…}`,
`{invitation…}`, `{version}` and `{stored…}` stand for values that are not known in advance. From the second
time on, each stands for the value that it had the first time.

At the end all actors half-close, and nothing unexpected may arrive.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parents[1] / "transcripts"

_LINE = re.compile(
    r"(?P<actor>[a-z][a-z0-9-]*)(?P<mark><<|>>|<\||>\||<\}|>\}|<|>|:)(?: (?P<text>.*))?"
)


class Line(msgspec.Struct, frozen=True):
    """One line of a transcript. A line about the realm has no actor."""

    number: int
    actor: str
    mark: str
    text: str


class Transcript(msgspec.Struct, frozen=True):
    path: Path
    guards: str
    cast: tuple[str, ...]
    settings: dict[str, dict[str, Any]]
    doors: dict[str, str]
    peers: tuple[str, ...]
    lines: tuple[Line, ...]

    def dialect(self, actor: str) -> str:
        return self.doors.get(actor, self.path.parent.name)

    def requests(self, dialect: str) -> list[str]:
        """The requests that actors send in that dialect, one a line; raw bytes as they are written."""
        return self._texts(dialect, ">", ">>", ">|", ">}")

    def answers(self, dialect: str) -> list[str]:
        return self._texts(dialect, "<", "<|", "<}")

    def refusals(self, dialect: str) -> list[tuple[str, str]]:
        """The answers to actors in that dialect, each with the verb that was sent last, in lower case."""
        verbs: dict[str, str] = {}
        found = []
        for line in self.lines:
            if line.mark in (">", ">>", ">|"):
                verbs[line.actor] = re.split(r"[ \\]", line.text, maxsplit=1)[0].lower()
            elif line.mark in ("<", "<|") and self.dialect(line.actor) == dialect:
                found.append((verbs.get(line.actor, ""), line.text))
        return found

    def _texts(self, dialect: str, *marks: str) -> list[str]:
        return [
            line.text
            for line in self.lines
            if line.mark in marks and self.dialect(line.actor) == dialect
        ]


def all_transcripts() -> list[Transcript]:
    return [parse(path) for path in sorted(FOLDER.glob("*/*.txt"))]


def parse(path: Path) -> Transcript:
    """Parse a line. Raises ValueError."""
    guards: list[str] = []
    cast: tuple[str, ...] = ()
    settings: dict[str, dict[str, Any]] = {}
    doors: dict[str, str] = {}
    peers: tuple[str, ...] = ()
    lines: list[Line] = []
    for number, text in enumerate(path.read_text().split("\n"), 1):
        if text.startswith("#"):
            if not lines:
                guards.append(text.lstrip("# "))
        elif text.startswith("! cast "):
            cast = tuple(text.split()[2:])
        elif text.startswith("! at "):
            _, _, dialect, *actors = text.split()
            doors |= dict.fromkeys(actors, dialect)
        elif text.startswith("! peer "):
            peers += tuple(text.split()[2:])
        elif text.startswith("! "):
            _, section, *pairs = text.split()
            given = (pair.partition("=")[::2] for pair in pairs)
            settings[section] = {
                key: int(value) if value.isdigit() else value for key, value in given
            }
        elif text.startswith(". "):
            lines.append(Line(number, "", ".", text[2:]))
        elif match := _LINE.fullmatch(text):
            lines.append(Line(number, match["actor"], match["mark"], match["text"] or ""))
        elif text.strip():
            raise ValueError(f"{path}:{number}: no line of a transcript: {text}")
    return Transcript(path, " ".join(guards), cast, settings, doors, peers, tuple(lines))
