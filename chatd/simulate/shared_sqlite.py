"""A database in a file that stands for one on a server: the simulated nodes of a realm share it.

Transactions are serial, because each is one step of the simulation. So a node's turn is its transaction, and
locks are not needed. The rest is as with PostgreSQL: nodes count what they change, and a node that was
removed changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from chatd.store.backend import WriterTurns
from chatd.store.driver import fetch
from chatd.store.engine import add_backend
from chatd.store.node_turns import NodeRemoved
from chatd.store.sqlite import SQLite

DRIVER = "shared"
SCHEME = f"sqlite+{DRIVER}"
# A function of the connection: the server's time, in ms since 1970 UTC
TIME = "server_time"

_OTHERS = "SELECT id, commits FROM nodes WHERE id <> ? ORDER BY id"
_COUNT = (
    f"UPDATE nodes SET commits = commits + 1, beat = CASE beat WHEN 0 THEN 0 ELSE {TIME}() END "  # noqa: S608
    "WHERE id = ? RETURNING commits"
)
_COMMITS = "SELECT commits FROM nodes WHERE id = ?"


class SharedDialect(SQLiteDialect_pysqlite):
    """SQLite, with a name of its own, by which chatd finds the backend."""

    driver = DRIVER
    supports_statement_cache = True


class SerialTurns(WriterTurns):
    """As chatd.store.node_turns.NodeTurns. No node writes beside others."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[tuple[int, int]] | None = None
        self._connection: Any = None
        self._changes = 0
        # The node, and its count, of this turn's transaction
        self._last: tuple[int, int] | None = None

    def begin(self, connection: Connection, beside: bool) -> bool:
        raw: Any = connection.connection.driver_connection
        self.reconnected = self.reconnected or self._connection not in (None, raw)
        self._connection, self._changes = raw, raw.total_changes
        seen = [(node, commits) for node, commits in fetch(connection, _OTHERS, (self.node,))]
        same = seen == self._seen and not self.reconnected
        self._seen = seen
        return not same

    def end(self, connection: Connection) -> None:
        self._last = None
        if self.node and self._connection.total_changes != self._changes:
            counted = fetch(connection, _COUNT, (self.node,))
            if not counted:
                raise NodeRemoved
            self._last = self.node, counted[0][0]
        self.reconnected = False

    def was_committed(self, connection: Connection) -> bool | None:
        if self._last is None:
            return True  # there was nothing to store
        node, commits = self._last
        found = fetch(connection, _COMMITS, (node,))
        return found[0][0] == commits if found else None

    def forget(self) -> None:
        self._seen = None


class SharedSQLite(SQLite):
    """The backend of such a database."""

    is_shared = True

    def turns(self) -> WriterTurns:
        return SerialTurns()

    def time(self, connection: Connection, now: int) -> int:
        return int(connection.exec_driver_sql(f"SELECT {TIME}()").scalar_one())

    def file_of(self, engine: Engine) -> Path | None:
        return None

    def quick_check(self, connection: Connection, limit: int) -> list[str]:
        return []

    def foreign_key_problems(self, connection: Connection, limit: int) -> list[str]:
        return []

    def limit_log(self, connection: Connection, low: bool) -> None:
        """The log is on the server."""


registry.register(f"sqlite.{DRIVER}", __name__, SharedDialect.__name__)
SHARED = SharedSQLite()
add_backend(DRIVER, SHARED)
