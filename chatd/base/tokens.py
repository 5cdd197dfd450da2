"""Session tokens: their form, their hashes, and detecting them in texts.

A token is 32 random bytes in base64url without padding (RFC 4648), so 43 characters. Only its hash is stored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec

TOKEN_BYTES = 32
TOKEN_LENGTH = 43
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_TOKEN_LETTER = re.compile(r"[A-Za-z0-9_-]")
# The last of the 43 characters carries four bits, so its two lowest bits are 0.
_LAST = frozenset("AEIMQUYcgkosw048")
_RUN = re.compile(r"[A-Za-z0-9_-]{43,}")
_RUN_OF_BYTES = re.compile(rb"[A-Za-z0-9_-]{43,}")
_ALONE = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048](?![A-Za-z0-9_-])")
# 43 random characters out of 64 contain about 31 different ones; one token in 10**20 has fewer than 12. So a
# line of dashes needs no lookup.
_MIN_DISTINCT = 12
HIDDEN = "<token>"
_encode = msgspec.msgpack.Encoder().encode
_LETTERS = b"a" * TOKEN_LENGTH
_TABLE = bytes(97 if _TOKEN_LETTER.match(chr(each)) else 32 for each in range(256))


def hash_token(token: str) -> bytes:
    """The hash of a token. Tokens are long and random, so a fast hash without salt is sufficient."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def is_token(word: str) -> bool:
    """Whether `word` has the form of a token."""
    return _TOKEN.fullmatch(word) is not None


def hide_tokens(text: str) -> str:
    """`text` with every word that looks like a token replaced by HIDDEN."""
    return _ALONE.sub(HIDDEN, text) if len(text) >= TOKEN_LENGTH else text


def may_hold_token(value: Any) -> bool:
    """Whether a command's value (a text, or a structure with texts) may contain a token.

    Arguments of type chatd.base.texts.Secret do not count. This is called for every command: encoding the
    value and searching the bytes takes a third of the time of searching each part.
    """
    try:
        data = _encode(value)
    except (TypeError, ValueError):  # a type without an encoding, or a lone surrogate
        return _is_in_part(value)
    # Much faster than a pattern: replace every letter of a token by an `a`.
    if _LETTERS not in data.translate(_TABLE):
        return False
    # Only one token in 10**9 has no capital letter.
    if data.islower() or not any(map(_is_varied, _RUN_OF_BYTES.findall(data))):
        return False
    return _is_in_part(value)


def _is_in_part(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return len(value) >= TOKEN_LENGTH and any(map(_is_varied, _RUN.findall(value)))
    if kind is tuple:
        return any(map(_is_in_part, value))
    if issubclass(kind, msgspec.Struct):
        return any(map(_is_in_part, msgspec.structs.astuple(value)))
    return False


def _is_varied(run: str | bytes) -> bool:
    """Whether `run` has as many different characters as a token."""
    return len(set(run)) >= _MIN_DISTINCT


def candidates(value: Any) -> set[str]:
    """All parts of a command's value that could be a token. A longer run of letters yields each window of 43
    characters."""
    return set(_windows(value))


def _windows(value: Any) -> Iterator[str]:
    if type(value) is str:
        for run in filter(_is_varied, _RUN.findall(value)):
            for end in range(TOKEN_LENGTH, len(run) + 1):
                if run[end - 1] in _LAST:
                    yield run[end - TOKEN_LENGTH : end]
    elif isinstance(value, tuple):
        for each in value:
            yield from _windows(each)
    elif isinstance(value, msgspec.Struct):
        yield from _windows(msgspec.structs.astuple(value))


def holds_one_of(words: Iterable[str], hashes: Collection[bytes]) -> bool:
    """Whether one of `words` is a token with one of `hashes`."""
    return any(hash_token(word) in hashes for word in words)
