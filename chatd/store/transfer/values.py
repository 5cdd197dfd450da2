"""Converts the values of SQLite to the types of their columns, and finds those that do not fit.

A column of SQLite takes values of every type, its texts may have NUL characters and broken UTF-8, and a
boolean is a number. PostgreSQL takes none of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa
from sqlalchemy import Column, Table

Row: TypeAlias = tuple[Any, ...]
Page: TypeAlias = Sequence[Row]

_NONE = type(None)
_INT4 = range(-(1 << 31), 1 << 31)


class Misfit(msgspec.Struct, frozen=True):
    """A value that PostgreSQL can't store. `key` is that of its row, as text."""

    table: str
    key: str
    column: str
    reason: str

    def __str__(self) -> str:
        return f"{self.table} ({self.key}), column {self.column}: {self.reason}"


class _Kind(msgspec.Struct, frozen=True):
    """A type of columns. `stored` is Python's type of its values in SQLite. `suits` tells quickly whether all
    values of a page can be stored, which have the type; `flaw` says what is wrong with one."""

    postgres: str
    stored: type
    suits: Callable[[Sequence[Any]], bool]
    flaw: Callable[[Any], str | None]


def _text_suits(values: Sequence[str]) -> bool:
    together = "".join(values)
    return "\0" not in together and (together.isascii() or _text_flaw(together) is None)


def _text_flaw(value: str) -> str | None:
    if (position := value.find("\0")) >= 0:
        return f"a NUL character at position {position + 1}"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"broken UTF-8 at position {error.start + 1}"
    return None


def _flawless(_value: object) -> None:
    return None


def _all_suit(_values: Sequence[Any]) -> bool:
    return True


def _is_boolean(values: Sequence[int]) -> bool:
    return set(values) <= {0, 1}


def _boolean_flaw(value: int) -> str | None:
    return None if value in (0, 1) else f"{value}, expected 0 or 1"


def _fit_4_bytes(values: Sequence[int]) -> bool:
    return not values or (min(values) in _INT4 and max(values) in _INT4)


def _4_bytes_flaw(value: int) -> str | None:
    return None if value in _INT4 else f"{value}, expected a number of 4 bytes"


# The first one that fits counts: BigInteger is an Integer.
_KINDS: tuple[tuple[type[Any], _Kind], ...] = (
    (sa.Boolean, _Kind("bool", int, _is_boolean, _boolean_flaw)),
    (sa.BigInteger, _Kind("int8", int, _all_suit, _flawless)),
    (sa.Integer, _Kind("int4", int, _fit_4_bytes, _4_bytes_flaw)),
    (sa.LargeBinary, _Kind("bytea", bytes, _all_suit, _flawless)),
    (sa.String, _Kind("text", str, _text_suits, _text_flaw)),
)

_NAMES = {int: "number", str: "text", bytes: "binary value", float: "number with a fraction"}


def _kind(column: Column[Any]) -> _Kind:
    return next(kind for type_, kind in _KINDS if isinstance(column.type, type_))


def postgres_types(table: Table) -> list[str]:
    """PostgreSQL's names of the types of the columns, for a binary COPY."""
    return [_kind(column).postgres for column in table.columns]


class Converter:
    """Converts pages of one table."""

    def __init__(self, table: Table) -> None:
        self._name = table.name
        self._columns = [(column.name, _kind(column)) for column in table.columns]
        self._key = [list(table.columns).index(each) for each in table.primary_key]
        self._booleans = [
            index for index, (_, kind) in enumerate(self._columns) if kind.postgres == "bool"
        ]

    def misfits(self, page: Page) -> list[Misfit]:
        """The values of a page that do not fit. It looks at whole columns first, because hardly any page has
        such a value."""
        found: list[Misfit] = []
        for index, (name, kind) in enumerate(self._columns):
            values = [row[index] for row in page]
            types = set(map(type, values))
            types.discard(_NONE)
            if not types:
                continue
            if types == {kind.stored} and kind.suits([each for each in values if each is not None]):
                continue
            found += self._in_column(page, index, name, kind)
        return found

    def _in_column(self, page: Page, index: int, name: str, kind: _Kind) -> list[Misfit]:
        flaws = ((row, _flaw(row[index], kind)) for row in page)
        return [Misfit(self._name, self._shown_key(row), name, flaw) for row, flaw in flaws if flaw]

    def _shown_key(self, row: Row) -> str:
        return ", ".join(f"{self._columns[each][0]} {row[each]!r}" for each in self._key)

    def convert(self, page: Page) -> Page:
        """Return the page with Python's booleans. Call it for pages without misfits."""
        if not any(row[index] is not None for index in self._booleans for row in page):
            return page
        return [self._converted(row) for row in page]

    def _converted(self, row: Row) -> Row:
        values = list(row)
        for index in self._booleans:
            if values[index] is not None:
                values[index] = bool(values[index])
        return tuple(values)


def _flaw(value: Any, kind: _Kind) -> str | None:
    if value is None:
        return None
    if type(value) is not kind.stored:
        return f"a {_NAMES[type(value)]}, expected a {_NAMES[kind.stored]}"
    return kind.flaw(value)
