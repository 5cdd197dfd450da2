"""Locks the conversations of messages that a node stores beside other nodes. It runs on PostgreSQL only.

Whoever has locked the head of a log is the only one to write to it until the end of the transaction. What
changes who may write takes the turn of the node (chatd.store.node_turns), which none has beside others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

# All nodes lock in the same order, so that none waits for another that waits for it.
_LOCK = text(
    "SELECT conversation_id, epoch FROM heads WHERE conversation_id = ANY(:places) "
    "ORDER BY conversation_id FOR UPDATE"
)
_ADD = text(
    "INSERT INTO heads (conversation_id) SELECT place FROM unnest(CAST(:places AS bigint[])) AS place "
    "ORDER BY place ON CONFLICT DO NOTHING"
)
# As chatd.store.conversations.last_seq, for many at once, and whether the term has begun there.
_LAST = text(
    "SELECT place, greatest("
    "(SELECT max(seq) FROM messages WHERE conversation_id = place), "
    "(SELECT max(seq) FROM changes WHERE conversation_id = place), "
    "coalesce((SELECT floor FROM rosters WHERE conversation_id = place), "
    "(SELECT max(read_seq) FROM participants WHERE conversation_id = place)), 0), "
    "EXISTS (SELECT FROM terms WHERE conversation_id = place AND term = :term) "
    "FROM unnest(CAST(:places AS bigint[])) AS place"
)


class LockedLog(NamedTuple):
    """A log that is locked, with its epoch and its last seq. `begun`: the term has begun in it."""

    conversation: int
    epoch: int
    last: int
    begun: bool


def lock_logs(connection: Connection, conversations: Sequence[int], term: int) -> list[LockedLog]:
    """Wait until no other node writes to these logs, and lock them."""
    places = sorted(conversations)
    heads = connection.execute(_LOCK, {"places": places}).all()
    if len(heads) < len(places):
        connection.execute(_ADD, {"places": places})
        heads = connection.execute(_LOCK, {"places": places}).all()
    epochs = {head.conversation_id: head.epoch for head in heads}
    # A statement sees what was committed before it, so this one sees all that was written until the lock.
    rows = connection.execute(_LAST, {"places": places, "term": term})
    return [LockedLog(place, epochs[place], last, begun) for place, last, begun in rows]
