"""Buffers that split input into requests (chatd.lines.line_buffer), fed in pieces of any size."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from chatd.lines.line_buffer import Cut, LineBuffer

TOO_LONG = "too long"  # a line or request that was dropped


def take_all(buffer: LineBuffer) -> Iterator[bytes | str]:
    """The requests that are complete. Long ones are allowed, and telnet commands removed."""
    while buffer and (taken := buffer.take_line()) is not None:
        if buffer.telnet:
            buffer.take_telnet()
        if isinstance(taken, bytes):
            yield taken
        elif taken is Cut.TOO_LONG:
            yield TOO_LONG
        elif taken is Cut.LONG:
            buffer.allow_long()


def feed(buffer: LineBuffer, parts: Iterable[bytes]) -> list[bytes | str]:
    """The requests that `buffer` makes of `parts`."""
    found: list[bytes | str] = []
    for part in parts:
        buffer.add(part)
        found += take_all(buffer)
    return found


def in_pieces(data: bytes, size: int) -> list[bytes]:
    """`data` in pieces of `size` bytes; the last one may be shorter."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def split(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data`, split at these places."""
    cuts = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


class Splitting:
    """Tests for a TestCase with a table of inputs and the requests in them, which are the same however an
    input is split."""

    cases: Mapping[str, tuple[bytes, Sequence[bytes | str]]] = {}

    def fed(self, parts: Iterable[bytes]) -> Sequence[bytes | str]:
        """The requests in `parts`."""
        raise NotImplementedError

    def check(self, name: str, ways: Iterable[list[bytes]]) -> None:
        """Feed an input that is split in these ways."""
        for parts in ways:
            found, expected = self.fed(parts), self.cases[name][1]
            assert found == expected, f"{name}: {list(map(len, parts))}: {found} != {expected}"

    def test_whole(self) -> None:
        for name, (data, _) in self.cases.items():
            self.check(name, [[data]])

    def test_in_pieces(self) -> None:
        for name, (data, _) in self.cases.items():
            self.check(name, (in_pieces(data, size) for size in (1, 7, 64, 1000, 1024)))

    def test_split_in_two(self) -> None:
        for name, (data, _) in self.cases.items():
            self.check(name, ([data[:at], data[at:]] for at in self.places(data)))

    def places(self, data: bytes) -> Iterable[int]:
        """Where to split the input in two."""
        return range(len(data) + 1)
