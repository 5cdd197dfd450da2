"""Statements that go to the database's driver directly.

`Connection.exec_driver_sql` describes the columns of each result and dispatches events. That takes 6 to 20
µs, which is longer than SQLite needs for most statements. These functions are for frequent statements with
few rows. They belong to the transaction of `connection`, which must have begun.

A statement here is text, and its values are not converted: times are numbers, and truth values are 0 and 1.
Use it where messages or parcels are stored and read by the thousands, or where a statement has many forms.
Elsewhere use chatd.store.prepared, which keeps the names and the types of the schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def fetch(connection: Connection, statement: str, values: Sequence[Any] = ()) -> Sequence[Any]:
    """Execute a query and return its rows, as tuples of the driver's values. Raises DBAPIError."""
    try:
        cursor = connection.connection.cursor()
        cursor.execute(statement, values)
        return cursor.fetchall()
    except connection.dialect.loaded_dbapi.Error as error:
        raise _wrapped(connection, statement, error) from error


def execute(
    connection: Connection, statement: str, values: Sequence[Any] = (), cursor: Any = None
) -> Any:
    """Execute a statement. Returns the driver's cursor, which has `rowcount`; it is `cursor` if that is not
    None. Raises DBAPIError."""
    try:
        if cursor is None:
            cursor = connection.connection.cursor()
        cursor.execute(statement, values)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _wrapped(connection, statement, error) from error
    return cursor


def execute_many(connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Execute a statement for each of `rows`. Raises DBAPIError."""
    try:
        connection.connection.cursor().executemany(statement, rows)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _wrapped(connection, statement, error) from error


@contextmanager
def wrapped_errors(connection: Connection, statement: str) -> Iterator[None]:
    """Raise DBAPIError for errors of the driver."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        raise _wrapped(connection, statement, error) from error


def _wrapped(connection: Connection, statement: str, error: Exception) -> BaseException:
    """The exception that SQLAlchemy raises for an error of the driver."""
    dialect = connection.dialect
    wrapped: Any = DBAPIError.instance(
        statement, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
    )
    return wrapped if isinstance(wrapped, BaseException) else error
