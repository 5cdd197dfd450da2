"""Who is in a group that is rescued: by the roster of its lost home, and by the entries that came after it.
Queries for the Database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.base.model import PAST_JOINED, Group
from chatd.base.names import key_of
from chatd.store.handovers import (
    HandedAddress,
    HandedMember,
    add_guests,
    members_here,
    with_realm,
)
from chatd.store.schema import accounts, changes, participants, remote_members, rosters


class RescuedMembers(msgspec.Struct, frozen=True):
    """The members and the banned people of a group, by their addresses with realms."""

    members: Sequence[HandedMember]
    bans: Sequence[HandedAddress]


def members_since(
    connection: sa.Connection, group: Group, listed: RescuedMembers, seq: int, own: str
) -> RescuedMembers:
    """The members of the copy of a group, by a roster that was made when `seq` was the last entry, and what
    this realm, with the name `own`, knows of later: the entries that came after it, and who is a member
    here."""
    members = {key_of(each.address): each for each in listed.members}
    bans = {key_of(each.address): each for each in listed.bans}
    for fact in _facts(connection, group.id, seq):
        address = with_realm(fact.who, own)
        key = key_of(address)
        match fact.what:
            case "joined":
                first = fact.seq if group.past == PAST_JOINED else 0
                members.setdefault(key, HandedMember(address, False, fact.at, first))
                bans.pop(key, None)
            case "left":
                members.pop(key, None)
            case "kicked":
                members.pop(key, None)
                bans[key] = HandedAddress(address, fact.at)
            case "promoted" | "demoted" if key in members:
                admin = fact.what == "promoted"
                members[key] = msgspec.structs.replace(members[key], admin=admin)
            case "moved":
                left = members.pop(key_of(with_realm(fact.author, own)), None)
                if left is not None:
                    members[key] = _merged(left, members.get(key, left), address)
    for each in members_here(connection, group.id, own):
        if key_of(each.address) not in bans:
            members.setdefault(key_of(each.address), each)
    return RescuedMembers(list(members.values()), list(bans.values()))


def _merged(left: HandedMember, known: HandedMember, address: str) -> HandedMember:
    """A member who has moved to an address, which may have been a member before: as
    `chatd.store.member_moves`."""
    return HandedMember(
        address,
        left.admin or known.admin,
        min(left.joined_at, known.joined_at),
        min(left.first, known.first),
    )


class _Fact(NamedTuple):
    """An entry about a member, with addresses as they are written here."""

    seq: int
    at: int
    author: str
    who: str
    what: str


def _facts(connection: sa.Connection, conversation: int, seq: int) -> list[_Fact]:
    """What the log says of members after an entry, in order."""
    query = (
        sa.select(changes.c.seq, changes.c.at, changes.c.author, changes.c.data)
        .where(
            changes.c.conversation_id == conversation,
            changes.c.kind == "member",
            changes.c.seq > seq,
        )
        .order_by(changes.c.seq)
    )
    return [
        _Fact(row.seq, row.at, row.author, data["who"], data["what"])
        for row in connection.execute(query)
        for data in (msgspec.json.decode(row.data),)
    ]


def take_guests(
    connection: sa.Connection, conversation: int, guests: Sequence[HandedMember]
) -> None:
    """Make people of other realms members of a group of this one, unless they are."""
    here = remote_members.c.conversation_id == conversation
    known = set(connection.scalars(sa.select(remote_members.c.key).where(here)))
    news = [each for each in guests if key_of(each.address) not in known]
    count = add_guests(connection, conversation, news)
    connection.execute(
        sa.update(rosters)
        .where(rosters.c.conversation_id == conversation)
        .values(members=rosters.c.members + count)
    )


def names_here(connection: sa.Connection, conversation: int) -> list[str]:
    """The names of the members of this realm."""
    return [row.name for row in connection.execute(_accounts_in(conversation))]


def _accounts_in(conversation: int) -> sa.Select[Any]:
    return (
        sa.select(accounts.c.id, accounts.c.key, accounts.c.name)
        .join_from(participants, accounts, accounts.c.id == participants.c.account_id)
        .where(participants.c.conversation_id == conversation)
    )


def lost_rights(connection: sa.Connection, conversation: int, address: str, seq: int) -> bool:
    """Whether the log says after an entry that the person with that address, as it is written here, was
    kicked, has left or moved, or is no admin any more. Somebody who comes back has the rights of a founder
    only as an admin."""
    key, lost = key_of(address), False
    for fact in _facts(connection, conversation, seq):
        if fact.what == "moved":
            lost = lost or key_of(fact.author) == key
        elif key_of(fact.who) == key and fact.what in ("kicked", "left", "demoted", "promoted"):
            lost = fact.what != "promoted"
    return lost


def leave_here(
    connection: sa.Connection, conversation: int, names: Collection[str]
) -> list[tuple[int, str]]:
    """Remove people of this realm from the copy of a group. Returns their ids and names."""
    keys = {key_of(each) for each in names}
    rows = connection.execute(_accounts_in(conversation)).all()
    gone = [(row.id, row.name) for row in rows if row.key in keys]
    for ident, _ in gone:
        connection.execute(
            sa.delete(participants).where(
                participants.c.conversation_id == conversation, participants.c.account_id == ident
            )
        )
    connection.execute(
        sa.update(rosters)
        .where(rosters.c.conversation_id == conversation)
        .values(members=rosters.c.members - len(gone))
    )
    return gone
