"""Checks of message texts, and a type for secrets.

A text has one or more lines. The end of a line is LF alone, in memory, on disk and between realms.
"""

from __future__ import annotations

import re

from chatd.base.characters import is_blank
from chatd.base.errors import BadText, EmptyText

MAX_DISPLAY_NAME = 128  # characters
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
CONTROL_IN_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Secret(str):
    """A password or a token: a string whose repr() hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


def check_text(text: str) -> str:
    """Return `text` if it has a visible character, and no control characters but tabs and the ends of lines.
    Raises BadText, EmptyText."""
    if not text or text.isspace():
        raise EmptyText
    # isprintable() is fast but too strict: it rejects tabs, ends of lines, and some spaces.
    if not text.isprintable() and (found := CONTROL_IN_TEXT.search(text)):
        raise BadText(position=found.start() + 1)
    if not text.isascii() and is_blank(text):
        raise EmptyText
    return text
