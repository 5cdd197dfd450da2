"""Who is told of presence across realms. Queries.

In another realm, these are the people who write to an account directly, and those in groups of this realm of
up to MAX_READERS members with it. The home of a group elsewhere finds its members itself.

Of a person of another realm, the accounts here are told that share something with them, as in
chatd.store.watchers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from chatd.base.model import MAX_READERS
from chatd.store.prepared import prepared
from chatd.store.receipts import may_see
from chatd.store.requests import waits
from chatd.store.schema import accounts, contacts, participants, remote_members, rosters

MAX_TOLD = 10_000  # of one person; beyond that, some are not told

# The people who are told, by the key of their realm: the keys of their names there
Elsewhere: TypeAlias = dict[str, list[str]]

_ACCOUNT: sa.BindParameter[int] = sa.bindparam("account", type_=sa.BigInteger)
_ADDRESS: sa.BindParameter[str] = sa.bindparam("address", type_=sa.Text)
_REALM: sa.BindParameter[str] = sa.bindparam("realm", type_=sa.Text)
_REALMS: sa.BindParameter[Any] = sa.bindparam("realms", expanding=True, type_=sa.Text)
_NAMED: sa.BindParameter[Any] = sa.bindparam("named", expanding=True, type_=sa.Text)
_READERS: sa.BindParameter[int] = sa.bindparam("readers", type_=sa.Integer)
_MOST: sa.BindParameter[int] = sa.bindparam("most", type_=sa.Integer)


def _bounds() -> dict[str, int]:
    return {"readers": MAX_READERS, "most": MAX_TOLD}


def _guests_in(conversations: sa.Select[tuple[int]]) -> sa.Select[Any]:
    """Select the realms and keys of the members from `realms` of those groups that are not large."""
    found = conversations.subquery()
    return (
        sa.select(remote_members.c.realm, remote_members.c.key)
        .select_from(found)
        .join(rosters, rosters.c.conversation_id == found.c.conversation_id)
        .join(remote_members, remote_members.c.conversation_id == found.c.conversation_id)
        .where(rosters.c.members <= _READERS, remote_members.c.realm.in_(_REALMS))
    )


def _of_account() -> sa.CompoundSelect[Any]:
    """Select the realms and keys of people that share a conversation with the account. The key is NULL for
    the home of a group."""
    direct = sa.select(participants.c.realm, participants.c.peer_key.label("key")).where(
        participants.c.account_id == _ACCOUNT,
        participants.c.realm.in_(_REALMS),
        participants.c.peer_key.is_(None)
        | may_see(participants.c.account_id, participants.c.peer_key),
    )
    mine = sa.select(participants.c.conversation_id).where(participants.c.account_id == _ACCOUNT)
    return sa.union(direct, _guests_in(mine).where(may_see(_ACCOUNT, remote_members.c.key)))


def _groups_with() -> sa.Select[tuple[int]]:
    """Select the groups of this realm with the person of another one."""
    return sa.select(remote_members.c.conversation_id).where(
        remote_members.c.realm == _REALM, remote_members.c.key == _ADDRESS
    )


def _named() -> sa.Select[tuple[int]]:
    """Select the accounts that the realm names, if they are in a group of the realm."""
    member = sa.exists().where(
        participants.c.account_id == accounts.c.id,
        participants.c.realm == _REALM,
        participants.c.peer_key.is_(None),
    )
    return sa.select(accounts.c.id.label("account_id")).where(
        accounts.c.key.in_(_NAMED), member, may_see(accounts.c.id, _ADDRESS)
    )


def _of_guest() -> sa.CompoundSelect[Any]:
    """Select the accounts that are told of the person of another realm."""
    seen = may_see(participants.c.account_id, _ADDRESS)
    direct = sa.select(participants.c.account_id).where(
        participants.c.realm == _REALM, participants.c.peer_key == _ADDRESS, seen
    )
    having = sa.select(contacts.c.account_id).where(
        contacts.c.key == _ADDRESS, may_see(contacts.c.account_id, _ADDRESS)
    )
    groups = _groups_with().subquery()
    members = (
        sa.select(participants.c.account_id)
        .select_from(groups)
        .join(rosters, rosters.c.conversation_id == groups.c.conversation_id)
        .join(participants, participants.c.conversation_id == groups.c.conversation_id)
        .where(rosters.c.members <= _READERS, seen)
    )
    return sa.union(direct, having, members, _named())


# They are built once, because building them takes longer than running them.
_OF_ACCOUNT = _of_account().limit(_MOST)
_OF_GUEST = _of_guest().limit(_MOST)
_NAMED_ONLY = _named().limit(_MOST)
_IN_GROUPS = _guests_in(_groups_with()).limit(_MOST)


def realms_of(connection: sa.Connection, account_id: int, limit: int) -> list[str]:
    """The keys of realms with contacts of the account, or with people who share a conversation with it."""
    mine = participants.c.account_id == account_id
    found = sa.union(
        sa.select(contacts.c.realm).where(
            contacts.c.account_id == account_id, contacts.c.realm.is_not(None)
        ),
        sa.select(participants.c.realm).where(mine, participants.c.realm.is_not(None)),
        sa.select(remote_members.c.realm)
        .join(participants, participants.c.conversation_id == remote_members.c.conversation_id)
        .where(mine),
    )
    return list(connection.scalars(found.limit(limit)))


def watchers_elsewhere(
    connection: sa.Connection, account_id: int, realms: Collection[str]
) -> Elsewhere:
    """The people of `realms` who are told of an account. The home of a group may have none."""
    asked = {"account": account_id, "realms": list(realms), **_bounds()}
    return _by_realm(connection.execute(_OF_ACCOUNT, asked))


def watchers_of_guest(
    connection: sa.Connection,
    address: str,
    realm: str,
    named: Iterable[str] = (),
    unseen: Collection[str] = (),
) -> frozenset[int]:
    """The accounts that are told of a person of another realm, by the key of the address. `named` are the
    keys of those that the realm names, because they are in its groups with that person. Accounts with the
    keys in `unseen` are left out."""
    asked = {"address": address, "realm": realm, "named": list(named), **_bounds()}
    told = frozenset(row.account_id for row in connection.execute(_OF_GUEST, asked))
    if unseen and told:
        hidden = sa.select(accounts.c.id).where(accounts.c.key.in_(unseen))
        told = told.difference(connection.scalars(hidden))
    return told


def watchers_among(
    connection: sa.Connection, address: str, realm: str, keys: Collection[str]
) -> frozenset[int]:
    """As `watchers_of_guest`, those of the accounts with these keys."""
    ids = connection.scalars(sa.select(accounts.c.id).where(accounts.c.key.in_(keys)))
    return watchers_of_guest(connection, address, realm).intersection(ids)


def named_by_home(
    connection: sa.Connection, address: str, realm: str, named: Iterable[str]
) -> frozenset[int]:
    """As `watchers_of_guest`, but only the accounts that the realm names."""
    asked = {"address": address, "realm": realm, "named": list(named), **_bounds()}
    return frozenset(row.account_id for row in connection.execute(_NAMED_ONLY, asked))


def watchers_in_groups(
    connection: sa.Connection, address: str, realms: Collection[str]
) -> Elsewhere:
    """The people of `realms` who are in a group of this realm with a person of another one."""
    realm = address.partition("@")[2]
    asked = {"address": address, "realm": realm, "realms": list(realms), **_bounds()}
    return _by_realm(connection.execute(_IN_GROUPS, asked))


def watched_people(connection: sa.Connection, realm: str, limit: int) -> Sequence[str]:
    """The names of people of another realm, in lower case, whose states accounts here are told."""
    end = f"@{realm}"
    return [
        key.removesuffix(end) for key in connection.scalars(*_watched(realm, MAX_READERS, limit))
    ]


@prepared
def _watched(realm: Any, readers: Any, limit: Any) -> sa.CompoundSelect[Any]:
    having = sa.select(contacts.c.key).where(contacts.c.realm == realm)
    direct = sa.select(participants.c.peer_key).where(
        participants.c.realm == realm,
        participants.c.peer_key.is_not(None),
        # A question about a person who waits for an answer would tell that somebody here has seen them.
        ~waits(participants.c.account_id, participants.c.peer_key),
    )
    small = sa.select(rosters.c.conversation_id).where(rosters.c.members <= readers)
    members = sa.select(remote_members.c.key).where(
        remote_members.c.realm == realm, remote_members.c.conversation_id.in_(small)
    )
    return sa.union(having, direct, members).limit(limit)


def _by_realm(rows: Iterable[Any]) -> Elsewhere:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for realm, key in rows:
        names = found[realm]
        if key is not None:
            names.append(key.partition("@")[0])
    return dict(found)
