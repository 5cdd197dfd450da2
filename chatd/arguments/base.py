"""What all types of arguments share."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from chatd.characters import is_blank
from chatd.errors import BadArgument, BadText, EmptyText

CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")


class Secret(str):
    """A password or a token: a string whose repr() hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


def check_text(text: str) -> str:
    """Return `text` if it shows something and has no control characters. Raises BadText, EmptyText."""
    if not text or text.isspace():
        raise EmptyText
    # isprintable() is fast but too strict: it is false for tabs and some spaces.
    if not text.isprintable() and (found := CONTROL.search(text)):
        raise BadText(position=found.start() + 1)
    if not text.isascii() and is_blank(text):
        raise EmptyText
    return text


class Type:
    """`shape` shows a value in usage, `about` describes it in words, `json` names its JSON types.
    A `greedy` type takes the rest of the line."""

    shape: ClassVar[str] = "text"
    about: ClassVar[str] = "text"
    json: ClassVar[str] = "string"
    greedy: ClassVar[bool] = False

    def from_text(self, name: str, text: str) -> Any:
        """The value of `text`. `name` is the argument's name, for errors."""
        raise NotImplementedError

    def from_json(self, name: str, value: Any) -> Any:
        return self.from_text(name, self.string(name, value))

    def string(self, name: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        raise BadArgument(
            argument=name, found=kind_of(value), expected=f"{self.about}, as a string"
        )


def kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
