"""Idempotent sends: the keys of clients, and which messages still wait for another realm.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild_messages()
    else:
        op.add_column("messages", _parcel())
    op.create_table(
        "sends",
        sa.Column("account_id", sa.BigInteger, nullable=False, comment="whose"),
        sa.Column("key", sa.Text, nullable=False, comment="the client's own"),
        sa.Column(
            "place",
            sa.Text,
            nullable=False,
            comment="the conversation's id, or group@realm by its key",
        ),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("conversation_id", sa.BigInteger, comment="NULL: in none of this realm"),
        sa.Column("seq", sa.BigInteger, comment="NULL: not known, as in message_id"),
        sa.Column("message_id", sa.BigInteger),
        sa.Column("attachment_id", sa.BigInteger, comment="NULL where it is a text"),
        sa.Column("realm", sa.Text, comment="key of the realm that has to get it; NULL: ours"),
        sa.Column("parcel", sa.BigInteger, comment="the number of what brings it there"),
        sa.PrimaryKeyConstraint("account_id", "key", "place", name="sends_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("sends_by_at", "sends", ["at"])


def _parcel() -> sa.Column[object]:
    return sa.Column(
        "parcel", sa.BigInteger, comment="direct, to another realm: the number of its parcel"
    )


def _rebuild_messages() -> None:
    """Copy the table, because SQLite adds columns after the constraints (see 0002). Nothing refers to it."""
    connection = op.get_bind()
    indexes = connection.scalars(
        sa.text(
            "SELECT sql FROM sqlite_master "
            "WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = 'messages'"
        )
    ).all()
    op.rename_table("messages", "messages_0002")
    columns: list[sa.Column[object]] = [
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("sender_id", sa.BigInteger),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("attachment_id", sa.Integer),
        sa.Column("origin_realm", sa.Text),
        sa.Column("origin_id", sa.BigInteger),
    ]
    kept = [column.name for column in columns]
    table = op.create_table(
        "messages",
        *columns,
        _parcel(),
        sa.PrimaryKeyConstraint("id", name="messages_key"),
        sa.ForeignKeyConstraint(
            ["attachment_id"], ["attachments.id"], name="messages_attachment_id_exists"
        ),
    )
    old = sa.table("messages_0002", *(sa.column(each) for each in kept))
    connection.execute(table.insert().from_select(kept, sa.select(old)))
    op.drop_table("messages_0002")
    for index in indexes:
        connection.exec_driver_sql(index)
