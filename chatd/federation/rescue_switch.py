"""Lets the copy of a group follow to the new home that a rescue has given it, or back to one that was not
lost. Its functions run in the writer's thread."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from chatd.base.group_settings import SHUT, columns_of
from chatd.base.model import Group
from chatd.base.names import key_of
from chatd.federation.rerouting import GroupPlace, MovedParcel, reroute
from chatd.service.context import Context
from chatd.store.avatars import note_of_mirror
from chatd.store.conversations import last_seq
from chatd.store.group_moves import OtherHome, demote, repoint
from chatd.store.groups import group_of, set_columns
from chatd.store.handovers import guests_of
from chatd.store.lineage import HomeStep
from chatd.store.pasts import extend_past
from chatd.store.rescued_members import leave_here
from chatd.store.rescues import RESCUE, forget_realms


class Switch(msgspec.Struct, frozen=True):
    """Where the copy of a group goes. `proof` is the encoded Branch. Entries of the new home after `after`
    and up to `upto` may be missing here. People here with the names `refused` are members no more. `about`
    has the settings of the group there, if they are known."""

    conversation: int
    to: OtherHome
    proof: bytes
    after: int
    upto: int
    refused: Collection[str] = ()
    about: Mapping[str, str | bool | None] = {}


class Switched(msgspec.Struct, frozen=True):
    """What has become of a group: before, and now. `gone` are the accounts that are members no more."""

    before: Group
    group: Group
    rerouted: Sequence[MovedParcel] = ()
    gone: Sequence[tuple[int, str]] = ()


def switch(connection: sa.Connection, context: Context, what: Switch) -> Switched | None:
    """Give the group of a conversation the other home. Returns None if it lives there already, or has
    ended."""
    before = group_of(connection, what.conversation)
    if before is None or not before.key:
        return None
    if (before.realm, before.home_id) == (what.to.realm, what.to.home_id):
        return None
    step = _step(connection, context, before, what.proof)
    change = demote if before.realm is None else repoint
    group = change(connection, before, what.to, step)
    forget_realms(connection, what.conversation)
    gone = leave_here(connection, what.conversation, what.refused)
    extend_past(connection, what.conversation, what.after, what.upto)
    if what.about:
        set_columns(connection, group, columns_of({SHUT: None, **what.about}))
        note_of_mirror(connection, group, what.about.get("picture"), context.now())
    name = before.name.partition("@")[0]
    rerouted: list[MovedParcel] = []
    if before.realm is not None:
        left = GroupPlace(before.realm, before.home_id or 0, name)
        to = GroupPlace(what.to.realm, what.to.home_id, what.to.name)
        rerouted = reroute(connection, context.writers.parcels, left, to, context.now())
    return Switched(before, group, rerouted, gone)


def _step(connection: sa.Connection, context: Context, group: Group, proof: bytes) -> HomeStep:
    name, last = key_of(group.name.partition("@")[0]), last_seq(connection, group.id)
    if group.realm is not None:
        place = (group.realm, group.home_id or 0, name, group.key)
        return HomeStep(*place, last, RESCUE, proof)
    place = (context.realm_key, group.id, name, group.key)
    guests = guests_of(connection, group.id)
    return HomeStep(*place, last, RESCUE, proof, group.code or None, guests)
