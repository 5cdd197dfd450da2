"""Slows down guesses of secret codes, as those of passwords."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.interfaces import IReactorTime

from chatd.base.errors import ChatError, TooManyCodes
from chatd.base.throttle import FailureThrottle
from chatd.service.login_guard import FREE_FAILURES_PER_ADDRESS, FailureGate, TooSoon
from chatd.service.node_news import NodeNews


class CodeGuesses:
    """Lets a network address wait after it has sent wrong codes. `wrong` is the error for one."""

    def __init__(self, clock: IReactorTime, wrong: type[ChatError]) -> None:
        self._gate = FailureGate(clock, FailureThrottle(FREE_FAILURES_PER_ADDRESS))
        self._wrong = wrong

    def share(self, news: NodeNews, topic: str) -> None:
        """Count wrong codes on all nodes of the realm."""
        self._gate.share(news, topic)

    @asynccontextmanager
    async def attempt(self, source: str) -> AsyncIterator[None]:
        """A context in which a code from the address is looked up. It begins when it is the turn of the
        address. Raises TooManyCodes."""
        try:
            await self._gate.enter(source)
        except TooSoon as error:
            raise TooManyCodes(seconds=math.ceil(error.seconds)) from None
        failed = False
        try:
            yield
        except self._wrong:
            failed = True
            raise
        finally:
            self._gate.leave(source, failed)
