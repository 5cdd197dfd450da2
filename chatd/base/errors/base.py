"""The classes that every refusal derives from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from chatd.base.tokens import hide_tokens


class ChatError(Exception):
    """A refusal. `str(error)` is its sentence, filled from `details`, and from `defaults` for what is missing
    there. `code` and the sentence are the class's own."""

    code: ClassVar[str] = "error"
    sentence: ClassVar[str] = "That can't be done"
    defaults: ClassVar[Mapping[str, object]] = {}

    def __init__(self, **details: object) -> None:
        sentence = self.sentence.format_map({**self.defaults, **details})
        # A token in the wrong place of a request is not repeated.
        super().__init__(hide_tokens(sentence))
        self.details = details


class BadRequest(ChatError):
    """A request that is not valid in itself: nothing was looked up and nothing changed."""


def every_error() -> list[type[ChatError]]:
    """All refusals that have a code, in the order in which `chatd.base.errors` imports them."""
    found: list[type[ChatError]] = []
    waiting = ChatError.__subclasses__()
    while waiting:
        error = waiting.pop(0)
        if "code" in vars(error):
            found.append(error)
        waiting.extend(error.__subclasses__())
    return found
