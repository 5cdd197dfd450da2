"""The argument type for content that the server does not read."""

from __future__ import annotations

import binascii
import re
from typing import Any

from chatd.base.entries import MEDIA_TYPE
from chatd.base.errors import BadArgument, MessageTooLong
from chatd.base.model import MAX_OPAQUE, Opaque
from chatd.base.names import printable
from chatd.commands.arguments.base import Type, kind_of

MAX_MEDIA = 127
_MEDIA = re.compile(MEDIA_TYPE)
_MAX_ENCODED = (MAX_OPAQUE + 2) // 3 * 4


class OpaqueType(Type):
    """A media type and bytes in base64 (RFC 4648, section 4)."""

    shape = "type body"
    about = (
        "an object of `type`, a media type such as application/example, and `body`, 1 to "
        f"{MAX_OPAQUE} bytes in base64"
    )
    json = "object"
    greedy = True

    def from_text(self, name: str, text: str) -> Opaque:
        media, _, body = text.partition(" ")
        return Opaque(_media(name, media), _bytes(name, body))

    def from_json(self, name: str, value: Any) -> Opaque:
        if not isinstance(value, dict):
            found = "a string" if isinstance(value, str) else kind_of(value)
            raise BadArgument(argument=name, found=found, expected=self.about)
        if value.keys() != {"type", "body"}:
            found = "an object with other keys"
            raise BadArgument(argument=name, found=found, expected=self.about)
        media, body = self.string(name, value["type"]), self.string(name, value["body"])
        return Opaque(_media(name, media), _bytes(name, body))


def _media(name: str, text: str) -> str:
    if len(text) > MAX_MEDIA or not _MEDIA.fullmatch(text):
        expected = "a type such as application/example, without parameters"
        raise BadArgument(argument=name, found=f"of type {printable(text)}", expected=expected)
    return text


def _bytes(name: str, text: str) -> bytes:
    if len(text) > _MAX_ENCODED:
        raise MessageTooLong(size=len(text) // 4 * 3, limit=MAX_OPAQUE)
    try:
        body = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # also for a text that is not ASCII
        expected = "a body in base64, with its padding and without spaces or ends of lines"
        raise BadArgument(argument=name, found="that", expected=expected) from None
    if not body:
        raise BadArgument(argument=name, found="empty", expected=f"1 to {MAX_OPAQUE} bytes")
    if len(body) > MAX_OPAQUE:
        raise MessageTooLong(size=len(body), limit=MAX_OPAQUE)
    return body


OPAQUE = OpaqueType()
