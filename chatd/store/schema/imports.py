"""What accounts have imported from the archives that other realms have made of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from chatd.store.schema.base import account_key, metadata, time_column

# The last import of each account.
imports = Table(
    "imports",
    metadata,
    account_key(),
    Column("stored", Text, comment="the archive's name in the uploads folder; NULL: it is removed"),
    Column("state", Text, nullable=False, comment="running, done, failed or cancelled"),
    Column("refused", Text, comment="JSON: why it has failed, code and sentence"),
    time_column("began_at"),
    Column("source", Text, comment="the address of the account in the archive; NULL: not known"),
    Column("progress", Text, nullable=False, comment="JSON: what it has done so far"),
)

# What names imported messages, so that none is imported twice. They are rows of `messages` like others, but
# only the account sees them.
imported_messages = Table(
    "imported_messages",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column(
        "key",
        Text,
        primary_key=True,
        comment="the author's realm and the number there, or the place in the archive",
    ),
    Column("conversation_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column(
        "signature", LargeBinary, comment="JSON: its signature in the archive; NULL: it has none"
    ),
    Index("imported_messages_by_place", "conversation_id", "seq", unique=True),
    sqlite_with_rowid=False,
)

# Where the messages of a conversation of an archive are here.
import_places = Table(
    "import_places",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("origin", Text, primary_key=True, comment="the conversation there"),
    Column("conversation_id", BigInteger, nullable=False),
    Column("shift", BigInteger, nullable=False, comment="the seq here less the one there"),
    Column("first", BigInteger, nullable=False, comment="the seqs here are at least this"),
    Column("last", BigInteger, nullable=False, comment="the seqs here are at most this"),
    sqlite_with_rowid=False,
)
