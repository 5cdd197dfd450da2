"""Joins in constant time, and bans: the size of each group, and members by the time they joined.

The migration is self-contained: it does not import chatd.store.schema, which changes over time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_GROUP = "conversations.id"
_STANDING = ["conversation_id", "admin", "joined_at"]


def upgrade() -> None:
    op.create_table(
        "rosters",
        sa.Column("conversation_id", _id_type(), nullable=False, comment="a group"),
        sa.Column(
            "members",
            sa.BigInteger,
            nullable=False,
            comment="how many; of a group elsewhere, how many of this realm",
        ),
        sa.Column(
            "joined_at",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="ms since 1970 UTC",
        ),
        sa.Column(
            "floor",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="of a group elsewhere: each new message gets a higher seq than this",
        ),
        sa.PrimaryKeyConstraint("conversation_id", name="rosters_key"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], [_GROUP], name="rosters_conversation_id_exists"
        ),
    )
    op.create_table(
        "bans",
        sa.Column("conversation_id", _id_type(), nullable=False, comment="a group here"),
        sa.Column("key", sa.Text, nullable=False, comment="the address without case"),
        sa.Column("address", sa.Text, nullable=False, comment="as shown: name, or name@realm"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="ms since 1970 UTC"),
        sa.PrimaryKeyConstraint("conversation_id", "key", name="bans_key"),
        sa.ForeignKeyConstraint(["conversation_id"], [_GROUP], name="bans_conversation_id_exists"),
        sqlite_with_rowid=False,
    )
    op.create_index("bans_by_at", "bans", ["conversation_id", "at"])
    op.drop_index("participants_by_conversation_id", "participants")
    op.create_index("participants_by_standing", "participants", _STANDING)
    op.create_index("remote_members_by_standing", "remote_members", _STANDING)
    op.create_index("remote_members_by_realm", "remote_members", ["conversation_id", "realm"])
    op.execute(_COUNT)


def _id_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


# The floor of a group of this realm stays 0, because its messages are never removed.
_COUNT = """
INSERT INTO rosters (conversation_id, members, joined_at, floor)
SELECT g.conversation_id,
  (SELECT count(*) FROM participants p WHERE p.conversation_id = g.conversation_id)
  + (SELECT count(*) FROM remote_members r WHERE r.conversation_id = g.conversation_id),
  (SELECT coalesce(max(joined_at), 0) FROM
    (SELECT p.joined_at FROM participants p WHERE p.conversation_id = g.conversation_id
     UNION ALL
     SELECT r.joined_at FROM remote_members r WHERE r.conversation_id = g.conversation_id) AS j),
  CASE WHEN g.realm IS NULL THEN 0 ELSE
    (SELECT coalesce(max(p.read_seq), 0) FROM participants p
     WHERE p.conversation_id = g.conversation_id) END
FROM groups g
"""
