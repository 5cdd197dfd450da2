"""Removes invitations to the realm some time after they have ended. The audit log keeps who made them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.recurring_work import RecurringWork
from chatd.service.context import Context
from chatd.store import realm_invitations as store

KEPT = 30 * 86_400_000  # ms after the last use, the expiry or the revocation
EVERY = 86_400.0  # seconds between two looks
FIRST = 90.0  # seconds after the start
AFTER_FAILURE = 600.0  # seconds
STEP = 100  # invitations in one transaction, about 1 ms

log = Logger()


class EndedInvitations:
    """Removes them while this node does the work (chatd.service.node_work). `time` is in ms since 1970 UTC; a
    wrong date must not set it forward, because invitations that have not ended would be lost."""

    def __init__(self, context: Context, time: Callable[[], int]) -> None:
        self._database = context.database
        self._time = time
        what = "invitations that have ended were not removed"
        self._work = RecurringWork(context.clock, self._look, AFTER_FAILURE, what)
        context.work.add_recurring("ended invitations", self._work, FIRST)

    def stop(self) -> Deferred[None]:
        """Fires when the step that is under way is stored."""
        return self._work.stop()

    async def _look(self) -> float:
        """Remove those that ended long ago. Returns the seconds to wait. Raises StorageFailed."""
        removed = 0
        while not self._work.is_interrupted:
            before = self._time() - KEPT
            found = await self._database.read(store.ended_before, before, STEP)
            if not found:
                break
            removed += len(found)
            await self._work.step(self._database.run(store.remove_invitations, found))
        if removed:
            log.info("{count} invitations that have ended were removed", count=removed)
        return EVERY
