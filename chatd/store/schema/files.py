"""The files that messages carry, and what is known of those that are not here."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    false,
)

from chatd.store.schema.base import Id, metadata, time_column

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
    time_column("created_at"),
    Column("sender_key", Text, comment="the sender's address without case, if of another realm"),
    Column("realm", Text, index=True, comment="key of the realm that it came from; NULL: ours"),
)

# They reveal that the row of an attachment was altered on disk.
file_macs = Table(
    "file_macs",
    metadata,
    Column("attachment_id", BigInteger, primary_key=True),
    Column("mac", LargeBinary, nullable=False, comment="keyed hash of code, name, size, SHA-256"),
    sqlite_with_rowid=False,
)

# Those attachments that are pictures.
pictures = Table(
    "pictures",
    metadata,
    Column("attachment_id", Id, primary_key=True),
    Column("width", BigInteger, comment="pixels; NULL: not known"),
    Column("height", BigInteger, comment="pixels"),
    Column("received_sha256", Text, comment="before location data were removed; NULL: none were"),
)

# Files of deleted messages, from the commit until they are removed from the disk, also over a crash.
erased_files = Table(
    "erased_files",
    metadata,
    Column("stored", Text, primary_key=True, comment="its name in the uploads folder"),
    sqlite_with_rowid=False,
)

# Files of other realms whose bytes are not here. Their names in the uploads folder are those of their parts.
# `heard_at` is when the last bytes came.
arrivals = Table(
    "arrivals",
    metadata,
    Column("attachment_id", BigInteger, primary_key=True),
    Column("realm", Text, nullable=False, comment="key of the realm that has the bytes"),
    time_column("heard_at"),
    Column("lost", Text, comment="why it will not come, a code; NULL: it arrives"),
    Column(
        "waits",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="it arrives later: no bytes are reserved for it yet",
    ),
    sqlite_with_rowid=False,
)
Index("arrivals_by_realm", arrivals.c.realm, sqlite_where=arrivals.c.lost.is_(None))

# Messages of this realm whose files another realm has not got.
lost_files = Table(
    "lost_files",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the message"),
    Column("lost", Text, nullable=False, comment="why, a code"),
    sqlite_with_rowid=False,
)

# Files of posts that are not kept here, because their senders are no members, until they are fetched.
posted_files = Table(
    "posted_files",
    metadata,
    Column("number", BigInteger, primary_key=True, comment="of the post's parcel"),
    Column("realm", Text, nullable=False, comment="key of the group's realm"),
    Column("group", Text, nullable=False, comment="its address as shown: group@realm"),
    Column("attachment_id", BigInteger, nullable=False),
    time_column(),
    Index("posted_files_by_attachment", "attachment_id"),
    sqlite_with_rowid=False,
)
