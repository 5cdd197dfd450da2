"""A page of the past of a group, as its home gives it to a realm with members."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

PastEntries: TypeAlias = list[msgspec.Raw]


class PastPage(msgspec.Struct, frozen=True):
    """Relays in the order of their seqs: all entries from the seq `start` on that the asking realm may see.
    `earlier`: how many messages there are before these. `first`: its members see the entries from this seq
    on."""

    entries: tuple[msgspec.Raw, ...]
    start: int
    earlier: int
    first: int
