"""Handlers of the commands that report messages, and of those with which moderators read the reports."""

from __future__ import annotations

from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import count, list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act

HANDLERS = Handlers()
ACT_HANDLERS = ActHandlers()


@HANDLERS.of(ask.ReportMessage)
async def report(client: Client, command: ask.ReportMessage) -> Reply:
    reports = client.service.reports
    await reports.add(client.account, command.place, command.seq, command.reason)
    return Reply("The message is reported to the moderators")


@ACT_HANDLERS.of(ask.ListReports)
async def reports(client: Client, _command: ask.ListReports, _act: Act) -> Reply:
    found, more = await client.service.reports.all()
    return list_reply(count(found, "report"), found, "reports", more)


@ACT_HANDLERS.of(ask.CloseReport)
async def close_report(client: Client, command: ask.CloseReport, act: Act) -> Reply:
    await client.service.reports.close(act, command.report)
    return Reply(f"Report {command.report} is closed", data={"report": command.report})
