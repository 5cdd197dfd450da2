"""One connection of the browser's door, as long as it speaks HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatd.web.streaming import StreamingChannel


class ChatChannel(StreamingChannel):
    """`on_gone` is called once, when the connection is gone or has become a WebSocket's."""

    on_gone: Callable[[], None]

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Let the requests go, and the place among the connections."""
        super().connectionLost(reason)
        self.on_gone()

    def upgraded(self) -> None:
        """It speaks HTTP no more."""
        # It would never be finished, and it is kept with all its headers.
        self.requests.clear()
        self.on_gone()

    def finish(self) -> None:
        """The realm shuts down: close when the request under way, if any, is answered."""
        self.persistent: Any = False
        if not self.requests:
            self.loseConnection()
