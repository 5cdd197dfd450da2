"""Invitations across realms: those that this realm has sent, those that its accounts have received, and the
joins that they have asked for. Jobs and queries for the Database.

A group's home can make an account a member only in answer to a join that the account has asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Delete, delete, exists, func, insert, select, update

from chatd.base.errors import TooManyInvitations
from chatd.base.model import Account, Group, Party
from chatd.base.names import is_code
from chatd.store.prepared import prepared
from chatd.store.schema import invitations, invited, join_requests, peers

LIFE = 30 * 24 * 3600 * 1000  # ms after which an unanswered invitation or request expires
AGAIN = 24 * 3600 * 1000  # ms after which the same person can be invited to the same group again
DECLINED_FOR = (
    7 * 24 * 3600 * 1000
)  # ms from a declined invitation until another one to the group is shown
MAX_SENT = 1000  # invitations of one group that wait for an answer
MAX_RECEIVED = 100  # invitations of one account, with those that it has declined
MAX_OF_REALM = 50  # of these from one realm
MAX_UNASKED = 10  # of these from all realms together that were not added here
MAX_REQUESTS = 100  # joins that one account has asked for and whose outcome is not known


class NewInvitation(msgspec.Struct, frozen=True):
    """An invitation to a group: its address and key, the key of its realm ("" is this one), its id there, the
    address of the person who invites, and the time in ms since 1970 UTC."""

    group: str
    key: str
    realm: str
    home_id: int
    by: str
    at: int
    title: str | None = None


# Sent


def note_invited(connection: Connection, group: Group, key: str, now: int) -> bool:
    """Note that the person with that key is invited. Returns whether to tell them: not if they were told
    within AGAIN. Raises TooManyInvitations."""
    mine = invited.c.conversation_id == group.id
    at = connection.scalar(select(invited.c.at).where(mine, invited.c.key == key))
    if at is not None and at > now - AGAIN:
        return False
    connection.execute(delete(invited).where(mine, invited.c.at <= now - LIFE))
    forget_invited(connection, group.id, key)
    count = connection.scalar(select(func.count()).select_from(invited).where(mine))
    if (count or 0) >= MAX_SENT:
        raise TooManyInvitations(name=group.name, limit=MAX_SENT)
    connection.execute(insert(invited).values(conversation_id=group.id, key=key, at=now))
    return True


def is_invited(connection: Connection, group: Group, key: str, now: int) -> bool:
    """Whether the person of another realm with that key has an invitation to the group."""
    mine = invited.c.conversation_id == group.id, invited.c.key == key
    return (
        connection.scalar(select(invited.c.at).where(*mine, invited.c.at > now - LIFE)) is not None
    )


def has_invitation(connection: Connection, group: Group, party: Party, now: int) -> bool:
    """Whether a person is invited to a group of this realm, also if they have declined: the group is not
    told of that."""
    if party.id is None:
        return is_invited(connection, group, party.key, now)
    mine = invitations.c.account_id == party.id, invitations.c.key == group.key
    here = invitations.c.realm == "", invitations.c.home_id == group.id
    query = select(invitations.c.at).where(*mine, *here, invitations.c.at > now - LIFE)
    return connection.scalar(query) is not None


def forget_invited(connection: Connection, group: int, key: str) -> None:
    """The invited person has joined, or does not exist."""
    connection.execute(
        delete(invited).where(invited.c.conversation_id == group, invited.c.key == key)
    )


# Received


def add_invitation(connection: Connection, account: Account | Party, new: NewInvitation) -> bool:
    """Store an invitation, in place of an earlier one to the same group. Returns whether the account is to be
    told: not if it has the invitation already, or has declined one that is not older than DECLINED_FOR.
    Raises TooManyInvitations."""
    _expire(connection, new.at)
    mine = invitations.c.account_id == account.id
    same = mine & (invitations.c.key == new.key)
    known = connection.execute(
        select(invitations.c.declined, invitations.c.home_id, invitations.c.at).where(same)
    ).first()
    if known is not None and known.home_id == new.home_id:
        rests = known.declined and known.at <= new.at - DECLINED_FOR
        if not rests:
            return False
    connection.execute(delete(invitations).where(same))
    _check_room(connection, account, new)
    row = msgspec.structs.asdict(new)
    connection.execute(insert(invitations).values(account_id=account.id, **row))
    return True


def _check_room(connection: Connection, account: Account | Party, new: NewInvitation) -> None:
    mine = invitations.c.account_id == account.id
    of_realm = invitations.c.realm == new.realm
    added = exists().where(peers.c.key == invitations.c.realm, peers.c.host.is_not(None))
    is_added = exists().where(peers.c.key == new.realm, peers.c.host.is_not(None))
    bounds = [(MAX_RECEIVED, mine), (MAX_OF_REALM, mine & of_realm)]
    if new.realm and not connection.scalar(select(is_added)):
        bounds.append((MAX_UNASKED, mine & ~added))
    for limit, which in bounds:
        count = connection.scalar(select(func.count()).select_from(invitations).where(which))
        if (count or 0) >= limit:
            raise TooManyInvitations(name=account.name, limit=limit)


def _expire(connection: Connection, now: int) -> None:
    connection.execute(delete(invitations).where(invitations.c.at <= now - LIFE))


def invitations_of(connection: Connection, account_id: int, now: int) -> Sequence[NewInvitation]:
    """The account's open invitations, oldest first."""
    names = NewInvitation.__struct_fields__
    rows = connection.execute(
        select(*(invitations.c[name] for name in names))
        .where(
            invitations.c.account_id == account_id,
            invitations.c.declined.is_(False),
            invitations.c.at > now - LIFE,
        )
        .order_by(invitations.c.at, invitations.c.key)
    )
    return [NewInvitation(*row) for row in rows]


def decline(connection: Connection, account_id: int, key: str, now: int) -> bool:
    """Decline the invitation to a group. Returns whether there was one."""
    changed = connection.execute(
        update(invitations)
        .where(
            invitations.c.account_id == account_id,
            invitations.c.key == key,
            invitations.c.declined.is_(False),
            invitations.c.at > now - LIFE,
        )
        .values(declined=True)
    )
    return changed.rowcount > 0


def withdraw(
    connection: Connection, account_id: int, key: str, realm: str, home_id: int, now: int
) -> bool:
    """Withdraw the account's invitation to the group with that key and id in `realm` ("" is this one).
    Returns whether one was open. One that was declined stays, so that the account is not asked again."""
    gone = connection.execute(
        delete(invitations).where(
            invitations.c.account_id == account_id,
            invitations.c.key == key,
            invitations.c.realm == realm,
            invitations.c.home_id == home_id,
            invitations.c.declined.is_(False),
            invitations.c.at > now - LIFE,
        )
    )
    return gone.rowcount > 0


def forget_invitation(connection: Connection, account_id: int, key: str) -> None:
    connection.execute(*_delete(account_id, key))


@prepared
def _delete(account_id: Any, key: Any) -> Delete:
    return delete(invitations).where(
        invitations.c.account_id == account_id, invitations.c.key == key
    )


# Asked for


def add_request(connection: Connection, account_id: int, key: str, realm: str, now: int) -> None:
    """Note that the account asks to join the group that `key` names. The oldest requests make room."""
    mine = join_requests.c.account_id == account_id
    forget_request(connection, account_id, key)
    connection.execute(delete(join_requests).where(mine, join_requests.c.at <= now - LIFE))
    oldest = (
        select(join_requests.c.key)
        .where(mine)
        .order_by(join_requests.c.at.desc(), join_requests.c.key)
        .offset(MAX_REQUESTS - 1)
    )
    connection.execute(
        delete(join_requests).where(mine, join_requests.c.key.in_(oldest.scalar_subquery()))
    )
    connection.execute(
        insert(join_requests).values(account_id=account_id, key=key, realm=realm, at=now)
    )


def forget_request(connection: Connection, account_id: int, key: str) -> None:
    """The home has refused the request."""
    connection.execute(*_delete_request(account_id, key))


@prepared
def _delete_request(account_id: Any, key: Any) -> Delete:
    return delete(join_requests).where(
        join_requests.c.account_id == account_id, join_requests.c.key == key
    )


def rename_request(connection: Connection, account_id: int, old: str, new: str) -> None:
    """The home has told the name of the group whose code was asked for."""
    forget_request(connection, account_id, new)
    connection.execute(
        update(join_requests)
        .where(join_requests.c.account_id == account_id, join_requests.c.key == old)
        .values(key=new)
    )


def take_request(connection: Connection, account_id: int, key: str, realm: str, now: int) -> bool:
    """Take the account's request to join the group with that key, else one by a code, which only the home
    can read. Returns whether there was one. The group's invitation is answered with it."""
    asked = connection.scalars(
        select(join_requests.c.key).where(
            join_requests.c.account_id == account_id,
            join_requests.c.realm == realm,
            join_requests.c.at > now - LIFE,
        )
    ).all()
    by_code = [each for each in asked if is_code(each.partition("@")[0])]
    which = key if key in asked else next(iter(by_code), None)
    if which is None:
        return False
    forget_request(connection, account_id, which)
    forget_invitation(connection, account_id, key)
    return True
