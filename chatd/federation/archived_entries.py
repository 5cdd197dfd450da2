"""Checks the signatures of messages that an account imports from an archive."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from zope.interface import implementer

from chatd.base.account_archive import ArchivedFile, ArchivedMessage, ArchivedOrigin
from chatd.base.errors import BadSignature
from chatd.base.model import FormerHome
from chatd.federation.entry_trust import is_made_for
from chatd.federation.parcel_fields import FileNote
from chatd.federation.signing.entries import (
    OpenedEntry,
    SignedEntry,
    Trust,
    open_entry,
)
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.proofs import Proof
from chatd.federation.signing.statements import (
    EditAttributes,
    MessageAttributes,
    StatedRef,
)
from chatd.service.remote import ISignedEntries, SignedContent

_proofs = msgspec.msgpack.Decoder(Proof)


@implementer(ISignedEntries)
class ArchivedEntries:
    """Checks them with the keys that this realm has learnt from the realms themselves."""

    def __init__(self, keys: KeyBook) -> None:
        self._keys = keys

    def check(
        self, message: ArchivedMessage, homes: Collection[FormerHome]
    ) -> SignedContent | None:
        """As ISignedEntries.check. Takes about 200 µs if the signature is new."""
        signed = message.signed
        if signed is None or message.deleted or message.reactions:
            return None  # nobody has signed that these are all reactions
        body = (message.text or "").encode(errors="replace")
        if message.opaque is not None:
            body = message.opaque.body
        try:
            proof = _proofs.decode(signed.proof)
            entry = SignedEntry(signed.statement, proof, signed.salt, signed.attributes, body)
            opened = open_entry(entry)
            if not is_made_for(opened.statement, homes):
                return None
            stated = opened.statement
            trust = self._keys.verifier.check(entry.statement, stated.realm, stated.at, proof)
        except (BadSignature, msgspec.MsgspecError, RecursionError):
            return None
        return _content(opened, message) if trust is Trust.VERIFIED else None


def _content(opened: OpenedEntry, message: ArchivedMessage) -> SignedContent | None:
    """What is signed, if that is the message as it is in the archive."""
    stated, attributes = opened.statement, opened.attributes
    origin = ArchivedOrigin(stated.realm, stated.number)
    if isinstance(attributes, EditAttributes):
        if stated.target is None or stated.target.realm != stated.realm or message.edited is None:
            return None
        # The number is that of the message. Nobody else can have edited it.
        origin = _origin(stated.target)
        if message.file is not None or message.opaque is not None:
            return None
        forwarded, edited = None, True
    elif isinstance(attributes, MessageAttributes):
        media = None if message.opaque is None else message.opaque.type
        if message.edited is not None or attributes.media != media:
            return None
        if not _is_same_file(attributes.file, message.file):
            return None
        forwarded, edited = attributes.forwarded, False
    else:
        return None
    if message.origin != origin or (message.forwarded is not None and forwarded is None):
        return None
    reply = None if attributes.reply is None else _origin(attributes.reply)
    return SignedContent(
        stated.address, stated.at, origin, attributes.mentions, forwarded, reply, edited
    )


def _origin(ref: StatedRef) -> ArchivedOrigin:
    return ArchivedOrigin(ref.realm, ref.number)


def _is_same_file(note: FileNote | None, file: ArchivedFile | None) -> bool:
    if note is None or file is None:
        return note is None and file is None
    return note.sha256 == file.sha256 and note.size == file.size
