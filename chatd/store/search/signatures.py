"""Signatures of blocks, which say that a block can't contain a word: Bloom filters of its *grams*.

A gram is three bytes in a row of UTF-8 in one word: three English letters, or one Chinese character.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from math import isqrt

MIN_TEXT = 8 << 10  # bytes; reading a smaller block takes no longer than reading its signature
_LENGTH = 3  # of a gram, in bytes
_MIN_BITS = 1 << 13
_STEP = 16 << 10  # bytes, between two pauses
# Blocks use different hashes. Most blocks have the same common grams: with a single hash, a word whose bits
# these have would have to be looked for in nearly all blocks.
_PAIRS = 8
_ONE = ord("1")


@lru_cache(maxsize=256)
def _primes(bits: int, pair: int) -> tuple[int, int]:
    """Two primes below `bits`. A gram sets the bits of its remainders: this is the cheapest hash in Python.
    Near a power of two, the remainders of grams of letters would be few, because the letters of a gram differ
    in the lowest bits of its bytes."""
    return _prime_below(bits * (94 - pair) // 100), _prime_below(bits * (83 - pair) // 100)


def _prime_below(limit: int) -> int:
    return next(
        number
        for number in range((limit - 2) | 1, 2, -2)
        if all(number % factor for factor in range(3, isqrt(number) + 1, 2))
    )


def _grams(text: bytes) -> set[int]:
    """The grams in `text`, as numbers."""
    count = max(len(text) - _LENGTH + 1, 0)
    wide = bytearray(4 * count)
    for place in range(_LENGTH if count else 0):
        wide[place::4] = text[place : place + count]
    return set(memoryview(wide).cast("I"))


def _shape(size: int) -> tuple[int, int]:
    """How many bits the signature of a block with so many bytes of texts has, and its pair of primes."""
    bits = _MIN_BITS
    while bits < size:
        bits *= 2
    return bits, size % _PAIRS


def make_signature(texts: bytes, pause: Callable[[], None]) -> bytes:
    """The signature of a block with these texts. It has about as many bits as they have bytes, and one byte
    for its pair of primes. `pause` is called every few ms, in which Python's lock was held."""
    bits, pair = _shape(len(texts))
    first, second = _primes(bits, pair)
    digits = bytearray(b"0") * bits
    words = b" ".join(dict.fromkeys(texts.split()))  # most are repeated
    known: set[int] = set()
    for start in range(0, len(words), _STEP):
        grams = _grams(words[start : start + _STEP + _LENGTH - 1]) - known
        for gram in grams:
            digits[gram % first] = digits[gram % second] = _ONE
        known |= grams
        pause()
    digits.reverse()
    return int(digits, 2).to_bytes(bits >> 3, "little") + bytes([pair])


def grams_of(words: Iterable[bytes]) -> set[int]:
    """The grams in `words`, for `may_contain`. A phrase counts as several words."""
    return set[int]().union(*(_grams(word) for phrase in words for word in phrase.split()))


def places_of(size: int, grams: Collection[int]) -> list[int]:
    """The numbers of the bits that are set in the signature of a block with so many bytes of texts, if it has
    these grams."""
    return [gram % prime for prime in _primes(*_shape(size)) for gram in grams]


def may_contain(signature: bytes, grams: Collection[int]) -> bool:
    """False if the block lacks one of the grams."""
    for prime in _primes((len(signature) - 1) << 3, signature[-1]):
        for gram in grams:
            place = gram % prime
            if not signature[place >> 3] >> (place & 7) & 1:
                return False
    return True
