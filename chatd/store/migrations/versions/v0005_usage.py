"""The bytes of messages that each account and each other realm has used in a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "message_bytes",
        sa.Column("day", sa.BigInteger, nullable=False, comment="days since 1970 UTC"),
        sa.Column("account_id", sa.BigInteger, nullable=False, comment="0: another realm"),
        sa.Column("realm", sa.Text, nullable=False, comment="its key; empty: an account here"),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "account_id", "realm", name="message_bytes_key"),
        sqlite_with_rowid=False,
    )
