"""The contents of requests and answers between realms, which are structured values in MessagePack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, TypeVar

import msgspec

from chatd.federation.amp.wire import (
    BAD_BATCH,
    INTERNAL,
    MAX_BATCH_BYTES,
    MAX_STATES,
    MAX_TAKEN,
    Refused,
)
from chatd.federation.guest_lists import GuestAnswer, GuestList
from chatd.federation.parcel_fields import MAX_NUMBER, Seq
from chatd.federation.parcels import KEPT, Parcel, Verdict, encode, try_decode
from chatd.federation.restores import Returned
from chatd.service.online_accounts import shown_state
from chatd.service.remote import TheirState

T = TypeVar("T")


def _decoded(decoder: msgspec.msgpack.Decoder[T], data: bytes, code: str) -> T:
    """Raises Refused with that code if `data` is malformed."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise Refused(code) from None


_states = msgspec.msgpack.Decoder(Annotated[list[TheirState], msgspec.Meta(max_length=MAX_STATES)])
_returned = msgspec.msgpack.Decoder(Annotated[list[Returned], msgspec.Meta(max_length=MAX_TAKEN)])
_groups = msgspec.msgpack.Decoder(Annotated[list[int], msgspec.Meta(max_length=MAX_TAKEN)])
_tails = msgspec.msgpack.Decoder(dict[int, Seq])
_guests = msgspec.msgpack.Decoder(GuestList)
_found = msgspec.msgpack.Decoder(GuestAnswer)


def encode_states(states: Sequence[TheirState]) -> Iterator[bytes]:
    """The states in as many values as they need."""
    page: list[msgspec.Raw] = []
    size = 0
    for each in map(encode, states):
        if page and (size + len(each) > MAX_BATCH_BYTES or len(page) == MAX_STATES):
            yield encode(page)
            page, size = [], 0
        page.append(msgspec.Raw(each))
        size += len(each)
    if page:
        yield encode(page)


def decode_states(data: bytes) -> list[TheirState]:
    """Raises Refused if they are malformed."""
    found = _decoded(_states, data, BAD_BATCH)
    return [msgspec.structs.replace(each, state=shown_state(each.state)) for each in found]


def decode_returned(data: bytes) -> list[Returned]:
    """Raises Refused if it is malformed."""
    return _decoded(_returned, data, BAD_BATCH)


def decode_groups(data: bytes) -> list[int]:
    """Raises Refused if it is malformed."""
    return _decoded(_groups, data, BAD_BATCH)


def decode_tails(data: bytes) -> dict[int, int]:
    """Raises Refused if it is malformed."""
    return _decoded(_tails, data, INTERNAL)


def decode_numbers(data: bytes) -> list[tuple[int, int]]:
    """Raises Refused if it is malformed."""
    return _decoded(_numbers, data, BAD_BATCH)


def decode_list(data: bytes) -> GuestList:
    """Raises Refused if it is malformed."""
    return _decoded(_guests, data, BAD_BATCH)


def decode_answer(data: bytes) -> GuestAnswer:
    """Raises Refused if it is malformed."""
    return _decoded(_found, data, INTERNAL)


Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
_numbers = msgspec.msgpack.Decoder(
    Annotated[list[tuple[Number, Number]], msgspec.Meta(max_length=MAX_TAKEN)]
)
_batch = msgspec.msgpack.Decoder(
    Annotated[list[tuple[Number, Parcel]], msgspec.Meta(max_length=MAX_TAKEN)]
)
_loose = msgspec.msgpack.Decoder(
    Annotated[list[tuple[Number, msgspec.Raw]], msgspec.Meta(max_length=MAX_TAKEN)]
)
_verdicts = msgspec.msgpack.Decoder(list[Verdict])


def encode_batch(items: list[tuple[int, bytes]]) -> bytes:
    return encode([(number, msgspec.Raw(parcel)) for number, parcel in items])


def decode_batch(data: bytes) -> list[tuple[int, Parcel | None]]:
    """None stands for a parcel that this version can't decode. Raises Refused if the batch is malformed."""
    try:
        return list(_batch.decode(data))
    except msgspec.ValidationError:
        pass  # one parcel is malformed, or from a later version: decode them one by one
    except (msgspec.DecodeError, RecursionError):
        raise Refused(BAD_BATCH) from None
    loose = _decoded(_loose, data, BAD_BATCH)
    return [(number, try_decode(raw)) for number, raw in loose]


def encode_verdicts(verdicts: list[Verdict]) -> bytes:
    """Empty if every parcel was kept and has no number in a group."""
    return b"" if verdicts.count(KEPT) == len(verdicts) else encode(verdicts)


def decode_verdicts(data: bytes, count: int) -> list[Verdict] | None:
    """A verdict for each of `count` parcels; None if the answer is malformed."""
    if not data:
        return [Verdict()] * count
    try:
        verdicts = _verdicts.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    return verdicts if len(verdicts) == count else None
