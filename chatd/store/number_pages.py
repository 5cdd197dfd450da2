"""Divides numbers of parcels and entries among statements, which take a limited number of them."""

from __future__ import annotations

from collections.abc import Sequence

ROWS = 32  # that one statement deletes, or reads, as text
MAX_NUMBERS = 500  # that one statement looks for


def pages_of(numbers: Sequence[int]) -> list[list[int]]:
    """Divide `numbers` into pages of ROWS, the last one padded with its last number, so that a statement for
    a page is prepared only once. Without numbers there is no page."""
    if not numbers:
        return []
    padded = [*numbers, *[numbers[-1]] * (-len(numbers) % ROWS)]
    return [padded[start : start + ROWS] for start in range(0, len(padded), ROWS)]
