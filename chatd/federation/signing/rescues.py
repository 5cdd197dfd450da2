"""Rescues: a realm founds a group again, of which it has a mirror, because its home is lost.

A rescue is signed by the realm of the founder, and comes with the roster by which the founder may do that,
signed by the lost home. A home that comes back gives a verdict: it yields, or recalls the rescue. These are
the statements, and the rules that depend on nothing else: who may found a group, and which of two rescues
counts.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

import msgspec

from chatd.base.errors import BadSignature
from chatd.federation.parcel_fields import Number, Seq
from chatd.federation.signing.group_rosters import (
    MAX_ROSTER_STATEMENT,
    RosterStatement,
    decode_roster_statement,
    realm_in,
)
from chatd.federation.signing.proofs import Proof
from chatd.federation.signing.statements import MAX_STATEMENT, Digest, Name, RealmKey


class RescueStatement(msgspec.Struct, frozen=True, array_like=True, tag="chatd rescue 1"):
    """What the realm `realm` states with the number `number` at `at` (ms since 1970 UTC): the group `group`
    of the realm `home` lives on as its group `new_group`, with the name `name`, because it has not reached
    `home`. `founder`, a person of `realm`, does that, by the roster with the number `roster`. The new home
    numbers the entries after `seq`."""

    realm: RealmKey
    number: Number
    home: RealmKey
    group: Number
    roster: Number
    founder: Name
    new_group: Number
    name: Name
    seq: Seq
    at: Number

    @property
    def founder_address(self) -> str:
        """For all realms."""
        return f"{self.founder}@{self.realm}"


class VerdictStatement(msgspec.Struct, frozen=True, array_like=True, tag="chatd verdict 1"):
    """What the realm `home`, which is back, states with the number `number` at `at` (ms since 1970 UTC) about
    a rescue of its group `group`: that it `yields`, and its copy follows, or that it was not lost, and the
    group stays. `rescue` is the SHA-256 of the statement of the rescue."""

    home: RealmKey
    group: Number
    number: Number
    rescue: Digest
    yields: bool
    at: Number


class RescueVerdict(msgspec.Struct, frozen=True, array_like=True):
    """A verdict as it travels and is stored: its statement and proof."""

    statement: Annotated[bytes, msgspec.Meta(max_length=MAX_STATEMENT)]
    proof: Proof


_Statement = Annotated[bytes, msgspec.Meta(max_length=MAX_STATEMENT)]


class Rescue(msgspec.Struct, frozen=True, array_like=True):
    """A rescue as it travels and is stored: its statement and proof, and those of the roster."""

    statement: _Statement
    proof: Proof
    roster: Annotated[bytes, msgspec.Meta(max_length=MAX_ROSTER_STATEMENT)]
    roster_proof: Proof

    @property
    def hash(self) -> bytes:
        """What a verdict names."""
        return sha256(self.statement).digest()


class OpenedRescue(msgspec.Struct, frozen=True):
    """The decoded statements of a rescue that agree with each other. Who has signed them is not checked."""

    rescue: Rescue
    stated: RescueStatement
    roster: RosterStatement
    place: int  # of the founder among those who may found the group

    @property
    def rank(self) -> tuple[int, int, bytes]:
        """Of two rescues of a group, the one with the lower rank counts, in all realms: the one by the newer
        roster, then the one by the founder who is longer an admin or member, then that with the lower hash.
        No realm can improve its rank: the roster is signed by the lost home."""
        return -self.roster.number, self.place, self.rescue.hash


_rescues = msgspec.msgpack.Decoder(RescueStatement)
_verdicts = msgspec.msgpack.Decoder(VerdictStatement)


def decode_rescue_statement(data: bytes) -> RescueStatement:
    """Raises BadSignature."""
    try:
        stated: RescueStatement = _rescues.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="the rescue can't be decoded") from None
    return stated


def open_rescue(rescue: Rescue) -> OpenedRescue:
    """Raises BadSignature if it can't be decoded, or its roster does not entitle the founder."""
    stated = decode_rescue_statement(rescue.statement)
    roster = decode_roster_statement(rescue.roster)
    if (roster.home, roster.group, roster.number) != (stated.home, stated.group, stated.roster):
        raise BadSignature(reason="the rescue has the roster of another group")
    place = place_in(roster, stated)
    if place is None:
        raise BadSignature(reason="the founder may not found the group again")
    return OpenedRescue(rescue, stated, roster, place)


def place_in(roster: RosterStatement, stated: RescueStatement) -> int | None:
    """The place of the founder among those who may found the group by a roster; None: they may not."""
    founder = stated.founder_address
    is_theirs = realm_in(founder) == stated.realm != stated.home
    return roster.place_of(founder) if is_theirs else None


def decode_verdict(data: bytes) -> VerdictStatement:
    """Raises BadSignature."""
    try:
        verdict: VerdictStatement = _verdicts.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="the verdict can't be decoded") from None
    return verdict


def is_due(away: int | None, rescue_after: int) -> bool:
    """Whether a home that was not reached for `away` ms (None: never) counts as lost. A realm that was never
    reached is none that a group was seen to live in."""
    return away is not None and away >= rescue_after
