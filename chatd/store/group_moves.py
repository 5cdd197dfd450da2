"""What changes in the database when a group moves to another realm. Jobs for the Database.

The conversation stays, with its log, read marks and preferences: only its home is another one. `promote`
makes a copy of a group of another realm a group of this realm, `demote` does the reverse, and `repoint` lets
a copy follow to another home. Each notes the former home (chatd.store.lineage).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.errors import GroupExists
from chatd.base.group_settings import SHUT, Columns
from chatd.base.model import Account, Group
from chatd.base.names import Address, key_of
from chatd.store import avatars, names
from chatd.store.accounts import find_accounts
from chatd.store.avatars import place_of_group
from chatd.store.bans import MAX_BANS
from chatd.store.group_removals import cancel_removal
from chatd.store.groups import find_group, find_group_by_code, group_of
from chatd.store.handovers import HandedAddress, HandedMember, add_guests
from chatd.store.lineage import HomeStep, add_step
from chatd.store.pending import readdress
from chatd.store.schema import (
    admissions,
    arrivals,
    bans,
    change_requests,
    groups,
    handovers,
    invitations,
    invited,
    messages,
    participants,
    pasts,
    remote_members,
    rosters,
    sends,
)

PAGE = 500  # accounts that are looked up at a time
ENDED: dict[str, None] = {"key": None, "home_id": None}  # of a copy that no member has any more


class NewHome(msgspec.Struct, frozen=True):
    """What a group becomes in this realm, its new home, whose key is `realm`. The log goes on after the seq
    `last`."""

    realm: str
    name: str
    code: str
    members: Sequence[HandedMember]
    bans: Sequence[HandedAddress] = ()
    invited: Sequence[HandedAddress] = ()
    settings: Columns = {}
    last: int = 0


class OtherHome(msgspec.Struct, frozen=True):
    """Another realm, by its key and its name, in which a group lives, with its id and its name there."""

    realm: str
    shown: str
    home_id: int
    name: str

    @property
    def address(self) -> Address:
        """The address of the group."""
        return Address(self.name, self.shown)


class Promoted(msgspec.Struct, frozen=True):
    """The group that a copy has become. The people with the keys `absent`, of this realm, were its members
    for the former home, and are none here."""

    group: Group
    absent: Sequence[str] = ()


# A copy becomes a group of this realm


def promote(connection: sa.Connection, group: Group, new: NewHome, step: HomeStep) -> Promoted:
    """Make the copy of a group a group of this realm. `step` is its former home. Members of this realm who
    are not among those of `new`, or not members here, are none any more. Raises GroupExists if a group has
    the name."""
    if find_group(connection, key_of(new.name)) is not None:
        raise GroupExists(name=new.name, is_="is taken")
    if names.taken(connection, new.name) is None:
        names.take(connection, new.name, "group")
    code: str | None = new.code
    if find_group_by_code(connection, new.code) is not None:
        code = None
    add_step(connection, group.id, step)
    place = groups.c.conversation_id == group.id
    columns: dict[str, Any] = {**new.settings, "name": new.name, "key": key_of(new.name)}
    columns.pop(SHUT, None)  # no column, and a closed group does not move
    columns |= {"code": code, "realm": None, "home_id": None}
    connection.execute(sa.update(groups).where(place).values(columns))
    _move_picture(connection, group.key, key_of(new.name), None)
    _move_sends(connection, group.key, str(group.id))
    here, elsewhere = _split(new)
    local = _local(connection, [each.address for each in here])
    absent = _set_members_here(connection, group.id, here, local)
    connection.execute(
        sa.delete(remote_members).where(remote_members.c.conversation_id == group.id)
    )
    add_guests(connection, group.id, elsewhere)
    _add_bans(connection, group.id, new)
    _open_invitations(connection, group, new)
    _forget_copy(connection, group.id)
    _count(connection, group.id, new)
    return Promoted(_found(connection, group.id), absent)


def _split(new: NewHome) -> tuple[list[HandedMember], list[HandedMember]]:
    """The members of this realm, and those of others."""
    here: list[HandedMember] = []
    elsewhere: list[HandedMember] = []
    for each in new.members:
        is_here = key_of(each.address.partition("@")[2]) == new.realm
        (here if is_here else elsewhere).append(each)
    return here, elsewhere


def _local(connection: sa.Connection, addresses: Iterable[str]) -> dict[str, Account]:
    """The accounts of this realm with these addresses, by the keys of their names."""
    keys = sorted({key_of(each.partition("@")[0]) for each in addresses})
    found: dict[str, Account] = {}
    for start in range(0, len(keys), PAGE):
        some = find_accounts(connection, keys[start : start + PAGE])
        found |= {each.key: each for each in some}
    return found


def _set_members_here(
    connection: sa.Connection,
    conversation: int,
    members: Sequence[HandedMember],
    local: Mapping[str, Account],
) -> list[str]:
    """Set the roles of the members here, and remove the others. A home can't make anybody here a member.
    Returns the keys of those who are none."""
    place = participants.c.conversation_id == conversation
    known = set(connection.scalars(sa.select(participants.c.account_id).where(place)))
    kept = {
        local[key].id: each
        for each in members
        if (key := key_of(each.address.partition("@")[0])) in local and local[key].id in known
    }
    for ident in sorted(known - kept.keys()):
        gone = place & (participants.c.account_id == ident)
        connection.execute(sa.delete(participants).where(gone))
    for ident, each in kept.items():
        connection.execute(
            sa.update(participants)
            .where(place, participants.c.account_id == ident)
            .values(realm=None, admin=each.admin, joined_at=each.joined_at)
        )
    return sorted(key for key, each in local.items() if each.id not in known)


def _add_bans(connection: sa.Connection, conversation: int, new: NewHome) -> None:
    connection.execute(sa.delete(bans).where(bans.c.conversation_id == conversation))
    rows = {}
    for each in sorted(new.bans, key=lambda each: each.at)[-MAX_BANS:]:
        address = _shown_here(each.address, new.realm)
        row = {"conversation_id": conversation, "address": address, "at": each.at}
        rows[key_of(address)] = row | {"key": key_of(address)}
    if rows:
        connection.execute(sa.insert(bans), list(rows.values()))


def _shown_here(address: str, own: str) -> str:
    """An address as this realm, with that key, writes it."""
    name, _, realm = address.partition("@")
    return name if key_of(realm) == own else address


def _open_invitations(connection: sa.Connection, group: Group, new: NewHome) -> None:
    """The invitations that the former home has sent are those of this realm. People here have theirs."""
    connection.execute(
        sa.update(invitations)
        .where(invitations.c.realm == group.realm, invitations.c.home_id == group.home_id)
        .values(realm="", home_id=group.id, key=key_of(new.name), group=new.name)
    )
    connection.execute(sa.delete(invited).where(invited.c.conversation_id == group.id))
    rows = {
        key_of(each.address): {
            "conversation_id": group.id,
            "key": key_of(each.address),
            "at": each.at,
        }
        for each in new.invited
        if key_of(each.address.partition("@")[2]) != new.realm
    }
    if rows:
        connection.execute(sa.insert(invited), list(rows.values()))


def _forget_copy(connection: sa.Connection, conversation: int) -> None:
    """Forget what only concerns copies of groups of other realms. What this realm has handed over when the
    group has left it is forgotten, too: it would be given again at the next move."""
    for table in (pasts, admissions, handovers):
        connection.execute(sa.delete(table).where(table.c.conversation_id == conversation))


def _count(connection: sa.Connection, conversation: int, new: NewHome) -> None:
    """Set the number of members. The next entry comes after `last`."""
    counts = (
        sa.select(sa.func.count()).select_from(table).where(table.c.conversation_id == conversation)
        for table in (participants, remote_members)
    )
    newest = max((each.joined_at for each in new.members), default=0)
    here = rosters.c.conversation_id == conversation
    floor = sa.case((rosters.c.floor < new.last, new.last), else_=rosters.c.floor)
    connection.execute(
        sa.update(rosters)
        .where(here)
        .values(
            members=sum(connection.scalar(count) or 0 for count in counts),
            joined_at=newest,
            floor=floor,
        )
    )


# A group of this realm becomes a copy


def demote(connection: sa.Connection, group: Group, home: OtherHome, step: HomeStep) -> Group:
    """Make a group of this realm the copy of one of another realm, which is its new home, and return it. Its
    people of this realm stay members; the name stays in use. If operators were deleting it, that ends: what
    is left of it is no longer theirs to delete for others."""
    add_step(connection, group.id, step)
    place = group.id
    cancel_removal(connection, place)
    _readdress(connection, group, home)
    connection.execute(sa.update(groups).where(groups.c.conversation_id == place).values(code=None))
    for table in (remote_members, bans, invited):
        connection.execute(sa.delete(table).where(table.c.conversation_id == place))
    count = sa.select(sa.func.count()).select_from(participants)
    here = connection.scalar(count.where(participants.c.conversation_id == place)) or 0
    connection.execute(
        sa.update(rosters)
        .where(rosters.c.conversation_id == place)
        .values(members=here, floor=step.last)
    )
    # All of its log is here.
    row = {"conversation_id": place, "first": 0, "after": step.last, "upto": step.last}
    connection.execute(sa.delete(pasts).where(pasts.c.conversation_id == place))
    connection.execute(sa.insert(pasts).values(row))
    return _found(connection, place)


# A copy follows to another home


def repoint(connection: sa.Connection, group: Group, home: OtherHome, step: HomeStep) -> Group:
    """Let the copy of a group of another realm follow to a new home, and return it. `step` is the former
    one."""
    add_step(connection, group.id, step)
    _readdress(connection, group, home)
    place = group.id
    connection.execute(sa.delete(admissions).where(admissions.c.conversation_id == place))
    files = sa.select(messages.c.attachment_id).where(
        messages.c.conversation_id == place, messages.c.attachment_id.is_not(None)
    )
    connection.execute(
        sa.update(arrivals)
        .where(
            arrivals.c.attachment_id.in_(files),
            arrivals.c.realm == group.realm,
            arrivals.c.lost.is_(None),
        )
        .values(realm=home.realm)
    )
    readdress(connection, place, home.realm, str(home.address))
    connection.execute(
        sa.update(change_requests)
        .where(change_requests.c.conversation_id == place)
        .values(realm=home.realm)
    )
    return _found(connection, place)


def _readdress(connection: sa.Connection, group: Group, home: OtherHome) -> None:
    """Give a group the address and the id that it has in another realm. What had them there has ended."""
    address = home.address
    where = groups.c.conversation_id == group.id
    same_home = (groups.c.realm == home.realm) & (groups.c.home_id == home.home_id)
    for same, ended in ((groups.c.key == address.key, {"key": None}), (same_home, ENDED)):
        connection.execute(sa.update(groups).where(same, ~where).values(ended))
    connection.execute(
        sa.update(groups)
        .where(where)
        .values(name=str(address), key=address.key, realm=home.realm, home_id=home.home_id)
    )
    connection.execute(
        sa.update(participants)
        .where(participants.c.conversation_id == group.id)
        .values(realm=home.realm)
    )
    _move_picture(connection, group.key, address.key, home.realm)
    _move_sends(connection, str(group.id) if group.realm is None else group.key, address.key)
    was = invitations.c.realm == (group.realm or "")
    ident = group.id if group.realm is None else group.home_id
    same_key = sa.select(invitations.c.account_id).where(invitations.c.key == address.key)
    mine = sa.and_(was, invitations.c.home_id == ident)
    connection.execute(sa.delete(invitations).where(mine, invitations.c.account_id.in_(same_key)))
    connection.execute(
        sa.update(invitations)
        .where(mine)
        .values(realm=home.realm, home_id=home.home_id, key=address.key, group=str(address))
    )


def _move_picture(connection: sa.Connection, old: str, new: str, realm: str | None) -> None:
    """The picture of a group belongs to its new address."""
    places = place_of_group(old), place_of_group(new)
    if places[0] == places[1]:
        return
    avatars.forget(connection, places[1])
    avatars.move(connection, *places, realm)


def _move_sends(connection: sa.Connection, old: str, new: str) -> None:
    """A client that repeats a send after the move gets the earlier answer. `old` and `new` are the places of
    the sends: see chatd.store.idempotent_sends."""
    there = sends.alias("there")
    same = (there.c.account_id == sends.c.account_id) & (there.c.key == sends.c.key)
    known = sa.exists().where(same, there.c.place == old)
    connection.execute(sa.delete(sends).where(sends.c.place == new, known))
    connection.execute(sa.update(sends).where(sends.c.place == old).values(place=new))


def _found(connection: sa.Connection, conversation: int) -> Group:
    found = group_of(connection, conversation)
    assert found is not None  # noqa: S101 - rows of groups stay
    return found
