"""What version 0012 adds against abuse: bans of accounts, networks and realms, mutes, removed messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import at


def create_tables_of_moderation() -> None:
    op.create_table(
        "access_bans",
        sa.Column("kind", sa.Text, nullable=False, comment="account, network or realm"),
        sa.Column("key", sa.Text, nullable=False, comment="the name without case, or the network"),
        sa.Column("name", sa.Text, nullable=False, comment="as shown"),
        at(),
        sa.Column("until", sa.BigInteger, comment="ms since 1970 UTC; NULL: without an end"),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column(
            "actor", sa.Text, nullable=False, comment="who has banned it, as in the audit log"
        ),
        sa.PrimaryKeyConstraint("kind", "key", name="access_bans_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mutes",
        sa.Column("key", sa.Text, nullable=False, comment="the address without case"),
        sa.Column(
            "conversation_id", sa.BigInteger, nullable=False, comment="of a group; 0: of all"
        ),
        sa.Column("name", sa.Text, nullable=False, comment="the address as shown"),
        at(),
        sa.Column("until", sa.BigInteger, comment="ms since 1970 UTC; NULL: without an end"),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column(
            "actor", sa.Text, nullable=False, comment="who has muted them, as in the audit log"
        ),
        sa.PrimaryKeyConstraint("key", "conversation_id", name="mutes_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "removed_messages",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message"),
        at(),
        sa.PrimaryKeyConstraint("conversation_id", "seq", name="removed_messages_key"),
        sqlite_with_rowid=False,
    )
