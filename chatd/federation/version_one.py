"""Signs the posts and relays of version 1 that wait in the outbox when a realm is updated.

Version 1 was never released. It had no signatures. This realm can sign what its own people wrote. Relays of
messages by people of other realms become unsigned entries, which realms accept for a limited time
(`chatd.federation.signing.key_book`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec
import sqlalchemy as sa

from chatd.base.names import key_of
from chatd.federation import parcels
from chatd.federation.parcel_fields import FileNote
from chatd.federation.signing.drafts import (
    EntryDraft,
    EntryPlace,
    EntrySigner,
    sign_now,
    signature_of,
)
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.statements import (
    MemberAttributes,
    MessageAttributes,
    decode_statement,
    encode,
)
from chatd.store.origins import FIRST_NUMBER
from chatd.store.outbox import realm_after
from chatd.store.schema import groups, messages, outbox
from chatd.store.signatures import SignatureWriter


class OldPost(msgspec.Struct, frozen=True, array_like=True, tag="post"):
    """A `Post` of version 1."""

    sender: str
    group: str
    at: int
    proof: bytes
    text: str | None = None
    file: FileNote | None = None


class OldRelay(msgspec.Struct, frozen=True, array_like=True, tag="relay"):
    """A `Relay` of version 1."""

    group: str
    group_id: int
    seq: int
    sender: str
    at: int
    text: str | None = None
    file: FileNote | None = None


class OldLeft(msgspec.Struct, frozen=True, array_like=True, tag="left"):
    """A `Left` of version 1."""

    sender: str
    group: str
    entry: SignedEntry | None = None  # only in a parcel that was rewritten at an earlier start


_decoder = msgspec.msgpack.Decoder(OldPost | OldRelay | OldLeft)
Place: TypeAlias = tuple[int, int]  # a conversation and a seq


class OldParcels:
    """Rewrites what waits. `realm` is the key of this realm."""

    def __init__(self, connection: sa.Connection, realm: str, signer: EntrySigner) -> None:
        self._connection = connection
        self._realm = realm
        self._signer = signer
        self._relayed: dict[Place, SignedEntry] = {}

    def rewrite(self) -> int:
        """Sign the posts and relays of version 1. Returns how many there were.

        This runs at each start, so it does not scan the outbox: it looks up the first parcels of each realm.
        """
        return sum(map(self._rewrite, self._realms()))

    def _realms(self) -> Iterator[str]:
        """The realms for which parcels wait."""
        realm: str | None = ""
        while True:
            realm = self._connection.scalar(*realm_after(realm))
            if realm is None:
                return
            yield realm

    def _rewrite(self, realm: str) -> int:
        """Sign what waits for one realm. Returns how many parcels there were."""
        old = self._connection.execute(
            sa.select(outbox.c.id, outbox.c.parcel, outbox.c.created_at)
            .where(outbox.c.realm == realm, outbox.c.id < FIRST_NUMBER)
            .order_by(outbox.c.id)
        ).all()
        count = 0
        for number, data, at in old:
            try:
                parcel = _decoder.decode(data)
            except (msgspec.DecodeError, RecursionError):
                continue  # another kind, or rewritten already
            if isinstance(parcel, OldLeft) and parcel.entry is not None:
                continue
            self._connection.execute(
                sa.update(outbox)
                .where(outbox.c.realm == realm, outbox.c.id == number)
                .values(parcel=self._rewritten(realm, number, parcel, at))
            )
            count += 1
        return count

    def _rewritten(
        self, realm: str, number: int, parcel: OldPost | OldRelay | OldLeft, at: int
    ) -> bytes:
        if isinstance(parcel, OldLeft):
            return parcels.encode(self._left(realm, number, parcel, at))
        if isinstance(parcel, OldPost):
            place = EntryPlace(realm, self._home_id(realm, parcel.group))
            entry = self._signed(place, number, parcel)
            return parcels.encode(parcels.Post(entry, parcel.group))
        entry = self._relay(number, parcel)
        return parcels.encode(parcels.Relay(entry, parcel.group, parcel.group_id, parcel.seq))

    def _left(self, realm: str, number: int, parcel: OldLeft, at: int) -> parcels.Left:
        sender, group = parcel.sender, parcel.group
        place = EntryPlace(realm, self._home_id(realm, group))
        attributes = MemberAttributes("left", f"{sender}@{self._realm}")
        draft = self._signer.draft(place, sender, at, attributes, b"", lambda _entry, _seq: b"")
        return parcels.Left(sender, group, sign_now([draft], [number])[0])

    def _home_id(self, realm: str, group: str) -> int | str:
        """The id of a group at its home, or the key of its name if this realm does not know it."""
        key = key_of(f"{group}@{realm}")
        found: int | None = self._connection.scalar(
            sa.select(groups.c.home_id).where(groups.c.key == key)
        )
        return key_of(group) if found is None else found

    def _signed(self, place: EntryPlace, number: int, parcel: OldPost | OldRelay) -> SignedEntry:
        return sign_now([self._draft(place, parcel)], [number])[0]

    def _draft(self, place: EntryPlace, parcel: OldPost | OldRelay) -> EntryDraft:
        body = b"" if parcel.text is None else parcel.text.encode()
        attributes = MessageAttributes(file=parcel.file)
        return self._signer.draft(
            place, parcel.sender, parcel.at, attributes, body, lambda _entry, _seq: b""
        )

    def _relay(self, number: int, parcel: OldRelay) -> SignedEntry:
        """The entry of a relay, the same for all realms."""
        place = parcel.group_id, parcel.seq
        entry = self._relayed.get(place)
        if entry is None:
            home = EntryPlace(self._realm, parcel.group_id)
            if "@" in parcel.sender:
                entry = self._unsigned(home, parcel)
            else:
                entry = self._signed(home, number, parcel)
                self._keep(place, number, entry)
            self._relayed[place] = entry
        return entry

    def _unsigned(self, home: EntryPlace, parcel: OldRelay) -> SignedEntry:
        """The unsigned entry of a person of another realm."""
        name, _, realm = parcel.sender.partition("@")
        number = self._connection.scalar(
            sa.select(messages.c.origin_id).where(
                messages.c.conversation_id == parcel.group_id, messages.c.seq == parcel.seq
            )
        )
        draft = self._draft(home, parcel)
        stated = msgspec.structs.replace(
            decode_statement(draft.statement(number or 0)), realm=key_of(realm), author=name
        )
        return draft.entry(encode(stated), None)

    def _keep(self, place: Place, number: int, entry: SignedEntry) -> None:
        """Store the number and the signature of a message of this realm."""
        conversation, seq = place
        signature = signature_of(entry, self._realm)
        self._connection.execute(
            sa.update(messages)
            .where(messages.c.conversation_id == conversation, messages.c.seq == seq)
            .values(number=number)
        )
        SignatureWriter().add(self._connection, [(conversation, seq, signature)])
