"""How files of one name are told apart: by their codes, or by when they were sent.

A file is found by its code, by its name if it is the newest with that name, and always by CODE-NAME. No code
contains a hyphen, so a text is CODE-NAME in one way at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

STAMP = "%Y_%m_%d_%H_%M_%S_"


class Named(Protocol):
    """A file with its code and its name."""

    @property
    def code(self) -> str: ...
    @property
    def name(self) -> str: ...


F = TypeVar("F", bound=Named)


def full_handle(code: str, name: str) -> str:
    """CODE-NAME."""
    return f"{code}-{name}"


def split_handle(text: str) -> tuple[str, str]:
    """The code and the name of a text that may be CODE-NAME. Both are empty if it can't be."""
    code, _, name = text.partition("-")
    return (code, name) if name else ("", "")


def stamped(name: str, at: int) -> str:
    """The name of a file, after the time `at` (ms since 1970 UTC) at which it was sent."""
    return datetime.fromtimestamp(at // 1000, UTC).strftime(STAMP) + name


def find_by_handle(files: Sequence[F], text: str) -> F | None:
    """The file that `text` means, of files in the order in which they were sent."""
    code, name = split_handle(text)
    for meant in (
        lambda file: file.code == text,
        lambda file: (file.code, file.name) == (code, name),
        lambda file: file.name == text,
    ):
        for file in reversed(files):
            if meant(file):
                return file
    return None


def distinct_handles(files: Sequence[Named]) -> list[str]:
    """A text for each of these files, in the order in which they were sent, that means this file: its name,
    or CODE-NAME for an earlier file of that name and for a name that means another file."""
    newest = {file.name: file.code for file in files}
    codes = {file.code for file in files}
    full = {full_handle(file.code, file.name) for file in files}
    return [
        file.name
        if newest[file.name] == file.code and file.name not in codes and file.name not in full
        else full_handle(file.code, file.name)
        for file in files
    ]
