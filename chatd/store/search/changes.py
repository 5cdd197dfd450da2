"""What the index has to read again. Triggers note edits and deletions (chatd.store.schema.search)."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.store.schema import search_changes


def note_placed(connection: sa.Connection, conversation: int, seq: int) -> None:
    """Note a message that was stored before others: the index may have a block of these already."""
    connection.execute(sa.insert(search_changes).values(conversation_id=conversation, seq=seq))


def note_range_placed(connection: sa.Connection, conversation: int, first: int, last: int) -> None:
    """As `note_placed`, for all messages between these two. The index reads the messages from a noted one on
    again, up to the end of its block or of a piece of it: so what follows the first one is read with it, and
    what begins another block with the last one."""
    rows = [{"conversation_id": conversation, "seq": seq} for seq in {first, last}]
    connection.execute(sa.insert(search_changes), rows)
