"""How people get in without an operator's help: invitations to the realm, and links to reset a password."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from chatd.store.schema.base import Id, account_key, metadata, time_column

# Codes with which accounts may be created.
realm_invitations = Table(
    "realm_invitations",
    metadata,
    Column("id", Id, primary_key=True),
    time_column(),
    Column("code_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the code"),
    Column("actor", Text, nullable=False, comment="who made it, as in the audit log"),
    Column("uses", BigInteger, nullable=False, comment="accounts that it is for"),
    Column("used", BigInteger, nullable=False, comment="accounts that were created with it"),
    time_column("expires_at"),
    Column("revoked_at", BigInteger, comment="ms since 1970 UTC"),
    Column("spent_at", BigInteger, comment="ms since 1970 UTC"),  # its last use
    Column("note", Text, nullable=False, comment="what operators say of it"),
    sqlite_autoincrement=True,  # the audit log has the numbers, so none is used again
)

# The newest link of an account that needs another password. It is removed when it is used.
password_resets = Table(
    "password_resets",
    metadata,
    account_key(),
    Column("token_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the token"),
    time_column("expires_at"),
)
