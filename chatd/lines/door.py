"""What a connection needs of the door that it came in by, why it is not read from, and the places of its
replies."""

from __future__ import annotations

from typing import Any, Final, Protocol

from chatd.base.errors import ChatError
from chatd.base.throttle import TokenBucket
from chatd.commands.sessions import Sessions
from chatd.lines.dialect import Dialect
from chatd.net.eager import FlushQueue
from chatd.service.chat_service import ChatService


class Hold:
    """Why nothing is read from a connection just now. Plain integers: they are asked for at every line."""

    COMMAND: Final = 1
    OUTPUT: Final = 2
    RATE: Final = 4
    DISK: Final = 8
    CLOSING: Final = 16
    LOOKUP: Final = 32


class Door(Protocol):
    """What a connection needs of the door that it came in by."""

    service: ChatService
    sessions: Sessions
    dialect: Dialect
    flush_queue: FlushQueue
    realm: str
    version: str
    line_limit: int
    text_limit: int
    idle_limit: float
    stopping: bool

    def too_many(self, source: str) -> ChatError | None:
        """Why one more connection from `source` is one too many."""

    def is_overrun(self, source: str) -> bool:
        """Whether there are so many connections that one more is not even told so."""

    def gone(self, protocol: Any) -> None:
        """A connection has ended."""

    def new_bucket(self) -> TokenBucket:
        """The rate of a connection on which nobody is logged in."""

    def new_reference(self) -> str:
        """By which an internal error is found in the log."""


class Slot:
    """The place of one reply in the order of replies."""

    __slots__ = ("answer", "request")

    def __init__(self, request: Any) -> None:
        self.request = request  # None for what is said in between
        self.answer: bytes | None = None
