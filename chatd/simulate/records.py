"""What people have asked for, and what they were answered. The checks compare it with what is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
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
    reply or the exception once that is there. With a `key` it may be sent again. `sent` and `answered_at` are
    times, as `now` tells them; the latter is that of the first answer."""

    def __init__(
        self,
        name: str,
        begin: Callable[[], Deferred[Any]],
        key: str | None,
        on_answer: Callable[[Any], None],
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.name = name
        self.key = key
        self.command: Any = None
        self.sent: list[float] = []
        self.answered_at: float | None = None
        self._now = now
        self.answers: list[list[Any]] = []
        self.doubtful = False  # the realm that has answered was restored from an older copy since
        self._begin = begin
        self._on_answer = on_answer
        self.send()

    def send(self) -> None:
        """Send it, or send it again."""
        found: list[Any] = []
        self.answers.append(found)
        self.sent.append(self._now())

        def answered(result: Any) -> None:
            found.append(result.value if isinstance(result, Failure) else result)
            if self.answered_at is None:
                self.answered_at = self._now()
            self._on_answer(found[0])

        self._begin().addBoth(answered)

    @property
    def replies(self) -> list[Any]:
        return [each[0] for each in self.answers if each and not isinstance(each[0], Exception)]

    @property
    def errors(self) -> list[Exception]:
        return [each[0] for each in self.answers if each and isinstance(each[0], Exception)]

    @property
    def answered(self) -> bool:
        return any(self.answers)

    @property
    def acknowledged(self) -> bool:
        return bool(self.replies) and not self.doubtful

    @property
    def again(self) -> bool:
        return len(self.answers) > 1


class LastValue:
    """A value that is set by requests. `values` are those that it may have in the end.

    A request comes after those that were answered before it was made. Of others, either may come first: a
    client waits for answers, so they are of two devices.
    """

    def __init__(self, first: Any) -> None:
        self._first = first
        self._asked: list[_Setting] = []

    def set(
        self, value: Any, request: TrackedRequest, rights: Sequence[TrackedRequest] | None = None
    ) -> None:
        """With `rights`, only one of these requests, some of which may be made later, gives the right to set
        the value. Until one of them is acknowledged, `request` may be acknowledged and refused later."""
        open_ = [each.request for each in self._asked if not each.request.answered]
        certain = rights is None or any(each.acknowledged for each in rights)
        self._asked.append(
            _Setting(value, request, open_, certain, () if rights is None else rights)
        )

    @property
    def values(self) -> list[Any]:
        asked = [each for each in self._asked if each.is_possible]
        found = []
        for at, setting in enumerate(asked):
            later = asked[at + 1 :]
            if not any(each.is_done and setting.request not in each.open for each in later):
                found.append(setting.value)
        return found if any(each.is_done for each in asked) else [*found, self._first]

    @property
    def asked(self) -> list[Any]:
        """All values that it ever may have had."""
        return [self._first, *(each.value for each in self._asked if each.is_possible)]


class _Setting(msgspec.Struct, frozen=True):
    """A request for a value. `open` has those before it that were not answered yet. If it is not `certain`
    that it was made by right, one of the requests `rights` may have given the right."""

    value: Any
    request: TrackedRequest
    open: list[TrackedRequest]
    certain: bool
    rights: Sequence[TrackedRequest]

    @property
    def is_done(self) -> bool:
        return self.certain and self.request.acknowledged

    @property
    def is_possible(self) -> bool:
        return self.certain or bool(self.rights)


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


class Forwarded(msgspec.Struct, frozen=True):
    """`name` forwards a message to `to`."""

    name: str
    to: str
    written: Written
    request: TrackedRequest


class Marked(msgspec.Struct, frozen=True):
    """`name` has read a conversation with `to` up to `seq`, the message `written` if that is known."""

    name: str
    to: str
    conversation: int
    seq: int
    written: Written | None
    request: TrackedRequest
