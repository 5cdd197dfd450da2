"""The index for searching. It is filled in the background (chatd.service.indexing).

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    _create_search_blocks()
    _create_search_parts()
    _create_search_changes()
    _create_triggers()


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _create_search_blocks() -> None:
    op.create_table(
        "search_blocks",
        sa.Column("id", _id_type(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False, comment="of what it covers"),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column(
            "earliest",
            sa.BigInteger,
            nullable=False,
            comment="time of a message, ms since 1970 UTC",
        ),
        sa.Column("latest", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.Column("messages", sa.BigInteger, nullable=False, comment="how many"),
        sa.Column("size", sa.BigInteger, nullable=False, comment="bytes of their texts"),
        sa.PrimaryKeyConstraint("id", name="search_blocks_key"),
    )
    op.create_index(
        "search_blocks_by_conversation",
        "search_blocks",
        ["conversation_id", "last_seq"],
        unique=True,
    )


def _create_search_parts() -> None:
    op.create_table(
        "search_parts",
        sa.Column("id", _id_type(), nullable=False, comment="the block's id * 4 + the part"),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="search_parts_key"),
    )


def _create_search_changes() -> None:
    op.create_table(
        "search_changes",
        sa.Column("id", _id_type(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column(
            "seq",
            sa.BigInteger,
            nullable=False,
            comment="of a message with another text than indexed",
        ),
        sa.PrimaryKeyConstraint("id", name="search_changes_key"),
    )
    op.create_index("search_changes_by_conversation", "search_changes", ["conversation_id", "seq"])


def _create_triggers() -> None:
    """Note the messages whose text in the index is outdated."""
    values = "VALUES (old.conversation_id, old.seq)"
    insert = f"INSERT INTO search_changes (conversation_id, seq) {values}"
    if op.get_context().dialect.name == "sqlite":
        run = f"\nBEGIN {insert}; END"
    else:
        op.execute(
            "CREATE FUNCTION note_changed_message() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            f"BEGIN\n{insert}; RETURN NULL; END\n$$"
        )
        run = "\nFOR EACH ROW EXECUTE FUNCTION note_changed_message()"
    for name, when in (
        ("changed", "UPDATE OF text, attachment_id, deleted_at, media"),
        ("removed", "DELETE"),
    ):
        op.execute(f"CREATE TRIGGER messages_{name} AFTER {when} ON messages{run}")
