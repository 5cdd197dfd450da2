"""Codes of groups and files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from chatd.store.writer import CodeTaken

CODE_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without letters and digits that look alike
CODE_LENGTH = 6  # significant characters
CODE_TRIES = 10

T = TypeVar("T")


def new_code(random_bytes: Callable[[int], bytes]) -> str:
    """Six random characters: the code of a file."""
    return "".join(CODE_ALPHABET[byte % 32] for byte in random_bytes(CODE_LENGTH))


def new_group_code(random_bytes: Callable[[int], bytes]) -> str:
    """The code of a group: as `new_code`, with a colon, which names cannot contain."""
    code = new_code(random_bytes)
    return f"{code[: CODE_LENGTH // 2]}:{code[CODE_LENGTH // 2 :]}"


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
