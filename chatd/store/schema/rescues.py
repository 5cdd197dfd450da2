"""What realms remember so that groups survive the loss of their homes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    Table,
    Text,
    false,
)

from chatd.store.schema.base import conversation_key, metadata, time_column

# When each other realm was last reached, to the hour (chatd.federation.reached).
reached = Table(
    "reached",
    metadata,
    Column("realm", Text, primary_key=True, comment="key of the other realm"),
    time_column(),
    Column(
        "away_from",
        BigInteger,
        comment="when it was last reached before its last long absence; NULL: there was none",
    ),
    Column("away_to", BigInteger, comment="when it was reached again"),
    sqlite_with_rowid=False,
)

# The newest signed roster of each group here that has members of other realms.
home_rosters = Table(
    "home_rosters",
    metadata,
    conversation_key(),
    Column("number", BigInteger, nullable=False, comment="later rosters have higher ones"),
    Column("epoch", BigInteger, nullable=False, comment="of the log when it was made"),
    time_column(),
    Column("statement", LargeBinary, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Column("rows", LargeBinary, nullable=False, comment="the members, encoded"),
)

# The newest rosters of groups elsewhere, as their homes have signed them. The rows come after the statement.
# A group that has had several homes may have one of each: their numbers can't be compared.
mirror_rosters = Table(
    "mirror_rosters",
    metadata,
    conversation_key(),
    Column("realm", Text, primary_key=True, comment="key of the home"),
    Column("number", BigInteger, nullable=False),
    Column("statement", LargeBinary, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Column("rows", LargeBinary, comment="the members, encoded; NULL: they have not come"),
)
Index("mirror_rosters_by_realm", mirror_rosters.c.realm)

# Rescues of groups that were founded here, or that other realms have told of.
rescues = Table(
    "rescues",
    metadata,
    conversation_key("a group"),
    Column("hash", LargeBinary, primary_key=True, comment="of the statement"),
    Column("state", Text, nullable=False, comment="see chatd.store.rescues"),
    Column("realm", Text, nullable=False, comment="key of the realm that has founded the group"),
    Column("new_group", BigInteger, nullable=False, comment="the group's id there"),
    Column("name", Text, nullable=False, comment="the group's name there"),
    Column("home", Text, nullable=False, comment="key of the lost home"),
    Column("seq", BigInteger, nullable=False, comment="the last entry that the founder had"),
    time_column(),
    Column("rescue", LargeBinary, nullable=False, comment="encoded"),
    Column("verdict", LargeBinary, comment="of the home that returned, encoded; NULL: none yet"),
    Column(
        "handed_over",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="the present home has got what only this realm had",
    ),
    Index("rescues_by_realm", "realm"),
    Index("rescues_by_home", "home"),
    Index("rescues_by_state", "state"),
    sqlite_with_rowid=False,
)

# The realms with members of a group that was rescued here, by the roster of the lost home.
rescued_realms = Table(
    "rescued_realms",
    metadata,
    conversation_key("a group"),
    Column("realm", Text, primary_key=True, comment="key of the other realm"),
    Column("followed", Boolean, nullable=False, server_default=false()),
    Index("rescued_realms_by_realm", "realm"),
    sqlite_with_rowid=False,
)
