"""The log of each conversation: messages and the changes to them.

A message is one row with its current state. Every change is an entry too, in `changes`; both share the
numbers (`seq`) of their conversation. No past version of a text is kept.
"""

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
    time_column(),
    Column("text", Text, comment="NULL where it is an attachment, or opaque, or deleted"),
    Column("attachment_id", ForeignKey("attachments.id")),
    Column("origin_realm", Text, comment="key of the realm of its author; NULL: ours"),
    Column("origin_id", BigInteger, comment="its number there"),
    Column("number", BigInteger, comment="ours, and it crosses: its number here"),
    Column("shown_id", BigInteger, comment="the id that it had while it was pending; NULL: id"),
    # In a table of its own, by conversation, each seal would write a page more to the log of SQLite.
    Column(
        "seal",
        LargeBinary,
        comment="of the realm that wrote it in a direct; only that can check it",
    ),
    Column("mac", LargeBinary, comment="keyed hash of the content; NULL once it is deleted"),
    # Most messages have none of the following.
    Column("reply", BigInteger, comment="the seq of the message that it replies to"),
    Column("edited_at", BigInteger, comment="ms since 1970 UTC"),
    Column("deleted_at", BigInteger, comment="ms since 1970 UTC"),
    Column("forwarded", Text, comment="the address that wrote the message it was forwarded from"),
    Column("mentions", Text, comment="JSON: the addresses that it mentions"),
    Column("media", Text, comment="opaque: the media type of `body`"),
    Column("body", LargeBinary, comment="opaque: bytes that nobody here reads"),
    Column("refused", Text, comment="JSON: why another realm refused it, code and sentence"),
    Column(
        "imported",
        Boolean,
        comment="from an archive: not verified, or else verified; NULL: it is not",
    ),
    # It includes sender_id, so that counting unread messages reads only the index.
    Index("messages_by_conversation", "conversation_id", "seq", "sender_id", unique=True),
)
Index(
    "messages_by_attachment",
    messages.c.attachment_id,
    sqlite_where=messages.c.attachment_id.is_not(None),
)
# Finds the files in a conversation, in their order, without reading its messages. It includes the time,
# so that SQLite prefers it to the index of all messages.
Index(
    "messages_by_file",
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.attachment_id,
    messages.c.at,
    sqlite_where=messages.c.attachment_id.is_not(None),
)
Index(
    "messages_by_number",
    messages.c.number,
    sqlite_where=messages.c.number.is_not(None),
)
# Deleted messages are not unread.
Index(
    "messages_by_deletion",
    messages.c.conversation_id,
    messages.c.seq,
    sqlite_where=messages.c.deleted_at.is_not(None),
)
Index(
    "messages_by_shown_id",
    messages.c.shown_id,
    sqlite_where=messages.c.shown_id.is_not(None),
)
Index(
    "messages_by_origin",
    messages.c.origin_realm,
    messages.c.origin_id,
    messages.c.conversation_id,
    unique=True,
    sqlite_where=messages.c.origin_id.is_not(None),
)

# The entries of a log that are no messages. `data` has the fields of the kind (chatd.base.entries).
changes = Table(
    "changes",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="shared with messages"),
    Column(
        "kind", Text, nullable=False, comment="edited, deleted, reaction, pinned, member, group"
    ),
    time_column(),
    Column("author_id", BigInteger, comment="the account, if the author is of this realm"),
    Column("author", Text, nullable=False, comment="the author's address as shown"),
    Column("target", BigInteger, comment="the seq of the message that it changes"),
    Column("data", Text, comment="JSON: the fields of the kind; no content of messages"),
    Column("origin_realm", Text, comment="key of the realm of its author; NULL: ours"),
    Column("origin_id", BigInteger, comment="its number there"),
    Column("number", BigInteger, comment="ours, and it crosses: its number here"),
    Column(
        "seal",
        LargeBinary,
        comment="of the realm that wrote it in a direct; only that can check it",
    ),
    Column("mac", LargeBinary, comment="keyed hash of what it says"),
    Index("changes_by_target", "conversation_id", "target"),
    sqlite_with_rowid=False,
)
Index(
    "changes_by_number",
    changes.c.number,
    sqlite_where=changes.c.number.is_not(None),
)
Index(
    "changes_by_origin",
    changes.c.origin_realm,
    changes.c.origin_id,
    changes.c.conversation_id,
    unique=True,
    sqlite_where=changes.c.origin_id.is_not(None),
)

reactions = Table(
    "reactions",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the message"),
    Column("emoji", Text, primary_key=True),
    Column("key", Text, primary_key=True, comment="the person's address without case"),
    Column("address", Text, nullable=False, comment="as shown: name, or name@realm"),
    time_column(),
    sqlite_with_rowid=False,
)

# How many people have reacted, so that a page of messages with thousands of reactions is read quickly.
reaction_counts = Table(
    "reaction_counts",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the message"),
    Column("emoji", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    time_column(),
    sqlite_with_rowid=False,
)

pins = Table(
    "pins",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the message"),
    Column("by", Text, nullable=False, comment="the address of the person who pinned it"),
    time_column(),
    sqlite_with_rowid=False,
)

# What is known of a log beyond its entries. A conversation without a row has zeros.
heads = Table(
    "heads",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column(
        "epoch",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="grows with each change of membership or rights",
    ),
    Column(
        "version",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="grows with what changes without an entry: states, files, read marks",
    ),
)

# The terms in which each log was written. Every start of the daemon begins one.
terms = Table(
    "terms",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("term", BigInteger, primary_key=True),
    Column("first", BigInteger, nullable=False, comment="the seq of its first entry"),
    sqlite_with_rowid=False,
)

# What changed without an entry, for `sync`: the newest version for each subject.
local_changes = Table(
    "local_changes",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("kind", Text, primary_key=True, comment="state, file, mark or trust"),
    Column("subject", Text, primary_key=True, comment="a seq, or an address without case"),
    Column("version", BigInteger, nullable=False),
    Index("local_changes_by_version", "conversation_id", "version"),
    sqlite_with_rowid=False,
)

# How far people of other realms have read.
remote_marks = Table(
    "remote_marks",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("key", Text, primary_key=True, comment="the address without case"),
    Column("address", Text, nullable=False, comment="as shown: name@realm"),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Messages to groups of other realms that the group's home has not numbered yet, or has refused.
pending = Table(
    "pending",
    metadata,
    Column("id", Id, primary_key=True, comment="of the message, also once it is numbered"),
    Column("account_id", BigInteger, nullable=False, comment="who sent it"),
    Column(
        "conversation_id", BigInteger, comment="the group's here; NULL: the sender is no member"
    ),
    Column("group", Text, nullable=False, comment="its address as shown: group@realm"),
    Column("realm", Text, nullable=False, comment="key of the group's realm"),
    Column("number", BigInteger, nullable=False, unique=True, comment="of its parcel"),
    time_column(),
    Column("text", Text),
    Column("attachment_id", BigInteger),
    Column("reply", BigInteger),
    Column("forwarded", Text),
    Column("mentions", Text, comment="JSON: the addresses that it mentions"),
    Column("media", Text),
    Column("body", LargeBinary),
    Column("refused", Text, comment="JSON: why it was refused, code and sentence"),
    Column("key", Text, comment="that of the send (table sends); NULL: it has none"),
    Column("mac", LargeBinary, comment="keyed hash of the content; NULL: of an older version"),
    Index("pending_by_account", "account_id", "conversation_id"),
)
Index(
    "pending_by_attachment",
    pending.c.attachment_id,
    sqlite_where=pending.c.attachment_id.is_not(None),
)

# Changes of messages in groups elsewhere, until the group's home has sent them back.
change_requests = Table(
    "change_requests",
    metadata,
    Column("number", BigInteger, primary_key=True, comment="of the parcel"),
    Column("realm", Text, nullable=False, comment="key of the group's realm"),
    Column("conversation_id", BigInteger, nullable=False),
    Column("target", BigInteger, nullable=False, comment="the seq of the message"),
    Column("account_id", BigInteger, nullable=False, comment="who changes it"),
    time_column(),
    Column("parcel", LargeBinary, nullable=False, comment="signed"),
    Index("change_requests_by_target", "conversation_id", "target"),
    Index("change_requests_by_realm", "realm", "number"),
    sqlite_with_rowid=False,
)

# How much of the log of a group elsewhere is here. What is missing is fetched from the group's home. The
# entries with seqs from `first` on are wanted; those after `after` and up to `upto` may be missing.
pasts = Table(
    "pasts",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("first", BigInteger, nullable=False, comment="the first that is wanted"),
    Column(
        "after",
        BigInteger,
        nullable=False,
        comment="entries after this seq and up to the other may be missing",
    ),
    Column("upto", BigInteger, nullable=False),
    Column(
        "earlier",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="how many messages are missing, by the home",
    ),
    Column("fetched", BigInteger, nullable=False, server_default="0"),
    Column(
        "renumbered",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="the home was restored: its entries may have other seqs than here",
    ),
    Column("lost_after", BigInteger, comment="this realm may have lost entries after this seq"),
    sqlite_with_rowid=False,
)

# Entries of such groups that are about a message which is missing.
awaiting = Table(
    "awaiting",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the entry"),
    Column(
        "realm", Text, nullable=False, comment="key of the message's author's realm; empty: ours"
    ),
    Column("number", BigInteger, nullable=False, comment="of the message there"),
    Column("parcel", LargeBinary, comment="of a change; NULL: a message here that replies to it"),
    Index("awaiting_by_message", "conversation_id", "realm", "number"),
    sqlite_with_rowid=False,
)
