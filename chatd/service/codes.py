"""Codes of groups and files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from chatd.store.jobs import CodeTaken

CODE_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without letters and digits that look alike
CODE_LENGTH, PRIVATE_CODE_LENGTH = 6, 16  # significant characters
CODE_TRIES = 10

T = TypeVar("T")


def new_code(random_bytes: Callable[[int], bytes]) -> str:
    """Six random characters: the code of a file."""
    return _random(random_bytes, CODE_LENGTH)


def new_group_code(random_bytes: Callable[[int], bytes]) -> str:
    """The code of a public group: six random characters with a colon, which names cannot contain."""
    return _group_code(random_bytes, CODE_LENGTH)


def new_private_code(random_bytes: Callable[[int], bytes]) -> str:
    """The code of a private group: as `new_group_code`, but so long that guessing is hopeless."""
    return _group_code(random_bytes, PRIVATE_CODE_LENGTH)


def _group_code(random_bytes: Callable[[int], bytes], length: int) -> str:
    code = _random(random_bytes, length)
    return f"{code[: length // 2]}:{code[length // 2 :]}"


def _random(random_bytes: Callable[[int], bytes], length: int) -> str:
    return "".join(CODE_ALPHABET[byte % 32] for byte in random_bytes(length))


async def with_new_code(
    random_bytes: Callable[[int], bytes],
    use: Callable[[str], Awaitable[T]],
    new: Callable[[Callable[[int], bytes]], str] | None = None,
) -> T:
    """Return what `use` returns for a new code, which `new` makes (`new_code` by default). Tries again if the
    code is in use. Raises CodeTaken after CODE_TRIES tries."""
    for _ in range(CODE_TRIES):
        try:
            return await use((new or new_code)(random_bytes))
        except CodeTaken:
            continue
    raise CodeTaken
