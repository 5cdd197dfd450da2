"""Reports of messages to the moderators, until they are closed. Jobs and queries for the Database.

A report has no copy of the message: when a message is deleted, the moderators do not see it either.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from twisted.logger import Logger

from chatd.base.errors import ImportedMessage, TooManyReports, UnknownMessage, UnknownReport
from chatd.base.model import Account
from chatd.base.replies import ReportInfo
from chatd.store.accounts import account_of
from chatd.store.history import build_messages, select_messages
from chatd.store.imported_messages import is_imported
from chatd.store.pinned import message_at
from chatd.store.schema import groups, messages, participants, reports

MAX_REPORTS = 10_000  # that are open
MAX_OWN_REPORTS = 20  # of an account

log = Logger()


class ReportedPlace(msgspec.Struct, frozen=True):
    """Where a reported message is: in the `group` of this realm with that name, or between `accounts`."""

    group: str | None = None
    accounts: frozenset[int] = frozenset()


def add_report(
    connection: sa.Connection, account: Account, conversation: int, seq: int, reason: str, now: int
) -> None:
    """Report a message that the account sees. A second report of it replaces the reason. If there are
    MAX_REPORTS, the account with the most loses its newest one. Raises UnknownMessage, ImportedMessage,
    TooManyReports."""
    if message_at(connection, account, conversation, seq) is None:
        raise UnknownMessage(seq=seq)
    if is_imported(connection, conversation, seq):
        raise ImportedMessage(seq=seq)
    this = reports.c.account_id == account.id, *_about(conversation, seq)
    if connection.execute(sa.update(reports).where(*this).values(reason=reason)).rowcount:
        return
    own = _count(connection, reports.c.account_id == account.id)
    if own >= MAX_OWN_REPORTS:
        raise TooManyReports(limit=MAX_OWN_REPORTS, whose=" of yours")
    if _count(connection) >= MAX_REPORTS:
        _make_room(connection, own + 1)
    connection.execute(
        sa.insert(reports).values(
            account_id=account.id, conversation_id=conversation, seq=seq, reason=reason, at=now
        )
    )


def _count(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(reports).where(*which)) or 0


def _make_room(connection: sa.Connection, wanted: int) -> None:
    """Drop a report, so that some accounts can't fill the queue for all. `wanted` is how many the account
    would have that reports now. Raises TooManyReports if no other account has more."""
    number = sa.func.count()
    account_id, most = connection.execute(
        sa.select(reports.c.account_id, number)
        .group_by(reports.c.account_id)
        .order_by(number.desc())
        .limit(1)
    ).one()
    if most <= wanted:
        raise TooManyReports(limit=MAX_REPORTS, whose="")
    newest = sa.select(sa.func.max(reports.c.id)).where(reports.c.account_id == account_id)
    connection.execute(sa.delete(reports).where(reports.c.id == newest.scalar_subquery()))
    name = account_of(connection, account_id).name
    log.warn("the queue of reports is full; {account} has lost its newest one", account=name)


def open_reports(connection: sa.Connection, limit: int) -> tuple[Sequence[ReportInfo], int]:
    """The first `limit` reports, and how many more there are. Accounts take turns, so that those with many do
    not hide the others: first comes the oldest report of each."""
    turn = sa.func.row_number().over(partition_by=reports.c.account_id, order_by=reports.c.id)
    rows = connection.execute(sa.select(reports).order_by(turn, reports.c.id).limit(limit)).all()
    return [_info(connection, row) for row in rows], _count(connection) - len(rows)


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


def is_reported(connection: sa.Connection, conversation: int, seq: int) -> bool:
    """Whether there is an open report of a message."""
    return bool(_count(connection, *_about(conversation, seq)))


def close_reports_of(connection: sa.Connection, conversation: int, seq: int) -> int:
    """Close the reports of a message. Returns how many there were."""
    return connection.execute(sa.delete(reports).where(*_about(conversation, seq))).rowcount


def _about(conversation: int, seq: int) -> tuple[sa.ColumnElement[bool], ...]:
    return reports.c.conversation_id == conversation, reports.c.seq == seq


def reported_place(connection: sa.Connection, conversation: int, seq: int) -> ReportedPlace | None:
    """Where a message is of which there is an open report. None if there is none, or if another realm has the
    message, too: a direct with somebody there, or a group that lives there."""
    if not is_reported(connection, conversation, seq):
        return None
    group = connection.execute(
        sa.select(groups.c.name, groups.c.realm).where(groups.c.conversation_id == conversation)
    ).first()
    if group is not None:
        return ReportedPlace(group.name) if group.realm is None else None
    sides = connection.execute(
        sa.select(participants.c.account_id, participants.c.realm).where(
            participants.c.conversation_id == conversation
        )
    ).all()
    if any(side.realm is not None for side in sides):
        return None
    return ReportedPlace(accounts=frozenset(side.account_id for side in sides))
