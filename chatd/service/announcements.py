"""Messages of operators from `system` to all accounts of this realm, or to those that are in a group.

They are stored a few accounts at a time, so that others do not wait. In the transaction that stores the
messages to some accounts, these count as having them. So a kill between two steps neither repeats nor loses
any, and the next start continues.
"""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from chatd.base.background import EXPECTED
from chatd.base.errors import StorageFailed
from chatd.base.isolation import guarded
from chatd.files.disk_space import DiskSpace
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.messages import Messages
from chatd.service.system_messages import SystemMessage, SystemMessages
from chatd.store import announcements as store
from chatd.store.announcements import EVERYBODY, Announcement

STEP = 10  # accounts in one transaction, a few ms
# After each step it rests for so many times as long as it took.
REST = 4.0
MIN_REST, MAX_REST = 0.01, 1.0  # seconds
RETRY = 60.0  # seconds after which it continues when the disk or the database has stopped it

log = Logger()


class Announcements:
    """Sends announcements, the oldest first, between `start` and `stop`."""

    def __init__(self, context: Context, messages: Messages, disk: DiskSpace) -> None:
        self._context = context
        self._clock = context.clock
        self._database = context.database
        self._check_text = messages.check_text
        self._messages = SystemMessages(context, messages.fan_out)
        self._disk = disk
        self._timer: IDelayedCall | None = None
        self._working: Deferred[None] | None = None
        self._resting: Deferred[None] | None = None
        self._again = False
        self._stopped = False

    def start(self) -> None:
        """Continue with those that were interrupted."""
        self._wait(0.0)

    def stop(self) -> Deferred[None]:
        """Fires when the step that is under way is stored."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._resting is not None:
            self._resting.cancel()
        return succeed(None) if self._working is None else self._working

    async def announce(self, act: Act, text: str, group: int | None) -> int:
        """Send a text to all accounts, or to the accounts of this realm that are in a group. Those that are
        made later do not get it. Returns how many accounts get it; they do so after this returns. Raises
        MessageTooLong, DiskFull, Busy, StorageFailed."""
        self._check_text(text)
        self._disk.check()
        to = EVERYBODY if group is None else group
        count = await act.run(store.add_announcement, to, text, self._context.now())
        if self._working is not None:
            self._again = True
        else:
            if self._timer is not None:
                self._timer.cancel()
            self._wait(0.0)
        return count

    def _wait(self, delay: float) -> None:
        if not self._stopped:
            self._timer = self._clock.callLater(delay, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._again = False
        working: Deferred[bool] = Deferred.fromCoroutine(self._run())
        self._working = working.addCallback(self._ended)

    def _ended(self, finished: bool) -> None:
        self._working = None
        if not finished:
            self._wait(RETRY)
        elif self._again:
            self._wait(0.0)

    async def _run(self) -> bool:
        """Send all that wait. Returns whether nothing is left."""
        try:
            while not self._stopped:
                if self._disk.low:
                    return False
                next_one = await self._database.read(store.next_announcement)
                if next_one is None:
                    return True
                began = self._clock.seconds()
                await self._send(next_one)
                rest = min(max(REST * (self._clock.seconds() - began), MIN_REST), MAX_REST)
                await self._rest(rest)
        except StorageFailed:  # which the database has logged
            return False
        except Exception:
            log.failure("an announcement was interrupted")
            return False
        return True

    async def _send(self, announcement: Announcement) -> None:
        """Send it to the next accounts. If that fails unexpectedly, they get it one by one, and only the one
        for which it fails does without. Raises StorageFailed."""
        try:
            stored = await self._database.run(self._step, announcement, STEP)
        except EXPECTED:
            raise
        except Exception:
            stored = await self._send_one(announcement)
        for message in stored:
            guarded("a listener was not told of an announcement", self._messages.tell, message)

    async def _send_one(self, announcement: Announcement) -> list[SystemMessage]:
        """Send it to the next account, or leave that out. Raises StorageFailed."""
        try:
            return await self._database.run(self._step, announcement, 1)
        except EXPECTED:
            raise
        except Exception:
            left_out = await self._database.run(store.take, announcement, 1)
            log.failure("an announcement was not sent to the accounts {ids}", ids=left_out)
            return []

    def _step(
        self, connection: Connection, announcement: Announcement, limit: int
    ) -> list[SystemMessage]:
        """Store the message for the next accounts. Runs in the writer's thread."""
        now = self._context.now()
        return [
            self._messages.store(connection, account, announcement.text, now)
            for account in store.take(connection, announcement, limit)
        ]

    async def _rest(self, seconds: float) -> None:
        """Wait, but not longer than until `stop`."""
        self._resting = deferLater(self._clock, seconds)
        with suppress(CancelledError):
            await self._resting
        self._resting = None
