"""Where the client shows things."""

from __future__ import annotations

from typing import Protocol

from chatd.client.link import Reply
from chatd.client.render import Line


class Output(Protocol):
    """Where the client shows things: a terminal, or the output of a script."""

    def answered(self, reply: Reply, lines: list[Line]) -> None:
        """Show the reply to a command that succeeded."""

    def refused(self, reply: Reply, lines: list[Line]) -> None:
        """Show the reply to a command that was refused."""

    def happened(self, event: Reply, lines: list[Line], notice: bool) -> None:
        """Show an event. With `notice`, draw the user's attention to it."""

    def note(self, text: str) -> None:
        """Show a remark of the client itself."""

    def changed(self) -> None:
        """The state has changed: the user, the conversation, unread counts or the connection."""
