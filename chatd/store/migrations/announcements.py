"""What version 0012 adds for messages of operators to all accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import at, id_type


def create_tables_of_announcements() -> None:
    op.create_table(
        "announcements",
        sa.Column("id", id_type(), nullable=False),
        at(),
        sa.Column(
            "conversation_id", sa.BigInteger, nullable=False, comment="of a group; 0: to all"
        ),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False, comment="accounts up to this id have it"),
        sa.Column("last", sa.BigInteger, nullable=False, comment="accounts up to this id get it"),
        sa.PrimaryKeyConstraint("id", name="announcements_key"),
        sqlite_autoincrement=True,
    )
