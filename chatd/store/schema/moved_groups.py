"""Groups that move from one realm to another, or have moved."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from chatd.store.schema.base import conversation_key, metadata, time_column

# The former homes of groups, in order: step 0 is the first home. The present one is in `groups`.
former_homes = Table(
    "former_homes",
    metadata,
    conversation_key("a group"),
    Column("step", BigInteger, primary_key=True, comment="0, 1, 2 ..."),
    Column("realm", Text, nullable=False, comment="key of the former home, also if it is ours"),
    Column("home_id", BigInteger, nullable=False, comment="the group's id there"),
    Column("name", Text, nullable=False, comment="key of its name there, without the realm"),
    Column("address", Text, nullable=False, comment="key of its address as it was written here"),
    Column("code", Text, comment="its code, if this realm was that home"),
    Column("last", BigInteger, nullable=False, comment="the last seq that this home has given"),
    Column(
        "kind", Text, nullable=False, comment="how the next home has followed: planned, or other"
    ),
    Column("proof", LargeBinary, nullable=False, comment="what proves that, encoded"),
    Column(
        "guests",
        Text,
        comment="JSON, if this realm was that home: the keys of the realms with members, and the "
        "first entry that these see",
    ),
    Column(
        "after",
        BigInteger,
        comment="if this realm was that home, and had lost that in a restore: the present home may "
        "lack the entries here after this seq; NULL: it lacks none",
    ),
    Index("former_homes_by_home", "realm", "home_id"),
    Index("former_homes_by_address", "address"),
    Index("former_homes_by_code", "code"),
    sqlite_with_rowid=False,
)

# Moves that are proposed, or under way. A group has at most one. It is here in its home and in the realm that
# it moves to.
group_moves = Table(
    "group_moves",
    metadata,
    conversation_key("a group"),
    Column("realm", Text, nullable=False, comment="key of the other of the two realms"),
    Column("offered_by", Text, comment="the admin in the home who agrees; NULL: none yet"),
    Column("accepted_by", Text, comment="the admin in the new realm who agrees; NULL: none yet"),
    Column("consent", LargeBinary, comment="what the new realm has signed of that, encoded"),
    Column("new_id", BigInteger, comment="the group's id in the new realm"),
    Column("new_name", Text, comment="its name there"),
    Column(
        "steps", LargeBinary, comment="the proofs of all its moves, once the home has closed it"
    ),
    time_column(),
    Index("group_moves_by_realm", "realm"),
    Index("group_moves_by_at", "at"),
    sqlite_with_rowid=False,
)

# What a former home hands over: the members, bans, invitations, settings and the picture of a group. It is
# kept, because the new home may be restored from a backup.
handovers = Table(
    "handovers",
    metadata,
    conversation_key("a group"),
    Column("realm", Text, nullable=False, comment="key of the new home"),
    Column("package", LargeBinary, nullable=False, comment="encoded"),
    Index("handovers_by_realm", "realm"),
)
