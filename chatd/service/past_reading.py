"""Lets somebody who reads a group of another realm wait for the part of its log that is missing here."""

from __future__ import annotations

from contextlib import suppress

from twisted.internet.defer import TimeoutError as TimedOut

from chatd.service.context import Context
from chatd.service.remote import IRealms
from chatd.store.pasts import Past

PATIENCE = 5.0  # seconds, for one request


class PastWait:
    """What one request waits for."""

    def __init__(self, context: Context, realms: IRealms) -> None:
        self._clock = context.clock
        self._realms = realms
        self._end = context.clock.seconds() + PATIENCE
        self._upto: int | None = None

    async def has_more(self, past: Past | None, low: int) -> bool:
        """Wait for a page of what is missing, if the request reads entries from the seq `low` on. Returns
        whether to read again."""
        left = self._end - self._clock.seconds()
        if past is None or past.upto < low or past.upto == self._upto or left <= 0:
            return False
        self._upto = past.upto
        with suppress(TimedOut):
            await self._realms.fetch_past(past.conversation).addTimeout(left, self._clock)
        return True
