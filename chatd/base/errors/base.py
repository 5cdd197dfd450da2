"""The base classes of all errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from chatd.base.tokens import hide_tokens


class ChatError(Exception):
    """A refused request. `code` and `sentence` belong to the class. `str(error)` is the sentence, filled in
    from `details`, or from `defaults` for missing details."""

    code: ClassVar[str] = "error"
    sentence: ClassVar[str] = "The request failed"
    defaults: ClassVar[Mapping[str, object]] = {}

    def __init__(self, **details: object) -> None:
        sentence = self.sentence.format_map(self.worded(details))
        # Never repeat a token that stood in the wrong place of a request.
        super().__init__(hide_tokens(sentence))
        self.details = details

    @classmethod
    def worded(cls, details: Mapping[str, object]) -> Mapping[str, object]:
        """The details as sentences show them, in any language."""
        return {**cls.defaults, **details}


class BadRequest(ChatError):
    """An invalid request, refused before anything was looked up or changed."""


def kept_error(code: str, sentence: str) -> ChatError:
    """The error with that code whose sentence was kept."""
    kind = next((error for error in every_error() if error.code == code), ChatError)
    error = kind.__new__(kind)
    Exception.__init__(error, sentence)
    error.details = {}
    return error


def every_error() -> list[type[ChatError]]:
    """All error classes with a code, in the import order of `chatd.base.errors`."""
    found: list[type[ChatError]] = []
    waiting = ChatError.__subclasses__()
    while waiting:
        error = waiting.pop(0)
        if "code" in vars(error):
            found.append(error)
        waiting.extend(error.__subclasses__())
    return found
