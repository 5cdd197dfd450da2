"""Secret codes that people read and type: 80 random bits, such as `3f7k-9q2m-…`."""

from __future__ import annotations

from collections.abc import Callable

CODE_BYTES = 10  # 80 bits
# Crockford's base 32: no letter that looks like a digit. https://www.crockford.com/base32.html
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = CODE_BYTES * 8 // 5
_ALIKE = str.maketrans("oil", "011", "- ")


def make_code(random_bytes: Callable[[int], bytes]) -> str:
    """A new code, in groups of four: `3f7k-9q2m-…`."""
    number = int.from_bytes(random_bytes(CODE_BYTES), "big")
    digits = "".join(ALPHABET[number >> (5 * place) & 31] for place in range(LENGTH))
    return "-".join(digits[start : start + 4] for start in range(0, LENGTH, 4))


def plain_code(text: str) -> str:
    """A code in the form in which codes are compared: lower case, without hyphens and spaces, o as 0, i and l
    as 1."""
    return text.strip().lower().translate(_ALIKE)
