"""Who may write to a group of this realm, by the database. Queries for the writer's thread, where they are
exact: what is checked there is checked in the same transaction in which the message is stored.
"""

from __future__ import annotations

from sqlalchemy import Connection, exists, select

from chatd.base.errors import Banned, GroupClosed, NotMember, UnknownGroup
from chatd.base.model import Group
from chatd.store.bans import is_banned
from chatd.store.conversations import takes_part
from chatd.store.schema import remote_members


def check_account(connection: Connection, group: Group, account_id: int) -> None:
    """Raises NotMember if the account may not write to the group."""
    if not takes_part(connection, account_id, group.id):
        raise NotMember(group=group.name)


def check_guest(connection: Connection, group: Group, key: str) -> None:
    """Raises UnknownGroup, Banned or GroupClosed if the person of another realm, by the key of their address,
    may not write to the group."""
    if not group.key:
        raise UnknownGroup(name=group.name)  # it has ended
    if is_banned(connection, group.id, key):
        raise Banned(group=group.name)
    is_member = exists().where(
        remote_members.c.conversation_id == group.id, remote_members.c.key == key
    )
    if group.closed and not connection.scalar(select(is_member)):
        raise GroupClosed(group=group.name)
