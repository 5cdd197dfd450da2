"""Other realms: their addresses, certificates and use. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum

import msgspec
import sqlalchemy as sa

from chatd.base.realms import Exposure
from chatd.store import acceptances, peer_marks, reached, received, reputation, returned_kicks
from chatd.store.requests import waits
from chatd.store.schema import (
    accounts,
    contacts,
    groups,
    messages,
    outbox,
    participants,
    peers,
    remote_members,
)

MAX_EXPOSED = 500  # conversations


class Use(Enum):
    """How a realm is used here: not at all, only by its own actions, or by people here."""

    NONE = 0
    BY_THEM = 1
    BY_US = 2


class KnownPeer(msgspec.Struct, frozen=True):
    """A realm: its key and name, its address (if this realm connects to it), and its certificate in PEM.

    `confirmed`: an operator has added it, and so vouches for its address and its certificate. `linked_at`:
    the time of its last link, to the hour (ms since 1970 UTC). `rests`: each side can dial the other, so
    there is no link while nothing is to be said.
    """

    key: str
    name: str
    host: str | None = None
    port: int | None = None
    certificate: str | None = None
    confirmed: bool = False
    linked_at: int | None = None
    rests: bool = False


_ALL = sa.select(*(peers.c[name] for name in KnownPeer.__struct_fields__)).order_by(peers.c.key)


_REPLACE = sa.update(peers).where(peers.c.key == sa.bindparam("old_key"))
_ADD = sa.insert(peers)


def all_peers(connection: sa.Connection) -> list[KnownPeer]:
    return [KnownPeer(*row) for row in connection.execute(_ALL)]


def get(connection: sa.Connection, key: str) -> KnownPeer | None:
    row = connection.execute(_ALL.where(peers.c.key == key)).first()
    return None if row is None else KnownPeer(*row)


def remember(connection: sa.Connection, peer: KnownPeer, now: int) -> None:
    """Store a realm, in place of an older record. `now` is in ms since 1970 UTC."""
    values = msgspec.structs.asdict(peer)
    changed = connection.execute(_REPLACE, {**values, "old_key": peer.key})
    if changed.rowcount == 0:
        connection.execute(_ADD, {**values, "created_at": now})


def forget(connection: sa.Connection, keys: Collection[str]) -> None:
    connection.execute(sa.delete(peers).where(peers.c.key.in_(keys)))
    received.forget(connection, keys)
    peer_marks.forget(connection, keys)
    returned_kicks.forget(connection, keys)
    acceptances.forget(connection, keys)
    reputation.forget(connection, keys)
    reached.forget(connection, keys)


def uses(connection: sa.Connection, realms: Collection[str]) -> dict[str, Use]:
    """Return how each of these realms is used.

    People here use a realm if they have written to it or to its groups, have a contact there, or have a
    message that waits for it. The realm itself can cause conversations, memberships and waiting parcels.
    """
    written = sa.exists().where(
        messages.c.conversation_id == participants.c.conversation_id,
        messages.c.sender_id.is_not(None),
    )
    by_us = [
        sa.select(outbox.c.realm)
        .where(outbox.c.realm.in_(realms), outbox.c.sender_id.is_not(None))
        .distinct(),
        sa.select(participants.c.realm).where(participants.c.realm.in_(realms), written).distinct(),
        sa.select(contacts.c.realm).where(contacts.c.realm.in_(realms)).distinct(),
    ]
    by_them = [
        sa.select(participants.c.realm).where(participants.c.realm.in_(realms)).distinct(),
        sa.select(remote_members.c.realm).where(remote_members.c.realm.in_(realms)).distinct(),
    ]
    found = dict.fromkeys(realms, Use.NONE)
    for statements, use in ((by_them, Use.BY_THEM), (by_us, Use.BY_US)):
        for statement in statements:
            found.update(dict.fromkeys(connection.scalars(statement), use))
    return found


def acquainted(connection: sa.Connection, realm: str, keys: Iterable[str]) -> set[str]:
    """Return those of `keys` whose accounts share a conversation, a contact or a group with the realm."""
    mine = participants.c.account_id == accounts.c.id
    talks = sa.exists().where(
        mine, participants.c.realm == realm, ~waits(accounts.c.id, participants.c.peer_key)
    )
    knows = sa.exists().where(contacts.c.account_id == accounts.c.id, contacts.c.realm == realm)
    shares = sa.exists().where(
        mine,
        remote_members.c.conversation_id == participants.c.conversation_id,
        remote_members.c.realm == realm,
    )
    found = sa.select(accounts.c.key).where(accounts.c.key.in_(keys), sa.or_(talks, knows, shares))
    return set(connection.scalars(found))


def concerned(connection: sa.Connection, realm: str) -> list[int]:
    """The accounts that have a contact in the realm, or share a conversation with it."""
    found = sa.union(
        sa.select(participants.c.account_id).where(
            participants.c.realm == realm, participants.c.account_id.is_not(None)
        ),
        sa.select(contacts.c.account_id).where(contacts.c.realm == realm),
        sa.select(participants.c.account_id)
        .join(remote_members, remote_members.c.conversation_id == participants.c.conversation_id)
        .where(remote_members.c.realm == realm, participants.c.account_id.is_not(None)),
    )
    return list(connection.scalars(found))


def is_in_group(connection: sa.Connection, realm: str, key: str) -> bool:
    """Whether the group with this key or code has members of the realm."""
    found = connection.scalar(
        sa.select(remote_members.c.conversation_id)
        .join(groups, groups.c.conversation_id == remote_members.c.conversation_id)
        .where(sa.or_(groups.c.key == key, groups.c.code == key), remote_members.c.realm == realm)
        .limit(1)
    )
    return found is not None


def exposed(connection: sa.Connection, realm: str) -> list[Exposure]:
    """The messages exchanged with a realm since it became known, by conversation, for the first MAX_EXPOSED
    conversations. Messages that still wait to be sent do not count."""
    since = sa.select(peers.c.created_at).where(peers.c.key == realm).scalar_subquery()
    theirs = sa.and_(messages.c.origin_realm == realm, messages.c.sender_id.is_(None))
    found: list[Exposure] = []
    for statement, conversation in (
        (_exposed_directs(realm, theirs), participants.c.conversation_id),
        (_exposed_mirrors(realm, theirs), groups.c.conversation_id),
        (_exposed_groups(realm, theirs), groups.c.conversation_id),
    ):
        rows = connection.execute(
            statement.join(messages, messages.c.conversation_id == conversation)
            .where(messages.c.at >= since)
            .limit(MAX_EXPOSED)
        )
        found += [
            Exposure(name, sent, received) for name, sent, received in rows if sent or received
        ]
    return found[:MAX_EXPOSED]


def _exposed_directs(realm: str, theirs: sa.ColumnElement[bool]) -> sa.Select[str, int, int]:
    """Count by direct conversation."""
    waits = sa.exists().where(outbox.c.realm == realm, outbox.c.id == messages.c.number)
    ours = sa.and_(messages.c.sender_id.is_not(None), ~waits)
    return (
        sa.select(accounts.c.name + " and " + participants.c.peer, _sum(ours), _sum(theirs))
        .select_from(participants)
        .join(accounts, accounts.c.id == participants.c.account_id)
        .where(participants.c.realm == realm, participants.c.peer.is_not(None))
        .group_by(participants.c.conversation_id, accounts.c.name, participants.c.peer)
        .order_by(accounts.c.name, participants.c.peer)
    )


def _exposed_mirrors(realm: str, theirs: sa.ColumnElement[bool]) -> sa.Select[str, int, int]:
    """Count by group that lives in the realm."""
    return (
        sa.select(groups.c.name, _sum(messages.c.sender_id.is_not(None)), _sum(theirs))
        .select_from(groups)
        .where(groups.c.realm == realm)
        .group_by(groups.c.conversation_id, groups.c.name)
        .order_by(groups.c.name)
    )


def _exposed_groups(realm: str, theirs: sa.ColumnElement[bool]) -> sa.Select[str, int, int]:
    """Count by group that lives here and has members there, since the first of them joined."""
    joined = (
        sa.select(
            remote_members.c.conversation_id.label("id"),
            sa.func.min(remote_members.c.joined_at).label("at"),
        )
        .where(remote_members.c.realm == realm)
        .group_by(remote_members.c.conversation_id)
        .subquery()
    )
    return (
        sa.select(
            groups.c.name, _sum(messages.c.origin_realm.is_distinct_from(realm)), _sum(theirs)
        )
        .select_from(groups)
        .join(joined, joined.c.id == groups.c.conversation_id)
        .where(messages.c.at >= joined.c.at)
        .group_by(groups.c.conversation_id, groups.c.name)
        .order_by(groups.c.name)
    )


def _sum(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((condition, 1), else_=0))
