"""The ids of files, none of which is used twice. Jobs for the Database.

What is under way names a file by its id: the bytes that arrive from another realm, or a message that forwards
it.
"""

from __future__ import annotations

import sqlalchemy as sa

from chatd.store.schema import attachments
from chatd.store.settings import get_setting, put_setting

_REMOVED = "newest removed file"
_NEWEST = sa.select(sa.func.coalesce(sa.func.max(attachments.c.id), 0))


def next_file_id(connection: sa.Connection) -> int:
    """The id of the next file."""
    return max(_newest(connection), _removed(connection)) + 1


def note_removed(connection: sa.Connection, ident: int) -> None:
    """The file with that id was removed: no other one gets it."""
    if ident > max(_newest(connection), _removed(connection)):
        put_setting(connection, _REMOVED, str(ident))


def _newest(connection: sa.Connection) -> int:
    return connection.scalar(_NEWEST) or 0


def _removed(connection: sa.Connection) -> int:
    return int(get_setting(connection, _REMOVED) or 0)
