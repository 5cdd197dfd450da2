"""What a former home hands over of a group: its members, bans and open invitations. Jobs and queries for the
Database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeAlias

import msgspec
import sqlalchemy as sa

from chatd.base.model import Group
from chatd.base.names import key_of
from chatd.store.schema import (
    accounts,
    bans,
    handovers,
    invitations,
    invited,
    participants,
    remote_members,
)

_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=200)]
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class HandedMember(msgspec.Struct, frozen=True, array_like=True):
    """A member of a group, by address with the realm, a member since `joined_at` (ms since 1970 UTC), who
    sees the entries from `first` on."""

    address: _Text
    admin: bool
    joined_at: _Number
    first: _Number


class HandedAddress(msgspec.Struct, frozen=True, array_like=True):
    """A person who was banned or invited at that time (ms since 1970 UTC), by address with the realm."""

    address: _Text
    at: _Number


def members_here(connection: sa.Connection, group: int, own: str) -> list[HandedMember]:
    """The members of a group who are of this realm, whose name is `own`."""
    rows = connection.execute(
        sa.select(
            accounts.c.name,
            participants.c.admin,
            participants.c.joined_at,
            participants.c.first_seq,
        )
        .join_from(participants, accounts, accounts.c.id == participants.c.account_id)
        .where(participants.c.conversation_id == group)
    )
    return [HandedMember(f"{name}@{own}", *rest) for name, *rest in rows]


def members_of(connection: sa.Connection, group: int, own: str) -> list[HandedMember]:
    """All members of a group of this realm, whose name is `own`."""
    elsewhere = sa.select(
        remote_members.c.address,
        remote_members.c.admin,
        remote_members.c.joined_at,
        remote_members.c.first_seq,
    ).where(remote_members.c.conversation_id == group)
    guests = [HandedMember(*row) for row in connection.execute(elsewhere)]
    found = members_here(connection, group, own) + guests
    return sorted(found, key=lambda each: (each.joined_at, each.address))


def add_guests(connection: sa.Connection, conversation: int, guests: Iterable[HandedMember]) -> int:
    """Add people of other realms, who are no members yet, to the members of a group. Returns their number."""
    rows = {
        key_of(each.address): {
            "conversation_id": conversation,
            "key": key_of(each.address),
            "address": each.address,
            "realm": key_of(each.address.partition("@")[2]),
            "admin": each.admin,
            "joined_at": each.joined_at,
            "first_seq": each.first,
        }
        for each in guests
    }
    if rows:
        connection.execute(sa.insert(remote_members), list(rows.values()))
    return len(rows)


def banned_in(connection: sa.Connection, group: int, own: str) -> list[HandedAddress]:
    """The bans of a group of this realm, whose name is `own`."""
    rows = connection.execute(
        sa.select(bans.c.address, bans.c.at).where(bans.c.conversation_id == group)
    )
    return [HandedAddress(with_realm(row.address, own), row.at) for row in rows]


def invited_in(connection: sa.Connection, group: Group, own: str) -> list[HandedAddress]:
    """The open invitations to a group of this realm, whose name is `own`."""
    elsewhere = sa.select(invited.c.key, invited.c.at).where(invited.c.conversation_id == group.id)
    here = (
        sa.select(accounts.c.name, invitations.c.at)
        .join_from(invitations, accounts, accounts.c.id == invitations.c.account_id)
        .where(
            invitations.c.realm == "",
            invitations.c.home_id == group.id,
            invitations.c.declined.is_(False),
        )
    )
    rows = [*connection.execute(elsewhere), *connection.execute(here)]
    return [HandedAddress(with_realm(name, own), at) for name, at in rows]


def with_realm(address: str, own: str) -> str:
    """An address as it is written in the realm with the name `own`, with its realm in any case."""
    return address if "@" in address else f"{address}@{own}"


def guests_of(connection: sa.Connection, group: int) -> dict[str, int]:
    """The keys of the other realms with members of a group of this one, and the first entry that each of them
    sees."""
    first = sa.func.min(remote_members.c.first_seq)
    rows = connection.execute(
        sa.select(remote_members.c.realm, first)
        .where(remote_members.c.conversation_id == group)
        .group_by(remote_members.c.realm)
    )
    return {row[0]: row[1] for row in rows}


def keep_package(connection: sa.Connection, conversation: int, realm: str, package: bytes) -> None:
    """Keep what the new home of a group gets, as long as it may ask for it: it may be restored from a
    backup."""
    connection.execute(sa.delete(handovers).where(handovers.c.conversation_id == conversation))
    connection.execute(
        sa.insert(handovers).values(conversation_id=conversation, realm=realm, package=package)
    )


def package_of(
    connection: sa.Connection, conversation: int, realm: str, start: int, size: int
) -> tuple[bytes, int] | None:
    """At most `size` bytes of what the realm gets of a group, from `start` on, and how many there are
    altogether. None if it gets nothing."""
    package = handovers.c.package
    row = connection.execute(
        sa.select(sa.func.substr(package, start + 1, size), sa.func.length(package)).where(
            handovers.c.conversation_id == conversation, handovers.c.realm == realm
        )
    ).first()
    return None if row is None else (row[0], row[1])
