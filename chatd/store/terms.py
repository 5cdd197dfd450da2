"""The terms in which logs are written: each start of the daemon begins one. Jobs for the Database."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select

from chatd.store.schema import terms


def begin_term(connection: Connection, conversation: int, term: int, seq: int) -> None:
    """Note that `seq` is the first entry of a log in this term, unless the term has begun already."""
    known = connection.scalar(
        select(terms.c.first).where(terms.c.conversation_id == conversation, terms.c.term == term)
    )
    if known is None:
        connection.execute(insert(terms).values(conversation_id=conversation, term=term, first=seq))


def end_of_term(connection: Connection, conversation: int, term: int, last: int) -> int:
    """Return the last seq that a log can have got in a term or before it. `last` is that of the log."""
    later = connection.scalar(
        select(func.min(terms.c.first)).where(
            terms.c.conversation_id == conversation, terms.c.term > term
        )
    )
    return last if later is None else int(later) - 1
