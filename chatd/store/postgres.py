"""What is particular to PostgreSQL, over psycopg 3: settings of connections, and damage.

Imported only where a realm uses it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.numeric import IntLoader
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.compiler import compiles

from chatd.store.backend import CONNECTIONS, STATEMENTS, Backend, WriterTurns
from chatd.store.driver import execute
from chatd.store.functions import JsonInteger, Position, arguments
from chatd.store.node_turns import NodeTurns, wait_for_turn
from chatd.store.postgres_texts import replace_nul

DRIVER = "postgresql+psycopg"

# Parameters of libpq that hold unless the URL has them
# (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
CONNECTING: dict[str, Any] = {
    "connect_timeout": 5,  # seconds, for each address
    # Of several hosts, use the primary.
    "target_session_attrs": "read-write",
    # A server that has vanished is noticed within 20 s.
    "keepalives_idle": 10,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,  # ms
}

# Between attempts to reach a server, in seconds
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0

# A parameter of the URL, and its only value. The URL leads to a connection pooler that gives each transaction
# any connection to the server, such as PgBouncer with `pool_mode = transaction`. Then nothing may last from
# one transaction to the next: no prepared statement, and no setting.
POOLER, BY_TRANSACTION = "pooler", "transaction"

# For each connection. Behind a pooler, the role has to have them, and a start looks whether it does.
SETTINGS = {
    "jit": "off",  # it takes longer than the short queries here
    "statement_timeout": "60s",
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "120s",
    "timezone": "UTC",
    # A node that has waited for others reads what they have committed.
    "default_transaction_isolation": "read committed",
}
_SETTINGS = sa.text(
    "SELECT name, CASE unit WHEN 'ms' THEN (setting::bigint / 1000) || 's' ELSE setting END "
    "FROM pg_settings WHERE lower(name) = ANY(:names)"
)

# For an upgrade, and for the connection that holds the writers' lock during it. When a machine has vanished
# in the middle of a start, the others write again after that time.
PATIENT = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL lock_timeout = '600s'",
    "SET LOCAL idle_in_transaction_session_timeout = '600s'",
)

# Texts are ordered by their code points, as SQLite and Python do. Such an order also stays when the system's
# library changes, which would damage indexes.
COLLATIONS = frozenset({"C", "POSIX", "C.UTF-8", "C.utf8"})
_LOCALE = sa.text(
    "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = current_database()"
)

MAX_INSERTS = 500  # statements that are kept

# The second function gives this transaction a number. The numbers that a snapshot knows are not enough: those
# of the newest transactions that are under way are after its end.
_TRANSACTIONS = sa.text(
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_current_xact_id()::text::bigint"
)

# 0 until the transaction has changed something
_OWN_TRANSACTION = "SELECT coalesce(pg_current_xact_id_if_assigned()::text::bigint, 0)"

# What people have written. ANALYZE would keep some of the values of these columns.
CONTENT = {
    "announcements": ("text",),
    "attachments": ("name",),
    "awaiting": ("parcel",),
    "bus_payloads": ("payload",),
    "change_requests": ("parcel",),
    "changes": ("data",),
    "messages": ("text", "body", "forwarded", "mentions"),
    "outbox": ("parcel",),
    "payloads": ("parcel",),
    "pending": ("text", "body", "forwarded", "mentions"),
    "reports": ("reason",),
    "search_parts": ("data",),
    "signatures": ("statement", "proof"),
}
BLOCKS = ("search_parts", "data")
# Bytes of a row that stay in it. Signatures of blocks are read one by one, and most have half as many.
_INLINE = 8160
_STORED_AS = sa.text(
    "SELECT relname, attname, attstattarget, attstorage, coalesce(reloptions::text, '') AS options "
    "FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
    "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 "
    "AND NOT attisdropped"
)

# Errors of one statement: query_canceled by the limit on its time, and lock_not_available. Others that are
# OperationalErrors mean that the connection or the server is in trouble.
OF_ONE_STATEMENT = frozenset({"57014", "55P03"})

# data_corrupted and index_corrupted (https://www.postgresql.org/docs/current/errcodes-appendix.html)
DAMAGE = frozenset({"XX001", "XX002"})
# The time at which the transaction has begun would be too early: it may have waited for locks since.
_TIME = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"

_SIZE = "SELECT pg_database_size(current_database())"


class Postgres(Backend):
    """A database on a server, for one or several nodes."""

    placeholder = "%s"
    paramstyle = "format"
    each_id = "unnest(%s::bigint[]) WITH ORDINALITY AS ids (value, place)"
    each_span = "unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS ids (value, messages, size)"
    in_order = "ORDER BY ids.place"
    values_at_once = 8
    is_shared = True
    has_sequences = True

    def __init__(self) -> None:
        self._inserts: dict[tuple[sa.Table, tuple[str, ...]], str] = {}

    def connect(self, url: str) -> Engine:
        parts = make_url(url).set(drivername=DRIVER)
        given = {name: value for name, value in CONNECTING.items() if name not in parts.query}
        pooler = parts.query.get(POOLER)
        if pooler is not None:
            if pooler != BY_TRANSACTION:
                raise ArgumentError(f"{POOLER} is {pooler}; expected {BY_TRANSACTION}")
            parts = parts.difference_update_query([POOLER])
            given["prepare_threshold"] = None  # never
        engine = create_engine(
            parts,
            pool_size=CONNECTIONS,
            max_overflow=0,
            query_cache_size=STATEMENTS,
            hide_parameters=True,  # errors are logged, and the log must not contain messages
            connect_args={**given, "application_name": "chatd"},
        )
        event.listen(engine, "do_connect", Connecting())
        event.listen(engine, "connect", _set_up if pooler is None else _set_up_pooled)
        return engine

    def reading(self, engine: Engine) -> Engine:
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def turns(self) -> WriterTurns:
        return NodeTurns()

    @contextmanager
    def alone(self, engine: Engine) -> Iterator[None]:
        """A transaction holds the lock, so that this also works through a connection pooler. If its
        connection is lost, the block ends with an error, although what it has committed stays."""
        with engine.connect() as connection, connection.begin():
            self.lift_limits(connection)
            wait_for_turn(connection)
            yield

    def lift_limits(self, connection: Connection) -> None:
        for setting in PATIENT:
            connection.exec_driver_sql(setting).close()

    def limit_waiting(self, connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'").close()

    def unsuitable(self, connection: Connection) -> str | None:
        encoding, collation = connection.execute(_LOCALE).one()
        if encoding == "UTF8" and collation in COLLATIONS:
            return _missing_settings(connection)
        return (
            f"the database has the encoding {encoding} and the collation {collation}; expected one that was "
            "made by CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
        )

    def insert_many(
        self,
        connection: Connection,
        statement: str,
        table: sa.Table,
        columns: tuple[str, ...],
        rows: Sequence[Sequence[object]],
    ) -> None:
        """One statement with an array for each column takes less than half the time of one statement for each
        row."""
        insert = self._inserts.get((table, columns))
        if insert is None:
            if len(self._inserts) >= MAX_INSERTS:
                self._inserts.clear()
            insert = self._inserts[table, columns] = _insert_arrays(connection, table, columns)
        execute(connection, insert, [list(values) for values in zip(*rows, strict=True)])

    def time(self, connection: Connection, now: int) -> int:
        return int(connection.exec_driver_sql(_TIME).scalar_one())

    def ends_transaction(self, error: DBAPIError) -> bool:
        if getattr(error.orig, "sqlstate", None) in OF_ONE_STATEMENT:
            return False
        return super().ends_transaction(error)

    def change_mark(self, connection: Connection) -> int:
        return int(connection.exec_driver_sql(_OWN_TRANSACTION).scalar_one())

    def damage_in(self, error: object) -> str | None:
        return str(error) if getattr(error, "sqlstate", None) in DAMAGE else None

    def is_outage(self, error: DBAPIError) -> bool:
        return error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError)

    def size(self, connection: Connection) -> int | None:
        return int(connection.exec_driver_sql(_SIZE).scalar_one())

    def ids(self, ids: Iterable[int]) -> object:
        # The driver takes longer to write an array of a list.
        return f"{{{','.join(map(str, ids))}}}"

    def lookup(self, columns: str, outer: str, inner: str, chosen: str, found: str) -> str:
        """PostgreSQL makes a loop of LATERAL if OFFSET keeps it from joining the tables in another way."""
        rows = f"SELECT {columns} FROM {inner} WHERE {found} OFFSET 0"  # noqa: S608 - constants
        return f"SELECT found.* FROM {outer} CROSS JOIN LATERAL ({rows}) AS found WHERE {chosen}"  # noqa: S608

    def lacking_bits(self, table: str, found: str) -> str | None:
        return self.lookup(
            "ids.value",
            "unnest(%s::bigint[], %s::bigint[]) AS ids (value, bit)",
            table,
            "TRUE",
            f"{found} AND get_bit(substr(data, (ids.bit / 8)::int + 1, 1), mod(ids.bit, 8)) = 0",
        )

    def bytes_cursor(self, connection: Connection) -> Any:
        # As text, each byte would have two digits.
        return connection.connection.cursor(binary=True)

    def inform_planner(self, connection: Connection) -> None:
        """Let PostgreSQL keep no values of CONTENT among its statistics, where they would survive their rows,
        and store BLOCKS as they are, so that a search reads them faster."""
        for row in connection.execute(_STORED_AS):
            for column in CONTENT.get(row.relname, ()):
                if column == row.attname and row.attstattarget != 0:
                    change = f"ALTER TABLE {row.relname} ALTER {column} SET STATISTICS 0"
                    connection.exec_driver_sql(change)
            if (row.relname, row.attname) == BLOCKS:
                if row.attstorage != "e":
                    change = f"ALTER TABLE {row.relname} ALTER {row.attname} SET STORAGE EXTERNAL"
                    connection.exec_driver_sql(change)
                if "toast_tuple_target" not in row.options:
                    change = f"ALTER TABLE {row.relname} SET (toast_tuple_target = {_INLINE})"
                    connection.exec_driver_sql(change)

    def transactions(self, connection: Connection) -> tuple[int, int]:
        oldest, newest = connection.execute(_TRANSACTIONS).one()
        return oldest, newest

    def integers(self, parameter: str) -> sa.ScalarSelect[int]:
        array = sa.cast(sa.bindparam(parameter, type_=sa.Text), sa.ARRAY(sa.BigInteger))
        return sa.select(sa.func.unnest(array)).scalar_subquery()

    def pairs(self, parameter: str) -> sa.Subquery:
        array = sa.cast(sa.bindparam(parameter, type_=sa.Text), sa.JSON)
        pairs = sa.func.json_array_elements(array).table_valued(sa.column("value", sa.JSON))
        first, second = (pairs.c.value[index].as_string() for index in (0, 1))
        return sa.select(first.label("first"), second.label("second")).subquery()


def _insert_arrays(connection: Connection, table: sa.Table, columns: tuple[str, ...]) -> str:
    """A statement that inserts the rows whose values are in one array for each of these columns."""
    quote = connection.dialect.identifier_preparer.quote
    types = [table.c[name].type.compile(connection.dialect) for name in columns]
    arrays = ", ".join(f"%b::{kind}[]" for kind in types)
    names = ", ".join(map(quote, columns))
    return f"INSERT INTO {quote(table.name)} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608


class Connecting:
    """Connects an engine. While a server can't be reached, it is tried ever more rarely, and what wants a
    connection meanwhile fails at once. `monotonic` returns seconds. Called in any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._pause = 0.0
        self._due = -math.inf

    def __call__(self, dialect: Any, _record: object, args: Any, options: Any) -> Any:
        if self._monotonic() < self._due:
            raise psycopg.OperationalError("the database could not be reached a moment ago")
        try:
            connection = dialect.connect(*args, **options)
        except psycopg.OperationalError:
            self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
            self._due = self._monotonic() + self._pause
            raise
        self._pause = 0.0
        return connection


def _missing_settings(connection: Connection) -> str | None:
    """What the operator has to do, if a connection does not have the SETTINGS."""
    names = {name.lower(): name for name in SETTINGS}
    found = {
        names[name.lower()]: value
        for name, value in connection.execute(_SETTINGS, {"names": [*names]})
    }
    wrong = [f"{name} = '{value}'" for name, value in SETTINGS.items() if found[name] != value]
    if not wrong:
        return None
    role = connection.dialect.identifier_preparer.quote(
        str(connection.exec_driver_sql("SELECT current_user").scalar_one())
    )
    changes = "; ".join(f"ALTER ROLE {role} SET {setting}" for setting in wrong)
    return (
        "the database is used through a connection pooler, where settings belong to the role: execute "
        f"{changes}; and let the pooler connect again"
    )


def _set_up(connection: Any, _record: object) -> None:
    before, connection.autocommit = connection.autocommit, True
    # In one round trip
    changes = "; ".join(f"SET {name} = '{value}'" for name, value in SETTINGS.items())
    connection.execute(changes).close()
    connection.autocommit = before
    replace_nul(connection)
    # The server has sums of integers as decimal numbers; it returns no other ones.
    connection.adapters.register_loader("numeric", IntLoader)


def _set_up_pooled(connection: Any, _record: object) -> None:
    replace_nul(connection)


@compiles(Position, "postgresql")
def _position(element: Any, compiler: Any, **options: Any) -> str:
    whole, part = arguments(element, compiler, options)
    return f"strpos({whole}, {part})"


@compiles(JsonInteger, "postgresql")
def _json_integer(element: Any, compiler: Any, **options: Any) -> str:
    whole, key = arguments(element, compiler, options)
    return f"(CAST({whole} AS JSON) ->> {key})::BIGINT"
