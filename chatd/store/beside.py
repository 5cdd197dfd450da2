"""Locks the conversations of messages that a node stores beside other nodes. It runs on PostgreSQL only.

Whoever has locked the head of a log is the only one to write to it until the end of the transaction. What
changes who may write takes the turn of the node (chatd.store.node_turns), which none has beside others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from chatd.base.errors import StorageFailed
from chatd.store.driver import wrapped_errors
from chatd.store.message_ids import NEXT

MAX_KNOWN = 100_000  # rows

# All nodes lock in the same order, so that none waits for another that waits for it. Each statement sees what
# was committed before it: the numbers are those that were written until the locks were obtained.
_LOCK = (
    "SELECT conversation_id, epoch FROM heads WHERE conversation_id = ANY(%s) "
    "ORDER BY conversation_id FOR UPDATE"
)
_ADD = (
    "INSERT INTO heads (conversation_id) SELECT place FROM unnest(%s::bigint[]) AS place "
    "ORDER BY place ON CONFLICT DO NOTHING"
)
# As chatd.store.conversations.last_seq, for many at once, and whether the term has begun there.
_LAST = (
    "SELECT place, greatest("
    "(SELECT max(seq) FROM messages WHERE conversation_id = place), "
    "(SELECT max(seq) FROM changes WHERE conversation_id = place), "
    "coalesce((SELECT floor FROM rosters WHERE conversation_id = place), "
    "(SELECT max(read_seq) FROM participants WHERE conversation_id = place)), 0), "
    "EXISTS (SELECT FROM terms WHERE conversation_id = place AND term = %s) "
    "FROM unnest(%s::bigint[]) AS place"
)


class LockedLog(NamedTuple):
    """A log that is locked, with its epoch and its last seq. `begun`: the term has begun in it."""

    conversation: int
    epoch: int
    last: int
    begun: bool


class LogLocks:
    """Locks logs, in the writer's thread."""

    def __init__(self) -> None:
        self._headed: set[int] = set()  # conversations whose rows in `heads` are known

    def forget(self) -> None:
        """Note a rollback: rows that were added are not there."""
        self._headed.clear()

    def lock(
        self, connection: Connection, conversations: Sequence[int], term: int, count: int
    ) -> tuple[list[LockedLog], list[int]]:
        """Wait until no other node writes to these logs, and lock them. Returns them, and `count` ids for
        messages.

        Call it once in a transaction. New rows are added before any row is locked: a node that has a lock
        waits only for locks on rows after that.

        Raises StorageFailed if the head of a log has vanished, DBAPIError.
        """
        places = sorted(conversations)
        new = [place for place in places if place not in self._headed]
        raw: Any = connection.connection.driver_connection
        with wrapped_errors(connection, _LOCK), raw.pipeline():  # one round trip
            if new:
                raw.execute(_ADD, (new,))
            found = [
                raw.execute(_LOCK, (places,)),
                raw.execute(_LAST, (term, places)),
                raw.execute(NEXT, (count,)),
            ]
            heads, last, ids = [each.fetchall() for each in found]
        epochs = dict(heads)
        if len(epochs) < len(places):
            self._headed.clear()
            raise StorageFailed
        if len(self._headed) > MAX_KNOWN:
            self._headed.clear()
        self._headed.update(new)
        logs = [LockedLog(place, epochs[place], seq, begun) for place, seq, begun in last]
        return logs, [ident for (ident,) in ids]
