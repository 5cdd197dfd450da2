"""Messages of operators from `system` to all accounts of this realm, or to those that are in a group.

They are stored a few accounts at a time, so that others do not wait. In the transaction that stores the
messages to some accounts, these count as having them. So a kill between two steps neither repeats nor loses
any, and the next start continues.
"""

from __future__ import annotations

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.background import EXPECTED
from chatd.base.isolation import guarded
from chatd.base.recurring_work import RecurringWork
from chatd.files.disk_space import DiskSpace
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.messages import Messages
from chatd.service.system_messages import SystemMessage, SystemMessages
from chatd.store import announcements as store
from chatd.store.announcements import EVERYBODY, Announcement

STEP = 10  # accounts in one transaction, a few ms
RETRY = 60.0  # seconds after which it continues when the disk or the database has stopped it

KIND = "announcements"

log = Logger()


class Announcements:
    """Sends announcements, the oldest first, while this node does the work (chatd.service.node_work)."""

    def __init__(self, context: Context, messages: Messages, disk: DiskSpace) -> None:
        self._context = context
        self._database = context.database
        self._check_text = messages.check_text
        self._messages = SystemMessages(context, messages.fan_out)
        self._disk = disk
        what = "an announcement was interrupted"
        self._work = RecurringWork(context.clock, self._run, RETRY, what)
        context.work.add_recurring(KIND, self._work, 0.0)

    def stop(self) -> Deferred[None]:
        """Fires when the step that is under way is stored."""
        return self._work.stop()

    async def announce(self, act: Act, text: str, group: int | None) -> int:
        """Send a text to all accounts, or to the accounts of this realm that are in a group. Those that are
        made later do not get it. Returns how many accounts get it; they do so after this returns. Raises
        MessageTooLong, DiskFull, Busy, StorageFailed."""
        self._check_text(text)
        self._disk.check()
        to = EVERYBODY if group is None else group
        count = await act.run(store.add_announcement, to, text, self._context.now())
        self._context.work.wake(KIND, self._work)
        return count

    async def _run(self) -> float | None:
        """Send all that wait. Returns the seconds to wait if the disk is full. Raises StorageFailed."""
        while not self._work.is_interrupted:
            if self._disk.low:
                return RETRY
            next_one = await self._database.read(store.next_announcement)
            if next_one is None:
                return None
            await self._work.step(self._send(next_one))
        return None

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
