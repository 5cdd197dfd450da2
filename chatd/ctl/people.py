"""Reads the accounts of a CSV file: a head, then a row for each."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec

from chatd.ctl.exits import WrongUsage

MAX_SIZE = 16 << 20  # bytes
COLUMNS = ("name", "display_name", "password", "country")
REQUIRED = "name"


class NewPerson(msgspec.Struct, frozen=True):
    """An account to create. `line` is where it stands in its file. Without a password it gets a new one."""

    line: int
    name: str
    display_name: str = ""
    password: str = ""
    country: str = ""


class OldGroup(msgspec.Struct, frozen=True):
    """A group to create, with the names of its members. The first of them becomes its admin."""

    name: str
    members: tuple[str, ...]
    title: str = ""


def read_people(path: Path) -> list[NewPerson]:
    """The accounts in a CSV file: UTF-8, with or without a byte order mark, separated by commas or semicolons
    as its head is. Raises WrongUsage."""
    text = _text_of(path)
    head = text.partition("\n")[0]
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=";" if head.count(";") > head.count(",") else ",",
        strict=True,
    )
    found: list[NewPerson] = []
    columns: list[str] | None = None
    try:
        for row in rows:
            if columns is None:
                columns = _columns(path, row)
            elif any(each.strip() for each in row):
                found.append(_person(path, rows.line_num, columns, row))
    except csv.Error as error:
        raise WrongUsage(f"{path}, line {rows.line_num}: {error}") from None
    if columns is None:
        raise WrongUsage(f"{path} is empty; expected a head with {', '.join(COLUMNS)}")
    return found


def read_bytes(path: Path, limit: int = MAX_SIZE) -> bytes:
    """The content of a file. Raises WrongUsage if it can't be read or has more than `limit` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise WrongUsage(f"{path} can't be read: {error.strerror or error}") from None
    if len(data) > limit:
        raise WrongUsage(f"{path} has more than {limit} bytes; split it")
    return data


def _text_of(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{path} is not in UTF-8: {error.reason}, byte {error.start}") from None


def _columns(path: Path, row: list[str]) -> list[str]:
    """The names of the columns in the head. Raises WrongUsage."""
    columns = [each.strip().lower().replace(" ", "_") for each in row]
    unknown = sorted({*columns} - {*COLUMNS})
    if REQUIRED not in columns or unknown or len(set(columns)) < len(columns):
        raise WrongUsage(
            f"{path}: the head has {', '.join(columns)}; expected name, and if wanted "
            f"{', '.join(COLUMNS[1:])}, each once"
        )
    return columns


def _person(path: Path, line: int, columns: list[str], row: list[str]) -> NewPerson:
    """Raises WrongUsage for a row with another number of values than the head. A password is taken as it
    stands."""
    if len(row) != len(columns):
        raise WrongUsage(f"{path}, line {line}: {len(row)} values, expected {len(columns)}")
    values = dict(zip(columns, row, strict=True))
    trimmed = {key: value if key == "password" else value.strip() for key, value in values.items()}
    return NewPerson(line, **trimmed)
