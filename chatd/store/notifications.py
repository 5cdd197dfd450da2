"""What PostgreSQL carries between nodes: notifications, and the payloads that are too large for one.

The connections that these functions get commit each statement, and are used for nothing else: a NOTIFY in the
transaction that stores data would make all transactions of all nodes wait for one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, text

from chatd.store.database_time import database_time
from chatd.store.schema import bus_payloads

# A notification has fewer than 8,000 bytes (https://www.postgresql.org/docs/current/sql-notify.html).
MAX_NOTIFICATION = 7999
CHANNEL = "chatd"
KEPT = 60_000  # ms for which a payload is kept
STATEMENT_TIMEOUT = 5000  # ms

_NOTIFY = text(
    "SELECT pg_notify(channel, payload) FROM "
    "unnest(CAST(:channels AS text[]), CAST(:payloads AS text[])) AS each (channel, payload)"
)
_ADD = insert(bus_payloads).returning(bus_payloads.c.id)
_FIND = select(bus_payloads.c.payload).where(bus_payloads.c.id == bindparam("wanted"))
_PRUNE = delete(bus_payloads).where(bus_payloads.c.at < bindparam("since"))


def connect_alone(engine: Engine) -> Connection:
    """Return a connection that belongs to no pool. A statement on it takes STATEMENT_TIMEOUT at most, and may
    return before its changes are on disk."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.detach()
    connection.exec_driver_sql(f"SET statement_timeout = {STATEMENT_TIMEOUT}")
    # A notification takes part in the log of the server, and nobody has to wait until that is on disk.
    connection.exec_driver_sql("SET synchronous_commit = off")
    return connection


def channel_of(node: str) -> str:
    """The channel on which the node of that name alone listens."""
    return f"{CHANNEL}_{sha256(node.encode()).hexdigest()[:32]}"


def listen(connection: Connection, *channels: str) -> None:
    """Receive the notifications of these channels from now on."""
    for channel in channels:
        connection.exec_driver_sql(f"LISTEN {channel}")


def receive(connection: Connection, seconds: float) -> list[str]:
    """Wait that long for notifications, and return those that have come."""
    driver: Any = connection.connection.dbapi_connection
    return [each.payload for each in driver.notifies(timeout=seconds, stop_after=1)]


def notify(connection: Connection, notifications: Sequence[tuple[str, str]]) -> None:
    """Send notifications, in order: the channel of each, and its payload of at most MAX_NOTIFICATION
    bytes."""
    channels, payloads = zip(*notifications, strict=True)
    connection.execute(_NOTIFY, {"channels": list(channels), "payloads": list(payloads)})


def add_payload(connection: Connection, payload: bytes) -> int:
    """Store a payload, and return its id."""
    now = database_time(connection, 0)
    return int(connection.execute(_ADD, {"at": now, "payload": payload}).scalar_one())


def find_payload(connection: Connection, wanted: int) -> bytes | None:
    """The payload with that id; None if it was removed."""
    found: bytes | None = connection.scalar(_FIND, {"wanted": wanted})
    return found


def prune_payloads(connection: Connection) -> None:
    """Remove the payloads that are older than KEPT."""
    connection.execute(_PRUNE, {"since": database_time(connection, 0) - KEPT})
