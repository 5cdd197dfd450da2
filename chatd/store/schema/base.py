"""What all tables share: the metadata, the version of the schema, the type of row ids, and columns that many
tables have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Integer, MetaData, event

# The newest revision in migrations/versions. A test compares the two.
SCHEMA_VERSION = "0012"

# SQLite numbers rows automatically only if the type of the key is INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_by_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_once",
        "fk": "%(table_name)s_%(column_0_name)s_exists",
        "pk": "%(table_name)s_key",
    }
)


def time_column(name: str = "at", **options: Any) -> Column[int]:
    """A time, which each row has."""
    return Column(name, BigInteger, nullable=False, comment="ms since 1970 UTC", **options)


def account_key(comment: str | None = None) -> Column[int]:
    """An account of this realm, as the key or a part of it."""
    return Column("account_id", ForeignKey("accounts.id"), primary_key=True, comment=comment)


def conversation_key(comment: str | None = None) -> Column[int]:
    """A conversation, as the key or a part of it."""
    return Column(
        "conversation_id", ForeignKey("conversations.id"), primary_key=True, comment=comment
    )


@event.listens_for(metadata, "before_create")
def _make_indexes_partial(_metadata: MetaData, connection: Connection, **_options: object) -> None:
    """Apply the conditions of `sqlite_where` in PostgreSQL too. If the tables said `postgresql_where`, every
    realm would hold that dialect (2 MB)."""
    if connection.dialect.name != "sqlite":
        for table in metadata.tables.values():
            for index in table.indexes:
                condition = index.dialect_options["sqlite"]["where"]
                index.dialect_options["postgresql"]["where"] = condition
