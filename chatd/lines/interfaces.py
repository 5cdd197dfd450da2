"""What a connection needs of its factory, and what the parts of a connection need of it."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from chatd.base.config import Limits
from chatd.base.errors import ChatError
from chatd.base.throttle import TokenBucket
from chatd.commands.connection import Connection
from chatd.commands.sessions import Sessions
from chatd.lines.dialect import Dialect
from chatd.lines.input_control import InputControl
from chatd.lines.line_buffer import LineBuffer
from chatd.lines.output import ConnectionOutput, LineTransport
from chatd.net.eager import FlushQueue
from chatd.service.chat_service import ChatService


class LineFactory(Protocol):
    """What a connection needs of its factory."""

    service: ChatService
    sessions: Sessions
    dialect: Dialect
    flush_queue: FlushQueue
    clock: IReactorTime
    limits: Limits
    version: str
    line_limit: int
    text_limit: int
    stopping: bool

    def too_many(self, source: str) -> ChatError | None:
        """The error for a connection from `source` that exceeds a limit; None if it does not."""

    def is_overrun(self, source: str) -> bool:
        """Whether so many connections are open that this one is dropped without an error."""

    def gone(self, protocol: Any) -> None:
        """Note that a connection was lost."""

    def new_bucket(self) -> TokenBucket:
        """The rate limit of a connection without a session."""


class LineConnection(Protocol):
    """What the parts of a connection need of it."""

    factory: LineFactory
    connection: Connection
    flow: InputControl
    lines: LineBuffer
    output: ConnectionOutput
    transport: LineTransport

    def setRawMode(self) -> None:
        """Pass what arrives to `rawDataReceived`, not to `lineReceived`."""

    def accept_protocol(self) -> None:
        """Stop checking whether the client speaks another protocol."""

    def refuse_long_line(self, error: ChatError) -> None:
        """Report that a line was dropped."""

    def idle(self) -> None:
        """Every request that was read is answered."""

    def close(self) -> None:
        """Close the connection once everything that was written is sent."""
