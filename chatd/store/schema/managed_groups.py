"""What operators decide about groups."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from chatd.store.schema.base import conversation_key, metadata, time_column

# Groups that the operators of their home have closed for everybody. Of those of other realms it is only known
# that they are, and why, so that they stay closed if they are founded again here.
shut_groups = Table(
    "shut_groups",
    metadata,
    conversation_key("a group"),
    Column("reason", Text, nullable=False, comment="as members are told"),
    Column("at", BigInteger, comment="ms since 1970 UTC"),  # NULL: not known
    Column("actor", Text, comment="who has closed it, as in the audit log; NULL: not known"),
)

# Groups that operators delete, until nobody is in them and nothing of them is left.
group_removals = Table(
    "group_removals",
    metadata,
    conversation_key("a group"),
    Column(
        "told",
        BigInteger,
        nullable=False,
        comment="the messages up to this seq are deleted in other realms, too",
    ),
    Column("erased", BigInteger, nullable=False, comment="the messages up to this seq are erased"),
    Column("actor", Text, nullable=False, comment="who deletes it, as in the audit log"),
    time_column(),
)

# Groups that have ended, until the last of their bans are removed.
ended_groups = Table("ended_groups", metadata, conversation_key("a group that has ended"))
