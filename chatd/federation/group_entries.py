"""Makes the entries that people of this realm cause in groups with members of several realms."""

from __future__ import annotations

from typing import assert_never

from chatd.base.attachments import Attachment
from chatd.base.entries import (
    Deletion,
    Edit,
    EntryRef,
    GroupFact,
    MadeChange,
    MadeFact,
    MemberFact,
    Pin,
    React,
    SentParts,
)
from chatd.base.names import key_of
from chatd.federation import parcels
from chatd.federation.parcel_fields import MAX_MEDIA, FileNote
from chatd.federation.signing.drafts import EntryDraft, EntryPlace, EntrySigner, Wrap
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.statements import (
    Attributes,
    DeletionAttributes,
    EditAttributes,
    GroupAttributes,
    MemberAttributes,
    MessageAttributes,
    PinAttributes,
    ReactionAttributes,
    StatedRef,
)
from chatd.service.targets import Target
from chatd.store.held import HeldMessage


class GroupEntries:
    """Drafts of entries, which are signed when they are stored. `realm` is the name of this realm."""

    def __init__(self, realm: str, signer: EntrySigner) -> None:
        self._name = realm
        self._realm = key_of(realm)
        self._signer = signer

    def message(
        self,
        author: str,
        target: Target,
        at: int,
        text: str | None,
        file: Attachment | None,
        parts: SentParts,
    ) -> EntryDraft:
        """A message to a group of this realm or of another. `author` is the name of an account."""
        opaque = parts.opaque
        attributes = MessageAttributes(
            None if parts.reply is None else self.ref(parts.reply),
            tuple(map(self._for_all, parts.mentions)),
            None if parts.forwarded is None else self._for_all(parts.forwarded),
            note_of(file),
            None if opaque is None else opaque.media,
        )
        body = (text or "").encode() if opaque is None else opaque.body
        place, wrap = self._place(target), _wrap(target)
        return self._signer.draft(place, author, at, attributes, body, wrap)

    def earlier(self, held: HeldMessage, group: int) -> EntryDraft:
        """A message to a group of this realm that is older than signatures. It is in no parcel yet."""
        attributes = MessageAttributes(
            None if held.reply is None else self.ref(held.reply),
            tuple(map(self._for_all, held.mentions)),
            None if held.forwarded is None else self._for_all(held.forwarded),
            None if held.file is None else FileNote(*held.file),
            held.media,
        )
        body = (held.text or "").encode() if held.body is None else held.body
        place = EntryPlace(self._realm, group)
        return self._signer.draft(place, held.sender, held.at, attributes, body, unused)

    def change(self, made: MadeChange, target: Target) -> EntryDraft:
        """A change of a message that other realms have too."""
        return self._change(made, self._place(target), _wrap(target))

    def earlier_change(self, made: MadeChange, group: int) -> EntryDraft:
        """As `earlier`, for a change of a message."""
        return self._change(made, EntryPlace(self._realm, group), unused)

    def earlier_fact(self, made: MadeFact, group: int) -> EntryDraft:
        """As `earlier`, for what somebody of this realm has done to the group."""
        return self.fact(made, EntryPlace(self._realm, group), unused)

    def _change(self, made: MadeChange, place: EntryPlace, wrap: Wrap) -> EntryDraft:
        assert made.ref is not None  # noqa: S101 - the caller has checked it
        change = made.change
        attributes: Attributes
        body = b""
        match change:
            case Edit(text, mentions, reply):
                answered = None if reply is None else self.ref(reply)
                attributes = EditAttributes(tuple(map(self._for_all, mentions)), answered)
                body = text.encode()
            case Deletion():
                attributes = DeletionAttributes()
            case React(emoji, on):
                attributes = ReactionAttributes(emoji, on)
            case Pin(on):
                attributes = PinAttributes(on)
            case _:
                assert_never(change)
        about, author = self.ref(made.ref), made.author.name
        return self._signer.draft(place, author, made.at, attributes, body, wrap, about)

    def fact(self, made: MadeFact, place: EntryPlace, wrap: Wrap) -> EntryDraft:
        """What somebody of this realm has done to a group."""
        fact = made.fact
        attributes: Attributes
        match fact:
            case MemberFact(who, what):
                attributes = MemberAttributes(what, self._for_all(who.name))
            case GroupFact(fields):
                attributes = GroupAttributes(fields)
            case _:
                assert_never(fact)
        return self._signer.draft(place, made.author.name, made.at, attributes, b"", wrap)

    def ref(self, entry: EntryRef) -> StatedRef:
        """An entry, as all realms name it."""
        return StatedRef(entry.realm or self._realm, entry.number)

    def _for_all(self, address: str) -> str:
        """An address as it is written here, for all realms."""
        return address if "@" in address else f"{address}@{self._name}"

    def _place(self, target: Target) -> EntryPlace:
        if target.home is None:
            return EntryPlace(self._realm, target.conversation)
        return EntryPlace(target.home, target.home_id or key_of(target.there))


def _wrap(target: Target) -> Wrap:
    """What makes the parcel of a signed entry: to the home of the group, or from it."""
    group = target.there
    if target.home is None:
        return relay_of(group, target.conversation)

    def post(entry: SignedEntry, _seq: int) -> bytes:
        return parcels.encode(parcels.Post(entry, group))

    return post


def relay_of(group: str, group_id: int) -> Wrap:
    """What makes the relay of a signed entry of a group of this realm."""

    def relay(entry: SignedEntry, seq: int) -> bytes:
        return parcels.encode(parcels.Relay(entry, group, group_id, seq))

    return relay


def unused(_entry: SignedEntry, _seq: int) -> bytes:
    """For entries that are in no parcel when they are signed."""
    return b""


def note_of(file: Attachment | None) -> FileNote | None:
    """A file as a parcel announces it."""
    if file is None:
        return None
    return FileNote(file.name, file.size, file.sha256, file.code, file.mime[:MAX_MEDIA])
