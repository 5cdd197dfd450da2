"""What another realm may have lost that this one holds, and in which conversations. Queries for the Database.

chatd.store.held has the entries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache, wraps
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.store.prepared import prepared
from chatd.store.schema import (
    account_moves,
    accounts,
    admissions,
    changes,
    earlier_addresses,
    groups,
    messages,
    participants,
    remote_members,
)
from chatd.store.starts import Gap
from chatd.store.terms import end_of_term

MAX_CONVERSATIONS = 100_000  # of one realm
_SAYS_JOINED = changes.c.data.like('%"what":"joined"%')


class Lost(msgspec.Struct, frozen=True):
    """What the realm with that key lacks: of our parcels with numbers after `after` and up to `upto` those
    that do not wait in the outbox, and what we have of its own numbers in `gaps`."""

    realm: str
    after: int
    upto: int
    gaps: Sequence[Gap] = ()

    @property
    def has_ours(self) -> bool:
        """Whether it may lack parcels of ours."""
        return self.after < self.upto

    def ours(self, number: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """The condition for the numbers of the parcels of ours that it may lack."""
        return number.between(self.after + 1, self.upto)

    def theirs(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """The condition for messages or changes of that realm in `gaps`, of which there is at least one."""
        gaps = (table.c.origin_id.between(*gap) for gap in self.gaps)
        return sa.and_(table.c.origin_realm == self.realm, sa.or_(*gaps))


def with_lost(make: Callable[[Lost], sa.Select[Any]]) -> Callable[[Lost], Any]:
    """As `prepared` (chatd.store.prepared), for a statement about what is lost: `make` is called once for
    each number of gaps, with a Lost that has bound parameters in place of its values. Both realms look for
    losses at their first link after each start, so that is often."""

    @cache
    def made(gaps: int) -> sa.Select[Any]:
        names = [f"gap_{each}" for each in range(2 * gaps)]
        ends: list[Any] = [sa.bindparam(name) for name in names]
        bound: Any = {name: sa.bindparam(f"lost_{name}") for name in ("realm", "after", "upto")}
        return make(Lost(**bound, gaps=list(zip(ends[::2], ends[1::2], strict=True))))

    @wraps(make)
    def with_values(lost: Lost) -> Any:
        ends = [end for gap in lost.gaps for end in gap]
        values = {f"gap_{at}": end for at, end in enumerate(ends)}
        given = {"lost_realm": lost.realm, "lost_after": lost.after, "lost_upto": lost.upto}
        return made(len(lost.gaps)), {**values, **given}

    return with_values


class SharedDirect(msgspec.Struct, frozen=True):
    """A conversation of the account `name` with `peer`, of another realm; both by their names there. The peer
    had that address for the entries after the seq `after` and up to `upto`; None: they have it still."""

    conversation: int
    name: str
    peer: str
    after: int = 0
    upto: int | None = None


class SharedGroup(msgspec.Struct, frozen=True):
    """A group, by the name and the id that its home gives it. Entries up to `after` are not lost. The members
    of the other realm see the entries from `first` on, if this realm is the home."""

    conversation: int
    name: str
    ident: int
    after: int = 0
    first: int = 0


def lacked_in_directs(table: sa.Table, lost: Lost) -> Iterator[sa.ColumnElement[bool]]:
    """The conditions for what the realm lacks: what is ours, and what is its own."""
    yield sa.and_(lost.ours(table.c.number), table.c.origin_id.is_(None))
    if lost.gaps:
        yield lost.theirs(table)


def directs(connection: sa.Connection, lost: Lost) -> list[SharedDirect]:
    """The directs with people of the realm that have something which the realm lacks."""
    rows = connection.execute(*_directs(lost))
    present = [
        SharedDirect(place, name, peer.partition("@")[0], _since(connection, place))
        for place, name, peer in rows
    ]
    return _earlier(connection, lost.realm) + present


@with_lost
def _directs(lost: Lost) -> sa.Select[Any]:
    found = sa.union(
        *(
            sa.select(table.c.conversation_id).where(condition)
            for table in (messages, changes)
            for condition in lacked_in_directs(table, lost)
        )
    ).subquery()
    return (
        sa.select(participants.c.conversation_id, accounts.c.name, participants.c.peer)
        .join(accounts, accounts.c.id == participants.c.account_id)
        .where(
            participants.c.conversation_id.in_(sa.select(found.c.conversation_id)),
            participants.c.realm == lost.realm,
            participants.c.peer.is_not(None),
        )
        .order_by(participants.c.conversation_id)
        .limit(MAX_CONVERSATIONS)
    )


def _since(connection: sa.Connection, conversation: int) -> int:
    """The last seq that a conversation had before its peer got the present address."""
    upto = sa.select(sa.func.max(earlier_addresses.c.upto))
    here = upto.where(earlier_addresses.c.conversation_id == conversation)
    return connection.scalar(here) or 0


def _earlier(connection: sa.Connection, realm: str) -> list[SharedDirect]:
    """The conversations with people who had an address of the realm earlier, as far as they had it."""
    before = earlier_addresses.alias()
    after = (
        sa.select(sa.func.coalesce(sa.func.max(before.c.upto), 0))
        .where(
            before.c.conversation_id == earlier_addresses.c.conversation_id,
            before.c.upto < earlier_addresses.c.upto,
        )
        .scalar_subquery()
    )
    rows = connection.execute(
        sa.select(
            earlier_addresses.c.conversation_id,
            accounts.c.name,
            earlier_addresses.c.address,
            after,
            earlier_addresses.c.upto,
        )
        .join(
            participants,
            participants.c.conversation_id == earlier_addresses.c.conversation_id,
        )
        .join(accounts, accounts.c.id == participants.c.account_id)
        .where(
            earlier_addresses.c.realm == realm,
            sa.or_(
                participants.c.realm.is_not(None),
                accounts.c.key.not_in(
                    sa.select(account_moves.c.new_key).where(
                        account_moves.c.key == earlier_addresses.c.key
                    )
                ),
            ),
        )
        .order_by(earlier_addresses.c.conversation_id, earlier_addresses.c.upto)
        .limit(MAX_CONVERSATIONS)
    )
    return [
        SharedDirect(place, name, address.partition("@")[0], first, last)
        for place, name, address, first, last in rows
    ]


def homes(connection: sa.Connection, lost: Lost) -> list[SharedGroup]:
    """The groups of this realm with members of that one, which may lack entries that carried parcels. It gets
    what comes after the first of these has joined, beginning with the first entry that it may lack."""
    rows = connection.execute(*_homes(lost)).all()
    return [
        SharedGroup(place, name, place, max(_joined(connection, place, lost.realm), seq - 1), seen)
        for place, name, seq, seen in rows
    ]


@with_lost
def _homes(lost: Lost) -> sa.Select[Any]:
    first = sa.union_all(
        *(
            sa.select(table.c.conversation_id, sa.func.min(table.c.seq).label("seq"))
            .where(lost.ours(table.c.number))
            .group_by(table.c.conversation_id)
            for table in (messages, changes)
        )
    ).subquery()
    return (
        sa.select(
            remote_members.c.conversation_id,
            groups.c.name,
            sa.func.min(first.c.seq),
            sa.func.min(remote_members.c.first_seq),
        )
        .join(first, first.c.conversation_id == remote_members.c.conversation_id)
        .join(groups, groups.c.conversation_id == remote_members.c.conversation_id)
        .where(remote_members.c.realm == lost.realm, groups.c.realm.is_(None))
        .group_by(remote_members.c.conversation_id, groups.c.name)
        .order_by(remote_members.c.conversation_id)
        .limit(MAX_CONVERSATIONS)
    )


class LostJoin(msgspec.Struct, frozen=True):
    """A member of a group of this realm, by address, who sees the entries from `first` on. Their realm may
    have lost the entry `seq`, in which it says that they join. They are a member since the time `at`."""

    group: int
    address: str
    seq: int
    first: int
    at: int


def lost_joins(connection: sa.Connection, lost: Lost) -> list[LostJoin]:
    """The members whose realm may have lost that they have joined, in the order of the entries."""
    return [LostJoin(*row) for row in connection.execute(*_lost_joins(lost))] if lost.gaps else []


@with_lost
def _lost_joins(lost: Lost) -> sa.Select[Any]:
    return (
        sa.select(
            changes.c.conversation_id,
            changes.c.author,
            changes.c.seq,
            remote_members.c.first_seq,
            remote_members.c.joined_at,
        )
        .join(groups, groups.c.conversation_id == changes.c.conversation_id)
        .join(
            remote_members,
            (remote_members.c.conversation_id == changes.c.conversation_id)
            & (remote_members.c.address == changes.c.author),
        )
        .where(
            lost.theirs(changes),
            changes.c.kind == "member",
            _SAYS_JOINED,
            groups.c.realm.is_(None),
        )
        .order_by(changes.c.conversation_id, changes.c.seq)
        .limit(MAX_CONVERSATIONS)
    )


def _joined(connection: sa.Connection, conversation: int, realm: str) -> int:
    """The seq of the entry that reports the first of a realm's present members of a group."""
    address, at = connection.execute(
        sa.select(remote_members.c.address, remote_members.c.joined_at)
        .where(remote_members.c.conversation_id == conversation, remote_members.c.realm == realm)
        .order_by(remote_members.c.joined_at)
        .limit(1)
    ).one()
    reports = sa.select(sa.func.max(changes.c.seq)).where(
        changes.c.conversation_id == conversation, changes.c.kind == "member"
    )
    seq = connection.scalar(reports.where(changes.c.author == address, _SAYS_JOINED))
    if seq is None:  # joined before there were such entries
        seq = connection.scalar(reports.where(changes.c.at <= at))
    return seq or 0


def mirrors(connection: sa.Connection, realm: str, after: int, limit: int) -> list[SharedGroup]:
    """The groups of that realm with members here, after a conversation, in order."""
    rows = connection.execute(*_mirrors(realm, after, limit))
    return [SharedGroup(place, name.partition("@")[0], ident) for place, name, ident in rows]


@prepared
def _mirrors(realm: Any, after: Any, limit: Any) -> sa.Select[Any]:
    return (
        sa.select(groups.c.conversation_id, groups.c.name, groups.c.home_id)
        .where(groups.c.realm == realm, groups.c.key.is_not(None), groups.c.conversation_id > after)
        .order_by(groups.c.conversation_id)
        .limit(limit)
    )


class MemberHere(NamedTuple):
    """A member of a group elsewhere, by name, with the number and the seal of the parcel that has reported
    it, if they are known."""

    user: str
    number: int | None
    at: int | None
    seal: bytes | None


def members_here(connection: sa.Connection, conversation: int, limit: int) -> list[MemberHere]:
    """The accounts that are in a group."""
    rows = connection.execute(
        sa.select(accounts.c.name, admissions.c.number, admissions.c.at, admissions.c.seal)
        .join_from(participants, accounts, participants.c.account_id == accounts.c.id)
        .outerjoin(
            admissions,
            (admissions.c.account_id == participants.c.account_id)
            & (admissions.c.conversation_id == participants.c.conversation_id),
        )
        .where(participants.c.conversation_id == conversation)
        .order_by(participants.c.joined_at)
        .limit(limit)
    )
    return [MemberHere(*row) for row in rows]


def tails(
    connection: sa.Connection, realm: str, idents: Collection[int], term: int
) -> dict[int, int]:
    """For those of the groups with these ids that have members of the realm: the last seq that their logs got
    in a term or before it."""
    found = connection.scalars(
        sa.select(remote_members.c.conversation_id)
        .where(remote_members.c.conversation_id.in_(list(idents)), remote_members.c.realm == realm)
        .distinct()
    )
    return {ident: _tail(connection, ident, term) for ident in found}


def _tail(connection: sa.Connection, conversation: int, term: int) -> int:
    newest = 0
    for table in (messages, changes):
        seq = sa.select(sa.func.max(table.c.seq)).where(table.c.conversation_id == conversation)
        newest = max(newest, connection.scalar(seq) or 0)
    return min(end_of_term(connection, conversation, term, newest), newest)
