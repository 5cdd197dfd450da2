"""The ids of messages, in the order in which the realm takes them. A pending message keeps its id as the one
that is shown, so both tables have ids of one series."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select, text

from chatd.store.driver import fetch
from chatd.store.engine import backend_of
from chatd.store.schema import messages, pending

_NEWEST, _NEWEST_PENDING = (select(func.max(table.c.id)) for table in (messages, pending))

# Where nodes store messages beside each other, a sequence of the server counts.
_SEQUENCE = "pg_get_serial_sequence('messages', 'id')"
NEXT = f"SELECT nextval({_SEQUENCE}) FROM generate_series(1, %s)"  # noqa: S608 - no input
# In the turn of a node no other one takes any, so that one step is enough for all.
_SKIP = (
    f"SELECT setval({_SEQUENCE}, CASE WHEN is_called THEN last_value ELSE 0 END + %s) "  # noqa: S608 - no input
    "FROM messages_id_seq"
)
_RAISE = text(
    f"SELECT setval({_SEQUENCE}, newest) "  # noqa: S608 - no input
    "FROM (SELECT max(id) AS newest FROM (SELECT max(id) AS id FROM messages "
    "UNION ALL SELECT max(id) FROM pending) AS ids) AS found "
    f"WHERE newest > coalesce(pg_sequence_last_value({_SEQUENCE}::regclass), 0)"
)


class MessageIds:
    """Takes ids, in the writer's thread."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._taken: list[int] = []
        self.counting = False  # the sequence is known to be beyond all ids

    def forget(self) -> None:
        """Note a rollback, or that other nodes may have taken ids."""
        self._last = None
        self._taken.clear()

    def give(self, taken: list[int]) -> None:
        """Let these ids, which come from the sequence, be those that are taken next in this transaction. Call
        `forget` before the next one."""
        self._taken = taken

    def take(self, connection: Connection, count: int) -> Sequence[int]:
        """Return the next `count` ids, in order. They have no gaps if no other node writes meanwhile."""
        if not backend_of(connection).has_sequences:
            last = self._last_of_all(connection)
            self._last = last + count
            return range(last + 1, last + count + 1)
        if not self.counting:
            # The ids of a realm that was moved here do not come from the sequence.
            connection.execute(_RAISE)
            self.counting = True
        if self._taken:
            taken, self._taken = self._taken[:count], self._taken[count:]
            return taken
        [(last,)] = fetch(connection, _SKIP, (count,))
        return range(last - count + 1, last + 1)

    def _last_of_all(self, connection: Connection) -> int:
        if self._last is None:
            newest = connection.scalar(_NEWEST)
            newest_pending = connection.scalar(_NEWEST_PENDING)
            self._last = max(newest or 0, newest_pending or 0)
        return self._last
