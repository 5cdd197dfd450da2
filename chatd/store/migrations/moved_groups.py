"""What version 0012 adds for groups that move from one realm to another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import at, conversation, of_conversation


def moves_column() -> sa.Column[int]:
    """The column of `groups`."""
    return sa.Column(
        "moves",
        sa.BigInteger,
        nullable=False,
        server_default="0",
        comment="how often it has moved to another realm: the rows of former_homes",
    )


def create_tables_of_moved_groups() -> None:
    _create_former_homes()
    _create_group_moves()
    _create_handovers()


def _create_former_homes() -> None:
    op.create_table(
        "former_homes",
        conversation("a group"),
        sa.Column("step", sa.BigInteger, nullable=False, comment="0, 1, 2 ..."),
        sa.Column(
            "realm", sa.Text, nullable=False, comment="key of the former home, also if it is ours"
        ),
        sa.Column("home_id", sa.BigInteger, nullable=False, comment="the group's id there"),
        sa.Column(
            "name", sa.Text, nullable=False, comment="key of its name there, without the realm"
        ),
        sa.Column(
            "address", sa.Text, nullable=False, comment="key of its address as it was written here"
        ),
        sa.Column("code", sa.Text, comment="its code, if this realm was that home"),
        sa.Column(
            "last", sa.BigInteger, nullable=False, comment="the last seq that this home has given"
        ),
        sa.Column(
            "kind",
            sa.Text,
            nullable=False,
            comment="how the next home has followed: planned, or other",
        ),
        sa.Column("proof", sa.LargeBinary, nullable=False, comment="what proves that, encoded"),
        sa.Column(
            "guests",
            sa.Text,
            comment="JSON, if this realm was that home: the keys of the realms with members, and "
            "the first entry that these see",
        ),
        sa.Column(
            "after",
            sa.BigInteger,
            comment="if this realm was that home, and had lost that in a restore: the present home may "
            "lack the entries here after this seq; NULL: it lacks none",
        ),
        sa.PrimaryKeyConstraint("conversation_id", "step", name="former_homes_key"),
        of_conversation("former_homes"),
        sqlite_with_rowid=False,
    )
    op.create_index("former_homes_by_home", "former_homes", ["realm", "home_id"])
    op.create_index("former_homes_by_address", "former_homes", ["address"])
    op.create_index("former_homes_by_code", "former_homes", ["code"])


def _create_group_moves() -> None:
    op.create_table(
        "group_moves",
        conversation("a group"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the other of the two realms"),
        sa.Column(
            "offered_by", sa.Text, comment="the admin in the home who agrees; NULL: none yet"
        ),
        sa.Column(
            "accepted_by", sa.Text, comment="the admin in the new realm who agrees; NULL: none yet"
        ),
        sa.Column(
            "consent", sa.LargeBinary, comment="what the new realm has signed of that, encoded"
        ),
        sa.Column("new_id", sa.BigInteger, comment="the group's id in the new realm"),
        sa.Column("new_name", sa.Text, comment="its name there"),
        sa.Column(
            "steps",
            sa.LargeBinary,
            comment="the proofs of all its moves, once the home has closed it",
        ),
        at(),
        sa.PrimaryKeyConstraint("conversation_id", name="group_moves_key"),
        of_conversation("group_moves"),
        sqlite_with_rowid=False,
    )
    op.create_index("group_moves_by_realm", "group_moves", ["realm"])
    op.create_index("group_moves_by_at", "group_moves", ["at"])


def _create_handovers() -> None:
    op.create_table(
        "handovers",
        conversation("a group"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the new home"),
        sa.Column("package", sa.LargeBinary, nullable=False, comment="encoded"),
        sa.PrimaryKeyConstraint("conversation_id", name="handovers_key"),
        of_conversation("handovers"),
    )
    op.create_index("handovers_by_realm", "handovers", ["realm"])
