"""What operators and moderators decide: roles, disabled accounts, how long messages and files are kept, and
the log of what they did."""

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

# How many bytes the files of an account may have, where that is not as configured.
file_quotas = Table(
    "file_quotas",
    metadata,
    account_key(),
    Column("size", BigInteger, nullable=False, comment="bytes"),
)

# What was done with a role, and passwords that people have changed by a link of an operator. Rows are added
# and never changed: an act that takes several steps has one when it begins and one when it ends.
audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    time_column(),
    Column("actor", Text, nullable=False, comment="a username, or local: and a user of the system"),
    Column("act", Text, nullable=False, comment="the verb of the command, or password.reset"),
    Column("target", Text, comment="its first argument"),
    Column("detail", Text, nullable=False, comment="its other arguments, without secrets"),
    Column("outcome", Text, nullable=False, comment="begun, done, or the code of the error"),
    Column("begun", BigInteger, comment="the id of the row that says that it has begun"),
    Index("audit_by_begun", "begun", unique=True),
    sqlite_autoincrement=True,  # an id is not used again
)

# How long messages and files are kept.
retention = Table(
    "retention",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True, comment="of a group; 0: of all"),
    Column("age", BigInteger, comment="ms for which messages are kept; 0: forever"),
    Column("size", BigInteger, comment="bytes of texts that are kept; 0: all"),
    Column("file_age", BigInteger, comment="ms for which files are kept; 0: forever"),
    Column("file_size", BigInteger, comment="bytes of files that are kept; 0: all"),
    sqlite_with_rowid=False,
)

# How far the job that removes old messages and files has come.
retention_marks = Table(
    "retention_marks",
    metadata,
    Column("conversation_id", BigInteger, primary_key=True),
    Column("round", BigInteger, nullable=False, comment="the number of the realm's limits"),
    Column("seq", BigInteger, nullable=False, comment="messages up to this were looked at"),
    Column("file_seq", BigInteger, nullable=False, comment="files up to this were looked at"),
    Column("removed", BigInteger, nullable=False, comment="messages up to this were removed"),
    sqlite_with_rowid=False,
)
