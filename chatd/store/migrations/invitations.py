"""What version 0012 adds for invitations to the realm and for links to reset a password."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import at, id_type, of_account


def create_tables_of_invitations() -> None:
    op.create_table(
        "realm_invitations",
        sa.Column("id", id_type(), nullable=False),
        at(),
        sa.Column("code_hash", sa.LargeBinary, nullable=False, comment="SHA-256 of the code"),
        sa.Column("actor", sa.Text, nullable=False, comment="who made it, as in the audit log"),
        sa.Column("uses", sa.BigInteger, nullable=False, comment="accounts that it is for"),
        sa.Column(
            "used", sa.BigInteger, nullable=False, comment="accounts that were created with it"
        ),
        sa.Column("expires_at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("revoked_at", sa.BigInteger, comment="ms since 1970 UTC"),
        sa.Column("spent_at", sa.BigInteger, comment="ms since 1970 UTC"),
        sa.Column("note", sa.Text, nullable=False, comment="what operators say of it"),
        sa.PrimaryKeyConstraint("id", name="realm_invitations_key"),
        sa.UniqueConstraint("code_hash", name="realm_invitations_code_hash_once"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "password_resets",
        sa.Column("account_id", id_type(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False, comment="SHA-256 of the token"),
        sa.Column("expires_at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.PrimaryKeyConstraint("account_id", name="password_resets_key"),
        of_account("password_resets"),
        sa.UniqueConstraint("token_hash", name="password_resets_token_hash_once"),
    )
