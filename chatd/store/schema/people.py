"""Accounts, their sessions and contacts, and the namespace."""

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

from chatd.store.schema.base import Id, metadata

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
    Index("contacts_by_key", "key"),
)

# What accounts have chosen. One without a row has receipts on.
privacy = Table(
    "privacy",
    metadata,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True),
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
