"""Reports of messages to the moderators, until they are closed. Jobs and queries for the Database.

A report has no copy of the message: what is deleted is gone for the moderators, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from chatd.base.errors import TooManyReports, UnknownMessage, UnknownReport
from chatd.base.model import Account, ReportInfo
from chatd.store.accounts import account_of
from chatd.store.history import build_messages, select_messages
from chatd.store.pinned import message_at
from chatd.store.schema import messages, reports

MAX_REPORTS = 10_000  # that are open
MAX_OWN_REPORTS = 20  # of an account


def add_report(
    connection: sa.Connection, account: Account, conversation: int, seq: int, reason: str, now: int
) -> None:
    """Report a message that the account sees. A second report of it replaces the reason. Raises
    UnknownMessage, TooManyReports."""
    if message_at(connection, account, conversation, seq) is None:
        raise UnknownMessage(seq=seq)
    this = (
        reports.c.account_id == account.id,
        reports.c.conversation_id == conversation,
        reports.c.seq == seq,
    )
    if connection.execute(sa.update(reports).where(*this).values(reason=reason)).rowcount:
        return
    for limit, whose, which in (
        (MAX_OWN_REPORTS, " of yours", reports.c.account_id == account.id),
        (MAX_REPORTS, "", sa.true()),
    ):
        query = sa.select(sa.func.count()).select_from(reports).where(which)
        if (connection.scalar(query) or 0) >= limit:
            raise TooManyReports(limit=limit, whose=whose)
    connection.execute(
        sa.insert(reports).values(
            account_id=account.id, conversation_id=conversation, seq=seq, reason=reason, at=now
        )
    )


def open_reports(connection: sa.Connection, limit: int) -> tuple[Sequence[ReportInfo], int]:
    """The first `limit` reports, oldest first, and how many more there are."""
    rows = connection.execute(sa.select(reports).order_by(reports.c.id).limit(limit)).all()
    total = connection.scalar(sa.select(sa.func.count()).select_from(reports)) or 0
    return [_info(connection, row) for row in rows], total - len(rows)


def _info(
    connection: sa.Connection, row: sa.Row[tuple[int, int, int, int, str, int]]
) -> ReportInfo:
    """A report with its message as the account saw it, also if it has left the conversation since."""
    by = account_of(connection, row.account_id)
    found = connection.execute(
        select_messages(by, known=True).where(
            messages.c.conversation_id == row.conversation_id, messages.c.seq == row.seq
        )
    ).all()
    message = build_messages(connection, found, by)[0] if found else None
    return ReportInfo(row.id, row.at, by.name, row.reason, message)


def close_report(connection: sa.Connection, report: int) -> None:
    """Close a report. Raises UnknownReport."""
    if not connection.execute(sa.delete(reports).where(reports.c.id == report)).rowcount:
        raise UnknownReport(report=report)
