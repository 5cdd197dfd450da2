"""Which conversations have messages that the index lacks, and which of these messages are in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from operator import itemgetter

from sqlalchemy import Connection

from chatd.store import driver
from chatd.store.engine import backend_of, placeholder
from chatd.store.search.fresh import FreshMessages, Row
from chatd.store.search.progress import IndexProgress, newest_id, store_progress
from chatd.store.search.records import SEQ

_RANGE = 50_000  # ids of messages whose conversations are looked up at a time
MAX_DISTRUSTED = 10_000  # conversations
_seq = itemgetter(SEQ)

_TOUCHED = "SELECT DISTINCT conversation_id FROM messages WHERE id > {0} AND id <= {0}"


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
        self._progress = IndexProgress()
        self._upto = 0  # the id of the last message that was looked at

    def forget(self) -> None:
        """Begin again from what is stored. What is in memory may be older than changes whose conversations
        are not distrusted any more."""
        self._fresh.clear()
        self.waiting.clear()
        self._rows.clear()
        self._progress.forget()

    def look(self, connection: Connection) -> bool:
        """Find the conversations that have new messages. Returns whether there are new messages."""
        if backend_of(connection).is_shared:
            self._fresh.stop_keeping()
        found = self._progress.find(connection)
        if found is None:
            if self._fresh.are_many:  # they were removed from the database meanwhile
                self._fresh.clear()
                self._fresh.release(newest_id(connection))
            return False
        after, upto = found
        taken = self._fresh.take(after, upto, self._pause)
        if sum(end - start for start, end in taken.gaps) > _RANGE:
            upto = after + _RANGE
            taken = self._fresh.take(after, upto, self._pause)
        self._progress.note_looked(after, upto)
        self._upto = upto
        others = taken.others
        for gap in taken.gaps:
            rows = driver.fetch(connection, _TOUCHED.format(placeholder(connection)), gap)
            others.update([conversation for (conversation,) in rows])
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
        self._distrusted[conversation] = newest_id(connection)
        if len(self._distrusted) > MAX_DISTRUSTED:
            self._fresh.clear()
            self._rows.clear()
            self._distrusted.clear()

    def note_prepared(self) -> int:
        """All that `look` has found is prepared. Returns the id of a message: the index has those up to it,
        once what was prepared is stored. Then call `note_stored`."""
        self._rows.clear()
        self._distrusted = {
            conversation: newest
            for conversation, newest in self._distrusted.items()
            if newest > self._upto
        }
        return self._progress.note_prepared()

    def note_stored(self, connection: Connection, progress: int) -> None:
        """The present transaction stores what was prepared."""
        store_progress(connection, progress)
        self._fresh.release(progress)
