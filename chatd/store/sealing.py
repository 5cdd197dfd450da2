"""Signing entries of this realm when they are stored, and so have their numbers.

chatd.federation.signing makes and checks signatures. Here, statements and proofs are only bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

VERIFIED = "verified"
UNVERIFIED = "unverified"


class NewSignature(msgspec.Struct, frozen=True):
    """The signature of an entry by the realm with the key `realm`, in the order of the table's columns after
    the entry's place. `salt` and `attributes` are None once the content is deleted."""

    realm: str
    key: bytes
    statement: bytes
    proof: bytes
    salt: bytes | None
    attributes: bytes | None
    status: str = VERIFIED


class Draft(Protocol):
    """An entry of this realm that is signed once it has its number. Once it is sealed, `parcel` carries
    it."""

    parcel: bytes

    def sign(self, statements: Sequence[bytes]) -> Sequence[Any]:
        """A proof for each of several statements of this realm."""

    def statement(self, number: int) -> bytes:
        """The encoded statement to sign."""

    def seal(self, statement: bytes, proof: Any, seq: int) -> tuple[bytes, NewSignature]:
        """The parcel that carries the signed entry with this place, and its signature to store."""


# The parcel of an entry, or what makes it: a function of the entry's seq, or a draft.
ParcelSource: TypeAlias = bytes | Callable[[int], bytes] | Draft


class Numbered(msgspec.Struct, frozen=True):
    """What has its numbers: that of the realm, and its place in the conversation (0: not known here)."""

    source: ParcelSource
    number: int
    seq: int = 0


def make_parcels(numbered: Sequence[Numbered]) -> list[tuple[bytes, NewSignature | None]]:
    """The parcel of each, and the signature to store if it was a draft. Drafts are signed together."""
    made: list[tuple[bytes, NewSignature | None]] = []
    drafts: list[tuple[int, Draft]] = []
    for index, each in enumerate(numbered):
        source = each.source
        if isinstance(source, bytes):
            made.append((source, None))
        elif callable(source):
            made.append((source(each.seq), None))
        else:
            drafts.append((index, source))
            made.append((b"", None))
    if drafts:
        statements = [draft.statement(numbered[index].number) for index, draft in drafts]
        proofs = drafts[0][1].sign(statements)
        for (index, draft), statement, proof in zip(drafts, statements, proofs, strict=True):
            made[index] = draft.seal(statement, proof, numbered[index].seq)
    return made
