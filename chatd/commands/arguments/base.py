"""The base class of argument types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.base.errors import BadArgument


class Type:
    """An argument type. `shape` is its form in usage texts, `about` its description, and `json` its JSON
    types. A `greedy` type takes the rest of the line."""

    shape = "text"
    about = "text"
    json = "string"
    greedy = False

    def from_text(self, name: str, text: str) -> Any:
        """Parse `text`. `name` is the name of the argument, for errors."""
        raise NotImplementedError

    def from_json(self, name: str, value: Any) -> Any:
        return self.from_text(name, self.string(name, value))

    def string(self, name: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        raise BadArgument(
            argument=name, found=kind_of(value), expected=f"{self.about}, as a string"
        )


class ParsedType(Type):
    """A string that `parse` checks and converts."""

    def __init__(
        self, parse: Callable[[str], Any], shape: str, about: str, greedy: bool = False
    ) -> None:
        self._parse = parse
        self.shape, self.about, self.greedy = shape, about, greedy

    def from_text(self, name: str, text: str) -> Any:
        return self._parse(text)


def kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
