"""A line that exceeds the ordinary limit because it carries a file, and the memory that it takes.

Such a line needs an account, known by a token at its beginning or by the login on its connection. All of them
share `[limits] inline_total`, and one account may hold a tenth of that. A line that stops growing is dropped,
so nobody holds memory forever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.base.errors import ChatError, InlineFull, LineStalled, LineTooLong
from chatd.base.throttle import Budget
from chatd.base.timers import cancel
from chatd.commands.client import Client
from chatd.commands.connection import Connection
from chatd.lines.dialect import Dialect
from chatd.lines.framing import LineBuffer

TOKEN_BYTES = 4 << 10  # bytes at its beginning that must contain a token
STALL = 30.0  # seconds in which a line has to gain GAIN bytes
GAIN = 16 << 10  # so many bytes


class LongLine:
    """The long line of a connection, if there is one, while it arrives and until its request is answered.

    `refuse` is told why a line is dropped. `waits` says whether the line does not grow because the realm does
    not read it.
    """

    def __init__(
        self,
        lines: LineBuffer,
        connection: Connection,
        dialect: Dialect,
        budget: Budget,
        clock: Any,
        refuse: Callable[[ChatError], None],
        waits: Callable[[], bool],
    ) -> None:
        self._lines = lines
        self._connection = connection
        self._dialect = dialect
        self._budget = budget
        self._clock = clock
        self._refuse = refuse
        self._waits = waits
        self.account: int | None = (
            None  # the account that it counts for; None if there is no long line
        )
        self._size = 0  # bytes held for the account
        self._seen = 0  # its bytes at the last check
        self._timer: Any = None

    @property
    def is_arriving(self) -> bool:
        return self._timer is not None

    @property
    def is_taken(self) -> bool:
        """Whether it is complete and its request is under way."""
        return self.account is not None and self._timer is None

    def token(self) -> str | None:
        """The word at its beginning that may be a token."""
        return self._dialect.token_in(self._lines.start(TOKEN_BYTES))

    def begin(self, found: Client | None) -> None:
        """Let the line grow, for the account of `found`, whose token it has, or else of the connection."""
        session = (found or self._connection.own).session
        if session is None:
            limit = self._lines.limit
            self._lines.drop()
            self._refuse(LineTooLong(limit=limit))
            return
        self._lines.allow_long()
        self.account = session.account.id
        self._seen = len(self._lines)
        self._timer = self._clock.callLater(STALL, self._look)
        self.grow()

    def grow(self) -> None:
        """Take more bytes of it, or give it up."""
        if not self._lines.is_long:
            self.end()
        elif not self._hold(len(self._lines)):
            self._give_up(InlineFull(limit=self._budget.share))

    def take(self) -> None:
        """It is complete: keep its memory until `end`."""
        cancel(self._timer)
        self._timer = None

    def end(self) -> None:
        """Free its memory."""
        cancel(self._timer)
        self._timer = None
        self._hold(0)
        self.account = None

    def _hold(self, size: int) -> bool:
        """Hold `size` bytes. Returns whether the budget allows it."""
        if self.account is None:
            return True
        if not self._budget.change(self.account, size - self._size):
            return False
        self._size = size
        return True

    def _look(self) -> None:
        """Drop the line if it has not grown since the last check and only the client is to blame."""
        if self._size - self._seen < GAIN and not self._waits():
            self._timer = None
            self._give_up(LineStalled(bytes=GAIN, seconds=int(STALL)))
            return
        self._seen = self._size
        self._timer = self._clock.callLater(STALL, self._look)

    def _give_up(self, error: ChatError) -> None:
        self._lines.drop()
        self.end()
        self._refuse(error)
