"""Signatures of blocks, which say that a block can't contain a word: Bloom filters of its *grams*.

A gram is three bytes in a row of UTF-8 in one word: three English letters, or one Chinese character.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

MIN_TEXT = 8 << 10  # bytes; reading a smaller block takes no longer than reading its signature
_LENGTH = 3  # of a gram, in bytes
_MIN_BITS = 1 << 13
_STEP = 16 << 10  # bytes, between two pauses
_FACTOR = 0x9E3779B1
_ONE = ord("1")


def _grams(text: bytes) -> set[int]:
    """The grams in `text`, as numbers."""
    count = max(len(text) - _LENGTH + 1, 0)
    wide = bytearray(4 * count)
    for place in range(_LENGTH if count else 0):
        wide[place::4] = text[place : place + count]
    return set(memoryview(wide).cast("I"))


def make_signature(texts: bytes, pause: Callable[[], None]) -> bytes:
    """The signature of a block with these texts. It has about as many bits as they have bytes. `pause` is
    called every few ms, in which Python's lock was held."""
    bits = _MIN_BITS
    while bits < len(texts):
        bits *= 2
    mask = bits - 1
    digits = bytearray(b"0") * bits
    words = b" ".join(dict.fromkeys(texts.split()))  # most are repeated
    known: set[int] = set()
    for start in range(0, len(words), _STEP):
        grams = _grams(words[start : start + _STEP + _LENGTH - 1]) - known
        for gram in grams:
            product = gram * _FACTOR
            digits[product >> 8 & mask] = digits[product >> 17 & mask] = _ONE
        known |= grams
        pause()
    digits.reverse()
    return int(digits, 2).to_bytes(bits >> 3, "little")


def hashes_of(words: Iterable[bytes]) -> list[int]:
    """The hashes that `may_contain` looks for, of all grams in `words`. A phrase counts as several words."""
    grams = set[int]().union(*(_grams(word) for phrase in words for word in phrase.split()))
    return [hashed for gram in grams for hashed in (gram * _FACTOR >> 8, gram * _FACTOR >> 17)]


def may_contain(signature: bytes, hashes: Sequence[int]) -> bool:
    """False if the block lacks one of the grams."""
    mask = (len(signature) << 3) - 1
    for hashed in hashes:
        place = hashed & mask
        if not signature[place >> 3] >> (place & 7) & 1:
            return False
    return True
