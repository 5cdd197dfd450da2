"""Messages that moderators have removed from this realm alone. Jobs and queries for the Database.

Such a message is left like one that retention has removed (chatd.store.retention): its number and its
signature stay, without the salt with which its content could be guessed. Nothing of it comes back with a
later edit. Its removal is no entry of the log, which another realm numbers.
"""

from __future__ import annotations

import sqlalchemy as sa

from chatd.store.content import erase
from chatd.store.schema import removed_messages
from chatd.store.signatures import forget_contents


def remove_message(
    connection: sa.Connection, conversation: int, seq: int, at: int
) -> tuple[str, ...]:
    """Remove the content of a message. Returns as `erase_file` the files that were removed with it."""
    stored = erase(connection, conversation, seq, at)
    forget_contents(connection, conversation, seq)
    note_removed_message(connection, conversation, seq, at)
    return stored


def note_removed_message(connection: sa.Connection, conversation: int, seq: int, at: int) -> None:
    """Note that the content of a message was removed, and that other realms may still have it."""
    if not is_message_removed(connection, conversation, seq):
        place = {"conversation_id": conversation, "seq": seq}
        connection.execute(sa.insert(removed_messages).values(**place, at=at))


def is_message_removed(connection: sa.Connection, conversation: int, seq: int) -> bool:
    """Whether a moderator has removed the message."""
    found = sa.select(removed_messages.c.at).where(
        removed_messages.c.conversation_id == conversation, removed_messages.c.seq == seq
    )
    return connection.scalar(found) is not None
