"""A line that is longer than the ordinary limit because it carries a file, and the memory that it takes.

Such a line needs an account: that of a token at its beginning, or the one logged in on the connection. All
such lines share `[limits] inline_total`, and one account may use a tenth of it. A line that stops growing is
dropped, so that nobody holds memory forever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatd.base.background import in_background
from chatd.base.errors import ChatError, InlineFull, LineStalled, LineTooLong
from chatd.base.timers import Timer
from chatd.commands.client import Client
from chatd.lines.input_control import Hold

if TYPE_CHECKING:
    from chatd.lines.protocol import ChatLineProtocol

TOKEN_BYTES = 4 << 10  # bytes at the beginning of a line that must contain its token
STALL = 30.0  # seconds in which a line has to grow by GAIN bytes
GAIN = 16 << 10


class LongLine:
    """The long line of a connection, if there is one: while it arrives, and until its request is answered."""

    __slots__ = ("_host", "_seen", "_size", "_timer", "account")

    def __init__(self, host: ChatLineProtocol) -> None:
        self._host = host
        self.account: int | None = None  # the account that pays for the line; None if there is none
        self._size = 0  # bytes counted for the account
        self._seen = 0  # bytes at the last check
        self._timer = Timer(host.factory.clock, self._check)

    @property
    def is_arriving(self) -> bool:
        return self._timer.due is not None

    @property
    def is_taken(self) -> bool:
        """Whether the line is complete and its request is under way."""
        return self.account is not None and not self.is_arriving

    def start(self) -> None:
        """A line exceeds the ordinary limit: let it grow if it belongs to somebody who is logged in."""
        connection = self._host.connection
        token = self._host.dialect.token_in(self._host.lines.start(TOKEN_BYTES))
        if token is None or not connection.must_look_up(token):
            self._begin(connection.find(token))
            return
        self._host.flow.hold(Hold.LOOKUP)
        looking = in_background("a token was not looked up", connection.look_up(token))
        looking.addCallback(self._begin)
        looking.addCallback(lambda _result: self._host.flow.release(Hold.LOOKUP))

    def _begin(self, found: Client | None) -> None:
        """Let the line grow for the account of `found`, whose token it has, or else of the connection."""
        host = self._host
        if host.connection.gone:
            return
        if found is not None:
            host.accept_protocol()  # no other protocol has a live token
        session = (found or host.connection.own).session
        if session is None:
            limit = host.lines.limit
            host.lines.drop()
            host.refuse_long_line(LineTooLong(limit=limit))
            return
        host.lines.allow_long()
        self.account = session.account.id
        self._seen = len(host.lines)
        self._timer.restart(STALL)
        self.grow()

    def grow(self) -> None:
        """Count what has arrived of the line. Drops the line if the budget does not allow it."""
        lines = self._host.lines
        if not lines.is_long:
            self.end()
        elif not self._count(len(lines)):
            self._drop(InlineFull(limit=self._host.factory.sessions.inline.share))

    def take(self) -> None:
        """The line is complete: keep its memory counted until `end`."""
        self._timer.cancel()

    def end(self) -> None:
        """Release the line's memory to the budget."""
        self._timer.cancel()
        self._count(0)
        self.account = None

    def _count(self, size: int) -> bool:
        """Count `size` bytes for the account. Returns whether the budget allows it."""
        if self.account is None:
            return True
        if not self._host.factory.sessions.inline.change(self.account, size - self._size):
            return False
        self._size = size
        return True

    def _check(self) -> None:
        """Drop the line if it has not grown since the last check, unless the realm did not read it."""
        waits = self._host.flow.reasons & (Hold.COMMAND | Hold.DISK | Hold.LOOKUP)
        if self._size - self._seen < GAIN and not waits:
            self._drop(LineStalled(bytes=GAIN, seconds=int(STALL)))
            return
        self._seen = self._size
        self._timer.restart(STALL)

    def _drop(self, error: ChatError) -> None:
        self._host.lines.drop()
        self.end()
        self._host.refuse_long_line(error)
