"""What realms sign about accounts that move: the old realm, that one of its people has moved; the new one,
that its account has agreed to that. Together they are the proof of a move.

The statements are signed like those of entries (chatd.federation.signing.proofs), and differ from them in
their tags. All names mean the same in every realm.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from chatd.base.errors import BadSignature
from chatd.base.names import key_of
from chatd.federation.parcel_fields import Number
from chatd.federation.signing.entries import Trust, Verifier
from chatd.federation.signing.proofs import Proof
from chatd.federation.signing.statements import Name, RealmKey

MAX_MOVE_STATEMENT = 1280  # bytes: four names of 64 characters, and 256 bytes for the rest
MAX_MOVE_PROOF = 8192  # bytes

_Statement: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=MAX_MOVE_STATEMENT)]


class MoveAgreement(msgspec.Struct, frozen=True, array_like=True, tag="chatd move 1"):
    """The realm `realm` states with that number: its user `name` has agreed to be the new address of `old`,
    of the realm `old_realm`. `at` is in ms since 1970 UTC."""

    realm: RealmKey
    number: Number
    name: Name
    old_realm: RealmKey
    old: Name
    at: Number


class MoveNotice(msgspec.Struct, frozen=True, array_like=True, tag="chatd move 2"):
    """The realm `realm` states with that number: its user `name` has moved to `new`, of the realm
    `new_realm`, which has agreed to that in its statement `agreed`."""

    realm: RealmKey
    number: Number
    name: Name
    new_realm: RealmKey
    new: Name
    agreed: Number
    at: Number


class SignedMove(msgspec.Struct, frozen=True, array_like=True):
    """One of the two statements, encoded, and its proof."""

    statement: _Statement
    proof: Proof


class MoveProof(msgspec.Struct, frozen=True, array_like=True):
    """The proof of a move."""

    notice: SignedMove
    agreement: SignedMove


class StatedMove(msgspec.Struct, frozen=True):
    """What a proof states. `is_verified`: the new realm has signed its part; its key may not be known."""

    notice: MoveNotice
    agreement: MoveAgreement
    is_verified: bool


encode = msgspec.msgpack.Encoder().encode
_proofs = msgspec.msgpack.Decoder(MoveProof)
_signed = msgspec.msgpack.Decoder(SignedMove)
_agreements = msgspec.msgpack.Decoder(MoveAgreement)
_notices = msgspec.msgpack.Decoder(MoveNotice)


def open_agreement(data: bytes, verifier: Verifier) -> MoveAgreement:
    """Decode and verify a signed agreement. Raises BadSignature."""
    agreement, trust = _agreement(_decoded(data), verifier)
    if trust is not Trust.VERIFIED:
        raise BadSignature(reason="its key was never announced")
    return agreement


def open_move(data: bytes, verifier: Verifier) -> StatedMove:
    """Decode and verify the proof of a move. The key of the old realm has to be known. Raises
    BadSignature."""
    if len(data) > MAX_MOVE_PROOF:
        raise BadSignature(reason="it is too long")
    try:
        proof: MoveProof = _proofs.decode(data)
        notice = _notices.decode(proof.notice.statement)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="it can't be decoded") from None
    agreement, trust = _agreement(proof.agreement, verifier)
    said = (notice.new_realm, key_of(notice.new), notice.agreed, notice.realm, key_of(notice.name))
    named = agreement.number, agreement.old_realm, key_of(agreement.old)
    agreed = (agreement.realm, key_of(agreement.name), *named)
    if said != agreed or notice.realm == notice.new_realm:
        raise BadSignature(reason="its two parts are about different moves")
    checked = verifier.check(proof.notice.statement, notice.realm, notice.at, proof.notice.proof)
    if checked is not Trust.VERIFIED:
        raise BadSignature(reason="its key was never announced")
    return StatedMove(notice, agreement, trust is Trust.VERIFIED)


def proof_of(notice: SignedMove, agreement: bytes) -> bytes:
    """The proof of a move, of the two parts."""
    return encode(MoveProof(notice, _decoded(agreement)))


def _decoded(data: bytes) -> SignedMove:
    if len(data) > MAX_MOVE_PROOF:
        raise BadSignature(reason="it is too long")
    try:
        signed: SignedMove = _signed.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="it can't be decoded") from None
    return signed


def _agreement(signed: SignedMove, verifier: Verifier) -> tuple[MoveAgreement, Trust]:
    try:
        agreement = _agreements.decode(signed.statement)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="it can't be decoded") from None
    trust = verifier.check(signed.statement, agreement.realm, agreement.at, signed.proof)
    return agreement, trust
