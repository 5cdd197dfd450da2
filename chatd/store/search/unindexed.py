"""Which conversations have messages that the index lacks, and which of these messages are in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from operator import itemgetter

from sqlalchemy import Connection

from chatd.store import driver
from chatd.store.engine import placeholder
from chatd.store.search.fresh import FreshMessages, Row
from chatd.store.search.records import SEQ
from chatd.store.settings import get_setting, put_setting

_PROGRESS = "searchable up to message"
_RANGE = 50_000  # ids of messages whose conversations are looked up at a time
MAX_DISTRUSTED = 10_000  # conversations
_seq = itemgetter(SEQ)

_TOUCHED = "SELECT DISTINCT conversation_id FROM messages WHERE id > {0} AND id <= {0}"
_NEWEST = "SELECT coalesce(max(id), 0) FROM messages"


class Unindexed:
    """`waiting` are conversations with messages to add. `fresh` may have them in memory."""

    def __init__(self, fresh: FreshMessages, pause: Callable[[], None]) -> None:
        """`pause` is called while Python's lock was held for a while."""
        self._fresh = fresh
        self._pause = pause
        self._rows: dict[int, list[Row]] = {}  # those of waiting conversations that are in memory
        # Conversations with changed messages, and the newest id when that was noticed. What is in memory of
        # them may be older than the change.
        self._distrusted: dict[int, int] = {}
        self.waiting: deque[int] = deque()
        self._progress: int | None = None  # the id of a message; all up to it are in the index
        self._upto = 0  # as `_progress`, once nothing is waiting

    def forget(self) -> None:
        """Begin again from what is stored. What is in memory may be older than changes whose conversations
        are not distrusted any more."""
        self._fresh.clear()
        self.waiting.clear()
        self._rows.clear()
        self._progress = None

    def look(self, connection: Connection) -> bool:
        """Find the conversations that have new messages. Returns whether there are new messages."""
        if self._progress is None:
            self._progress = int(get_setting(connection, _PROGRESS) or 0)
        progress, upto = self._progress, _newest(connection)
        if upto <= progress:
            if self._fresh.are_many:
                self._fresh.clear()  # they were removed from the database meanwhile
            return False
        taken = self._fresh.take(progress, upto, self._pause)
        if sum(end - start for start, end in taken.gaps) > _RANGE:
            upto = progress + _RANGE
            taken = self._fresh.take(progress, upto, self._pause)
        self._upto = upto
        others = taken.others
        for gap in taken.gaps:
            found = driver.fetch(connection, _TOUCHED.format(placeholder(connection)), gap)
            others.update([conversation for (conversation,) in found])
        self._rows = taken.rows
        self.waiting.extend([*taken.rows, *(others - taken.rows.keys())])
        for conversation in taken.rows.keys() & (others | self._distrusted.keys()):
            del self._rows[conversation]
        return True

    def fresh(self, conversation: int, after: int) -> list[Row] | None:
        """The messages of a waiting conversation after a seq, if all of them are in memory, else None."""
        rows = self._rows.get(conversation)
        return None if rows is None else rows[bisect_right(rows, after, key=_seq) :]

    def distrust(self, connection: Connection, conversation: int) -> None:
        """A message of this conversation was changed: read from the database what it has now."""
        self._rows.pop(conversation, None)
        self._distrusted[conversation] = _newest(connection)
        if len(self._distrusted) > MAX_DISTRUSTED:
            self._fresh.clear()
            self._rows.clear()
            self._distrusted.clear()

    def note_prepared(self) -> int:
        """All that `look` has found is prepared. Returns the id of a message: the index has those up to it,
        once what was prepared is stored. Then call `note_stored`."""
        self._rows.clear()
        upto = self._progress = self._upto
        self._distrusted = {
            conversation: newest
            for conversation, newest in self._distrusted.items()
            if newest > upto
        }
        return upto

    def note_stored(self, connection: Connection, progress: int) -> None:
        """The present transaction stores what was prepared."""
        put_setting(connection, _PROGRESS, str(progress))
        self._fresh.release(progress)


def _newest(connection: Connection) -> int:
    [(newest,)] = driver.fetch(connection, _NEWEST)
    return int(newest)
