"""Which tables are copied, in which order, and how their columns and keys are written in SQL."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Table

from chatd.store.move_mark import MOVED_FROM, MOVED_TO
from chatd.store.schema import metadata, search_blocks, search_changes, search_parts, settings

# The new realm builds its index for searching anew, as after an upgrade that drops it.
REBUILT = frozenset({search_blocks.name, search_changes.name, search_parts.name})

# Rows in a page. One with binary columns may have rows of a megabyte.
PAGE = 2000
PAGE_WITH_BINARY = 200


def copied_tables() -> list[Table]:
    """The tables that are copied. Each comes after those that it refers to."""
    return [table for table in metadata.sorted_tables if table.name not in REBUILT]


def page_size(table: Table) -> int:
    """How many rows of the table are in memory at a time."""
    has_binary = any(isinstance(column.type, sa.LargeBinary) for column in table.columns)
    return PAGE_WITH_BINARY if has_binary else PAGE


def quoted(name: str) -> str:
    """A name as both engines write it: some columns have the names of SQL's words."""
    return f'"{name}"'


def listed(names: Sequence[str]) -> str:
    """Names as a list in SQL."""
    return ", ".join(map(quoted, names))


def key_of_table(table: Table) -> list[str]:
    """The names of the columns of the primary key."""
    return [column.name for column in table.primary_key.columns]


def row_filter(table: Table) -> str | None:
    """A condition in SQL for the rows that both databases have, or None for all."""
    if table is settings:
        return f"{quoted('name')} NOT IN ('{MOVED_FROM}', '{MOVED_TO}')"
    return None


def select_rows(table: Table, after: bool = False, mark: str = "?") -> str:
    """A statement for the rows of a table by their keys. `after`: only those behind a key, whose values are
    parameters with this `mark`."""
    key = listed(key_of_table(table))
    conditions = []
    if after:
        marks = ", ".join([mark] * len(table.primary_key.columns))
        conditions.append(f"({key}) > ({marks})")
    if (own := row_filter(table)) is not None:
        conditions.append(own)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    names = listed([column.name for column in table.columns])
    return f"SELECT {names} FROM {quoted(table.name)}{where} ORDER BY {key}"  # noqa: S608 - own names
