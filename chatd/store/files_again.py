"""Files of groups elsewhere that are fetched again. Jobs for the Database."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatd.store.arrivals import MAX_ARRIVING
from chatd.store.files import used_by_realm
from chatd.store.schema import arrivals, attachments, messages, rosters

# The home gave no file, perhaps because nobody of this realm was a member.
_REASON = "file-gone"


def fetch_again(
    connection: sa.Connection, conversation: int, realm: str, first: int, now: int, limit: int
) -> None:
    """Somebody who sees the entries from `first` on has joined a group of the realm with that key. If there
    is no other member here, its newest lost files that the realm has not given wait to arrive once more:
    MAX_ARRIVING, with those of the realm that wait already, as far as all its files have at most `limit`
    bytes."""
    members = sa.select(rosters.c.members).where(rosters.c.conversation_id == conversation)
    if connection.scalar(members) != 1:
        return
    waiting = sa.select(sa.func.count()).where(
        arrivals.c.realm == realm, arrivals.c.lost.is_(None), arrivals.c.waits.is_(True)
    )
    count = MAX_ARRIVING - (connection.scalar(waiting) or 0)
    if count <= 0:
        return
    lost = _newest_lost(connection, conversation, realm, first, count)
    if not lost:
        return
    left, fitting = limit - used_by_realm(connection, realm), []
    for ident, size in lost:
        left -= size
        if left < 0:
            break
        fitting.append(ident)
    connection.execute(
        sa.update(arrivals)
        .where(arrivals.c.attachment_id.in_(fitting))
        .values(lost=None, waits=True, heard_at=now)
    )


def _newest_lost(
    connection: sa.Connection, conversation: int, realm: str, first: int, count: int
) -> Sequence[sa.Row[int, int]]:
    """The ids and sizes of at most `count` files of the entries from `first` on that the realm has not given,
    newest first."""
    return connection.execute(
        sa.select(attachments.c.id, attachments.c.size)
        .join_from(arrivals, attachments, attachments.c.id == arrivals.c.attachment_id)
        .join(messages, messages.c.attachment_id == attachments.c.id)
        .where(
            messages.c.conversation_id == conversation,
            messages.c.seq >= first,
            arrivals.c.realm == realm,
            arrivals.c.lost == _REASON,
        )
        .group_by(attachments.c.id, attachments.c.size)
        .order_by(sa.func.max(messages.c.seq).desc())
        .limit(count)
    ).all()
