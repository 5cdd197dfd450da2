"""The audit log: what is changed with a role stands in it, with who did it and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from chatd.base.principals import Principal
from chatd.base.records import AuditInfo
from chatd.service.context import Context
from chatd.store import audit as store
from chatd.store.audit import AuditEntry

P = ParamSpec("P")
T = TypeVar("T")


class Act:
    """What an actor does with one command. A command that changes something at once runs the job that changes
    it with `run`."""

    def __init__(self, context: Context, actor: Principal, entry: AuditEntry) -> None:
        self.actor = actor
        self.is_stored = False  # that it is done, or refused
        self._database = context.database
        self._entry = entry
        self._begun: int | None = None

    async def run(
        self, job: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a job of the database, and store in the same transaction that the act is done. Returns and
        raises as the job. Raises NotOperator, NotModerator if the actor has lost the role since the command
        came, for example while a password was hashed. Raises OnlyOperator if no operator would be left."""
        if kwargs:
            raise TypeError("jobs take positional arguments")
        result: T = await self._database.run(store.run_audited, self.actor, self._entry, job, args)
        self.is_stored = True
        return result

    async def begin(self) -> None:
        """Store that the act begins. Raises StorageFailed, NotOperator, NotModerator."""
        self._begun = await self._database.run(store.begin, self.actor, self._entry)

    def changes_nothing(self) -> None:
        """Keep the act out of the log, because it only reads."""
        self.is_stored = True

    async def end(self, outcome: str) -> None:
        """Store what became of the act, unless that is stored already. Raises StorageFailed."""
        if not self.is_stored:
            self.is_stored = True
            await self._database.run(store.add_entry, self._entry, outcome, self._begun)


class Audit:
    """Makes acts, and lists those of the past."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def act(self, actor: Principal, verb: str, target: str | None, detail: str) -> Act:
        """An act that begins now. `detail` has no secrets."""
        entry = AuditEntry(self._context.now(), actor.name, verb, target, detail)
        return Act(self._context, actor, entry)

    async def list(self, limit: int, before: int | None) -> tuple[tuple[AuditInfo, ...], int]:
        """The newest `limit` acts, before the entry `before` if that is given, and how many more there
        are."""
        found, more = await self._context.database.read(store.read_entries, limit, before)
        return tuple(found), more
