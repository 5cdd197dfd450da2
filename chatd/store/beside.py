"""Locks the conversations of messages that a node stores beside other nodes. It runs on PostgreSQL only.

A node that has locked the head of a log is the only one to write to it until the end of the transaction. A
change of who may write takes the turn of the node (chatd.store.node_turns), which none has beside others.

A commit may wait for a standby, and two batches mostly have some conversations in common. So a node takes
what is free, and leaves the rest to its next transaction. It waits only for what it has left several times,
or if nothing is free; and then before it has locked anything else, in the same order as all others. So no
node waits for another that waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, NamedTuple

from sqlalchemy import Connection

from chatd.base.errors import StorageFailed
from chatd.store.driver import wrapped_errors
from chatd.store.message_ids import NEXT
from chatd.store.terms import KEPT

MAX_KNOWN = 100_000  # rows

# Each statement sees what was committed before it: the numbers are those that were written until the locks
# were obtained.
_LOCK = (
    "SELECT conversation_id, epoch FROM heads WHERE conversation_id = ANY(%s) "
    "ORDER BY conversation_id FOR UPDATE"
)
_TRY = f"{_LOCK} SKIP LOCKED"
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


# As chatd.store.terms.begin_term, for many at once
_BEGIN = (
    "INSERT INTO terms (conversation_id, term, first) "
    "SELECT place, %s, first FROM unnest(%s::bigint[], %s::bigint[]) AS logs (place, first)"
)
_FORGET = (
    "DELETE FROM terms USING (SELECT conversation_id AS place, term AS old, "
    "row_number() OVER (PARTITION BY conversation_id ORDER BY term DESC) AS number "
    "FROM terms WHERE conversation_id = ANY(%s)) AS found "
    "WHERE conversation_id = place AND term = old AND number > %s"
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
        self,
        connection: Connection,
        conversations: Set[int],
        waited: Set[int],
        term: int,
        count: int,
    ) -> tuple[list[LockedLog], list[int]]:
        """Lock those of these logs that no other node writes to. Waits for those that are `waited` for, and
        for all if none is free. Returns those that are locked now, at least one, and `count` ids for
        messages.

        Call it once in a transaction. New rows are added before any row is locked: a node that has a lock
        waits only for locks on rows after that.

        Raises StorageFailed if the head of a log has vanished, DBAPIError.
        """
        new = conversations - self._headed
        epochs, last, ids = self._ask(connection, conversations, waited, new, term, count)
        if not epochs:
            epochs, last, ids = self._ask(
                connection, conversations, conversations, set(), term, count
            )
            waited = conversations
        if not waited <= epochs.keys():
            self._headed.clear()
            raise StorageFailed
        if len(self._headed) > MAX_KNOWN:
            self._headed.clear()
        self._headed.update(new)
        logs = [
            LockedLog(place, epochs[place], seq, begun)
            for place, seq, begun in last
            if place in epochs
        ]
        return logs, [ident for (ident,) in ids]

    def _ask(
        self,
        connection: Connection,
        conversations: Set[int],
        waited: Set[int],
        new: Set[int],
        term: int,
        count: int,
    ) -> tuple[dict[int, int], list[tuple[int, int, bool]], list[tuple[int]]]:
        """Add heads and lock some, in one round trip. Returns the epochs of those that are locked, what is
        known of all their logs, and ids."""
        raw: Any = connection.connection.driver_connection
        steps = ((_LOCK, waited), (_TRY, conversations - waited))
        with wrapped_errors(connection, _LOCK), raw.pipeline():
            if new:
                raw.execute(_ADD, (sorted(new),))
            locks = [raw.execute(lock, (sorted(places),)) for lock, places in steps if places]
            last = raw.execute(_LAST, (term, sorted(conversations)))
            ids = raw.execute(NEXT, (count,))
            epochs = {place: epoch for lock in locks for place, epoch in lock.fetchall()}
            return epochs, last.fetchall(), ids.fetchall()


def begin_terms(connection: Connection, term: int, logs: Sequence[LockedLog]) -> None:
    """Note that the next entries of these logs are the first ones in this term. Raises DBAPIError."""
    places = [log.conversation for log in logs]
    raw: Any = connection.connection.driver_connection
    with wrapped_errors(connection, _BEGIN), raw.pipeline():
        raw.execute(_BEGIN, (term, places, [log.last + 1 for log in logs]))
        raw.execute(_FORGET, (places, KEPT))
