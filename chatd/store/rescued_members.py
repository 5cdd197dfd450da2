"""Who is in a group that is rescued: by the roster of its lost home, and by the entries that came after it.
Queries for the Database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.model import PAST_JOINED, Group
from chatd.base.names import key_of
from chatd.store.handovers import HandedAddress, HandedMember
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
    for row in _facts(connection, group.id, seq):
        data = msgspec.json.decode(row.data or "{}")
        who = str(data.get("who", ""))
        address = who if "@" in who else f"{who}@{own}"
        key, what = key_of(address), data.get("what")
        if what == "joined":
            first = row.seq if group.past == PAST_JOINED else 0
            members.setdefault(key, HandedMember(address, False, row.at, first))
            bans.pop(key, None)
        elif what in ("left", "kicked"):
            members.pop(key, None)
            if what == "kicked":
                bans[key] = HandedAddress(address, row.at)
        elif what in ("promoted", "demoted") and key in members:
            admin = what == "promoted"
            members[key] = msgspec.structs.replace(members[key], admin=admin)
    for each in _here(connection, group.id, own):
        if key_of(each.address) not in bans:
            members.setdefault(key_of(each.address), each)
    return RescuedMembers(list(members.values()), list(bans.values()))


def _facts(connection: sa.Connection, conversation: int, seq: int) -> Sequence[sa.Row[Any]]:
    """What the log says of members after an entry, in order."""
    query: sa.Select[Any] = (
        sa.select(changes.c.seq, changes.c.at, changes.c.data)
        .where(
            changes.c.conversation_id == conversation,
            changes.c.kind == "member",
            changes.c.seq > seq,
        )
        .order_by(changes.c.seq)
    )
    return connection.execute(query).all()


def _here(connection: sa.Connection, conversation: int, own: str) -> list[HandedMember]:
    rows = connection.execute(
        sa.select(
            accounts.c.name,
            participants.c.admin,
            participants.c.joined_at,
            participants.c.first_seq,
        )
        .join_from(participants, accounts, accounts.c.id == participants.c.account_id)
        .where(participants.c.conversation_id == conversation)
    )
    return [HandedMember(f"{row[0]}@{own}", *row[1:]) for row in rows]


def take_guests(
    connection: sa.Connection, conversation: int, guests: Sequence[HandedMember]
) -> None:
    """Make people of other realms members of a group of this one, unless they are."""
    here = remote_members.c.conversation_id == conversation
    known = set(connection.scalars(sa.select(remote_members.c.key).where(here)))
    rows = [
        {
            "conversation_id": conversation,
            "key": key_of(each.address),
            "address": each.address,
            "realm": key_of(each.address.rpartition("@")[2]),
            "admin": each.admin,
            "joined_at": each.joined_at,
            "first_seq": each.first,
        }
        for each in guests
        if key_of(each.address) not in known
    ]
    if rows:
        connection.execute(sa.insert(remote_members), rows)
        connection.execute(
            sa.update(rosters)
            .where(rosters.c.conversation_id == conversation)
            .values(members=rosters.c.members + len(rows))
        )


def names_here(connection: sa.Connection, conversation: int) -> list[str]:
    """The names of the members of this realm."""
    return [each.address.rpartition("@")[0] for each in _here(connection, conversation, "here")]


def lost_rights(connection: sa.Connection, conversation: int, address: str, seq: int) -> bool:
    """Whether the log says after an entry that the person with that address, as it is written here, was
    kicked, has left, or is no admin any more."""
    lost = False
    for row in _facts(connection, conversation, seq):
        data = msgspec.json.decode(row.data or "{}")
        if key_of(str(data.get("who", ""))) == key_of(address):
            lost = data.get("what") in ("kicked", "left", "demoted")
    return lost


def leave_here(
    connection: sa.Connection, conversation: int, names: Collection[str]
) -> list[tuple[int, str]]:
    """Remove people of this realm from the copy of a group. Returns their ids and names."""
    if not names:
        return []
    here = participants.c.conversation_id == conversation
    rows = connection.execute(
        sa.select(accounts.c.id, accounts.c.name)
        .join_from(participants, accounts, accounts.c.id == participants.c.account_id)
        .where(here, accounts.c.key.in_([key_of(each) for each in names]))
    ).all()
    gone = [(row.id, row.name) for row in rows]
    connection.execute(
        sa.delete(participants).where(
            here, participants.c.account_id.in_([each[0] for each in gone])
        )
    )
    connection.execute(
        sa.update(rosters)
        .where(rosters.c.conversation_id == conversation)
        .values(members=rosters.c.members - len(gone))
    )
    return gone
