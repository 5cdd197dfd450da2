"""The mark in a database that was moved to another one, and that of the move in the new one.

A move has a random id, which both marks have. So a move that was interrupted goes on only between the same
two databases, and what was copied before the old one was used again is not taken for a part of a later move.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, inspect

from chatd.store.schema import settings
from chatd.store.settings import get_setting, put_setting, remove_setting

MOVED_TO = "moved to"  # in the old database
MOVED_FROM = "moved from"  # in the new one, once it is complete: the id of the move


class MoveMark(msgspec.Struct, frozen=True):
    """Where the database has gone. `to` is the URL of the new one without its password, `at` when the move
    began (ms since 1970 UTC), `complete` whether everything is there."""

    id: str
    to: str
    at: int
    complete: bool = False


def read_move_mark(connection: Connection) -> MoveMark | None:
    """None if the database was not moved. Raises msgspec.DecodeError."""
    if not inspect(connection).has_table(settings.name):
        return None
    found = get_setting(connection, MOVED_TO)
    return None if found is None else msgspec.json.decode(found, type=MoveMark)


def put_move_mark(connection: Connection, mark: MoveMark) -> None:
    """A job: from now on, chatd does not use this database by itself."""
    put_setting(connection, MOVED_TO, msgspec.json.encode(mark).decode())


def remove_move_mark(connection: Connection) -> None:
    """A job: let chatd use this database again."""
    remove_setting(connection, MOVED_TO)
