"""Files."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.common import (
    FILE_ERRORS,
    FILENAME,
    GROUP_ERRORS,
    GROUP_OR_PEOPLE,
    KEY,
    PEOPLE_ERRORS,
    SIZE,
    TO,
)

ROWS: tuple[Row, ...] = (
    Row(
        "sendfile",
        ask.SendFile,
        "send a file: READY is answered, then exactly that many raw bytes follow",
        (TO, FILENAME, SIZE, KEY),
        aliases=("send_file",),
        errors=(*PEOPLE_ERRORS, *FILE_ERRORS),
    ),
    Row(
        "sendgroupfile",
        ask.SendGroupFile,
        "send a file to a group, or to a list of people",
        (GROUP_OR_PEOPLE, FILENAME, SIZE, KEY),
        aliases=("sendgroup_file",),
        errors=(*GROUP_ERRORS, errors.UnknownUser, errors.GroupClosed, errors.Banned, *FILE_ERRORS),
    ),
    Row("files", ask.ListFiles, "the files that one may fetch"),
    Row(
        "getfile",
        ask.GetFile,
        "fetch a file: after the reply come exactly that many raw bytes",
        (Arg("code", types.CODE, also=("filename", "name")),),
        aliases=("download_file", "downloadgroup_file"),
        errors=(errors.UnknownFile,),
    ),
)
