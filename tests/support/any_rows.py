"""Rows of every kind for every table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Connection, Table

from chatd.store.schema import metadata

ROWS = 3  # in each table

# Values by the type of a column, one for each row. No two are equal, so that they suit unique columns.
_TEXTS = ("", "zoë\n\t\u2028\\N", "😀'\"\x7f")
_BINARY = (b"\0\xff\\x00", b"", bytes(range(256)))
_NUMBERS = (1, 3, 2**63 - 2)


def fill(connection: Connection, tables: Mapping[str, Table] = metadata.tables) -> None:
    """Add rows to empty tables, which come in any order. Columns that take NULL have it in one row."""
    made: dict[tuple[str, int], dict[str, Any]] = {}
    for table in metadata.sorted_tables:
        if table.name in tables:
            for number in range(ROWS):
                row = _row(table, number, made)
                made[table.name, number] = row
                connection.execute(sa.insert(table).values(row))


def _row(
    table: Table, number: int, made: Mapping[tuple[str, int], Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        column.name: _reference(column, number, made)
        if column.foreign_keys
        else _value(column, number)
        for column in table.columns
    }


def _reference(
    column: Column[Any], number: int, made: Mapping[tuple[str, int], Mapping[str, Any]]
) -> Any:
    other = next(iter(column.foreign_keys)).column
    return made[other.table.name, number][other.name]


def _value(column: Column[Any], number: int) -> Any:
    if column.nullable and number == 0:
        return None
    kinds: tuple[tuple[type[Any], Callable[[], Any]], ...] = (
        (sa.Boolean, lambda: number % 2 == 1),
        (sa.BigInteger, lambda: _NUMBERS[number]),
        (sa.Integer, lambda: number + 2**31 - 4),
        (sa.LargeBinary, lambda: _BINARY[number]),
        (sa.Text, lambda: _TEXTS[number]),
    )
    return next(make() for kind, make in kinds if isinstance(column.type, kind))
