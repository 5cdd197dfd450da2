"""The terms in which logs are written: each start of the daemon begins one. Jobs for the Database."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from chatd.store.schema import terms


def begin_term(connection: Connection, conversation: int, term: int, seq: int) -> None:
    """Note that `seq` is the first entry of a log in this term, unless the term has begun already."""
    known = connection.scalar(
        select(terms.c.first).where(terms.c.conversation_id == conversation, terms.c.term == term)
    )
    if known is None:
        connection.execute(insert(terms).values(conversation_id=conversation, term=term, first=seq))
