"""What a conversation is for one of those who take part in it. Queries for the Database."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from chatd.store.schema import accounts, groups, participants


class Side(msgspec.Struct, frozen=True):
    """A conversation as a participant has it: with `peer`, an account here (`peer_id`) or somebody of the
    realm with the key `realm`, or a `group` by its name."""

    peer: str | None
    peer_id: int | None
    realm: str | None
    group: str | None


def side_of(connection: sa.Connection, account_id: int, conversation: int) -> Side | None:
    """The account's side of a conversation; None if it takes no part in it."""
    row = connection.execute(
        sa.select(participants.c.peer, accounts.c.id, participants.c.realm, groups.c.name)
        .select_from(participants)
        .outerjoin(
            accounts,
            sa.and_(accounts.c.key == participants.c.peer_key, participants.c.realm.is_(None)),
        )
        .outerjoin(groups, groups.c.conversation_id == participants.c.conversation_id)
        .where(
            participants.c.account_id == account_id, participants.c.conversation_id == conversation
        )
    ).first()
    return None if row is None else Side(*row)
