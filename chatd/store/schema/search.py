"""The index for searching messages (chatd.store.search). It can be dropped: it is built again."""

from __future__ import annotations

from sqlalchemy import DDL, BigInteger, Column, Index, LargeBinary, Table, event

from chatd.store.schema.base import Id, metadata, time_column

search_blocks = Table(
    "search_blocks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False, comment="of what it covers"),
    Column("last_seq", BigInteger, nullable=False),
    Column("earliest", BigInteger, nullable=False, comment="time of a message, ms since 1970 UTC"),
    time_column("latest"),
    Column("messages", BigInteger, nullable=False, comment="how many"),
    Column("size", BigInteger, nullable=False, comment="bytes of their texts"),
    Index("search_blocks_by_conversation", "conversation_id", "last_seq", unique=True),
)

# One row for each part, and not one with all parts, because reading a value in SQLite means reading all that
# is before it in its row.
search_parts = Table(
    "search_parts",
    metadata,
    Column("id", Id, primary_key=True, comment="the block's id * 4 + the part"),
    Column("data", LargeBinary, nullable=False),
)

# What the index has an older text of. Triggers write it, so that no change of a message can be forgotten.
search_changes = Table(
    "search_changes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", BigInteger, nullable=False),
    Column(
        "seq", BigInteger, nullable=False, comment="of a message with another text than indexed"
    ),
    Index("search_changes_by_conversation", "conversation_id", "seq"),
)

CHANGED = """
CREATE TRIGGER messages_changed AFTER UPDATE OF text, attachment_id, deleted_at, media ON messages
BEGIN INSERT INTO search_changes (conversation_id, seq) VALUES (old.conversation_id, old.seq); END
"""
REMOVED = """
CREATE TRIGGER messages_removed AFTER DELETE ON messages
BEGIN INSERT INTO search_changes (conversation_id, seq) VALUES (old.conversation_id, old.seq); END
"""
NOTE = """
CREATE FUNCTION note_changed_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
INSERT INTO search_changes (conversation_id, seq) VALUES (old.conversation_id, old.seq); RETURN NULL; END
$$
"""
CHANGED_ROW = """
CREATE TRIGGER messages_changed AFTER UPDATE OF text, attachment_id, deleted_at, media ON messages
FOR EACH ROW EXECUTE FUNCTION note_changed_message()
"""
REMOVED_ROW = """
CREATE TRIGGER messages_removed AFTER DELETE ON messages
FOR EACH ROW EXECUTE FUNCTION note_changed_message()
"""
TRIGGERS = {"sqlite": (CHANGED, REMOVED), "postgresql": (NOTE, CHANGED_ROW, REMOVED_ROW)}
for _dialect, _statements in TRIGGERS.items():
    for _each in _statements:
        event.listen(metadata, "after_create", DDL(_each.strip()).execute_if(dialect=_dialect))
