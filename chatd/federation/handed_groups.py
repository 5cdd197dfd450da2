"""What the new home of a group gets from the former one besides the log, and checks of it."""

from __future__ import annotations

import msgspec

from chatd.base.errors import BadName, BadSignature
from chatd.base.names import parse_foreign_address
from chatd.federation.parcel_fields import GroupFields
from chatd.store.handovers import HandedAddress, HandedMember


class HandedGroup(msgspec.Struct, frozen=True, array_like=True):
    """What a new home gets of a group besides its log. `settings` has `closed`, too. `consent` is what its
    own realm has signed."""

    members: list[HandedMember]
    bans: list[HandedAddress]
    invited: list[HandedAddress]
    settings: GroupFields
    code: str
    picture: bytes
    consent: bytes


_packages = msgspec.msgpack.Decoder(HandedGroup)


def open_package(realm: str, package: bytes) -> HandedGroup:
    """What a realm hands over. Raises BadSignature if it can't be read."""
    try:
        handed: HandedGroup = _packages.decode(package)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason=f"{realm} hands over what can't be read") from None
    return handed


def check_handed(handed: HandedGroup, limit: int) -> None:
    """Raises BadSignature unless a package has no more than `limit` members, and people whose addresses
    can be shown."""
    if len(handed.members) > limit:
        raise BadSignature(reason=f"the group has more than {limit} members")
    written = [each.address for each in handed.members]
    written += [each.address for each in (*handed.bans, *handed.invited)]
    try:
        addresses = [parse_foreign_address(each) for each in written]
    except BadName:
        raise BadSignature(reason="the address of a member is none") from None
    if any(each.realm is None for each in addresses):
        raise BadSignature(reason="the address of a member has no realm")
