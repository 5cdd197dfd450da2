"""The base class of argument types."""

from __future__ import annotations

from typing import Any, ClassVar

from chatd.base.errors import BadArgument


class Type:
    """An argument type. `shape` is its form in usage texts, `about` its description, and `json` its JSON
    types. A `greedy` type takes the rest of the line."""

    shape: ClassVar[str] = "text"
    about: ClassVar[str] = "text"
    json: ClassVar[str] = "string"
    greedy: ClassVar[bool] = False

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


def kind_of(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
