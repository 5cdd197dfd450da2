"""What accounts have chosen for their conversations. Jobs for the Database."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from chatd.base.errors import UnknownConversation
from chatd.base.model import NotifyLevel, Preferences
from chatd.store.conversations import takes_part
from chatd.store.schema import preferences

# The columns of Preferences. In a query they come from an outer join.
COLUMNS = (preferences.c.notify, preferences.c.until, preferences.c.archived)


def preferences_in(
    notify: NotifyLevel | None, until: int | None, archived: bool | None
) -> Preferences:
    """The preferences in COLUMNS of a row."""
    return Preferences(notify or Preferences().notify, until, bool(archived))


def prefer(
    connection: sa.Connection, account_id: int, conversation: int, changed: Mapping[str, object]
) -> Preferences:
    """Change some fields of the account's preferences for a conversation. Returns all of them. Raises
    UnknownConversation."""
    if not takes_part(connection, account_id, conversation):
        raise UnknownConversation(name=conversation)
    mine = preferences.c.account_id == account_id, preferences.c.conversation_id == conversation
    row = connection.execute(sa.select(*COLUMNS).where(*mine)).first()
    before = Preferences() if row is None else preferences_in(*row)
    chosen = msgspec.structs.replace(before, **changed)
    connection.execute(sa.delete(preferences).where(*mine))
    if chosen != Preferences():
        values = msgspec.structs.asdict(chosen)
        connection.execute(
            sa.insert(preferences).values(
                account_id=account_id, conversation_id=conversation, **values
            )
        )
    return chosen
