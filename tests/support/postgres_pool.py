"""Databases on a server for the realms of tests, which are emptied and used again, as are the connections.

To make a database and to connect to it takes longer than most tests.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, QueuePool
from sqlalchemy.engine import make_url

from chatd.simulate import databases
from chatd.simulate.databases import sharing_statements
from chatd.store.backend import CONNECTIONS, STATEMENTS
from chatd.store.engine import connect
from chatd.store.migrate import prepare
from chatd.store.names import renew_skeletons
from tests.support.postgres import PostgresServer, find_programs, server

TEMPLATE = "chatd_schema"
MANY = 20  # databases, more than tests have at a time
# A database is replaced after so many uses, or when it has so many pages (of 8 KiB) of rows: the rows that
# were deleted still take up space.
USES = 100
PAGES = 400

# What `empty` needs, in a schema of its own: the rows that a new database has, and how its tables look. Only
# tables that were ever written to have pages.
_PREPARE = """
CREATE SCHEMA testing;
CREATE VIEW testing.shape AS
    SELECT count(*) AS relations, sum(relnatts) AS columns, max(oid::bigint) AS newest
    FROM pg_class WHERE relnamespace = 'public'::regnamespace;
CREATE TABLE testing.first_shape AS TABLE testing.shape;
DO $do$
DECLARE
    name text;
    has_rows boolean;
    body text := '';
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        body := body || format(
            'IF pg_relation_size(%L::regclass) > 0 THEN DELETE FROM public.%I; END IF;',
            'public.' || quote_ident(name), name);
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO has_rows;
        IF has_rows THEN
            EXECUTE format('CREATE TABLE testing.%I AS TABLE public.%I', name, name);
            body := body || format('INSERT INTO public.%I TABLE testing.%I;', name, name);
        END IF;
    END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
        body := body || format(
            'PERFORM setval(%L::regclass, 1, false);', 'public.' || quote_ident(name));
    END LOOP;
    EXECUTE format('CREATE FUNCTION testing.remove_rows() RETURNS void LANGUAGE plpgsql AS %L',
        'BEGIN ' || body || ' END');
END
$do$;
CREATE FUNCTION testing.empty(pages bigint) RETURNS boolean LANGUAGE plpgsql AS $function$
BEGIN
    IF (SELECT s::text FROM testing.shape s) <> (SELECT s::text FROM testing.first_shape s) OR
        (SELECT sum(pg_relation_size(oid)) / 8192 > pages FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r')
    THEN
        RETURN false;
    END IF;
    PERFORM testing.remove_rows();
    RETURN true;
END
$function$;
"""

# In this role, no foreign keys are checked. A connection of its own has it, because plans are forgotten when
# the role changes.
_EMPTYING = "-c session_replication_role=replica -c lock_timeout=1s"

_WITH_PAGES = """
SELECT quote_ident(relname) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
"""
_COUNTED = """
SELECT quote_ident(sequencename), last_value FROM pg_sequences
WHERE schemaname = 'public' AND last_value IS NOT NULL
"""

# What a connection that is closed leaves to the next one of a server: nothing.
_RELEASE = "SELECT pg_advisory_unlock_all(); UNLISTEN *"


class PooledDatabase:
    """A database that belongs to one path after another, and its connections."""

    def __init__(self, on: PostgresServer, name: str, shared: Engine) -> None:
        self._server = on
        self._name = name
        self._first = connect(on.url(name))  # makes connections
        self._shared = shared
        self._idle: list[Any] = []
        self._emptying: Any = None
        self._uses = 0
        self.opened = 0  # engines that were not disposed of
        self._make()

    def engine(self) -> Engine:
        """Return an engine whose connections come from this database and return to it."""
        dialect: Any = copy.copy(self._shared.dialect)
        dialect.do_close = self._give_back
        dialect.do_terminate = self._close
        pool = QueuePool(self._take, pool_size=CONNECTIONS, max_overflow=0, dialect=dialect)
        url = make_url(self._server.url(self._name))
        engine = PooledEngine(pool, dialect, url, self._count)
        self.opened += 1
        sharing_statements(engine, self._shared)
        return engine

    def empty(self) -> None:
        """Make this a new database for another path."""
        self.opened = 0
        self._uses += 1
        if self._uses > USES or not self._has_emptied():
            self._drop()
            self._make()

    def copy(self, source: PooledDatabase) -> None:
        """Take over the rows of another database. This one is empty."""
        there, here = source._in_replica(), self._in_replica()
        for (table,) in there.execute(_WITH_PAGES).fetchall():
            here.execute(f"DELETE FROM {table}")  # noqa: S608 - a table of the schema
            with (
                there.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)") as rows,
                here.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as into,
            ):
                for each in rows:
                    into.write(each)
        for name, value in there.execute(_COUNTED).fetchall():
            here.execute("SELECT setval(%s::regclass, %s)", [name, value])

    def _make(self) -> None:
        self._server.execute(f"CREATE DATABASE {self._name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        self._uses = 0

    def _drop(self) -> None:
        for connection in [*self._idle, *([self._emptying] if self._emptying else ())]:
            connection.close()
        self._idle, self._emptying = [], None
        self._server.execute(f"DROP DATABASE {self._name} WITH (FORCE)")

    def _has_emptied(self) -> bool:
        try:
            found = self._in_replica().execute("SELECT testing.empty(%s)", [PAGES]).fetchone()
        except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
            return False  # the connection was cut, or a table is locked or missing
        return bool(found[0])

    def _in_replica(self) -> Any:
        """The connection that empties and copies."""
        if self._emptying is None:
            self._emptying = psycopg.connect(
                f"host={self._server.folder} user=chatd dbname={self._name}",
                autocommit=True,
                options=_EMPTYING,
            )
        return self._emptying

    def _take(self) -> Any:
        while self._idle:
            found = self._idle.pop()
            if not found.closed:
                return found
        fairy = self._first.raw_connection()
        made: Any = fairy.dbapi_connection
        fairy.detach()
        made.prepared_max = STATEMENTS
        made.prepare_threshold = 1
        return made

    def _give_back(self, connection: Any) -> None:
        try:
            connection.rollback()
            connection.execute(_RELEASE)
            connection.rollback()
        except psycopg.Error:
            connection.close()
        else:
            self._idle.append(connection)

    def _close(self, connection: Any) -> None:
        connection.close()

    def _count(self) -> None:
        self.opened -= 1


class PooledEngine(Engine):
    """Calls `then` when it is disposed of for the first time."""

    def __init__(self, pool: Any, dialect: Any, url: Any, then: Callable[[], None]) -> None:
        super().__init__(pool, dialect, url, hide_parameters=True)
        self._then: Callable[[], None] | None = then

    def dispose(self, close: bool = True) -> None:
        super().dispose(close)
        then, self._then = self._then, None
        if then is not None:
            then()


class DatabasePool:
    """A chatd.simulate.databases.DatabaseServer for this process. Its databases have the newest schema."""

    def __init__(self) -> None:
        self._used: dict[str, PooledDatabase] = {}  # by path
        self._free: list[PooledDatabase] = []
        self._made = 0

    def connect(self, url: str) -> Engine:
        return self._database(Path(make_url(url).database or "")).engine()

    def renew(self, path: Path) -> None:
        found = self._used.get(str(path.absolute()))
        if found is not None:
            found.empty()

    def copy(self, source: Path, target: Path) -> None:
        copied = self._database(target)
        copied.empty()
        copied.copy(self._database(source))

    def reuse(self) -> None:
        """A test is over: nobody asks again for a database whose engines were disposed of."""
        for path, database in list(self._used.items()):
            if database.opened <= 0:
                self._free.append(self._used.pop(path))

    def _database(self, path: Path) -> PooledDatabase:
        name = str(path.absolute())
        found = self._used.get(name)
        if found is None:
            found = self._used[name] = self._get()
        return found

    def _get(self) -> PooledDatabase:
        if not self._free and len(self._used) >= MANY:
            self._reuse_removed()
        if self._free:
            found = self._free.pop()
            found.empty()
            return found
        self._made += 1
        return PooledDatabase(_server(), f"pooled{self._made}", _template())

    def _reuse_removed(self) -> None:
        """One test may have thousands of realms, one after the other."""
        for path, database in list(self._used.items()):
            if database.opened <= 0 and not Path(path).parent.exists():
                self._free.append(self._used.pop(path))


POOL = DatabasePool()


def _server() -> PostgresServer:
    found = server()
    assert found is not None
    return found


@cache
def _template() -> Engine:
    """Make the database that others are copies of. Returns an engine whose statements they share."""
    _server().execute(f"CREATE DATABASE {TEMPLATE}")
    engine = connect(_server().url(TEMPLATE))
    prepare(engine)
    renew_skeletons(engine)
    engine.dispose()
    _server().execute(_PREPARE, TEMPLATE)
    return engine


def use_postgres() -> bool:
    """Let all tests of this process use PostgreSQL in place of SQLite. Returns whether there is a server."""
    if find_programs() is None:
        return False
    databases.elsewhere = POOL
    return True
