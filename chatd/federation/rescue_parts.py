"""What realms say to each other about rescues of groups: questions and answers, and their encoding."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec

from chatd.base.errors import BadSignature
from chatd.federation.parcel_fields import GroupFields, Seq
from chatd.federation.signing.group_rosters import MAX_ROSTER_STATEMENT
from chatd.federation.signing.proofs import Proof
from chatd.federation.signing.rescues import Rescue, RescueVerdict
from chatd.federation.signing.statements import MAX_STATEMENT, Digest, Name

T = TypeVar("T")

MAX_BRANCHES = 32  # in one answer
MEMBERS = 100  # of one realm, in one question

AnswerState: TypeAlias = Literal["unknown", "pending", "follows", "ended", "again"]


class SignedRoster(msgspec.Struct, frozen=True, array_like=True):
    """The statement of a roster, and its proof."""

    statement: Annotated[bytes, msgspec.Meta(max_length=MAX_ROSTER_STATEMENT)]
    proof: Proof


class RescueAnswer(msgspec.Struct, frozen=True, array_like=True):
    """What becomes of a rescue in the realm that answers. `again`: it has founded the group, and lacks the
    members of the realm that asks. If that knows them: the `other` rescue that counts,
    a newer `roster`, by which the founder may not found the group, and the `verdict` of the lost home."""

    state: AnswerState
    other: Rescue | None = None
    roster: SignedRoster | None = None
    verdict: RescueVerdict | None = None


class Branch(msgspec.Struct, frozen=True, array_like=True):
    """The statement of a rescue and its proof, without the roster: it proves that the group of one home is
    that of another."""

    statement: Annotated[bytes, msgspec.Meta(max_length=MAX_STATEMENT)]
    proof: Proof


class FollowQuestion(msgspec.Struct, frozen=True, array_like=True):
    """A realm follows the rescue with that hash. Its people with these names are members of the group."""

    rescue: Digest
    members: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MEMBERS)]


class FollowAnswer(msgspec.Struct, frozen=True, array_like=True):
    """The names that are no members, the last entry of the log, and the settings of the group, as new members
    are told them. With `other`, the group was not rescued by that rescue, but by this one; without `taken`,
    by none that the realm knows."""

    taken: bool
    refused: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MEMBERS)] = ()
    seq: Seq = 0
    other: Rescue | None = None
    about: GroupFields = {}


_branch: msgspec.msgpack.Decoder[Branch] = msgspec.msgpack.Decoder(Branch)
_branches: msgspec.msgpack.Decoder[tuple[Branch, ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[Branch, ...], msgspec.Meta(max_length=MAX_BRANCHES)]
)
_rescue: msgspec.msgpack.Decoder[Rescue] = msgspec.msgpack.Decoder(Rescue)
_verdict: msgspec.msgpack.Decoder[RescueVerdict] = msgspec.msgpack.Decoder(RescueVerdict)
_answer: msgspec.msgpack.Decoder[RescueAnswer] = msgspec.msgpack.Decoder(RescueAnswer)
_follow: msgspec.msgpack.Decoder[FollowQuestion] = msgspec.msgpack.Decoder(FollowQuestion)
_followed: msgspec.msgpack.Decoder[FollowAnswer] = msgspec.msgpack.Decoder(FollowAnswer)
_proof: msgspec.msgpack.Decoder[Proof] = msgspec.msgpack.Decoder(Proof)


def decode_rescue(data: bytes) -> Rescue:
    """Raises BadSignature."""
    return _decoded(_rescue, data)


def branch_of(rescue: Rescue) -> Branch:
    """What a rescue proves about the homes of its group."""
    return Branch(rescue.statement, rescue.proof)


def decode_branch(data: bytes) -> Branch:
    """Raises BadSignature."""
    return _decoded(_branch, data)


def decode_branches(data: bytes) -> tuple[Branch, ...]:
    """Raises BadSignature."""
    return _decoded(_branches, data)


def decode_stored_verdict(data: bytes | None) -> RescueVerdict | None:
    """The verdict as it was stored."""
    return None if data is None else _verdict.decode(data)


def decode_rescue_answer(data: bytes) -> RescueAnswer:
    """Raises BadSignature."""
    return _decoded(_answer, data)


def decode_follow(data: bytes) -> FollowQuestion:
    """Raises BadSignature."""
    return _decoded(_follow, data)


def decode_follow_answer(data: bytes) -> FollowAnswer:
    """Raises BadSignature."""
    return _decoded(_followed, data)


def decode_proof(data: bytes) -> Proof:
    """Raises BadSignature."""
    return _decoded(_proof, data)


def _decoded(decoder: msgspec.msgpack.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="it can't be decoded") from None
