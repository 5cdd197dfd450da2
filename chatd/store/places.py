"""Where people of other realms take part: the conversation that their news is about. Queries for the
Database."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.store.schema import accounts, former_homes, groups, participants, remote_members


def direct_between(connection: sa.Connection, account_key: str, peer_key: str) -> int | None:
    """The direct conversation of the account with that key with an address of another realm."""
    return connection.scalar(
        sa.select(participants.c.conversation_id)
        .join(accounts, participants.c.account_id == accounts.c.id)
        .where(
            accounts.c.key == account_key,
            participants.c.peer_key == peer_key,
            participants.c.realm.is_not(None),
        )
    )


def group_with(connection: sa.Connection, group: int, member: str) -> int | None:
    """The conversation of a group of this realm, if the address with that key is a member of it."""
    return connection.scalar(
        sa.select(remote_members.c.conversation_id).where(
            remote_members.c.conversation_id == group, remote_members.c.key == member
        )
    )


def group_from(
    connection: sa.Connection, realm: str, home_id: int, seq: int | None = None
) -> int | None:
    """The conversation of a group of another realm (by its key), whose id there is `home_id`. With `seq`, it
    may also have lived there when the entry with that number was written."""
    found: int | None = connection.scalar(
        sa.select(groups.c.conversation_id).where(
            groups.c.realm == realm, groups.c.home_id == home_id
        )
    )
    if found is None and seq is not None:
        found = connection.scalar(
            sa.select(sa.func.max(former_homes.c.conversation_id)).where(
                former_homes.c.realm == realm,
                former_homes.c.home_id == home_id,
                former_homes.c.last >= seq,
            )
        )
    return found
