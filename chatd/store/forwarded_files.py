"""Files that are forwarded: they may be erased after they were looked up. Jobs for the Database."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from twisted.python.failure import Failure

from chatd.base.errors import MessageDeleted
from chatd.store.new_entries import NewMessage
from chatd.store.schema import attachments


def with_files(
    connection: sa.Connection, items: Sequence[NewMessage | Failure]
) -> Sequence[NewMessage | Failure]:
    """Return `items` itself if no file is forwarded, else a Failure in place of each message whose file was
    erased meanwhile."""
    if not any(isinstance(each, NewMessage) and each.forwards is not None for each in items):
        return items
    return [
        each
        if isinstance(each, Failure) or (error := erased_file(connection, each)) is None
        else Failure(error)
        for each in items
    ]


def erased_file(connection: sa.Connection, new: NewMessage) -> MessageDeleted | None:
    """The error if the message forwards a file that was erased meanwhile. Another file may have its id."""
    forwards = new.forwards
    if forwards is None:
        return None
    query = sa.select(attachments.c.code).where(attachments.c.id == new.attachment_id)
    return None if connection.scalar(query) == forwards.code else MessageDeleted(seq=forwards.seq)
