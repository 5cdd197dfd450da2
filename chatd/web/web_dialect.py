"""The dialect of WebSockets: json, with files over HTTP instead of between the lines."""

from __future__ import annotations

from chatd.base.errors import UseHttp
from chatd.commands import values as ask
from chatd.lines.dialect import Prompt, Unreadable
from chatd.lines.dialect import Request as Asked
from chatd.lines.dialects.jsonlines import JsonDialect

_FILES = (
    ask.SendFile,
    ask.SendGroupFile,
    ask.SendRealmFile,
    ask.SendRealmGroupFile,
    ask.GetFile,
    ask.SendRoomFile,
    ask.GetRoomFile,
    ask.ExportData,
    ask.ExportAccount,
    ask.ImportArchive,
)


class WebDialect(JsonDialect):
    """The json dialect without the commands that transfer files: frames have no raw bytes between them."""

    name = "web"
    hint = "http://{host}:{port}/"
    framed = True

    def read(self, line: bytes) -> Asked | Prompt:
        request = super().read(line)
        if isinstance(request, Asked) and isinstance(request.command, _FILES):
            raise Unreadable(UseHttp(), request.tag)
        return request
