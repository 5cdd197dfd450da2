"""Files that are part of a line, in base64 (RFC 4648, section 4)."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Any

from chatd.base.errors import BadArgument
from chatd.commands.arguments import Type

# Characters that are decoded at a time, so that other connections do not wait long
CHUNK = 64 << 10
ABOUT = "base64, bare or as b'...'"


class InlineFile:
    """The file of a request. It is decoded while it is stored."""

    __slots__ = ("_name", "_text", "size")

    def __init__(self, name: str, text: str) -> None:
        """`name` is the name of the argument. Raises BadArgument."""
        if len(text) % 4 or not text.isascii():
            raise _wrong(name)
        self._name = name
        self._text = text
        self.size = len(text) // 4 * 3 - text.count("=", -2)

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the file in chunks. Raises BadArgument where the text is not base64."""
        text = self._text
        left = self.size
        for start in range(0, len(text), CHUNK):
            try:
                data = binascii.a2b_base64(text[start : start + CHUNK], strict_mode=True)
            except binascii.Error:
                raise _wrong(self._name) from None
            left -= len(data)
            # Padding within the text, or too much of it, makes the file shorter than its text.
            if left < 0 or (left and start + CHUNK >= len(text)):
                raise _wrong(self._name)
            yield data


def _wrong(name: str) -> BadArgument:
    return BadArgument(argument=name, found="that", expected=ABOUT)


class InlineFileType(Type):
    shape = "base64"
    about = ABOUT
    greedy = True

    def from_text(self, name: str, text: str) -> InlineFile | None:
        """The file, from bare base64 or from a printed Python bytes literal; None if `text` is empty."""
        if text.startswith("b'") and text.endswith("'") and len(text) > 2:
            return InlineFile(name, text[2:-1])
        return InlineFile(name, text) if text else None

    def from_json(self, name: str, value: Any) -> InlineFile:
        """The file. By name it may also be empty."""
        text = self.string(name, value)
        return self.from_text(name, text) or InlineFile(name, text)


INLINE_FILE = InlineFileType()
