"""Capabilities: what realms take beyond texts of one line between two people. Each says its own in Hello.

A parcel that needs a capability the other realm lacks is not sent. Its sender is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from chatd.base.errors import NotSupportedThere
from chatd.federation import parcels
from chatd.federation.entry_parcels import EntryParcel
from chatd.federation.parcels import Parcel
from chatd.federation.signing.statements import MemberAttributes, decode_attributes

LINES = "lines"
FILES = "files"
GROUPS = "groups"
OPAQUE = "opaque"
CHANGES = "changes"
REACTIONS = "reactions"
PINS = "pins"
RECEIPTS = "receipts"
TYPING = "typing"
GUESTS = "guests"
PROFILES = "profiles"
REQUESTS = "requests"
PRESENCE = "presence"
PAST = "past"
REST = "rest"
RESCUES = "rescues"
ACCOUNT_MOVES = "account-moves"
MOVES = "moves"

# What each capability allows, as shown to senders.
ALL = {
    LINES: "texts of several lines",
    FILES: "files",
    GROUPS: "groups",
    OPAQUE: "opaque messages",
    CHANGES: "edits and deletions",
    REACTIONS: "reactions",
    PINS: "pinned messages",
    RECEIPTS: "read marks",
    TYPING: "typing",
    GUESTS: "lists of members",
    PROFILES: "display names and pictures",
    REQUESTS: "message requests",
    PRESENCE: "news of who is online",
    PAST: "earlier entries of groups",
    RESCUES: "rosters of groups",
    REST: "links that are closed while nothing is to be said",
    ACCOUNT_MOVES: "accounts that move",
    MOVES: "groups that move to another realm",
}


def lacking(capabilities: Collection[str]) -> frozenset[str]:
    """What a realm with these capabilities lacks."""
    return frozenset(ALL) - frozenset(capabilities)


def check_fits(data: bytes, lacks: Collection[str], realm: str) -> None:
    """Raises NotSupportedThere if an encoded parcel needs one of the capabilities that the realm lacks."""
    parcel = parcels.try_decode(data)
    if parcel is None:
        return
    for capability in _needs(parcel):
        if capability in lacks:
            raise NotSupportedThere(realm=realm, what=ALL[capability])


# What the kinds of parcels need. A `Direct` needs nothing.
_NEEDS: dict[type[Parcel], tuple[str, ...]] = {
    parcels.DirectEdit: (CHANGES,),
    parcels.DirectDeletion: (CHANGES,),
    parcels.DirectReaction: (REACTIONS,),
    parcels.DirectPin: (PINS,),
    parcels.DirectMark: (RECEIPTS,),
    parcels.GroupMark: (GROUPS, RECEIPTS),
    parcels.Post: (GROUPS,),
    parcels.Relay: (GROUPS,),
    parcels.Joined: (GROUPS,),
    parcels.Removed: (GROUPS,),
    parcels.Left: (GROUPS,),
    parcels.Invite: (GROUPS,),
    parcels.Moved: (GROUPS, MOVES),
    parcels.MoveOffer: (GROUPS, MOVES),
    parcels.FileLoss: (FILES,),
    parcels.Accepted: (REQUESTS,),
    parcels.Agreed: (ACCOUNT_MOVES,),
    parcels.AccountMove: (ACCOUNT_MOVES,),
    parcels.Luggage: (ACCOUNT_MOVES,),
    parcels.AddressClaim: (ACCOUNT_MOVES,),
}


# What the kinds of entries of groups need.
_ENTRY_NEEDS = {"edited": CHANGES, "deleted": CHANGES, "reaction": REACTIONS, "pinned": PINS}


def _needs(parcel: Parcel) -> Iterator[str]:
    yield from _NEEDS.get(type(parcel), ())
    if isinstance(parcel, parcels.Left) and _says_moved(parcel):
        yield ACCOUNT_MOVES
    if isinstance(parcel, EntryParcel) and parcel.kind in _ENTRY_NEEDS:
        yield _ENTRY_NEEDS[parcel.kind]
    if getattr(parcel, "body", None) is not None:
        yield OPAQUE
    if getattr(parcel, "file", None) is not None:
        yield FILES
    if _has_lines(getattr(parcel, "text", None)):
        yield LINES


def _says_moved(left: parcels.Left) -> bool:
    """Whether it is about a member who has moved and stays."""
    try:
        attributes = None if left.entry is None else decode_attributes(left.entry.attributes)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(attributes, MemberAttributes) and attributes.what == "moved"


def _has_lines(text: str | None) -> bool:
    return text is not None and "\n" in text
