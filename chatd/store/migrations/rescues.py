"""What version 0012 adds for groups whose home is lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chatd.store.migrations.columns import at, conversation, of_conversation


def create_tables_of_rescues() -> None:
    op.create_table(
        "reached",
        sa.Column("realm", sa.Text, nullable=False, comment="key of the other realm"),
        at(),
        sa.Column(
            "away_from",
            sa.BigInteger,
            comment="when it was last reached before its last long absence; NULL: there was none",
        ),
        sa.Column("away_to", sa.BigInteger, comment="when it was reached again"),
        sa.PrimaryKeyConstraint("realm", name="reached_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "home_rosters",
        conversation(),
        sa.Column(
            "number", sa.BigInteger, nullable=False, comment="later rosters have higher ones"
        ),
        sa.Column("epoch", sa.BigInteger, nullable=False, comment="of the log when it was made"),
        at(),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.Column("rows", sa.LargeBinary, nullable=False, comment="the members, encoded"),
        sa.PrimaryKeyConstraint("conversation_id", name="home_rosters_key"),
        of_conversation("home_rosters"),
    )
    op.create_table(
        "mirror_rosters",
        conversation(),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the home"),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.Column("rows", sa.LargeBinary, comment="the members, encoded; NULL: they have not come"),
        sa.PrimaryKeyConstraint("conversation_id", "realm", name="mirror_rosters_key"),
        of_conversation("mirror_rosters"),
    )
    op.create_index("mirror_rosters_by_realm", "mirror_rosters", ["realm"])
    _create_rescues()


def _create_rescues() -> None:
    op.create_table(
        "rescues",
        conversation("a group"),
        sa.Column("hash", sa.LargeBinary, nullable=False, comment="of the statement"),
        sa.Column("state", sa.Text, nullable=False, comment="see chatd.store.rescues"),
        sa.Column(
            "realm", sa.Text, nullable=False, comment="key of the realm that has founded the group"
        ),
        sa.Column("new_group", sa.BigInteger, nullable=False, comment="the group's id there"),
        sa.Column("name", sa.Text, nullable=False, comment="the group's name there"),
        sa.Column("home", sa.Text, nullable=False, comment="key of the lost home"),
        sa.Column(
            "seq", sa.BigInteger, nullable=False, comment="the last entry that the founder had"
        ),
        at(),
        sa.Column("rescue", sa.LargeBinary, nullable=False, comment="encoded"),
        sa.Column(
            "verdict",
            sa.LargeBinary,
            comment="of the home that returned, encoded; NULL: none yet",
        ),
        sa.Column(
            "handed_over",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="the present home has got what only this realm had",
        ),
        sa.PrimaryKeyConstraint("conversation_id", "hash", name="rescues_key"),
        of_conversation("rescues"),
        sqlite_with_rowid=False,
    )
    for column in ("realm", "home", "state"):
        op.create_index(f"rescues_by_{column}", "rescues", [column])
    op.create_table(
        "rescued_realms",
        conversation("a group"),
        sa.Column("realm", sa.Text, nullable=False, comment="key of the other realm"),
        sa.Column("followed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("conversation_id", "realm", name="rescued_realms_key"),
        of_conversation("rescued_realms"),
        sqlite_with_rowid=False,
    )
    op.create_index("rescued_realms_by_realm", "rescued_realms", ["realm"])
