"""The proofs that a group has moved to another realm.

The last entry that a home gives to a group, of the kind `group`, says where the group lives from then on.
The home signs it like any entry. It proves the succession to every realm that knows the key of the home,
whoever brings it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from chatd.base.errors import BadName, BadSignature
from chatd.base.names import SYSTEM, Address, key_of, parse_foreign_address
from chatd.federation.entry_trust import EntryTrust
from chatd.federation.parcel_fields import MAX_NUMBER, MAX_SEQ
from chatd.federation.signing.entries import (
    OpenedEntry,
    SignedEntry,
    Trust,
    decode_entry,
    open_entry,
)
from chatd.federation.signing.statements import GroupAttributes, encode
from chatd.store.group_moves import OtherHome
from chatd.store.lineage import PLANNED, HomeStep

# What the entry says of the new home: the group's address, its id there, and the seq of this entry
HOME, HOME_ID, LAST = "home", "home_id", "last"


class MoveStep(msgspec.Struct, frozen=True):
    """A move of a group: out of the realm with the key `home`, where it has the id `home_id`, into the realm
    `to`. `last` is the seq of the last entry of `home`, which is `entry`."""

    entry: SignedEntry
    home: str
    home_id: int
    to: OtherHome
    last: int

    def left(self, name: str, address: str) -> HomeStep:
        """What is kept of the former home, in which the group has a name with the key `name`. `address` is
        the key of its address here."""
        proof = encode(self.entry)
        return HomeStep(self.home, self.home_id, name, address, self.last, PLANNED, proof)


def fields_of(to: Address, home_id: int, last: int) -> dict[str, str | bool | None]:
    """What the last entry of a home says of the next one."""
    return {HOME: str(to), HOME_ID: str(home_id), LAST: str(last)}


def open_step(entry: SignedEntry) -> MoveStep:
    """Read a step. Raises BadSignature if it is none. Who has signed it is checked by `check_step`."""
    opened = open_entry(entry)
    to, last = _fields(opened)
    stated = opened.statement
    if not isinstance(stated.group, int):
        raise BadSignature(reason="it names no group")
    if to.realm == stated.home:
        raise BadSignature(reason="the group stays where it is")
    return MoveStep(entry, stated.home, stated.group, to, last)


def home_in(opened: OpenedEntry) -> OtherHome:
    """The new home that an entry names. Raises BadSignature."""
    return _fields(opened)[0]


def _fields(opened: OpenedEntry) -> tuple[OtherHome, int]:
    """The new home that an entry names, and the seq of the entry."""
    attributes = opened.attributes
    if not isinstance(attributes, GroupAttributes):
        raise BadSignature(reason="it is no move")
    fields = attributes.fields
    try:
        home = parse_foreign_address(str(fields.get(HOME)))
        home_id, last = int(str(fields.get(HOME_ID))), int(str(fields.get(LAST, "0")))
    except (BadName, ValueError):
        raise BadSignature(reason="it is no move") from None
    if home.realm is None or not 0 < home_id <= MAX_NUMBER or not 0 <= last <= MAX_SEQ:
        raise BadSignature(reason="it is no move")
    return OtherHome(key_of(home.realm), home.realm, home_id, home.name), last


def open_steps(entries: Sequence[SignedEntry]) -> list[MoveStep]:
    """Read the steps of a group, each of which begins where the one before it ends. Raises BadSignature."""
    steps = [open_step(each) for each in entries]
    for one, other in pairwise(steps):
        if (one.to.realm, one.to.home_id) != (other.home, other.home_id):
            raise BadSignature(reason="a step is missing")
    return steps


def entries_of(steps: Sequence[HomeStep]) -> tuple[SignedEntry, ...]:
    """The entries that prove the moves of a group."""
    return tuple(decode_entry(each.proof) for each in steps)


async def check_step(trust: EntryTrust, realm: str, step: MoveStep) -> None:
    """Check that the former home has signed a step, which `realm` brings. Raises BadSignature, also if the
    key of that home is not known."""
    stated = open_entry(step.entry).statement
    if stated.realm != step.home or stated.author != SYSTEM:
        raise BadSignature(reason="the home of the group does not say so")
    if await trust.check(realm, step.entry, stated) is not Trust.VERIFIED:
        raise BadSignature(reason="the key of the former home is not known")
