"""Inserts many rows of one table at once, with little work for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Table, insert

from chatd.store.driver import execute, execute_many

MAX_STATEMENTS = 64  # of a table

# All inserters of a table share its statements: by the dialect, and the places of the columns that are set.
_Statements = dict[tuple[type[Any], tuple[int, ...]], str]
_of_tables: WeakKeyDictionary[Table, _Statements] = WeakKeyDictionary()


class RowInserter:
    """Inserts rows whose values are in the order of the table's columns. The last columns may be missing.

    Statements are passed to the driver directly: SQLAlchemy's processing of parameters takes longer than the
    insert. Columns that are NULL in all rows are left out, because the driver of SQLite takes a third of a
    microsecond for each None.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._statements = _of_tables.setdefault(table, {})

    def insert(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert at least one row; all have the same number of values."""
        if len(rows) == 1:
            # Most batches of a realm with little traffic.
            row = rows[0]
            used = tuple([place for place, value in enumerate(row) if value is not None])
            values: Any = tuple([value for value in row if value is not None])
        else:
            columns = list(zip(*rows, strict=True))
            used = tuple(
                [
                    place
                    for place, each in enumerate(columns)
                    if each[0] is not None or each.count(None) < len(each)
                ]
            )
            values = list(zip(*[columns[place] for place in used], strict=True))
        dialect = type(connection.dialect)
        statement = self._statements.get((dialect, used)) or self._make(dialect, used)
        if len(rows) == 1:
            execute(connection, statement, values)
        else:
            execute_many(connection, statement, values)

    def _make(self, dialect: type[Any], used: tuple[int, ...]) -> str:
        """The statement as SQLAlchemy writes it for this database."""
        style = "qmark" if dialect.name == "sqlite" else "format"
        names = [column.name for column in self._table.columns]
        chosen = [names[place] for place in used]
        made = insert(self._table).compile(dialect=dialect(paramstyle=style), column_keys=chosen)
        if len(self._statements) >= MAX_STATEMENTS:
            self._statements.clear()
        statement = self._statements[dialect, used] = str(made)
        return statement
