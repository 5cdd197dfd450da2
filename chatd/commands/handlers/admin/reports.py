"""Handlers of the commands for the queue of reported messages."""

from __future__ import annotations

from chatd.base.moderation_records import OpenReport
from chatd.base.replies import Reply, ReportInfo
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import count, list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act

ACT_HANDLERS = ActHandlers()


@ACT_HANDLERS.of(ask.ListOpenReports)
async def list_reports(client: Client, _command: ask.ListOpenReports, _act: Act) -> Reply:
    found, more = await client.service.reports.all()
    items = tuple(map(_open_report, found))
    return list_reply(count(items, "report"), items, "open_reports", more)


@ACT_HANDLERS.of(ask.CloseOpenReport)
async def close_report(client: Client, command: ask.CloseOpenReport, act: Act) -> Reply:
    await client.service.reports.close(act, command.report)
    return Reply(f"Report {command.report} is closed", {"report": command.report})


def _open_report(info: ReportInfo) -> OpenReport:
    message = info.message
    if message is None:
        return OpenReport(info.report, info.at, info.by, info.reason)
    return OpenReport(
        info.report,
        info.at,
        info.by,
        info.reason,
        message.conversation,
        message.seq,
        message.sender,
        message.group,
        message.text or "",
    )
