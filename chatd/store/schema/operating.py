"""What operators and moderators decide: roles, disabled accounts, and the log of what they did."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from chatd.store.schema.base import Id, account_key, metadata, time_column

# Accounts that are more than users.
roles = Table(
    "roles",
    metadata,
    account_key(),
    Column("role", Text, nullable=False, comment="moderator or operator"),
)

# Accounts that can't log in. Nothing else of them changes.
disabled = Table(
    "disabled",
    metadata,
    account_key(),
    time_column(),
    Column("reason", Text, comment="NULL: none was given"),
)

# What was done with a role. Rows are added and never changed: an act that takes several steps has one when it
# begins and one when it ends.
audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    time_column(),
    Column("actor", Text, nullable=False, comment="a username, or local: and a user of the system"),
    Column("act", Text, nullable=False, comment="the verb of the command"),
    Column("target", Text, comment="its first argument"),
    Column("detail", Text, nullable=False, comment="its other arguments, without secrets"),
    Column("outcome", Text, nullable=False, comment="begun, done, or the code of the error"),
    Column("begun", BigInteger, comment="the id of the row that says that it has begun"),
    Index("audit_by_begun", "begun", unique=True),
    sqlite_autoincrement=True,  # an id is not used again
)
