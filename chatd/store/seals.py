"""The seals of entries that other realms have written in directs. Jobs for the Database.

chatd.federation.seals makes and checks seals. Those that are kept here are only bytes: a realm that has lost
an entry gets the seal back with it, and recognises its own words.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatd.store.driver import execute_many
from chatd.store.engine import placeholder


def add_seals(connection: sa.Connection, items: Sequence[tuple[int, int, bytes]]) -> None:
    """Store seals, each with the conversation and the seq of its entry."""
    if items:
        mark = placeholder(connection)
        insert = f"INSERT INTO seals (conversation_id, seq, seal) VALUES ({mark}, {mark}, {mark})"  # noqa: S608
        execute_many(connection, insert, items)
