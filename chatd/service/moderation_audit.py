"""The audit log of messages that moderators delete with `delete`, the command of everybody."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection

from chatd.base.background import in_background
from chatd.base.entries import Deletion
from chatd.base.errors import ChatError
from chatd.service.targets import Target
from chatd.store.audit import BEGUN, DONE, AuditEntry, add_entry
from chatd.store.crossing import is_author
from chatd.store.database import Database
from chatd.store.message_changes import NOTHING, ChangeResult, WantedChange
from chatd.store.reports import close_reports_of

if TYPE_CHECKING:
    from chatd.service.message_changes import ChangeReceipt

DELETE = "delete"  # the verb


class BegunAct(msgspec.Struct, frozen=True):
    """A deletion that another realm decides. The row `begun` of the audit log says that it was asked for."""

    entry: AuditEntry
    begun: int


class ModerationAudit:
    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self, connection: Connection, wanted: WantedChange, target: Target, result: ChangeResult
    ) -> BegunAct | None:
        """In the transaction of a change: if a moderator deletes a message of somebody else, note what `admin
        message delete` notes, and close the reports of the message. The home of a group elsewhere decides
        about a deletion there, so that has only begun, and is returned; reports of the message stay."""
        if not (wanted.moderator and isinstance(wanted.change, Deletion)):
            return None
        place = wanted.conversation, wanted.seq
        if is_author(connection, *place, wanted.author.id):
            return None
        about = target.group or str(wanted.conversation), f"seq={wanted.seq}"
        entry = AuditEntry(wanted.at, wanted.author.name, DELETE, *about)
        if wanted.elsewhere:
            if result == NOTHING:
                return None
            return BegunAct(entry, add_entry(connection, entry, BEGUN))
        closed = close_reports_of(connection, *place)
        if result != NOTHING or closed:
            add_entry(connection, entry, DONE)
        return None

    async def follow(
        self, act: BegunAct | None, forwarding: Coroutine[Any, Any, ChangeReceipt]
    ) -> ChangeReceipt:
        """Forward a change, and note what the other realm says of `act`. While the request waits for that
        realm, the act has only begun. Returns and raises as `forwarding`."""
        try:
            receipt = await forwarding
        except ChatError as error:
            await self._end(act, error.code)
            raise
        if not receipt.queued:
            await self._end(act, DONE)
        return receipt

    async def _end(self, act: BegunAct | None, outcome: str) -> None:
        if act is not None:
            ending = self._database.run(add_entry, act.entry, outcome, act.begun)
            await in_background("the audit log lacks that an act has ended", ending)
