"""What one node sends at once: numbered messages. In MessagePack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec


class BusFrame(msgspec.Struct, frozen=True, array_like=True):
    """Messages of a start of a node, in order. `first` is the number of the first one. A frame without
    messages is a heartbeat, and `first` the number that the next message will have. A frame `to` one node has
    no number."""

    node: str
    start: int
    first: int
    messages: tuple[bytes, ...] = ()
    to: str = ""


# MessagePack needs at most that for a frame without its messages and names, and for each message.
FRAME_OVERHEAD = 36  # bytes
MESSAGE_OVERHEAD = 5  # bytes

encode_frame = msgspec.msgpack.Encoder().encode
decode_frame = msgspec.msgpack.Decoder(BusFrame).decode


def packed(messages: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Divide messages into groups that have at most `size` bytes together in a frame. A larger message is a
    group of its own."""
    group: list[bytes] = []
    left = size
    for message in messages:
        needed = len(message) + MESSAGE_OVERHEAD
        if group and needed > left:
            yield group
            group, left = [], size
        group.append(message)
        left -= needed
    if group:
        yield group
