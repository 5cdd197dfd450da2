"""The nodes that serve this realm. Jobs and queries for the Database.

`now` is the time in ms since 1970 UTC by this machine's clock. It is used with SQLite only: nodes that share
a database compare times by its clock.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, text, update

from chatd.store.database_time import database_time
from chatd.store.schema import nodes

BEAT_EVERY = 1000  # ms
MISSED_BEATS = 3  # after which a node counts as dead
DEAD_AFTER = MISSED_BEATS * BEAT_EVERY  # ms without a beat


class ClusterNode(msgspec.Struct, frozen=True):
    """A node that has joined. `id` stands for this stay of it in the cluster: if it joins again, it has
    another, higher one. `started` is when it joined, in ms since 1970 UTC. `silent` is the time since its
    last beat, in ms, when it was listed."""

    id: int
    name: str
    started: int
    address: str
    silent: int = 0

    @property
    def is_alive(self) -> bool:
        return self.silent <= DEAD_AFTER


_ALL = select(nodes.c.id, nodes.c.name, nodes.c.started, nodes.c.address, nodes.c.beat).order_by(
    nodes.c.id
)
_BEAT = update(nodes).where(nodes.c.id == bindparam("node")).values(beat=bindparam("now"))
_LAST_BEAT = select(nodes.c.beat).where(nodes.c.id == bindparam("node"))
LEFT = 0  # the beat of a node that has left
_LEAVE = _BEAT.values(beat=LEFT)
_LISTED = select(nodes.c.id).where(nodes.c.id == bindparam("node"))
_REMOVE_DEAD = delete(nodes).where(nodes.c.beat < bindparam("since"))
_REMOVE_NAMED = _REMOVE_DEAD.where(nodes.c.name == bindparam("named"))
_JOIN = text(
    "INSERT INTO nodes (name, started, beat, commits, address) VALUES (:name, :now, :now, 0, :address) "
    "ON CONFLICT (name) DO NOTHING RETURNING id"
)


def join(connection: Connection, name: str, address: str, now: int) -> ClusterNode | None:
    """Add a node that has just been started. Returns None, and adds nothing, while another one with this name
    counts as alive."""
    now = database_time(connection, now)
    connection.execute(_REMOVE_NAMED, {"named": name, "since": now - DEAD_AFTER})
    values = {"name": name, "now": now, "address": address}
    found = connection.scalar(_JOIN, values)
    return None if found is None else ClusterNode(found, name, now, address)


def beat(connection: Connection, node: int, now: int) -> int | None:
    """Note that a node is alive. Returns the time since its last beat, in ms; None if it is not listed, since
    the others have removed it."""
    now = database_time(connection, now)
    last = connection.scalar(_LAST_BEAT, {"node": node})
    if last is None:
        return None
    connection.execute(_BEAT, {"node": node, "now": now})
    return max(now - int(last), 0)


def leave(connection: Connection, node: int) -> None:
    """A node stops. The others remove its row: without one, this transaction could not be counted in it."""
    connection.execute(_LEAVE, {"node": node})


def list_nodes(connection: Connection, now: int) -> list[ClusterNode]:
    """The nodes that have neither left nor been removed, in the order in which they joined."""
    now = database_time(connection, now)
    rows = connection.execute(_ALL)
    return [ClusterNode(*row[:4], max(now - row.beat, 0)) for row in rows]


def is_listed(connection: Connection, node: int) -> bool:
    """Whether a node has neither left nor been removed."""
    return connection.scalar(_LISTED, {"node": node}) is not None


def remove_left(connection: Connection) -> None:
    """Remove the nodes that have left."""
    connection.execute(_REMOVE_DEAD, {"since": LEFT + 1})


def remove_dead(connection: Connection, now: int) -> None:
    """Remove the nodes that have left or have missed MISSED_BEATS beats."""
    since = database_time(connection, now) - DEAD_AFTER
    connection.execute(_REMOVE_DEAD, {"since": since})
