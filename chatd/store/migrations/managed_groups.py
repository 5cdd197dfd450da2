"""What version 0012 adds for what operators decide about groups."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import at, conversation, of_conversation


def create_tables_of_managed_groups() -> None:
    op.create_table(
        "shut_groups",
        conversation("a group"),
        sa.Column("reason", sa.Text, nullable=False, comment="as members are told"),
        sa.Column("at", sa.BigInteger, comment="ms since 1970 UTC"),
        sa.Column(
            "actor", sa.Text, comment="who has closed it, as in the audit log; NULL: not known"
        ),
        sa.PrimaryKeyConstraint("conversation_id", name="shut_groups_key"),
        of_conversation("shut_groups"),
    )
    op.create_table(
        "group_removals",
        conversation("a group"),
        sa.Column(
            "told",
            sa.BigInteger,
            nullable=False,
            comment="the messages up to this seq are deleted in other realms, too",
        ),
        sa.Column(
            "erased",
            sa.BigInteger,
            nullable=False,
            comment="the messages up to this seq are erased",
        ),
        sa.Column("actor", sa.Text, nullable=False, comment="who deletes it, as in the audit log"),
        at(),
        sa.PrimaryKeyConstraint("conversation_id", name="group_removals_key"),
        of_conversation("group_removals"),
    )
    op.create_table(
        "ended_groups",
        conversation("a group that has ended"),
        sa.PrimaryKeyConstraint("conversation_id", name="ended_groups_key"),
        of_conversation("ended_groups"),
    )
