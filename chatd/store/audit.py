"""The audit log: what was done with a role, or by a link that an operator has made. Jobs and queries for the
Database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, true

from chatd.base.errors import OnlyOperator
from chatd.base.principals import Principal
from chatd.base.records import AuditInfo
from chatd.store.engine import inserted_id
from chatd.store.operators import able_operators, check_actor
from chatd.store.schema import audit

BEGUN = "begun"
DONE = "done"


class AuditEntry(msgspec.Struct, frozen=True):
    """What an actor does. `at` is in ms since 1970 UTC."""

    at: int
    actor: str
    act: str
    target: str | None
    detail: str


def add_entry(
    connection: Connection, entry: AuditEntry, outcome: str, begun: int | None = None
) -> int:
    """Store that `entry` has begun or has ended (`outcome`). `begun` is the id of the row that says that it
    has begun. Returns the id of the row."""
    values = {**msgspec.structs.asdict(entry), "outcome": outcome, "begun": begun}
    return inserted_id(connection.execute(insert(audit).values(values)))


def begin(connection: Connection, actor: Principal, entry: AuditEntry) -> int:
    """Store that `entry` begins. Returns the id of the row. Raises NotOperator, NotModerator."""
    check_actor(connection, actor)
    return add_entry(connection, entry, BEGUN)


def run_audited(
    connection: Connection,
    actor: Principal,
    entry: AuditEntry,
    job: Callable[..., Any],
    args: tuple[Any, ...],
) -> Any:
    """Run `job`, and store in the same transaction that `entry` is done. Returns and raises as `job`. Raises
    NotOperator, NotModerator.

    Raises OnlyOperator if no operator would be able to work afterwards: this is the one place that protects
    the last one. Who is at the control socket may do it, because chatctl can always make another.
    """
    check_actor(connection, actor)
    before = {} if actor.account is None else able_operators(connection, entry.at)
    result = job(connection, *args)
    if before and not able_operators(connection, entry.at):
        raise OnlyOperator(name=next(iter(before.values())))
    add_entry(connection, entry, DONE)
    return result


def read_entries(
    connection: Connection, limit: int, before: int | None
) -> tuple[list[AuditInfo], int]:
    """The newest `limit` acts with ids below `before`, newest first, and how many more there are. An act that
    has ended is one entry, with the id and time of its end."""
    ended = audit.alias()
    is_upto = true() if before is None else audit.c.id < before
    shown = is_upto & ~select(ended.c.id).where(ended.c.begun == audit.c.id).exists()
    columns = audit.c.id, audit.c.at, audit.c.actor, audit.c.act, audit.c.outcome, audit.c.target
    chosen = select(*columns, audit.c.detail).where(shown).order_by(audit.c.id.desc())
    rows = connection.execute(chosen.limit(limit)).all()
    # Each row that ends an act hides the one that begins it. These are counted in indexes alone.
    total: int = connection.scalar(select(func.count()).select_from(audit).where(is_upto)) or 0
    begun = audit.c.begun.is_not(None) if before is None else audit.c.begun < before
    hidden: int = connection.scalar(select(func.count()).select_from(audit).where(begun)) or 0
    return [AuditInfo(*row) for row in rows], total - hidden - len(rows)
