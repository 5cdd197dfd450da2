"""Inserts many rows of one table at once, with little work for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Table, insert

from chatd.store.driver import execute
from chatd.store.engine import backend_of

MAX_STATEMENTS = 64  # of a table

# All inserters of a table share its statements: by the dialect, and the places of the columns that are set.
_Statements = dict[tuple[type[Any], tuple[str, ...]], str]
_of_tables: WeakKeyDictionary[Table, _Statements] = WeakKeyDictionary()


class RowInserter:
    """Inserts rows whose values are in the order of the table's columns. The last columns may be missing.

    Statements are passed to the driver directly: SQLAlchemy's processing of parameters takes longer than the
    insert. Columns that are NULL in all rows are left out, because the driver of SQLite takes a third of a
    microsecond for each None.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._names = [column.name for column in table.columns]
        self._statements = _of_tables.setdefault(table, {})

    def insert(
        self,
        connection: Connection,
        rows: Sequence[tuple[object, ...]],
        columns: tuple[str, ...] | None = None,
    ) -> None:
        """Insert at least one row; all have the same number of values. With `columns`, in the order of the
        table, rows have values of these only, and NULL is not looked for."""
        used: tuple[str, ...]
        if columns is not None:
            used, values = columns, rows
        else:
            used, values = self._without_nulls(rows)
        dialect = type(connection.dialect)
        statement = self._statements.get((dialect, used)) or self._make(connection, used)
        if len(values) == 1:
            execute(connection, statement, values[0])  # most batches of a realm with little traffic
        else:
            backend_of(connection).insert_many(connection, statement, self._table, used, values)

    def _without_nulls(
        self, rows: Sequence[tuple[object, ...]]
    ) -> tuple[tuple[str, ...], Sequence[tuple[object, ...]]]:
        """The columns in which not all values are NULL, and the values in these."""
        names = self._names
        if len(rows) == 1:
            row = rows[0]
            used = [name for name, value in zip(names, row, strict=False) if value is not None]
            return tuple(used), [tuple([value for value in row if value is not None])]
        columns = [
            (name, each)
            for name, each in zip(names, zip(*rows, strict=True), strict=False)
            if each[0] is not None or each.count(None) < len(each)
        ]
        used = [name for name, _ in columns]
        return tuple(used), list(zip(*[each for _, each in columns], strict=True))

    def _make(self, connection: Connection, used: tuple[str, ...]) -> str:
        """The statement as SQLAlchemy writes it for this database."""
        dialect: type[Any] = type(connection.dialect)
        compiler = dialect(paramstyle=backend_of(connection).paramstyle)
        made = insert(self._table).compile(dialect=compiler, column_keys=list(used))
        if len(self._statements) >= MAX_STATEMENTS:
            self._statements.clear()
        statement = self._statements[dialect, used] = str(made)
        return statement
