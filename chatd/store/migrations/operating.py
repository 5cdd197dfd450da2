"""What version 0012 adds for operators and moderators: roles, disabled accounts, quotas, the audit
log, and how long messages and files are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import at, id_type, of_account


def create_tables_of_operating() -> None:
    _create_roles()
    op.create_table(
        "disabled",
        sa.Column("account_id", id_type(), nullable=False),
        at(),
        sa.Column("reason", sa.Text, comment="NULL: none was given"),
        sa.PrimaryKeyConstraint("account_id", name="disabled_key"),
        of_account("disabled"),
    )
    op.create_table(
        "file_quotas",
        sa.Column("account_id", id_type(), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False, comment="bytes"),
        sa.PrimaryKeyConstraint("account_id", name="file_quotas_key"),
        of_account("file_quotas"),
    )
    op.create_table(
        "audit",
        sa.Column("id", id_type(), nullable=False),
        at(),
        sa.Column(
            "actor",
            sa.Text,
            nullable=False,
            comment="a username, or local: and a user of the system",
        ),
        sa.Column(
            "act",
            sa.Text,
            nullable=False,
            comment="the verb of the command, or password.reset",
        ),
        sa.Column("target", sa.Text, comment="its first argument"),
        sa.Column(
            "detail", sa.Text, nullable=False, comment="its other arguments, without secrets"
        ),
        sa.Column(
            "outcome", sa.Text, nullable=False, comment="begun, done, or the code of the error"
        ),
        sa.Column("begun", sa.BigInteger, comment="the id of the row that says that it has begun"),
        sa.PrimaryKeyConstraint("id", name="audit_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_by_begun", "audit", ["begun"], unique=True)
    _create_retention()


def _create_roles() -> None:
    """The roles, with the operators of older versions."""
    op.create_table(
        "roles",
        sa.Column("account_id", id_type(), nullable=False),
        sa.Column("role", sa.Text, nullable=False, comment="moderator or operator"),
        sa.PrimaryKeyConstraint("account_id", name="roles_key"),
        of_account("roles"),
    )
    op.execute(
        "INSERT INTO roles (account_id, role) SELECT id, 'operator' FROM accounts WHERE operator"
    )
    op.drop_column("accounts", "operator")


def _create_retention() -> None:
    op.create_table(
        "retention",
        sa.Column(
            "conversation_id", sa.BigInteger, nullable=False, comment="of a group; 0: of all"
        ),
        sa.Column("age", sa.BigInteger, comment="ms for which messages are kept; 0: forever"),
        sa.Column("size", sa.BigInteger, comment="bytes of texts that are kept; 0: all"),
        sa.Column("file_age", sa.BigInteger, comment="ms for which files are kept; 0: forever"),
        sa.Column("file_size", sa.BigInteger, comment="bytes of files that are kept; 0: all"),
        sa.PrimaryKeyConstraint("conversation_id", name="retention_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "retention_marks",
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column(
            "round", sa.BigInteger, nullable=False, comment="the number of the realm's limits"
        ),
        sa.Column(
            "seq", sa.BigInteger, nullable=False, comment="messages up to this were looked at"
        ),
        sa.Column(
            "file_seq", sa.BigInteger, nullable=False, comment="files up to this were looked at"
        ),
        sa.Column(
            "removed", sa.BigInteger, nullable=False, comment="messages up to this were removed"
        ),
        sa.PrimaryKeyConstraint("conversation_id", name="retention_marks_key"),
        sqlite_with_rowid=False,
    )
