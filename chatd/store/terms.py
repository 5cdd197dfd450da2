"""The terms in which logs are written: each start of the daemon begins one. Jobs for the Database."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select

from chatd.store.schema import terms

KEPT = 100  # terms of a log, the newest ones


def begin_term(connection: Connection, conversation: int, term: int, seq: int) -> None:
    """Note that `seq` is the first entry of a log in this term, unless the term has begun already."""
    known = connection.scalar(
        select(terms.c.first).where(terms.c.conversation_id == conversation, terms.c.term == term)
    )
    if known is not None:
        return
    connection.execute(insert(terms).values(conversation_id=conversation, term=term, first=seq))
    here = terms.c.conversation_id == conversation
    older = select(terms.c.term).where(here).order_by(terms.c.term.desc()).offset(KEPT).limit(1)
    connection.execute(delete(terms).where(here, terms.c.term <= older.scalar_subquery()))


def end_of_term(connection: Connection, conversation: int, term: int, last: int) -> int:
    """Return the last seq that a log can have got in a term or before it, or 0 if that is not known any more.
    `last` is that of the log."""
    here = terms.c.conversation_id == conversation
    later = connection.scalar(select(func.min(terms.c.first)).where(here, terms.c.term > term))
    if later is None:
        return last
    count, oldest = connection.execute(
        select(func.count(), func.min(terms.c.term)).where(here)
    ).one()
    return 0 if count >= KEPT and term < oldest else int(later) - 1
