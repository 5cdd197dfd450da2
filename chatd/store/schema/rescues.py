"""What realms remember so that groups survive the loss of their homes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from chatd.store.schema.base import metadata

# When each other realm was last reached, to the hour (chatd.federation.reached).
reached = Table(
    "reached",
    metadata,
    Column("realm", Text, primary_key=True, comment="key of the other realm"),
    Column("at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
    Column(
        "away_from",
        BigInteger,
        comment="when it was last reached before its last long absence; NULL: there was none",
    ),
    Column("away_to", BigInteger, comment="when it was reached again"),
    sqlite_with_rowid=False,
)
