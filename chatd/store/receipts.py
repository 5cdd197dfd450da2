"""Receipts: who sees how far others have read, and who has read a message. Jobs and queries for the Database.

A read mark is shown to others only if they and the reader have receipts on, in directs and in groups of up to
MAX_READERS members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.errors import UnknownMessage
from chatd.base.model import MAX_READERS, Account
from chatd.base.names import key_of
from chatd.store.access import sees_message
from chatd.store.blocks import is_separated
from chatd.store.marks import READ
from chatd.store.members import realms_of
from chatd.store.prepared import prepared
from chatd.store.privacy import with_receipts
from chatd.store.requests import waits
from chatd.store.schema import (
    accounts,
    groups,
    messages,
    participants,
    privacy,
    remote_marks,
    rosters,
    skipped,
)
from chatd.store.versions import VersionWriter


def may_see(
    account_id: sa.ColumnElement[int],
    key: sa.ColumnElement[str] | str,
) -> sa.ColumnElement[bool]:
    """A condition: the account and the person with that key see each other's read marks, typing and presence.
    What separates two people, such as a block or a request that waits for an answer, belongs here."""
    return ~is_separated(account_id, key) & ~waits(account_id, key)


def has_receipts(connection: sa.Connection, account_id: int) -> bool:
    """Whether others see how far the account has read, and it sees that of others."""
    chosen = sa.select(privacy.c.receipts).where(privacy.c.account_id == account_id)
    return connection.scalar(chosen) is not False


def set_receipts(
    connection: sa.Connection, versions: VersionWriter, account: Account, on: bool
) -> None:
    """Switch receipts on or off. That changes the marks that are shown in all of the account's conversations,
    as `sync` tells."""
    if has_receipts(connection, account.id) is on:
        return
    values = {"receipts": on, "version": versions.raise_all(connection)}
    mine = sa.update(privacy).where(privacy.c.account_id == account.id)
    if not connection.execute(mine.values(values)).rowcount:
        connection.execute(sa.insert(privacy).values(account_id=account.id, **values))


def switches(connection: sa.Connection, account: Account, conversation: int) -> dict[str, int]:
    """When people have switched their receipts, as versions by their keys: those whose marks the account
    sees in a conversation."""
    query = sa.select(accounts.c.key, privacy.c.version).join(
        privacy, privacy.c.account_id == accounts.c.id
    )
    if _shows_marks(connection, conversation):
        query = query.join(participants, participants.c.account_id == accounts.c.id).where(
            participants.c.conversation_id == conversation
        )
    else:
        query = query.where(accounts.c.id == account.id)
    return {row.key: row.version for row in connection.execute(query)}


def _shows_marks(connection: sa.Connection, conversation: int) -> bool:
    """Whether others' marks are shown: not in larger groups."""
    return (connection.scalar(_SIZE, {"group": conversation}) or 0) <= MAX_READERS


class Audience(msgspec.Struct, frozen=True):
    """Who is told what somebody does in a conversation: `accounts` of this realm, and `realms` by their keys.

    A direct conversation with another realm has the other's address, `peer`. A group has the key of its
    `home`, if that is another realm, and its id there.
    """

    conversation: int
    accounts: tuple[int, ...] = ()
    realms: tuple[str, ...] = ()
    peer: str | None = None
    home: str | None = None
    group_id: int = 0


def audiences(
    connection: sa.Connection, account_id: int, key: str, places: Sequence[int], receipts: bool
) -> list[Audience]:
    """The audiences of the account with that id and key in these conversations, without the account itself.
    With `receipts`, only people who see its read marks. Larger groups are left out."""
    if receipts and not has_receipts(connection, account_id):
        return []
    found = []
    for row in connection.execute(_PLACES, {"account": account_id, "places": places}).all():
        here = row.conversation_id
        if row.group is not None:
            audience = group_audience(connection, here, key, receipts, account_id)
            if audience is not None:
                found.append(audience)
        elif row.realm is not None:
            found.append(Audience(here, realms=(row.realm,), peer=row.peer))
        elif row.peer_id not in (None, account_id) and (row.receipts or not receipts):
            found.append(Audience(here, (row.peer_id,)))
    return found


def _select_places() -> sa.Select[Any]:
    """Select those of some conversations that an account is in, with the other side of each direct one."""
    return (
        sa.select(
            participants.c.conversation_id,
            participants.c.peer,
            participants.c.realm,
            accounts.c.id.label("peer_id"),
            with_receipts(accounts.c.id).label("receipts"),
            groups.c.conversation_id.label("group"),
        )
        .select_from(participants)
        .outerjoin(
            accounts,
            (accounts.c.key == participants.c.peer_key) & participants.c.realm.is_(None),
        )
        .outerjoin(groups, groups.c.conversation_id == participants.c.conversation_id)
        .where(
            participants.c.account_id == _ACCOUNT,
            participants.c.conversation_id.in_(sa.bindparam("places", expanding=True)),
            participants.c.peer_key.is_(None)
            | may_see(participants.c.account_id, participants.c.peer_key),
        )
    )


def _select_members(receipts: bool) -> sa.Select[Any]:
    """Select the accounts in a group that are told what a person does."""
    members = sa.select(participants.c.account_id).where(
        participants.c.conversation_id == _GROUP, may_see(participants.c.account_id, _KEY)
    )
    return members.where(with_receipts(participants.c.account_id)) if receipts else members


# These statements are built once, because building them takes longer than running them.
_ACCOUNT: sa.BindParameter[int] = sa.bindparam("account", type_=sa.BigInteger)
_GROUP: sa.BindParameter[int] = sa.bindparam("group", type_=sa.BigInteger)
_KEY: sa.BindParameter[str] = sa.bindparam("key", type_=sa.Text)
_PLACES = _select_places()
_MEMBERS = {receipts: _select_members(receipts) for receipts in (False, True)}
_SIZE = sa.select(rosters.c.members).where(rosters.c.conversation_id == _GROUP)
_HOME = sa.select(groups.c.realm, groups.c.home_id).where(groups.c.conversation_id == _GROUP)


def audiences_of_guest(
    connection: sa.Connection, key: str, places: Sequence[int], receipts: bool
) -> list[Audience]:
    """As `audiences`, for what the person with that key does, who is of another realm."""
    found = []
    for place in places:
        audience = group_audience(connection, place, key, receipts)
        if audience is None:
            audience = _direct_audience(connection, place, receipts)
        if audience is not None:
            found.append(audience)
    return found


def _direct_audience(
    connection: sa.Connection, conversation: int, receipts: bool
) -> Audience | None:
    """The account of a direct conversation with another realm."""
    query = sa.select(participants.c.account_id).where(
        participants.c.conversation_id == conversation,
        participants.c.peer_key.is_not(None),
        may_see(participants.c.account_id, participants.c.peer_key),
    )
    if receipts:
        query = query.where(with_receipts(participants.c.account_id))
    account = connection.scalar(query)
    return None if account is None else Audience(conversation, (account,))


def group_audience(
    connection: sa.Connection, group: int, key: str, receipts: bool, account_id: int | None = None
) -> Audience | None:
    """As `audiences`, for what the person with that key does in one group. `account_id` is their account, or
    None for a person of another realm: of them the group's home tells all realms but theirs, and no other
    realm tells any. Returns None for a larger group."""
    here = {"group": group}
    size = connection.scalar(_SIZE, here)
    if size is None or size > MAX_READERS:
        return None
    realm, home_id = connection.execute(_HOME, here).one()
    members = connection.scalars(_MEMBERS[receipts], {"group": group, "key": key})
    told = tuple(each for each in members if each != account_id)
    if realm is not None:
        homes = () if account_id is None else (realm,)
        return Audience(group, told, homes, home=realm, group_id=home_id)
    own = key.partition("@")[2]
    realms = tuple(each for each in realms_of(connection, group) if each != own)
    return Audience(group, told, realms, group_id=group)


def readers(
    connection: sa.Connection, account: Account, conversation: int, seq: int
) -> list[str] | None:
    """The addresses of the people who have read a message, without its author, as far as the account sees
    their marks. Returns None if that is not shown: in a larger group, or if the account has receipts off.

    Raises UnknownMessage.
    """
    author = connection.execute(
        sa.select(messages.c.sender_id, messages.c.sender)
        .join(participants, sees_message(account.id))
        .where(messages.c.conversation_id == conversation, messages.c.seq == seq)
    ).first()
    if author is None:
        raise UnknownMessage(seq=seq)
    if not _shows_marks(connection, conversation) or not has_receipts(connection, account.id):
        return None
    here = _readers_here(connection, account, conversation, seq, author.sender_id)
    return [*here, *_readers_elsewhere(connection, account, conversation, seq, author.sender)]


def _readers_here(
    connection: sa.Connection, account: Account, conversation: int, seq: int, author: int | None
) -> Sequence[str]:
    left = sa.exists().where(
        skipped.c.account_id == participants.c.account_id,
        skipped.c.conversation_id == conversation,
        skipped.c.seq == seq,
    )
    return connection.scalars(
        sa.select(accounts.c.name)
        .join(participants, participants.c.account_id == accounts.c.id)
        .where(
            participants.c.conversation_id == conversation,
            participants.c.read_seq >= seq,
            with_receipts(accounts.c.id),
            may_see(accounts.c.id, account.key),
            accounts.c.id.is_distinct_from(author),
            ~left,
        )
        .order_by(accounts.c.key)
    ).all()


def _readers_elsewhere(
    connection: sa.Connection, account: Account, conversation: int, seq: int, author: str
) -> Sequence[str]:
    return connection.scalars(
        sa.select(remote_marks.c.address)
        .where(
            remote_marks.c.conversation_id == conversation,
            remote_marks.c.seq >= seq,
            remote_marks.c.key != key_of(author),
            may_see(sa.literal(account.id), remote_marks.c.key),
        )
        .order_by(remote_marks.c.key)
    ).all()


def visible_marks(
    connection: sa.Connection, account: Account, conversation: int
) -> list[tuple[str, str, int]]:
    """How far people have read: the key and the address of each, and a seq, 0 if the account does not see it.
    In a larger group only its own."""
    others = _shows_marks(connection, conversation)
    seen = has_receipts(connection, account.id)
    # The condition is an argument, because tests replace it.
    viewer = account.id, account.key
    here = connection.execute(*_marks_here(*viewer, conversation, others=others, visible=may_see))
    found = [
        (key, name, seq if key == account.key or (seen and seen_by_others) else 0)
        for key, name, seq, seen_by_others in here
    ]
    if not others:
        return found
    elsewhere = connection.execute(*_marks_elsewhere(account.id, conversation, visible=may_see))
    return found + [(key, address, seq if seen else 0) for key, address, seq in elsewhere]


Visible = Callable[..., sa.ColumnElement[bool]]


@prepared
def _marks_here(
    account_id: Any, key: Any, conversation: Any, *, others: bool, visible: Visible
) -> sa.Select[Any]:
    shown = with_receipts(accounts.c.id) & visible(accounts.c.id, sa.type_coerce(key, sa.Text))
    here = (
        sa.select(accounts.c.key, accounts.c.name, READ, shown)
        .join(participants, participants.c.account_id == accounts.c.id)
        .where(participants.c.conversation_id == conversation)
        .order_by(accounts.c.key)
    )
    return here if others else here.where(accounts.c.id == account_id)


@prepared
def _marks_elsewhere(account_id: Any, conversation: Any, *, visible: Visible) -> sa.Select[Any]:
    seen = visible(sa.type_coerce(account_id, sa.BigInteger), remote_marks.c.key)
    return (
        sa.select(remote_marks.c.key, remote_marks.c.address, remote_marks.c.seq)
        .where(remote_marks.c.conversation_id == conversation, seen)
        .order_by(remote_marks.c.key)
    )
