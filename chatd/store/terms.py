"""The terms in which logs are written: each start of the daemon begins one. Jobs for the Database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Delete, Select, delete, func, insert, select

from chatd.store.prepared import prepared
from chatd.store.schema import terms

KEPT = 100  # terms of a log, the newest ones


_INSERT = insert(terms)


def begin_term(connection: Connection, conversation: int, term: int, seq: int) -> None:
    """Note that `seq` is the first entry of a log in this term, unless the term has begun already."""
    if connection.scalar(*_first(conversation, term)) is not None:
        return
    row = {"conversation_id": conversation, "term": term, "first": seq}
    connection.execute(_INSERT, row)
    connection.execute(*_delete_older(conversation, KEPT))


@prepared
def _first(conversation: Any, term: Any) -> Select[Any]:
    return select(terms.c.first).where(
        terms.c.conversation_id == conversation, terms.c.term == term
    )


@prepared
def _delete_older(conversation: Any, kept: Any) -> Delete:
    here = terms.c.conversation_id == conversation
    older = select(terms.c.term).where(here).order_by(terms.c.term.desc()).offset(kept).limit(1)
    return delete(terms).where(here, terms.c.term <= older.scalar_subquery())


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
