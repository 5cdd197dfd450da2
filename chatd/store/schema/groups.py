"""Conversations, groups, and who takes part in them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
    Text,
    false,
)

from chatd.store.schema.base import Id, account_key, conversation_key, metadata, time_column

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False, comment="direct or group"),
    time_column("created_at"),
)

groups = Table(
    "groups",
    metadata,
    conversation_key(),
    Column("name", Text, nullable=False, comment="as typed (NFC)"),
    Column(
        "key", Text, unique=True, comment="the name without case; NULL once the group has ended"
    ),
    Column("code", Text, unique=True, comment="six characters; NULL once the group has ended"),
    Column("closed", Boolean, nullable=False, server_default=false(), comment="only members post"),
    Column("realm", Text, comment="key of the realm it lives in, if that is another"),
    Column("home_id", BigInteger, comment="the group's id there"),
    Column("title", Text, comment="what people call it; NULL: only its name"),
    Column("topic", Text, comment="what it is about"),
    Column("private", Boolean, nullable=False, server_default=false()),
    Column(
        "past",
        Text,
        nullable=False,
        server_default="all",
        comment="what new members see of the past: all, or joined (nothing)",
    ),
    Column(
        "moves",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="how often it has moved to another realm: the rows of former_homes",
    ),
    Index("groups_by_home", "realm", "home_id", unique=True),
)

# One row for each group, so that a join or a leave costs the same whatever the group's size.
rosters = Table(
    "rosters",
    metadata,
    conversation_key("a group"),
    Column(
        "members",
        BigInteger,
        nullable=False,
        comment="how many; of a group elsewhere, how many of this realm",
    ),
    time_column("joined_at", server_default="0"),
    Column(
        "floor",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="of a group elsewhere: each new message gets a higher seq than this",
    ),
)

participants = Table(
    "participants",
    metadata,
    account_key(),
    conversation_key(),
    Column("peer", Text, comment="direct: the other party's address as shown; NULL in a group"),
    Column("peer_key", Text, comment="direct: that address without case; NULL in a group"),
    Column("read_seq", BigInteger, nullable=False, server_default="0", comment="the read mark"),
    Column("admin", Boolean, nullable=False, server_default=false(), comment="of a group"),
    time_column("joined_at"),
    Column(
        "realm",
        Text,
        comment="key of the realm that the other party or the group is of; NULL: ours",
    ),
    Column(
        "first_seq",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the first entry that the member may see",
    ),
    Index("participants_direct_once", "account_id", "peer_key", unique=True),
    # Finds the longest-standing member, the newest, and any admin without reading the others.
    Index("participants_by_standing", "conversation_id", "admin", "joined_at"),
)
Index(
    "participants_by_realm",
    participants.c.realm,
    participants.c.peer_key,
    sqlite_where=participants.c.realm.is_not(None),
)


def _of_participant() -> ForeignKeyConstraint:
    """The row goes with its participant."""
    return ForeignKeyConstraint(
        ["account_id", "conversation_id"],
        ["participants.account_id", "participants.conversation_id"],
        ondelete="CASCADE",
    )


# Messages up to a read mark that are still unread, because the reader was shown later ones without them.
# There are at most chatd.base.read_marks.MAX_LEFT for a participant. They go with the participant.
skipped = Table(
    "skipped",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the message"),
    _of_participant(),
    sqlite_with_rowid=False,
)

# What an account has chosen for a conversation. It goes with the participant.
preferences = Table(
    "preferences",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("conversation_id", BigInteger, primary_key=True),
    Column("notify", Text, comment="mentions or none; NULL: all"),
    Column("until", BigInteger, comment="when notify ends; ms since 1970 UTC"),
    Column("archived", Boolean, nullable=False, server_default=false()),
    _of_participant(),
    sqlite_with_rowid=False,
)

# The reports of other realms that accounts here have joined their groups, and since when. They go with the
# participants.
admissions = Table(
    "admissions",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("conversation_id", BigInteger, primary_key=True),
    Column("number", BigInteger, nullable=False, comment="of the parcel"),
    time_column(),
    Column("seal", LargeBinary, nullable=False, comment="of the realm that has sent it"),
    _of_participant(),
    sqlite_with_rowid=False,
)

# Messages that people have reported to the moderators.
reports = Table(
    "reports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, comment="who reports"),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("seq", BigInteger, nullable=False, comment="of the message"),
    Column("reason", Text, nullable=False),
    time_column(),
    Index("reports_once", "account_id", "conversation_id", "seq", unique=True),
    sqlite_autoincrement=True,  # moderators name an id when it may be closed already: it is not used again
)

remote_members = Table(
    "remote_members",
    metadata,
    conversation_key("a group here"),
    Column("key", Text, primary_key=True, comment="the member's address without case"),
    Column("address", Text, nullable=False, comment="as shown: name@realm"),
    Column("realm", Text, nullable=False, comment="key of the member's realm"),
    Column("admin", Boolean, nullable=False, server_default=false()),
    time_column("joined_at"),
    Column(
        "first_seq",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the first entry that the member may see",
    ),
    Index("remote_members_by_standing", "conversation_id", "admin", "joined_at"),
    Index("remote_members_by_realm", "conversation_id", "realm"),
    Index("remote_members_by_person", "key"),
)

bans = Table(
    "bans",
    metadata,
    conversation_key("a group here"),
    Column("key", Text, primary_key=True, comment="the address without case"),
    Column("address", Text, nullable=False, comment="as shown: name, or name@realm"),
    time_column(),
    Index("bans_by_at", "conversation_id", "at"),
    sqlite_with_rowid=False,
)

# People of other realms who were kicked, as another realm returns after a restore. They are removed when it
# has returned everything.
returned_kicks = Table(
    "returned_kicks",
    metadata,
    Column("realm", Text, primary_key=True, comment="key of the realm that returns it"),
    conversation_key("a group here"),
    Column("key", Text, primary_key=True, comment="the address without case"),
    Column("address", Text, nullable=False, comment="as shown: name@realm"),
    Column("member_realm", Text, nullable=False, comment="key of the realm of the address"),
    Column("by", Text, nullable=False, comment="the address of the admin"),
    time_column(),
    Column("back", Boolean, nullable=False, comment="they have written since"),
    sqlite_with_rowid=False,
)

# People of other realms who were invited to a group here, until they join or the invitation expires.
invited = Table(
    "invited",
    metadata,
    conversation_key("a group here"),
    Column("key", Text, primary_key=True, comment="the address without case"),
    time_column(),
    Index("invited_by_at", "conversation_id", "at"),
    sqlite_with_rowid=False,
)

# Groups elsewhere that an account has asked to join, until the home has made it a member.
join_requests = Table(
    "join_requests",
    metadata,
    account_key(),
    Column("key", Text, primary_key=True, comment="name@realm or code@realm, without case"),
    Column("realm", Text, nullable=False, comment="key of the group's realm"),
    time_column(),
    Index("join_requests_by_realm", "account_id", "realm"),
    sqlite_with_rowid=False,
)
