"""What the clients of the older systems need: titles of groups, messages that stay unread before a mark, and
the files of a conversation.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_GROUP = ("conversation_id", "name", "key", "code", "closed", "realm", "home_id")


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild_groups()
    else:
        op.add_column("groups", _title())
    op.create_table(
        "skipped",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the message"),
        sa.PrimaryKeyConstraint("account_id", "conversation_id", "seq", name="skipped_key"),
        sa.ForeignKeyConstraint(
            ["account_id", "conversation_id"],
            ["participants.account_id", "participants.conversation_id"],
            name="skipped_account_id_exists",
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "messages_by_file",
        "messages",
        ["conversation_id", "attachment_id"],
        sqlite_where=sa.text("attachment_id IS NOT NULL"),
        postgresql_where=sa.text("attachment_id IS NOT NULL"),
    )


def _title() -> sa.Column[str]:
    return sa.Column("title", sa.Text, comment="what people call it; NULL: only its name")


def _rebuild_groups() -> None:
    """Copy the table, because SQLite adds columns after the constraints. Nothing refers to it."""
    op.rename_table("groups", "groups_before")
    table = op.create_table(
        "groups",
        sa.Column("conversation_id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("code", sa.Text),
        sa.Column("closed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("realm", sa.Text),
        sa.Column("home_id", sa.BigInteger),
        _title(),
        sa.PrimaryKeyConstraint("conversation_id", name="groups_key"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="groups_conversation_id_exists"
        ),
        sa.UniqueConstraint("key", name="groups_key_once"),
        sa.UniqueConstraint("code", name="groups_code_once"),
    )
    old = sa.table("groups_before", *(sa.column(each) for each in _GROUP))
    op.get_bind().execute(table.insert().from_select(list(_GROUP), sa.select(old)))
    op.drop_table("groups_before")
    op.create_index("groups_by_home", "groups", ["realm", "home_id"], unique=True)
