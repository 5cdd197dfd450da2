"""Locks the conversations of messages that a node stores beside other nodes. It runs on PostgreSQL only.

Whoever has locked the head of a log is the only one to write to it until the end of the transaction. What
changes who may write takes the turn of the node (chatd.store.node_turns), which none has beside others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from chatd.store.driver import wrapped_errors
from chatd.store.message_ids import NEXT

# All nodes lock in the same order, so that none waits for another that waits for it.
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


def lock_logs(
    connection: Connection, conversations: Sequence[int], term: int, count: int
) -> tuple[list[LockedLog], list[int]]:
    """Wait until no other node writes to these logs, and lock them. Returns them, and `count` ids for
    messages. Raises DBAPIError."""
    places = sorted(conversations)
    raw: Any = connection.connection.driver_connection
    with wrapped_errors(connection, _LOCK):
        found = _ask(raw, places, term, count)
        if len(found[0]) < len(places):
            raw.execute(_ADD, (places,))
            found = _ask(raw, places, term, count)
    heads, last, ids = found
    epochs = dict(heads)
    logs = [LockedLog(place, epochs[place], seq, begun) for place, seq, begun in last]
    return logs, [ident for (ident,) in ids]


def _ask(raw: Any, places: list[int], term: int, count: int) -> tuple[Any, Any, Any]:
    """Lock heads, and read what is known of their logs. It is one round trip. Each statement sees what was
    committed before it, so the second one sees all that was written until the locks were obtained."""
    with raw.pipeline():
        heads = raw.execute(_LOCK, (places,))
        last = raw.execute(_LAST, (term, places))
        ids = raw.execute(NEXT, (count,))
        return heads.fetchall(), last.fetchall(), ids.fetchall()
