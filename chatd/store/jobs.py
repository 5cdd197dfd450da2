"""Jobs for the writer of a database, and their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

# How often a job is left to a later transaction because another node writes to the same
MOST_LEFT = 3


class CodeTaken(Exception):
    """A random code is in use already: try again with another."""


class JobFailed(Exception):
    """A job raised something in a transaction that was not committed."""


class Unanswered(Exception):
    """The connection was lost before a commit was answered. `outcomes` are right if it was stored."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        super().__init__()
        self.outcomes = outcomes


class Job(msgspec.Struct, gc=False):
    """One call to make in a transaction. The argument of a `batch` job is an item for a shared call. `left`
    counts the transactions that have left it to a later one."""

    done: Deferred[Any]
    run: Callable[..., Any]
    args: tuple[Any, ...] = ()
    batch: bool = False
    left: int = 0


class Outcome(msgspec.Struct, gc=False):
    """The result of a job: its return value, or its Failure."""

    done: Deferred[Any]
    value: Any


class Beside(msgspec.Struct, frozen=True):
    """How batch functions store items beside other nodes. `may` says whether an item can be stored so. `lock`
    gets items, and for each of them whether to wait for what it concerns. It locks that, and reads what
    others may have changed of it. It returns for each item whether that is locked. It is called once in a
    transaction, with all items: nodes that lock one after the other would wait for each other."""

    may: Callable[[Any], bool]
    lock: Callable[[Connection, Sequence[Any], Sequence[bool]], Sequence[bool]]

    def choose(self, connection: Connection, jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
        """Lock what the items of these jobs concern. Returns the jobs that can be done now, and those that
        are left to the next transaction."""
        items = [job.args[0] for job in jobs]
        locked = self.lock(connection, items, [job.left >= MOST_LEFT for job in jobs])
        chosen, left = list[Job](), list[Job]()
        for job, is_locked in zip(jobs, locked, strict=True):
            (chosen if is_locked else left).append(job)
        for job in left:
            job.left += 1
        return chosen, left
