"""Texts as the clients of the older systems send them."""

from __future__ import annotations

from chatd.commands.arguments import TextType


class TypedText(TextType):
    """A text to which the client adds a space in front, and one behind if `closed`. What remains is what the
    person typed."""

    def __init__(self, closed: bool = True) -> None:
        self._behind = " " if closed else ""

    def from_text(self, name: str, text: str) -> str:
        return super().from_text(name, text.removeprefix(" ").removesuffix(self._behind))
