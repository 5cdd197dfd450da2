"""Changes of messages in directs, on their way between realms: as parcels, and as changes again."""

from __future__ import annotations

from typing import assert_never

import msgspec

from chatd.base.entries import (
    Deletion,
    Edit,
    EntryRef,
    MadeChange,
    MessageChange,
    Pin,
    React,
    SentParts,
)
from chatd.federation import capabilities, parcels
from chatd.federation.parcels import (
    Direct,
    DirectChange,
    DirectDeletion,
    DirectEdit,
    DirectPin,
    DirectReaction,
    Ref,
)

# The capabilities without which a change is refused before it is made.
_NEEDS: dict[type[MessageChange], str] = {
    Edit: capabilities.CHANGES,
    React: capabilities.REACTIONS,
    Pin: capabilities.PINS,
}


def needed(change: MessageChange) -> str | None:
    """The capability without which a change is not made here. A deletion is made in any case."""
    return _NEEDS.get(type(change))


def ref_to(entry: EntryRef) -> Ref:
    """The name of an entry of a direct conversation in a parcel to the other realm."""
    return Ref(entry.realm is None, entry.number)


def entry_of(ref: Ref, realm: str) -> EntryRef:
    """The entry that a parcel of `realm` names."""
    return EntryRef(realm if ref.own else None, ref.number)


def with_parts(direct: Direct, parts: SentParts) -> Direct:
    """A message with its parts other than the text or file."""
    opaque = parts.opaque
    return msgspec.structs.replace(
        direct,
        reply=None if parts.reply is None else ref_to(parts.reply),
        forwarded=parts.forwarded,
        mentions=parts.mentions,
        media=None if opaque is None else opaque.media,
        body=None if opaque is None else opaque.body,
    )


def parcel_of(made: MadeChange, to: str) -> bytes:
    """The parcel that carries a change of a message, which both realms have, to the realm of the person
    `to`."""
    assert made.ref is not None  # noqa: S101 - the caller has checked it
    people = made.author.name, to
    return parcels.encode(change_parcel(people, made.at, ref_to(made.ref), made.change))


def change_parcel(
    people: tuple[str, str], at: int, target: Ref, change: MessageChange
) -> DirectChange:
    """The parcel of a change without a seal. `people` are the author, and the other one."""
    match change:
        case Edit(text, mentions):
            return DirectEdit(*people, at, target, text, mentions)
        case Deletion():
            return DirectDeletion(*people, at, target)
        case React(emoji, on):
            return DirectReaction(*people, at, target, emoji, on)
        case Pin(on):
            return DirectPin(*people, at, target, on)
        case _:
            assert_never(change)


def change_in(parcel: DirectChange) -> MessageChange | None:
    """The change that a parcel carries; None for an edit of a message that was deleted since."""
    match parcel:
        case DirectEdit(text=text, mentions=mentions):
            return None if text is None else Edit(text, mentions)
        case DirectDeletion():
            return Deletion()
        case DirectReaction(emoji=emoji, on=on):
            return React(emoji, on)
        case DirectPin(on=on):
            return Pin(on)
        case _:
            assert_never(parcel)
