"""One command that waits, and what is known of the attempts to carry it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from chatd.client import render
from chatd.client.actions import (
    GetFiles,
    ListNumberedGroups,
    OpenChat,
    QueuedAction,
    Request,
    SayInChat,
    SendFiles,
)
from chatd.client.idempotency import KEYED, IdempotentSend, may_repeat
from chatd.client.translations import tr

SHORT = 40  # characters of a line in messages about it
FIRST_PAUSE = 1.0  # seconds until a refused message is sent again; it doubles each time


def needs_login(todo: QueuedAction) -> bool:
    return todo.row.login if isinstance(todo, Request) else True


class QueuedCommand:
    """`user` typed `line`. `once` is the key of all attempts to send it. `losses` are connections that were
    lost before the reply, `refusals` those after which it is sent again."""

    def __init__(self, line: str, todo: QueuedAction, user: str | None) -> None:
        self.line = line
        self.todo = todo
        self.user = user
        self.once = IdempotentSend()
        self.losses = 0
        self.refusals = 0
        self._was_sent = False  # in a connection that was lost before the reply

    @property
    def needs_login(self) -> bool:
        return needs_login(self.todo)

    @property
    def name(self) -> str:
        text = render.safe(self.line.replace("\n", " "))
        return text if len(text) <= SHORT else f"{text[:SHORT]}…"

    def loses(self, sent: bool) -> None:
        """Note a lost connection. `sent`: the request may have reached the realm."""
        self.losses += 1
        self._was_sent = self._was_sent or sent

    @property
    def may_repeat(self) -> bool:
        """Whether it can be carried out without being done twice."""
        if not self._was_sent:
            return True
        match self.todo:
            case SayInChat():
                return self.once.is_safe
            case Request(command=command):
                return may_repeat(command, self.once)
            case OpenChat() | ListNumberedGroups() | SendFiles() | GetFiles():
                return True
            case _:
                assert_never(self.todo)

    def unanswered(self) -> str:
        """The sentence for a command that is not repeated."""
        if isinstance(self.todo, SayInChat) or (
            isinstance(self.todo, Request) and isinstance(self.todo.command, KEYED)
        ):
            return tr("The connection was lost before the reply arrived, so this may or may "
                      "not have been sent: {line}. history shows it; arrow-up recalls the "
                      "line to send it again",
                      line=self.name)  # fmt: skip
        verb = self.todo.verb if isinstance(self.todo, Request) else ""
        return tr("The connection was lost before the reply to {verb} arrived: it may or "
                  "may not have been done",
                  verb=verb)  # fmt: skip

    def pause(self, jitter: Callable[[float, float], float]) -> float:
        """Seconds until it is sent again after a refusal. Half of them are fixed, the other half random."""
        longest: float = FIRST_PAUSE * 2 ** (self.refusals - 1)
        return longest / 2 + jitter(0, longest / 2)
