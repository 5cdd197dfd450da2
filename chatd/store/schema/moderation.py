"""What operators and moderators do against abuse."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from chatd.store.schema.base import metadata, time_column

# Accounts that can't log in, networks that can't connect, and realms that can't link.
access_bans = Table(
    "access_bans",
    metadata,
    Column("kind", Text, primary_key=True, comment="account, network or realm"),
    Column("key", Text, primary_key=True, comment="the name without case, or the network"),
    Column("name", Text, nullable=False, comment="as shown"),
    time_column(),
    Column("until", BigInteger, comment="ms since 1970 UTC; NULL: without an end"),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False, comment="who has banned it, as in the audit log"),
    sqlite_with_rowid=False,
)

# People who can't write to groups of this realm.
mutes = Table(
    "mutes",
    metadata,
    Column("key", Text, primary_key=True, comment="the address without case"),
    Column("conversation_id", BigInteger, primary_key=True, comment="of a group; 0: of all"),
    Column("name", Text, nullable=False, comment="the address as shown"),
    time_column(),
    Column("until", BigInteger, comment="ms since 1970 UTC; NULL: without an end"),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False, comment="who has muted them, as in the audit log"),
    sqlite_with_rowid=False,
)

# Messages whose content moderators have removed from this realm alone, because others may still have it.
removed_messages = Table(
    "removed_messages",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the message"),
    time_column(),
    sqlite_with_rowid=False,
)
