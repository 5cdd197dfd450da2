"""The homes that groups have had. Jobs and queries for the Database.

A group is one conversation, wherever it lives. Its home numbers its log. If it moves to another realm, the
new home goes on with the numbers, and the former one is kept here with what proves the succession. Entries
that were made for a former home are entries of the group, and its address there leads to the group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.base.errors import GroupMoved
from chatd.base.model import FormerHome, Group, Party
from chatd.store.functions import JsonInteger
from chatd.store.prepared import prepared
from chatd.store.schema import former_homes, groups, messages, participants, remote_members

MAX_MOVES = 32  # of one group: all its steps have to fit into a parcel
PLANNED = "planned"  # a kind of step: the former home has signed it

_guests = msgspec.json.Decoder(dict[str, int])


class HomeStep(msgspec.Struct, frozen=True):
    """A former home of a group: the key of the realm, the group's id there and the key of its name. `last` is
    the last seq that it has given. `proof`, encoded, proves to all realms that the next home follows; `kind`
    says what it is. If this realm was that home, `code` was the group's code, and `guests` has the realms
    with members, and the first entry that each sees. `address` is the key of the address as it is written
    here. If this realm had lost in a restore that it was that home, the present one may lack the entries here
    after the seq `after`."""

    realm: str
    home_id: int
    name: str
    address: str
    last: int
    kind: str
    proof: bytes
    code: str | None = None
    guests: Mapping[str, int] | None = None
    after: int | None = None


class ForgottenStep(NamedTuple):
    """A former home of the group of a conversation which this realm was, and had lost that. The present home
    may lack the entries here after the seq `after`."""

    conversation: int
    step: int
    after: int


def former_of(connection: sa.Connection, conversation: int) -> tuple[FormerHome, ...]:
    """The former homes of a group, the first one first."""
    rows = connection.execute(*_former_of(conversation))
    return tuple(FormerHome(*row) for row in rows)


@prepared
def _former_of(conversation: Any) -> sa.Select[Any]:
    return (
        sa.select(former_homes.c.realm, former_homes.c.home_id, former_homes.c.name)
        .where(former_homes.c.conversation_id == conversation)
        .order_by(former_homes.c.step)
    )


def check_home(group: Group, home: str | None) -> None:
    """Raises GroupMoved unless a group lives in the realm with the key `home`; None: in this one."""
    if group.realm != home:
        raise GroupMoved(group=group.former[-1].name if group.former else group.name, to=group.name)


def is_home(connection: sa.Connection, conversation: int, realm: str) -> bool:
    """Whether the group of a conversation lives in the other realm with that key."""
    found = connection.execute(*_home(conversation)).first()
    return found is not None and found.realm == realm


def check_home_now(connection: sa.Connection, conversation: int, home: str | None) -> None:
    """As `check_home`, for the group of a conversation. Nothing is checked if there is none."""
    found = connection.execute(*_home(conversation)).first()
    if found is not None and found.realm != home:
        raise GroupMoved(group=found.name, to=found.name)


@prepared
def _home(conversation: Any) -> sa.Select[Any]:
    here = groups.c.conversation_id == conversation
    return sa.select(groups.c.realm, groups.c.name).where(here)


def steps_of(connection: sa.Connection, conversation: int) -> list[HomeStep]:
    """As `former_of`, with the proofs."""
    found = []
    for row in connection.execute(*_steps_of(conversation)).mappings():
        values = dict(row)
        if values["guests"] is not None:
            values["guests"] = _guests.decode(values["guests"])
        found.append(HomeStep(**values))
    return found


@prepared
def _steps_of(conversation: Any) -> sa.Select[Any]:
    columns = [former_homes.c[each] for each in HomeStep.__struct_fields__]
    here = former_homes.c.conversation_id == conversation
    return sa.select(*columns).where(here).order_by(former_homes.c.step)


def planned_steps(connection: sa.Connection, conversation: int) -> list[HomeStep]:
    """The moves of a group since it was rescued last, if it was: those that the former homes have signed."""
    found: list[HomeStep] = []
    for step in steps_of(connection, conversation):
        found = [*found, step] if step.kind == PLANNED else []
    return found


def add_step(connection: sa.Connection, conversation: int, step: HomeStep) -> None:
    """Note that a home is the former one of a group."""
    row: dict[str, Any] = msgspec.structs.asdict(step)
    if step.guests is not None:
        row["guests"] = msgspec.json.encode(step.guests).decode()
    here = groups.c.conversation_id == conversation
    count = connection.scalar(sa.select(groups.c.moves).where(here)) or 0
    row |= {"conversation_id": conversation, "step": count}
    connection.execute(sa.insert(former_homes).values(row))
    connection.execute(sa.update(groups).where(here).values(moves=count + 1))


def forgotten_steps(connection: sa.Connection, realm: str) -> list[ForgottenStep]:
    """Of groups that live in the realm with that key."""
    table = former_homes.c
    rows = connection.execute(
        sa.select(table.conversation_id, table.step, table.after)
        .join(groups, groups.c.conversation_id == table.conversation_id)
        .where(groups.c.realm == realm, groups.c.key.is_not(None), table.after.is_not(None))
        .order_by(table.conversation_id, table.step)
    )
    return [ForgottenStep(*row) for row in rows]


def end_forgotten(connection: sa.Connection, step: ForgottenStep) -> None:
    """Note that the present home has what only this realm had."""
    here = {"conversation_id": step.conversation, "step": step.step}
    connection.execute(sa.update(former_homes).filter_by(**here).values(after=None))


def place_of_home(connection: sa.Connection, realm: str, home_id: int) -> int | None:
    """The conversation of the group that lives, or has lived, in the realm with that key, and has or had that
    id there. Its former homes count only if no other group lives there."""
    present = sa.select(groups.c.conversation_id).where(
        groups.c.realm == realm, groups.c.home_id == home_id
    )
    found: int | None = connection.scalar(present)
    if found is None:
        found = connection.scalar(
            sa.select(sa.func.max(former_homes.c.conversation_id)).where(
                former_homes.c.realm == realm, former_homes.c.home_id == home_id
            )
        )
    return found


def place_named(connection: sa.Connection, realm: str, name: str) -> int | None:
    """As `place_of_home`, for another realm and the key of the group's name there."""
    present = sa.select(groups.c.conversation_id).where(groups.c.key == f"{name}@{realm}")
    found: int | None = connection.scalar(present)
    if found is None:
        found = connection.scalar(
            sa.select(sa.func.max(former_homes.c.conversation_id)).where(
                former_homes.c.realm == realm, former_homes.c.name == name
            )
        )
    return found


def find_moved(
    connection: sa.Connection, name: str, viewer: Party | None = None
) -> tuple[int, ...]:
    """The conversations of the groups that had the address with that key, or in this realm that code, the
    newest first. A private one is found only by its code, by its members, and by people of realms that had
    members when it has left this realm."""
    rows = connection.execute(*_moved(name)).all()
    return tuple(
        row.conversation_id
        for row in rows
        if viewer is None or row.code == name or _knows(connection, viewer, row)
    )


@prepared
def _moved(name: Any) -> sa.Select[Any]:
    return (
        sa.select(
            former_homes.c.conversation_id,
            former_homes.c.code,
            former_homes.c.guests,
            groups.c.private,
            groups.c.realm,
        )
        .join(groups, groups.c.conversation_id == former_homes.c.conversation_id)
        .where(
            sa.or_(former_homes.c.address == name, former_homes.c.code == name),
            groups.c.key.is_not(None),
        )
        .order_by(former_homes.c.conversation_id.desc(), former_homes.c.step.desc())
    )


def _knows(connection: sa.Connection, viewer: Party, row: sa.Row[Any]) -> bool:
    if not row.private:
        return True
    if viewer.id is None:
        realms = {row.realm, *(() if row.guests is None else _guests.decode(row.guests))}
        return viewer.realm in realms
    member = sa.select(participants.c.account_id).where(
        participants.c.conversation_id == row.conversation_id,
        participants.c.account_id == viewer.id,
    )
    return connection.scalar(member) is not None


def address_now(connection: sa.Connection, key: str, viewer: Party) -> str | None:
    """The address, as shown, of the group that had the address or code `key`, and has another one now; None
    if the viewer knows no such group."""
    present = sa.select(groups.c.conversation_id).where(groups.c.key == key)
    if connection.scalar(present) is not None:
        return None
    found = find_moved(connection, key, viewer)
    if not found:
        return None
    name: str | None = connection.scalar(
        sa.select(groups.c.name).where(groups.c.conversation_id == found[0])
    )
    return name


def moved_with(connection: sa.Connection, realm: str, limit: int) -> Sequence[int]:
    """The groups that have moved, of which the realm with that key has to know: they live there, or have
    lived there, or have or had members of it while they live or lived here."""
    place = former_homes.c.conversation_id
    had = JsonInteger(former_homes.c.guests, sa.literal(realm)).is_not(None)
    was_there = sa.select(place).where(sa.or_(former_homes.c.realm == realm, had))
    moved = groups.c.moves > 0
    is_there = sa.select(groups.c.conversation_id).where(groups.c.realm == realm, moved)
    has_members = (
        sa.select(remote_members.c.conversation_id)
        .join(groups, groups.c.conversation_id == remote_members.c.conversation_id)
        .where(remote_members.c.realm == realm, moved)
    )
    found = sa.union(was_there, is_there, has_members).limit(limit)
    return sorted(connection.scalars(found))


def was_guest(realm: str) -> sa.ColumnElement[bool]:
    """A condition on rows of `messages`: the message was in a group of this realm that has moved, when it had
    members of that realm who see the message."""
    first = JsonInteger(former_homes.c.guests, sa.literal(realm))
    return sa.exists().where(
        former_homes.c.conversation_id == messages.c.conversation_id,
        former_homes.c.guests.is_not(None),
        first <= messages.c.seq,
    )
