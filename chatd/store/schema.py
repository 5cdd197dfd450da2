"""The tables. What is unread follows from read marks: a message is one row, whatever its group's size."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    false,
)

# The newest revision in migrations/versions. A test compares the two.
SCHEMA_VERSION = "0008"

# SQLite numbers rows automatically only if the type of the key is INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_by_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_once",
        "fk": "%(table_name)s_%(column_0_name)s_exists",
        "pk": "%(table_name)s_key",
    }
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, comment="as typed (NFC)"),
    Column("key", Text, nullable=False, unique=True, comment="the name without case"),
    Column("password", Text, nullable=False, comment="Argon2id hash, PHC string format"),
    Column("display_name", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("operator", Boolean, nullable=False, server_default=false(), comment="may add realms"),
    Column("created_at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the token"),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
    Column("expires_at", BigInteger, nullable=False, index=True, comment="ms since 1970 UTC"),
)

contacts = Table(
    "contacts",
    metadata,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True, comment="whose list"),
    Column("key", Text, primary_key=True, comment="the address without case"),
    Column("address", Text, nullable=False, comment="as shown: name, or name@realm"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False, comment="direct or group"),
    Column("created_at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
)

groups = Table(
    "groups",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("name", Text, nullable=False, comment="as typed (NFC)"),
    Column(
        "key", Text, unique=True, comment="the name without case; NULL once the group has ended"
    ),
    Column("code", Text, unique=True, comment="six characters; NULL once the group has ended"),
    Column("closed", Boolean, nullable=False, server_default=false(), comment="only members post"),
    Column("realm", Text, comment="key of the realm it lives in, if that is another"),
    Column("home_id", BigInteger, comment="the group's id there"),
    Column("title", Text, comment="what people call it; NULL: only its name"),
    Index("groups_by_home", "realm", "home_id", unique=True),
)

# One row for each group, so that a join or a leave costs the same whatever the group's size.
rosters = Table(
    "rosters",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True, comment="a group"),
    Column(
        "members",
        BigInteger,
        nullable=False,
        comment="how many; of a group elsewhere, how many of this realm",
    ),
    Column(
        "joined_at", BigInteger, nullable=False, server_default="0", comment="ms since 1970 UTC"
    ),
    Column(
        "floor",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="of a group elsewhere: each new message gets a higher seq than this",
    ),
)

# Accounts and groups of this realm share one namespace. A name from an older version may be here
# twice, for a user and for a group, and two of them may look alike.
names = Table(
    "names",
    metadata,
    Column("key", Text, primary_key=True, comment="the name as it is compared (NFKC, case-folded)"),
    Column("kind", Text, primary_key=True, comment="user or group"),
    Column("skeleton", Text, nullable=False, index=True, comment="what it looks like (UTS 39)"),
    sqlite_with_rowid=False,
)

participants = Table(
    "participants",
    metadata,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("peer", Text, comment="direct: the other party's address as shown; NULL in a group"),
    Column("peer_key", Text, comment="direct: that address without case; NULL in a group"),
    Column("read_seq", BigInteger, nullable=False, server_default="0", comment="the read mark"),
    Column("admin", Boolean, nullable=False, server_default=false(), comment="of a group"),
    Column("joined_at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
    Column(
        "realm",
        Text,
        comment="key of the realm that the other party or the group is of; NULL: ours",
    ),
    Index("participants_direct_once", "account_id", "peer_key", unique=True),
    # Finds the longest-standing member, the newest, and any admin without reading the others.
    Index("participants_by_standing", "conversation_id", "admin", "joined_at"),
)

# Messages up to a read mark that are still unread, because the reader was shown later ones without them.
# There are at most chatd.base.read_marks.MAX_LEFT for a participant. They go with the participant.
skipped = Table(
    "skipped",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the message"),
    ForeignKeyConstraint(
        ["account_id", "conversation_id"],
        ["participants.account_id", "participants.conversation_id"],
        ondelete="CASCADE",
    ),
    sqlite_with_rowid=False,
)

remote_members = Table(
    "remote_members",
    metadata,
    Column(
        "conversation_id", ForeignKey("conversations.id"), primary_key=True, comment="a group here"
    ),
    Column("key", Text, primary_key=True, comment="the member's address without case"),
    Column("address", Text, nullable=False, comment="as shown: name@realm"),
    Column("realm", Text, nullable=False, comment="key of the member's realm"),
    Column("admin", Boolean, nullable=False, server_default=false()),
    Column("joined_at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
    Index("remote_members_by_standing", "conversation_id", "admin", "joined_at"),
    Index("remote_members_by_realm", "conversation_id", "realm"),
)

bans = Table(
    "bans",
    metadata,
    Column(
        "conversation_id", ForeignKey("conversations.id"), primary_key=True, comment="a group here"
    ),
    Column("key", Text, primary_key=True, comment="the address without case"),
    Column("address", Text, nullable=False, comment="as shown: name, or name@realm"),
    Column("at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
    Index("bans_by_at", "conversation_id", "at"),
    sqlite_with_rowid=False,
)

attachments = Table(
    "attachments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("code", Text, nullable=False, unique=True, comment="by which it is fetched"),
    Column("name", Text, nullable=False, index=True, comment="the sender's, made safe"),
    Column("size", BigInteger, nullable=False, comment="bytes"),
    Column("sha256", Text, nullable=False, comment="hexadecimal"),
    Column("mime", Text, nullable=False, comment="media type, by the first bytes"),
    Column("stored", Text, nullable=False, unique=True, comment="its name in the uploads folder"),
    Column("owner_id", ForeignKey("accounts.id"), index=True, comment="NULL: of another realm"),
    Column("created_at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
    Column("sender_key", Text, comment="the sender's address without case, if of another realm"),
    Column("realm", Text, index=True, comment="key of the realm that it came from; NULL: ours"),
)

# No foreign keys on the two ids that every message carries: both come from rows that are never
# deleted, and checking them costs a fifth of the insert.
messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True, comment="in the order in which the realm took them"),
    Column("conversation_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False, comment="1, 2, 3 ... in its conversation"),
    Column("sender_id", BigInteger, comment="the account, if the sender is of this realm"),
    Column("sender", Text, nullable=False, comment="the sender's address as shown"),
    Column("at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
    Column("text", Text, comment="NULL where it is an attachment"),
    Column("attachment_id", ForeignKey("attachments.id")),
    Column("origin_realm", Text, comment="key of the realm that it came from; NULL: ours"),
    Column("origin_id", BigInteger, comment="its parcel's number there"),
    Column("parcel", BigInteger, comment="direct, to another realm: the number of its parcel"),
    # It includes sender_id, so that counting unread messages reads only the index.
    Index("messages_by_conversation", "conversation_id", "seq", "sender_id", unique=True),
)
Index(
    "messages_by_attachment",
    messages.c.attachment_id,
    sqlite_where=messages.c.attachment_id.is_not(None),
)
# Finds the files in a conversation without reading its other messages.
Index(
    "messages_by_file",
    messages.c.conversation_id,
    messages.c.attachment_id,
    sqlite_where=messages.c.attachment_id.is_not(None),
)
Index(
    "messages_by_origin",
    messages.c.origin_realm,
    messages.c.origin_id,
    unique=True,
    sqlite_where=messages.c.origin_id.is_not(None),
)

peers = Table(
    "peers",
    metadata,
    Column("key", Text, primary_key=True, comment="the realm's name without case"),
    Column("name", Text, nullable=False, comment="as the realm itself writes it"),
    Column("host", Text, comment="where it is reached; NULL: it comes to us"),
    Column("port", Integer),
    Column("certificate", Text, comment="PEM: the one that it has to show; NULL: not seen yet"),
    Column("created_at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
    Column(
        "confirmed",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="an operator added it, and vouches for address and certificate",
    ),
    Column("linked_at", BigInteger, comment="ms since 1970 UTC"),
)

# No foreign keys here either: a parcel may outlive its sender.
outbox = Table(
    "outbox",
    metadata,
    Column("realm", Text, primary_key=True, comment="key of the realm that it has to reach"),
    Column("id", BigInteger, primary_key=True, comment="1, 2, 3 ... and never again"),
    Column("sender_id", BigInteger, comment="the account to be told if it can't be delivered"),
    Column("attachment_id", BigInteger, comment="the file that has to go first"),
    Column("created_at", BigInteger, nullable=False, comment="ms since 1970 UTC"),
    Column(
        "parcel",
        LargeBinary,
        nullable=False,
        comment="what crosses (chatd.federation.parcels), encoded",
    ),
    sqlite_with_rowid=False,
)

# Sends to which the client gave a key: if it repeats one, it gets the same reply.
sends = Table(
    "sends",
    metadata,
    Column("account_id", BigInteger, primary_key=True, comment="whose"),
    Column("key", Text, primary_key=True, comment="the client's own"),
    Column(
        "place", Text, primary_key=True, comment="the conversation's id, or group@realm by its key"
    ),
    Column("at", BigInteger, nullable=False, index=True, comment="ms since 1970 UTC"),
    Column("conversation_id", BigInteger, comment="NULL: in none of this realm"),
    Column("seq", BigInteger, comment="NULL: not known, as in message_id"),
    Column("message_id", BigInteger),
    Column("attachment_id", BigInteger, comment="NULL where it is a text"),
    Column("realm", Text, comment="key of the realm that has to get it; NULL: ours"),
    Column("parcel", BigInteger, comment="the number of what brings it there"),
    sqlite_with_rowid=False,
)

# The bytes that count against the daily quotas (chatd.service.quotas).
message_bytes = Table(
    "message_bytes",
    metadata,
    Column("day", BigInteger, primary_key=True, comment="days since 1970 UTC"),
    Column("account_id", BigInteger, primary_key=True, comment="0: another realm"),
    Column("realm", Text, primary_key=True, comment="its key; empty: an account here"),
    Column("bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="what the realm remembers of itself",
)


@event.listens_for(metadata, "before_create")
def _make_indexes_partial(_metadata: MetaData, connection: Connection, **_options: object) -> None:
    """Apply the conditions of `sqlite_where` in PostgreSQL too. If the tables above said `postgresql_where`,
    every realm would hold that dialect (2 MB)."""
    if connection.dialect.name == "postgresql":
        for table in metadata.tables.values():
            for index in table.indexes:
                condition = index.dialect_options["sqlite"]["where"]
                index.dialect_options["postgresql"]["where"] = condition
