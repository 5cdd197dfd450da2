"""`control`, the dialect of the control socket: `json` with the commands that need a role, and no login."""

from __future__ import annotations

from chatd.base.errors import UnknownCommand
from chatd.commands.values import CheckAlive, Quit, ShowHelp
from chatd.lines.dialect import Prompt, Request, Unreadable
from chatd.lines.dialects.jsonlines import JsonDialect

# What needs no role and is useful all the same
_WITHOUT_ROLE = (CheckAlive, Quit, ShowHelp)


class ControlDialect(JsonDialect):
    name = "control"
    hint = "chatctl"

    def read(self, line: bytes) -> Request | Prompt:
        request = super().read(line)
        row = request.row
        if row.role is None and row.command not in _WITHOUT_ROLE:
            tag = request.tag if isinstance(request, Request) else None
            advice = "the control socket has the commands of operators; help admin lists them"
            raise Unreadable(UnknownCommand(verb=row.verb, advice=advice), tag)
        return request
