"""Files inside a line, in base64 (RFC 4648, section 4)."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Any

from chatd.base.errors import BadArgument
from chatd.commands.arguments import Type

CHUNK = 64 << 10  # characters that are decoded at a time: more would keep everybody else waiting
ABOUT = "base64, bare or as b'...'"


class Content:
    """A file that stood in a request. It is decoded only as it is stored."""

    __slots__ = ("_name", "_text", "size")

    def __init__(self, name: str, text: str) -> None:
        """`name` is the argument's. Raises BadArgument."""
        if len(text) % 4 or not text.isascii():
            raise _wrong(name)
        self._name = name
        self._text = text
        self.size = len(text) // 4 * 3 - text.count("=", -2)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, some at a time. Raises BadArgument where the text is no base64."""
        text = self._text
        left = self.size
        for start in range(0, len(text), CHUNK):
            try:
                data = binascii.a2b_base64(text[start : start + CHUNK], strict_mode=True)
            except binascii.Error:
                raise _wrong(self._name) from None
            left -= len(data)
            # An end in the middle, or more than one, makes it shorter than it seemed.
            if left < 0 or (left and start + CHUNK >= len(text)):
                raise _wrong(self._name)
            yield data


def _wrong(name: str) -> BadArgument:
    return BadArgument(argument=name, found="that", expected=ABOUT)


class ContentType(Type):
    shape = "base64"
    about = ABOUT
    greedy = True

    def from_text(self, name: str, text: str) -> Content | None:
        """The bare form, or the one that Python prints; nothing at all is no file."""
        if text.startswith("b'") and text.endswith("'") and len(text) > 2:
            return Content(name, text[2:-1])
        return Content(name, text) if text else None

    def from_json(self, name: str, value: Any) -> Content:
        """What is there by name may be an empty file."""
        text = self.string(name, value)
        return self.from_text(name, text) or Content(name, text)


CONTENT = ContentType()
