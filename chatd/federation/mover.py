"""Signs for accounts that move, and makes the parcels that tell other realms."""

from __future__ import annotations

from contextlib import suppress
from typing import assert_never

import msgspec
from sqlalchemy import Connection
from zope.interface import implementer

from chatd.base.entries import EntryRef, MadeChange, MadeFact, MemberFact, SentParts
from chatd.base.errors import UnknownRealm
from chatd.base.model import Opaque, Party
from chatd.base.names import Address, key_of
from chatd.federation import changes, parcels
from chatd.federation.group_entries import GroupEntries, note_of
from chatd.federation.links import ILinks
from chatd.federation.sending_on import send_on_waiting
from chatd.federation.signing.drafts import EntryDraft, EntryPlace, EntrySigner
from chatd.federation.signing.move_statements import (
    MoveAgreement,
    MoveNotice,
    SignedMove,
    encode,
    proof_of,
)
from chatd.service.context import Context
from chatd.service.realm_news import (
    MemberMoved,
    MoveAgreed,
    MoveClaimed,
    MoveLuggage,
    MoveMade,
    MoveNews,
)
from chatd.service.remote import IMover, Notice, ResentParcel
from chatd.service.targets import Target
from chatd.store.account_moves import MovePlan, address_at
from chatd.store.crossing import entry_at
from chatd.store.details import mentions_of
from chatd.store.files import get_attachment
from chatd.store.new_entries import NO_EXTRAS, NewMessage, RemoteCopies
from chatd.store.sides import side_of


@implementer(IMover)
class Mover:
    def __init__(self, context: Context, signer: EntrySigner, entries: GroupEntries) -> None:
        self._context = context
        self._signer = signer
        self._entries = entries

    # Statements

    def sign_agreement(
        self, connection: Connection, user: str, old: Address, at: int
    ) -> tuple[int, bytes]:
        number = self._context.writers.parcels.take(connection)
        own, realm = self._context.realm_key, key_of(old.realm or "")
        return number, encode(self._signed(MoveAgreement(own, number, user, realm, old.name, at)))

    def sign_move(
        self, connection: Connection, user: str, new: Party, agreement: MovePlan, at: int
    ) -> tuple[int, bytes]:
        number = self._context.writers.parcels.take(connection)
        name, own = new.name.partition("@")[0], self._context.realm_key
        notice = MoveNotice(own, number, user, new.realm or "", name, agreement.number, at)
        return number, proof_of(self._signed(notice), agreement.agreement or b"")

    def _signed(self, statement: MoveAgreement | MoveNotice) -> SignedMove:
        encoded = encode(statement)
        return SignedMove(encoded, self._signer.sign(encoded))

    # Messages

    def readdress(
        self, connection: Connection, new: NewMessage, to: str, realm: str
    ) -> RemoteCopies:
        name = to.partition("@")[0]
        known = None if new.copies is None else new.copies.parcel
        if isinstance(known, bytes):
            direct = parcels.decode(known)
            assert isinstance(direct, parcels.Direct)  # noqa: S101 - of a direct conversation
            # What it replies to may be known to the old realm only.
            direct = msgspec.structs.replace(direct, to=name, reply=None)
        else:
            direct = self._direct(connection, new, name, realm)
        return RemoteCopies((realm,), parcels.encode(direct), new.sender_id)

    def send_on(
        self, connection: Connection, account_id: int, old: Party, new: Party
    ) -> list[ResentParcel]:
        return send_on_waiting(connection, self._context.writers.parcels, account_id, old, new)

    def _direct(
        self, connection: Connection, new: NewMessage, to: str, realm: str
    ) -> parcels.Direct:
        """A message that was to stay in this realm."""
        file = None
        if new.attachment_id is not None:
            file = get_attachment(connection, new.attachment_id)
        direct = parcels.Direct(new.sender, to, new.at, new.text, note_of(file))
        extras = new.extras or NO_EXTRAS
        reply = None
        if extras.reply is not None:
            reply = entry_at(connection, new.conversation, extras.reply)
        opaque = None if extras.media is None else Opaque(extras.media, extras.body or b"")
        mentions = mentions_of(extras.mentions)
        parts = SentParts(_known(reply, realm), extras.forwarded, mentions, opaque)
        return changes.with_parts(direct, parts)

    def target_of(
        self, connection: Connection, made: MadeChange, target: Target, links: ILinks
    ) -> Target:
        """Who gets a change of a direct message: its recipient, at the address that they had when it was
        written. What somebody wrote at another address is known to their realm of that time."""
        side = side_of(connection, made.author.id or 0, target.conversation)
        if side is None or side.peer is None:
            return target
        then = address_at(connection, target.conversation, made.seq)
        ref = made.ref
        if ref is not None and ref.realm is not None and ref.realm == side.realm:
            then = None
        name, realm = (side.peer, side.realm) if then is None else (then.name, then.realm)
        realms: tuple[str, ...] = ()
        if ref is not None and ref.realm not in (None, realm):
            realm = None  # they wrote it at yet another address
        if realm is not None:
            with suppress(UnknownRealm):
                links.name_of(realm)
                realms = (realm,)
        return msgspec.structs.replace(target, to=name, realms=realms)

    # Parcels

    def parcel_of(self, notice: Notice, news: MoveNews) -> bytes | EntryDraft:
        match news:
            case MoveAgreed(user, old, agreement):
                return parcels.encode(parcels.Agreed(user, old, agreement))
            case MoveMade(proof):
                return parcels.encode(parcels.AccountMove(proof))
            case MoveLuggage(old, user, items):
                return parcels.encode(parcels.Luggage(old, user, items))
            case MoveClaimed(user, to, old):
                return parcels.encode(parcels.AddressClaim(user, to, old))
            case MemberMoved(group, group_id, user, to):
                moved = MadeFact(MemberFact(to, "moved"), Party(key_of(user), user), notice.at)
                return self._entries.fact(
                    moved,
                    EntryPlace(notice.realm, group_id),
                    lambda entry, _seq: parcels.encode(parcels.Left(user, group, entry)),
                )
            case _:
                assert_never(news)


def known_parts(parts: SentParts, realms: tuple[str, ...]) -> SentParts:
    """The parts of a direct message without a reply to what the other realm does not have: the recipient
    wrote it at an earlier address."""
    reply = parts.reply
    if reply is None or reply.realm is None or reply.realm in realms:
        return parts
    return msgspec.structs.replace(parts, reply=None)


def _known(reply: EntryRef | None, realm: str) -> EntryRef | None:
    """What a message replies to, if the realm may know it."""
    return None if reply is None or reply.realm not in (None, realm) else reply
