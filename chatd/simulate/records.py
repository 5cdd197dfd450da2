"""What people have asked for, and what they were answered. The checks compare it with what is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Violation(AssertionError):
    """A promise was broken."""


def require(kept: object, promise: str, *details: object) -> None:
    """Raises Violation unless `kept`."""
    if not kept:
        raise Violation(": ".join((promise, *map(str, details))))


class TrackedRequest:
    """What the person `name` asks for. `answers` has a list for each time that they have sent it, with the
    reply or the exception once that is there. With a `key` it may be sent again."""

    def __init__(
        self,
        name: str,
        begin: Callable[[], Deferred[Any]],
        key: str | None,
        on_answer: Callable[[Any], None],
    ) -> None:
        self.name = name
        self.key = key
        self.answers: list[list[Any]] = []
        self.doubtful = False  # the realm that has answered was restored from an older copy since
        self._begin = begin
        self._on_answer = on_answer
        self.send()

    def send(self) -> None:
        """Send it, or send it again."""
        found: list[Any] = []
        self.answers.append(found)

        def answered(result: Any) -> None:
            found.append(result.value if isinstance(result, Failure) else result)
            self._on_answer(found[0])

        self._begin().addBoth(answered)

    @property
    def replies(self) -> list[Any]:
        return [each[0] for each in self.answers if each and not isinstance(each[0], Exception)]

    @property
    def errors(self) -> list[Exception]:
        return [each[0] for each in self.answers if each and isinstance(each[0], Exception)]

    @property
    def acknowledged(self) -> bool:
        return bool(self.replies) and not self.doubtful

    @property
    def again(self) -> bool:
        return len(self.answers) > 1


class LastValue:
    """A value that is set by requests, in order. `values` are those that it may have in the end."""

    def __init__(self, first: Any) -> None:
        self._first = first
        self._asked: list[tuple[Any, TrackedRequest]] = []

    def set(self, value: Any, request: TrackedRequest) -> None:
        self._asked.append((value, request))

    @property
    def values(self) -> list[Any]:
        found: list[Any] = []
        for value, request in reversed(self._asked):
            found.append(value)
            if request.acknowledged:
                return found
        return [*found, self._first]

    @property
    def asked(self) -> list[Any]:
        """All values that it ever may have had."""
        return [self._first, *(value for value, _ in self._asked)]


class Written:
    """A message as its author and others have asked for it. `to` is a person, or `#group`. `text` begins with
    the `tag`, which no other message has; of a file it is the name. `ordered`: it comes after the earlier
    ones of its author."""

    def __init__(
        self,
        tag: str,
        author: str,
        to: str,
        text: str,
        request: TrackedRequest,
        *,
        file: bool = False,
        ordered: bool = False,
    ) -> None:
        self.tag = tag
        self.author = author
        self.to = to
        self.file = file
        self.ordered = ordered
        self.request = request
        self.text = LastValue(text)
        self.deleted = LastValue(False)
        self.pinned = LastValue(False)
        self.reactions: dict[tuple[str, str], LastValue] = defaultdict(lambda: LastValue(False))

    @property
    def acknowledged(self) -> bool:
        return self.request.acknowledged

    def __repr__(self) -> str:
        return f"{self.tag} of {self.author} to {self.to}"
