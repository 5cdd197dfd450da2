"""Removes messages and files that are older, or more, than the operators want to keep.

It looks at all conversations once an hour, and removes a few messages at a time, so that others do not wait.
A kill interrupts it between two such steps, and the next start continues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base.background import EXPECTED
from chatd.base.records import RetentionInfo
from chatd.base.recurring_work import RecurringWork
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.erased_files import ErasedFiles
from chatd.store import retention as store
from chatd.store.retention import NO_LIMITS, REALM, Cutoffs, RemovedPart, RetentionLimits

EVERY = 3600.0  # seconds between two looks at all conversations
FIRST = 60.0  # seconds after the start
AFTER_FAILURE = 600.0  # seconds
PAGE = 200  # conversations that are looked at together
STEP = 40  # messages in one transaction, about 5 ms
# What is younger than this (ms) is kept, also if there is too much of it.
MIN_AGE = 24 * store.HOUR
# A larger step of the clock (ms) counts after so many seconds, because what a wrong time removes is lost.
MAX_STEP = store.HOUR
AFTER_STEP = 24 * 3600.0

KIND = "retention"

log = Logger()


class SteadyTime:
    """The time in ms since 1970 UTC. A step of the clock into the future counts AFTER_STEP seconds later."""

    def __init__(self, clock: IReactorTime, now: Callable[[], int]) -> None:
        self._clock = clock
        self._now = now
        self._offset = self._measured()  # of the time to the monotonic clock, ms
        # Since when it is larger, and the smallest that it has been since then
        self._stepped: tuple[float, int] | None = None

    def _measured(self) -> int:
        return self._now() - int(self._clock.seconds() * 1000)

    def __call__(self) -> int:
        offset, seconds = self._measured(), self._clock.seconds()
        if offset <= self._offset + MAX_STEP:
            self._offset, self._stepped = offset, None
        elif self._stepped is None:
            self._stepped = seconds, offset
            log.warn("the clock was set forward; old messages and files stay for a day longer")
        else:
            since, least = self._stepped
            self._stepped = since, min(least, offset)
            if seconds >= since + AFTER_STEP:
                self._offset, self._stepped = self._stepped[1], None
        return int(seconds * 1000) + self._offset


class Retention:
    """Removes what is not to be kept, while this node does the work (chatd.service.node_work)."""

    def __init__(self, context: Context, erased: ErasedFiles) -> None:
        self._database = context.database
        self._erased = erased
        self._limits: dict[int, RetentionLimits] = {}
        self.time = SteadyTime(context.clock, context.now)
        what = "old messages and files were not removed"
        self._work = RecurringWork(context.clock, self._look, AFTER_FAILURE, what)
        self._nodes = context.work
        self._nodes.add_recurring(KIND, self._work, FIRST)

    def stop(self) -> Deferred[None]:
        """Fires when the step that is under way is stored."""
        return self._work.stop()

    async def list(self) -> tuple[RetentionInfo, ...]:
        """The limits of the realm, and of groups that have their own. Raises StorageFailed."""
        return tuple(await self._database.read(store.list_limits))

    async def set(self, act: Act, group: int | None, changed: Mapping[str, int]) -> None:
        """Change limits of a group, or of the realm. Raises StorageFailed."""
        await act.run(store.change_limits, REALM if group is None else group, changed)
        self.changed()

    async def clear(self, act: Act, group: int | None) -> None:
        """Remove the limits of a group, or of the realm. Raises StorageFailed."""
        await act.run(store.put_limits, REALM if group is None else group, NO_LIMITS)
        self.changed()

    def changed(self) -> None:
        """The limits have changed: look at all conversations now."""
        self._nodes.wake(KIND, self._work)

    async def _look(self) -> float:
        """Look at all conversations. Returns the seconds to wait for the next time. Raises StorageFailed."""
        self._limits = await self._database.read(store.read_limits)
        removed = await self._remove_all() if self._limits else 0
        if removed:
            log.info("{removed} old messages and files were removed", removed=removed)
        return EVERY

    async def _remove_all(self) -> int:
        """Remove what is not to be kept. Returns how many messages and files were removed. Raises
        StorageFailed."""
        everywhere = await self._cutoffs(REALM, Cutoffs())
        special = {
            group: await self._cutoffs(group, everywhere)
            for group in self._limits
            if group != REALM
        }
        latest = max(max(each.messages, each.files) for each in (everywhere, *special.values()))
        removed = 0
        after: int | None = 0
        while after is not None and not self._work.is_interrupted:
            page, after = await self._database.read(
                store.conversations_after, after, PAGE, latest, self.time()
            )
            for conversation in page:
                cutoffs = special.get(conversation, everywhere)
                removed += await self._isolated(conversation, cutoffs)
        return removed

    async def _cutoffs(self, conversation: int, general: Cutoffs) -> Cutoffs:
        """What is removed from a conversation that has limits. Where it has none, `general` holds."""
        limits = self._limits.get(conversation, NO_LIMITS)
        messages = await self._cutoff(
            conversation, limits.age, limits.size, store.cutoff_of_messages
        )
        files = await self._cutoff(
            conversation, limits.file_age, limits.file_size, store.cutoff_of_files
        )
        return Cutoffs(
            general.messages if messages is None else messages,
            general.files if files is None else files,
        )

    async def _cutoff(
        self,
        conversation: int,
        age: int | None,
        size: int | None,
        by_size: Callable[[Connection, int, int], int],
    ) -> int | None:
        """The time before which messages or files are removed; None if there are no limits."""
        if age is None and size is None:
            return None
        now = self.time()
        found = now - age if age else 0
        if size:
            found = max(found, await self._database.read(by_size, conversation, size))
        return min(found, now - MIN_AGE)

    async def _isolated(self, conversation: int, cutoffs: Cutoffs) -> int:
        """Remove from one conversation. If that fails unexpectedly, the others are still looked at. Raises
        StorageFailed."""
        try:
            files = await self._remove(store.remove_files, conversation, cutoffs.files)
            messages = await self._remove(store.remove_messages, conversation, cutoffs.messages)
        except EXPECTED:
            raise
        except Exception:
            log.failure("old messages of conversation {number} stay", number=conversation)
            return 0
        return files + messages

    async def _remove(
        self,
        step: Callable[[Connection, int, int, int, int], RemovedPart],
        conversation: int,
        before: int,
    ) -> int:
        """Take steps until nothing is left to remove from a conversation."""
        count = 0
        more = before > 0
        while more and not self._work.is_interrupted:
            running = self._database.run(step, conversation, before, self.time(), STEP)
            done = await self._work.step(running.addCallback(self._erase))
            count, more = count + done.count, done.more
        return count

    def _erase(self, done: RemovedPart) -> RemovedPart:
        self._erased.remove(done.stored)
        return done
