"""Whether a home was lost to the other realms when one of them has founded its group again. Queries for the
Database."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.store.members import realms_of
from chatd.store.reached import contact_with
from chatd.store.schema import messages

# Contacts are noted to the hour, in both realms.
SLACK = 2 * 3_600_000  # ms


def is_quiet(connection: sa.Connection, group: int, at: int, long: int) -> bool:
    """Whether this realm, the home of a group, has reached no other realm with members in the `long` ms
    before `at` (ms since 1970 UTC), and nobody here has written to the group."""
    slack = min(SLACK, long // 4)
    begin = at - long + slack
    wrote = sa.select(messages.c.id).where(
        messages.c.conversation_id == group,
        messages.c.origin_realm.is_(None),
        messages.c.at.between(begin, at),
    )
    if connection.scalar(wrote.limit(1)) is not None:
        return False
    for realm in realms_of(connection, group):
        contact = contact_with(connection, realm)
        if contact is None or contact.at <= begin:
            continue
        if contact.away_from is None or contact.away_to is None:
            return False
        if contact.away_from > begin or contact.away_to < at - slack:
            return False
    return True
