"""What version 0012 adds for the import of archives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import id_type, of_account


def create_tables_of_imports() -> None:
    op.create_table(
        "imports",
        sa.Column("account_id", id_type(), nullable=False),
        sa.Column(
            "stored",
            sa.Text,
            comment="the archive's name in the uploads folder; NULL: it is removed",
        ),
        sa.Column("state", sa.Text, nullable=False, comment="running, done, failed or cancelled"),
        sa.Column("refused", sa.Text, comment="JSON: why it has failed, code and sentence"),
        sa.Column("began_at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column(
            "source", sa.Text, comment="the address of the account in the archive; NULL: not known"
        ),
        sa.Column("progress", sa.Text, nullable=False, comment="JSON: what it has done so far"),
        sa.PrimaryKeyConstraint("account_id", name="imports_key"),
        of_account("imports"),
    )
    op.create_table(
        "imported_messages",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column(
            "key",
            sa.Text,
            nullable=False,
            comment="the author's realm and the number there, or the place in the archive",
        ),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column(
            "signature",
            sa.LargeBinary,
            comment="JSON: its signature in the archive; NULL: it has none",
        ),
        sa.PrimaryKeyConstraint("account_id", "key", name="imported_messages_key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "imported_messages_by_place", "imported_messages", ["conversation_id", "seq"], unique=True
    )
    op.create_table(
        "import_places",
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.Text, nullable=False, comment="the conversation there"),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column(
            "shift", sa.BigInteger, nullable=False, comment="the seq here less the one there"
        ),
        sa.Column(
            "first", sa.BigInteger, nullable=False, comment="the seqs here are at least this"
        ),
        sa.Column("last", sa.BigInteger, nullable=False, comment="the seqs here are at most this"),
        sa.PrimaryKeyConstraint("account_id", "origin", name="import_places_key"),
        sqlite_with_rowid=False,
    )
