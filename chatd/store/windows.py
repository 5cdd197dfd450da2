"""A part of a conversation's history, and how many messages there are on both sides of it. Queries for the
Database."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import Account
from chatd.store.access import LogView, view_of
from chatd.store.history import Page, build_messages, select_seen_by
from chatd.store.prepared import prepared
from chatd.store.schema import messages

# Messages before the one that a search by time has found that are looked at, too. Those that were delivered
# late have an earlier time than the ones before them.
LOOKED_BACK = 5000
MAX_SEQ = 2**62


class Window(msgspec.Struct, frozen=True):
    """Which messages: the last ones; or the last `before` a seq, the first `after` one, or those `around`
    one; or the first `since` a time (ms since 1970 UTC). At most one of these is set."""

    before: int | None = None
    after: int | None = None
    around: int | None = None
    since: int | None = None


NEWEST = Window()


def look(
    connection: sa.Connection, account: Account, conversation: int, window: Window, limit: int
) -> Page:
    """The at most `limit` messages of a conversation that the window shows, of those that the account
    sees."""
    view = view_of(connection, account.id, conversation)
    if view is None:
        return Page([], later=0)
    first, last = _bounds(connection, view, window, limit)
    rows = connection.execute(*_between(account.id, conversation, first, last)).all()
    shown = build_messages(connection, rows, account)
    earlier = connection.scalar(*_count_before(conversation, view.first, first))
    later = connection.scalar(*_count_after(conversation, view.first, last))
    return Page(shown, earlier or 0, later=later or 0)


@prepared
def _between(account_id: Any, conversation: Any, first: Any, last: Any) -> sa.Select[Any]:
    seq = messages.c.seq
    here = messages.c.conversation_id == conversation, seq.between(first, last)
    return select_seen_by(account_id).where(*here).order_by(seq)


# What counts messages reads only an index.
@prepared
def _count_before(conversation: Any, first: Any, seq: Any) -> sa.Select[Any]:
    before = LogView(conversation, first).has(messages, messages.c.seq < seq)
    return sa.select(sa.func.count(messages.c.seq)).where(before)


@prepared
def _count_after(conversation: Any, first: Any, seq: Any) -> sa.Select[Any]:
    after = LogView(conversation, first).has(messages, messages.c.seq > seq)
    return sa.select(sa.func.count(messages.c.seq)).where(after)


def _bounds(
    connection: sa.Connection, view: LogView, window: Window, limit: int
) -> tuple[int, int]:
    """The numbers of the first and the last message to show. If there is none, the last is one less than the
    first, and both say where the window is."""
    if window.around is not None:
        return _around(connection, view, window.around, limit)
    after = window.after
    if window.since is not None:
        after = first_since(connection, view, window.since) - 1
    if after is not None:
        seqs = _after(connection, view, after, limit)
        return after + 1, seqs[-1] if seqs else after
    before = window.before
    if before is None:
        before = _last(connection, view) + 1
    seqs = _before(connection, view, before, limit)
    return seqs[-1] if seqs else before, before - 1


def _around(connection: sa.Connection, view: LogView, seq: int, limit: int) -> tuple[int, int]:
    """Half of the messages are older, unless there are too few of one kind."""
    older = _before(connection, view, seq, limit)
    newer = _after(connection, view, seq - 1, limit)
    before = min(len(older), max(limit // 2, limit - len(newer)))
    after = min(len(newer), limit - before)
    return older[before - 1] if before else seq, newer[after - 1] if after else seq - 1


def _before(connection: sa.Connection, view: LogView, seq: int, limit: int) -> list[int]:
    """The numbers of the last messages before `seq`, newest first."""
    return list(connection.scalars(*_last_before(view.conversation, view.first, seq, limit)))


@prepared
def _last_before(conversation: Any, first: Any, seq: Any, limit: Any) -> sa.Select[Any]:
    found = messages.c.seq
    before = LogView(conversation, first).has(messages, found < seq)
    return sa.select(found).where(before).order_by(found.desc()).limit(limit)


def _after(connection: sa.Connection, view: LogView, seq: int, limit: int) -> list[int]:
    """The numbers of the first messages after `seq`."""
    found = messages.c.seq
    query = sa.select(found).where(view.has(messages, found > seq)).order_by(found)
    return list(connection.scalars(query.limit(limit)))


def _last(connection: sa.Connection, view: LogView) -> int:
    newest = _before(connection, view, MAX_SEQ, 1)
    return newest[0] if newest else 0


def first_since(connection: sa.Connection, view: LogView, since: int) -> int:
    """The number of the first message that was sent at the time `since` (ms since 1970 UTC) or later; a
    number after all if there is none.

    Times grow with the numbers, except those of messages that were delivered late. So it is a binary search;
    then the messages before the one that it finds are looked at.
    """
    oldest = _after(connection, view, -1, 1)
    if not oldest:
        return 1
    earlier, found = oldest[0] - 1, _last(connection, view) + 1
    seq, at = messages.c.seq, messages.c.at
    while found - earlier > 1:
        middle = (earlier + found) // 2
        probe = sa.select(seq, at).where(view.has(messages, seq >= middle)).order_by(seq).limit(1)
        row = connection.execute(probe).one()
        if row.at >= since:
            found = middle
        else:
            earlier = row.seq
    recent = sa.select(seq, at).where(view.has(messages, seq < found)).order_by(seq.desc())
    late = recent.limit(LOOKED_BACK).subquery()
    better = sa.select(sa.func.min(late.c.seq)).where(late.c.at >= since)
    return connection.scalar(better) or found
