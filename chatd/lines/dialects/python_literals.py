"""Texts as literals of Python 2, for a client that evaluates what it is sent.

The client of `tugas4` calls `eval` on replies. Whatever somebody wrote must be nothing but a text there.
"""

from __future__ import annotations

from collections.abc import Mapping


def text_literal(text: str) -> str:
    """A literal in ASCII whose value is `text`. It is the same in Python 2 and 3.

    Python 2 knows `\\u` and `\\U` in literals with the prefix `u` only.
    """
    return ascii(text) if text.isascii() else f"u{text!a}"


def dict_literal(texts: Mapping[str, str]) -> str:
    """The literal of a dictionary of texts."""
    items = (f"{text_literal(key)}: {text_literal(text)}" for key, text in texts.items())
    return f"{{{', '.join(items)}}}"
