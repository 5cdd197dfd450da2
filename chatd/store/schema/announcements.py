"""Messages of operators to all accounts, until each account has them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from chatd.store.schema.base import Id, metadata, time_column

announcements = Table(
    "announcements",
    metadata,
    Column("id", Id, primary_key=True),
    time_column(),
    Column("conversation_id", BigInteger, nullable=False, comment="of a group; 0: to all"),
    Column("text", Text, nullable=False),
    Column("done", BigInteger, nullable=False, comment="accounts up to this id have it"),
    Column("last", BigInteger, nullable=False, comment="accounts up to this id get it"),
    sqlite_autoincrement=True,  # an id is not used again
)
