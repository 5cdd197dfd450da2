"""What version 0012 adds for what operators decide about groups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import conversation, of_conversation


def create_tables_of_managed_groups() -> None:
    op.create_table(
        "shut_groups",
        conversation("a group"),
        sa.Column("reason", sa.Text, nullable=False, comment="as members are told"),
        sa.Column("at", sa.BigInteger, comment="ms since 1970 UTC; NULL: not known"),
        sa.Column(
            "actor", sa.Text, comment="who has closed it, as in the audit log; NULL: not known"
        ),
        sa.PrimaryKeyConstraint("conversation_id", name="shut_groups_key"),
        of_conversation("shut_groups"),
    )
