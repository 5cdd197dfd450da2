"""What only one node at a time may do: a lease names it, and belongs to the node for LASTS. Jobs for the
Database.

The *epoch* of a lease grows each time a node takes it. A node that was paused may believe that it still has a
lease that another has taken meanwhile. What it then changes is guarded by `check_lease`, with the epoch that
it was given (a fencing token).

`now` is the time in ms since 1970 UTC by this machine's clock. It is used with SQLite only: nodes that share
a database compare times by its clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, select, text, update

from chatd.store.database_time import database_time
from chatd.store.nodes import DEAD_AFTER
from chatd.store.schema import leases, nodes

LASTS = 8000  # ms after the last renewal
NOBODY = 0
CHUNK = 500  # leases in one statement


class LeaseLost(Exception):
    """Another node has taken the lease since."""


class LeaseReport(msgspec.Struct, frozen=True):
    """`held` are the leases that a node has now, with their epochs. In `wait` ms the first of the others may
    be free; None if there are no others."""

    held: dict[str, int]
    wait: int | None


_CHOSEN = leases.c.name.in_(bindparam("names", expanding=True))
_SELECT = select(leases.c.name, leases.c.node, leases.c.epoch, leases.c.until).where(_CHOSEN)
# In ascending order, so that two nodes do not wait for one another
_LOCK = _SELECT.order_by(leases.c.name).with_for_update()
_RENEW = update(leases).where(_CHOSEN).values(until=bindparam("end"))
_TAKE = _RENEW.values(node=bindparam("owner"), epoch=leases.c.epoch + 1)
_TAKE_ONE = (
    update(leases)
    .where(leases.c.name == bindparam("named"), leases.c.epoch == bindparam("was"))
    .values(node=bindparam("owner"), epoch=leases.c.epoch + 1, until=bindparam("end"))
)
_RELEASE = (
    update(leases).where(leases.c.node == bindparam("owner"), _CHOSEN).values(node=NOBODY, until=0)
)
_ADD = text(
    f"INSERT INTO leases (name, node, epoch, until) VALUES (:name, {NOBODY}, 0, 0) "  # noqa: S608 - a constant
    "ON CONFLICT (name) DO NOTHING"
)
_OWNER = (
    select(nodes.c.name)
    .join(leases, leases.c.node == nodes.c.id)
    .where(leases.c.name == bindparam("named"), leases.c.until > bindparam("at"))
)
_ALIVE = select(nodes.c.id).where(nodes.c.beat >= bindparam("since"))
_COUNT = (
    select(leases.c.node, func.count())
    .where(leases.c.name.startswith(bindparam("prefix")), leases.c.until > bindparam("at"))
    .group_by(leases.c.node)
)
# The lock makes a node that wants the lease wait for the end of the transaction.
_CHECK = (
    select(leases.c.epoch).where(leases.c.name == bindparam("named")).with_for_update(read=True)
)


def tend_leases(connection: Connection, node: int, names: Iterable[str], now: int) -> LeaseReport:
    """Renew those of the leases `names` that `node` has, and take those that no node has."""
    now = database_time(connection, now)
    ordered = sorted(set(names))
    held: dict[str, int] = {}
    wait: int | None = None
    for start in range(0, len(ordered), CHUNK):
        some = ordered[start : start + CHUNK]
        held |= _tend(connection, node, some, now)
        others = [name for name in some if name not in held]
        for row in connection.execute(_SELECT, {"names": others}) if others else ():
            left = max(row.until - now, 0)
            wait = left if wait is None else min(wait, left)
    return LeaseReport(held, wait)


def release_leases(connection: Connection, node: int, names: Iterable[str]) -> None:
    """Let other nodes take those of the leases `names` that `node` has."""
    ordered = sorted(set(names))
    for start in range(0, len(ordered), CHUNK):
        some = ordered[start : start + CHUNK]
        connection.execute(_LOCK, {"names": some}).close()
        connection.execute(_RELEASE, {"owner": node, "names": some})


def hand_over(connection: Connection, name: str, epoch: int, node: int, now: int) -> bool:
    """Give a lease to `node`, as a new epoch, if it still is in `epoch`. Returns whether it was."""
    end = database_time(connection, now) + LASTS
    given = connection.execute(_TAKE_ONE, {"named": name, "was": epoch, "owner": node, "end": end})
    return bool(given.rowcount)


def find_owner(connection: Connection, name: str, now: int) -> str | None:
    """The name of the node that has a lease; None if none has."""
    at = database_time(connection, now)
    found: str | None = connection.scalar(_OWNER, {"named": name, "at": at})
    return found


def count_leases(connection: Connection, now: int, prefix: str = "") -> dict[int, int]:
    """How many leases each node has, by its id. Counts those whose names begin with `prefix`, which has no
    `%` and no `_`."""
    at = database_time(connection, now)
    rows = connection.execute(_COUNT, {"prefix": prefix, "at": at})
    return {row[0]: row[1] for row in rows}


def count_of_living(connection: Connection, now: int, prefix: str) -> dict[int, int]:
    """As `count_leases`, for each living node, also for those without a lease."""
    since = database_time(connection, now) - DEAD_AFTER
    counts = count_leases(connection, now, prefix)
    return {node: counts.get(node, 0) for node in connection.scalars(_ALIVE, {"since": since})}


def check_lease(connection: Connection, name: str, epoch: int) -> None:
    """Let no node take a lease until the transaction has ended. Raises LeaseLost if it was taken since a node
    was given `epoch`."""
    if connection.scalar(_CHECK, {"named": name}) != epoch:
        raise LeaseLost(name)


def _tend(connection: Connection, node: int, names: Sequence[str], now: int) -> dict[str, int]:
    """As `tend_leases`, for leases in ascending order. Returns the epochs of those that `node` has."""
    seen = {row.name: row for row in connection.execute(_SELECT, {"names": names})}
    for name in names:
        if name not in seen:
            connection.execute(_ADD, {"name": name})
    # Leases of others are not locked, since their nodes renew them.
    mine = [name for name in names if name not in seen or _may_have(seen[name], node, now)]
    rows = connection.execute(_LOCK, {"names": mine}).all() if mine else []
    held = {row.name: row.epoch for row in rows if row.node == node}
    free = {row.name: row.epoch + 1 for row in rows if row.node != node and row.until <= now}
    end = now + LASTS
    if held:
        connection.execute(_RENEW, {"names": list(held), "end": end})
    if free:
        connection.execute(_TAKE, {"names": list(free), "end": end, "owner": node})
    return held | free


def _may_have(row: Any, node: int, now: int) -> bool:
    return bool(row.node == node or row.until <= now)
