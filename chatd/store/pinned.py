"""Single messages and the pinned ones of a conversation. Queries for the Database."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.base.model import Account, Message
from chatd.store.history import build_messages, select_messages
from chatd.store.schema import messages, pins


def pinned(connection: sa.Connection, account: Account, conversation: int) -> list[Message]:
    """The pinned messages of a conversation, the last pinned first."""
    is_pinned = sa.and_(
        pins.c.conversation_id == messages.c.conversation_id, pins.c.seq == messages.c.seq
    )
    rows = connection.execute(
        select_messages(account)
        .join(pins, is_pinned)
        .where(messages.c.conversation_id == conversation)
        .order_by(pins.c.at.desc(), pins.c.seq.desc())
    ).all()
    return build_messages(connection, rows, account)


def message_at(
    connection: sa.Connection, account: Account, conversation: int, seq: int
) -> Message | None:
    """The message with that number in a conversation of the account."""
    rows = connection.execute(
        select_messages(account).where(
            messages.c.conversation_id == conversation, messages.c.seq == seq
        )
    ).all()
    found = build_messages(connection, rows, account)
    return found[0] if found else None
