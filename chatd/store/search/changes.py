"""What the index has to read again. Triggers note edits and deletions (chatd.store.schema.search)."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.store.schema import search_changes


def note_placed(connection: sa.Connection, conversation: int, seq: int) -> None:
    """Note a message that was stored before others: the index may have a block of these already."""
    connection.execute(sa.insert(search_changes).values(conversation_id=conversation, seq=seq))
