"""Who may write to a conversation, and who may change a group, by the database. Queries for the writer's
thread, where they are exact: what is checked there is checked in the transaction that stores the message or
the change.
"""

from __future__ import annotations

from sqlalchemy import Connection, exists, select

from chatd.base.errors import (
    Banned,
    ChatError,
    GroupClosed,
    NotAdmin,
    NotMember,
    UnknownGroup,
    UnknownMessage,
)
from chatd.base.model import Group, Party
from chatd.store.accounts import account_of
from chatd.store.bans import is_banned
from chatd.store.conversations import takes_part
from chatd.store.schema import participants, remote_members
from chatd.store.shut_groups import check_open, shut_refusal


def check_account(connection: Connection, group: Group, account_id: int) -> None:
    """Raises Banned, NotMember or GroupShut, or UnknownGroup for a private group, if the account may not
    write to the group."""
    if takes_part(connection, account_id, group.id):
        check_open(connection, group)
        return
    if group.private:
        raise UnknownGroup(name=group.name)
    if is_banned(connection, group.id, account_of(connection, account_id).key):
        raise Banned(group=group.name)
    raise NotMember(group=group.name)


def check_guest(connection: Connection, group: Group, key: str) -> None:
    """Raises UnknownGroup, Banned, GroupClosed or GroupShut if the person of another realm, by the key of
    their address, may not write to the group."""
    is_member = exists().where(
        remote_members.c.conversation_id == group.id, remote_members.c.key == key
    )
    is_outside = group.members_only and not connection.scalar(select(is_member))
    if not group.key or (is_outside and group.private):
        raise UnknownGroup(name=group.name)  # it has ended, or is none for them
    if is_banned(connection, group.id, key):
        raise Banned(group=group.name)
    if is_outside:
        raise GroupClosed(group=group.name)
    check_open(connection, group)


def role_in(
    connection: Connection, conversation: int, party: Party, seq: int | None = None
) -> bool | None:
    """Whether a person is an admin of a conversation; None if they take no part in it. Raises UnknownMessage
    if they don't see the message `seq`."""
    is_party = participants.c.peer_key == party.key  # the other side
    if party.id is not None:
        is_party = participants.c.account_id == party.id
    columns = participants.c.admin, participants.c.first_seq
    side = select(*columns).where(participants.c.conversation_id == conversation, is_party)
    found = connection.execute(side).first()
    if found is None and party.id is None:
        guest = select(remote_members.c.admin, remote_members.c.first_seq).where(
            remote_members.c.conversation_id == conversation, remote_members.c.key == party.key
        )
        found = connection.execute(guest).first()
    if found is None:
        return None
    if seq is not None and found.first_seq > seq:
        raise UnknownMessage(seq=seq)
    return bool(found.admin)


def ruling_refusal(connection: Connection, group: Group, party: Party) -> ChatError | None:
    """Why a person may not rule a group of this realm: they are no member, or no admin, or it is closed for
    everybody. None if they may."""
    if party.id is None:
        table, is_party = remote_members, remote_members.c.key == party.key
    else:
        table, is_party = participants, participants.c.account_id == party.id
    admin = connection.scalar(
        select(table.c.admin).where(table.c.conversation_id == group.id, is_party)
    )
    if admin is None:
        return UnknownGroup(name=group.name) if group.private else NotMember(group=group.name)
    return shut_refusal(connection, group) if admin else NotAdmin(group=group.name)
