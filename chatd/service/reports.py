"""Reports of messages, which the moderators read and close."""

from __future__ import annotations

from twisted.logger import Logger

from chatd.base.errors import UnknownMessage
from chatd.base.model import Account
from chatd.base.names import Place
from chatd.base.replies import ReportInfo
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.reading import Reading
from chatd.store import reports as store

MAX_LISTED = 100

log = Logger()


class Reports:
    """The queue of the moderators."""

    def __init__(self, context: Context, reading: Reading) -> None:
        self._context = context
        self._database = context.database
        self._reading = reading

    async def add(self, account: Account, place: Place | int, seq: int, reason: str) -> None:
        """Report a message. Raises as Reading.find, UnknownMessage, TooManyReports."""
        conversation = await self._reading.find(account, place)
        if conversation is None:
            raise UnknownMessage(seq=seq)
        now = self._context.now()
        await self._database.run(store.add_report, account, conversation, seq, reason, now)
        log.info("{account} has reported a message", account=account.name)

    async def all(self) -> tuple[tuple[ReportInfo, ...], int]:
        """The oldest open reports, and how many more there are."""
        found, more = await self._database.read(store.open_reports, MAX_LISTED)
        return tuple(found), more

    async def close(self, act: Act, report: int) -> None:
        """Close a report. Raises UnknownReport."""
        await act.run(store.close_report, report)
        log.info("{actor} has closed report {report}", actor=act.actor.name, report=report)
