"""Accounts, their sessions, contacts, blocks and choices, and the namespace."""

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
    true,
)

from chatd.store.schema.base import Id, account_key, metadata, time_column

accounts = Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, comment="as typed (NFC)"),
    Column("key", Text, nullable=False, unique=True, comment="the name without case"),
    Column("password", Text, nullable=False, comment="Argon2id hash, PHC string format"),
    Column("display_name", Text, nullable=False),
    Column("country", Text, nullable=False),
    time_column("created_at"),
)

# What accounts show of themselves besides their names. One without a row shows nothing.
profiles = Table(
    "profiles",
    metadata,
    account_key(),
    Column("status", Text, nullable=False, server_default="", comment="a short text"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the token"),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    time_column("created_at"),
    time_column("expires_at", index=True),
    time_column("used_at", server_default="0"),
    Column(
        "client", Text, nullable=False, server_default="", comment="of the last login or resume"
    ),
    Column("address", Text, nullable=False, server_default="", comment="that it came from"),
)

contacts = Table(
    "contacts",
    metadata,
    account_key("whose list"),
    Column("key", Text, primary_key=True, comment="the address without case"),
    Column("address", Text, nullable=False, comment="as shown: name, or name@realm"),
    Column("realm", Text, comment="key of their realm; NULL: ours"),
    Index("contacts_by_key", "key"),
)
Index(
    "contacts_by_realm",
    contacts.c.realm,
    contacts.c.key,
    sqlite_where=contacts.c.realm.is_not(None),
)

blocks = Table(
    "blocks",
    metadata,
    account_key("who blocks"),
    Column(
        "key",
        Text,
        primary_key=True,
        comment="an address without case, or @ and the key of a realm",
    ),
    Column("address", Text, nullable=False, comment="as shown: name, name@realm, or @@realm"),
    time_column(),
    sqlite_with_rowid=False,
)

# What accounts have chosen. One without a row has the defaults.
privacy = Table(
    "privacy",
    metadata,
    account_key(),
    Column(
        "receipts",
        Boolean,
        nullable=False,
        comment="shows others how far it has read, and sees that of others",
    ),
    Column(
        "version",
        BigInteger,
        nullable=False,
        comment="when that was switched: above the version of each conversation until then",
    ),
    Column(
        "presence",
        Boolean,
        nullable=False,
        server_default=true(),
        comment="shows others whether it is online",
    ),
    Column(
        "invitations",
        Boolean,
        nullable=False,
        server_default=true(),
        comment="people of this realm may add it to groups without asking",
    ),
)

# Accounts that were deleted, until they have left their groups.
departures = Table(
    "departures",
    metadata,
    account_key(),
    Column("erase", Boolean, nullable=False, comment="its messages are deleted first"),
    time_column(),
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

# Pictures of people and groups, and those of other realms that were asked for.
avatars = Table(
    "avatars",
    metadata,
    Column(
        "place", Text, primary_key=True, comment="@ and an address without case, or # of a group"
    ),
    Column("hash", Text, comment="of the picture; NULL: there is none"),
    Column("body", LargeBinary, comment="a square WebP"),
    Column("name", Text, comment="the display name, of people of other realms"),
    time_column(),
    Column("realm", Text, comment="key of the realm that it came from; NULL: ours"),
)
Index(
    "avatars_by_realm",
    avatars.c.realm,
    avatars.c.at,
    sqlite_where=avatars.c.realm.is_not(None),
)
