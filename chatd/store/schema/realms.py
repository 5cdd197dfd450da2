"""Other realms, what waits for them, and what the realm remembers of itself."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    false,
    text,
)

from chatd.store.schema.base import account_key, metadata, time_column

peers = Table(
    "peers",
    metadata,
    Column("key", Text, primary_key=True, comment="the realm's name without case"),
    Column("name", Text, nullable=False, comment="as the realm itself writes it"),
    Column("host", Text, comment="where it is reached; NULL: it comes to us"),
    Column("port", Integer),
    Column("certificate", Text, comment="PEM: the one that it has to show; NULL: not seen yet"),
    time_column("created_at"),
    Column(
        "confirmed",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="an operator added it, and vouches for address and certificate",
    ),
    Column("linked_at", BigInteger, comment="ms since 1970 UTC"),
    Column(
        "rests",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="either side can dial, so there is no link while nothing is to be said",
    ),
)

# What each other realm and this one have of each other's parcels (chatd.store.peer_marks).
peer_marks = Table(
    "peer_marks",
    metadata,
    Column("realm", Text, primary_key=True, comment="key of the other realm"),
    Column(
        "received",
        BigInteger,
        nullable=False,
        comment="its parcels up to this number were kept or refused",
    ),
    Column(
        "acknowledged",
        BigInteger,
        nullable=False,
        comment="our newest parcel that it has acknowledged",
    ),
    Column(
        "settled",
        BigInteger,
        nullable=False,
        comment="the first number of our last start after which it has returned what we lacked",
    ),
    sqlite_with_rowid=False,
)

# Parcels that wait for several realms, by their numbers.
payloads = Table(
    "payloads",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="the number of the parcel"),
    Column("parcel", LargeBinary, nullable=False, comment="as outbox.parcel"),
)

# No foreign keys here either: a parcel may outlive its sender.
outbox = Table(
    "outbox",
    metadata,
    Column("realm", Text, primary_key=True, comment="key of the realm that it has to reach"),
    Column("id", BigInteger, primary_key=True, comment="1, 2, 3 ... and never again"),
    Column("sender_id", BigInteger, comment="the account to be told if it can't be delivered"),
    Column("attachment_id", BigInteger, comment="the file that it names"),
    time_column("created_at"),
    Column(
        "parcel",
        LargeBinary,
        nullable=False,
        comment="what crosses (chatd.federation.parcels), encoded; empty: in payloads",
    ),
    Column("subject", Text, comment="only the newest parcel about it has to wait; NULL: all have"),
    Column("mac", LargeBinary, comment="keyed hash of the parcel; NULL: of an older version"),
    Column("payload_id", BigInteger, comment="payloads.id; NULL: the parcel is here"),
    sqlite_with_rowid=False,
)
Index(
    "outbox_by_subject",
    outbox.c.realm,
    outbox.c.subject,
    sqlite_where=outbox.c.subject.is_not(None),
)

# Whether a payload still has to cross.
Index(
    "outbox_by_payload",
    outbox.c.payload_id,
    sqlite_where=outbox.c.payload_id.is_not(None),
)

# Whether a file still has to cross.
Index(
    "outbox_by_attachment",
    outbox.c.attachment_id,
    sqlite_where=outbox.c.attachment_id.is_not(None),
)

# Read marks that other realms have yet to be told (chatd.store.untold_marks).
untold_marks = Table(
    "untold_marks",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("key", Text, primary_key=True, comment="whose: the address without case"),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Parcels that have come and left no entry in a log (chatd.store.received).
received = Table(
    "received",
    metadata,
    Column("realm", Text, primary_key=True, comment="key of the realm that sent them"),
    Column("number", BigInteger, primary_key=True, comment="their numbers there"),
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
    time_column(index=True),
    Column("conversation_id", BigInteger, comment="NULL: in none of this realm"),
    Column("seq", BigInteger, comment="if it is only elsewhere: its number there"),
    Column("message_id", BigInteger, comment="of what was sent, also while it is pending"),
    Column("attachment_id", BigInteger, comment="NULL where it is a text"),
    Column("refused", Text, comment="if it was dismissed: why it was refused, as in pending"),
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

# What the authors' realms have signed: entries of groups with members of several realms.
signatures = Table(
    "signatures",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the message or change"),
    Column(
        "realm", Text, nullable=False, comment="key of the realm that signed, also if it is ours"
    ),
    Column("key", LargeBinary, nullable=False, comment="the id of the signing key"),
    Column("statement", LargeBinary, nullable=False, comment="what is signed, with the hash"),
    Column("proof", LargeBinary, nullable=False, comment="signature and audit path"),
    Column("salt", LargeBinary, comment="of the hash; NULL once the content is deleted"),
    Column(
        "attributes", LargeBinary, comment="the content but for its text or body; NULL likewise"
    ),
    Column("status", Text, nullable=False, comment="verified, unverified or forged"),
    sqlite_with_rowid=False,
)
Index(
    "signatures_unverified",
    signatures.c.realm,
    sqlite_where=signatures.c.status == "unverified",
)

realm_keys = Table(
    "realm_keys",
    metadata,
    Column("realm", Text, primary_key=True, comment="the realm's key; empty: this realm"),
    Column("id", LargeBinary, primary_key=True),
    Column("public", LargeBinary, nullable=False, comment="Ed25519, 32 bytes"),
    time_column("since"),
    Column("until", BigInteger, comment="ms since 1970 UTC; NULL: in use"),
    sqlite_with_rowid=False,
)

# First messages of people of realms that were not added here, until they are accepted.
# There is a row for each pair, whether or not there is such an account.
requests = Table(
    "requests",
    metadata,
    Column("name", Text, primary_key=True, comment="the key of the name that was written to"),
    Column("sender", Text, primary_key=True, comment="the address without case"),
    Column("address", Text, nullable=False, comment="the sender as shown"),
    Column("realm", Text, nullable=False, comment="the sender's, by its key"),
    Column("number", BigInteger, nullable=False, comment="of the parcel"),
    time_column(),
    Column("state", Text, nullable=False, comment="open, declined, or hidden: no account sees it"),
    Column("account_id", ForeignKey("accounts.id"), comment="NULL: no account has seen it"),
    Column("conversation_id", ForeignKey("conversations.id")),
    Column("seq", BigInteger, comment="of the message"),
    Index("requests_by_account", "account_id", "sender"),
    Index("requests_by_realm", "realm", "at"),
    Index("requests_by_at", "at"),
    Index(
        "requests_hidden",
        "at",
        sqlite_where=text("account_id IS NULL"),
        postgresql_where=text("account_id IS NULL"),
    ),
    sqlite_with_rowid=False,
)

# Message requests of accounts here that people of other realms have accepted.
acceptances = Table(
    "acceptances",
    metadata,
    Column("request", BigInteger, primary_key=True, comment="the number of the message"),
    Column("realm", Text, nullable=False, comment="key of the realm of who has accepted it"),
    Column("number", BigInteger, nullable=False, comment="of the parcel that says so"),
    Column("seal", LargeBinary, nullable=False, comment="of that realm"),
    Index("acceptances_by_number", "realm", "number"),
    sqlite_with_rowid=False,
)

# What accounts think of the requests from a realm: their last decision counts, for some days.
request_decisions = Table(
    "request_decisions",
    metadata,
    Column("realm", Text, primary_key=True, comment="key of the senders' realm"),
    account_key(),
    Column("unwanted", Boolean, nullable=False, comment="declined, or the sender was blocked"),
    time_column(),
    Index("request_decisions_by_at", "at"),
    sqlite_with_rowid=False,
)

# Invitations to groups of other realms that the account has not accepted.
invitations = Table(
    "invitations",
    metadata,
    account_key(),
    Column("key", Text, primary_key=True, comment="the group's address without case"),
    Column("group", Text, nullable=False, comment="as shown: group@realm"),
    Column("realm", Text, nullable=False, comment="key of the group's realm"),
    Column("home_id", BigInteger, nullable=False, comment="the group's id there"),
    Column("title", Text),
    Column("by", Text, nullable=False, comment="the address of the person who invites"),
    time_column(),
    Column(
        "declined",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="until it expires, the same group's further invitations are not shown",
    ),
    Index("invitations_by_at", "at"),
    sqlite_with_rowid=False,
)
