"""The commands for files."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.common import (
    CONVERSATION_ERRORS,
    FILE_ERRORS,
    FILENAME,
    GROUP_ERRORS,
    GROUP_OR_PEOPLE,
    KEY,
    LOOKUP_ERRORS,
    OPTIONAL_CONVERSATION,
    PEOPLE_ERRORS,
    SIZE,
    TO,
    WAIT,
)

ROWS: tuple[Row, ...] = (
    Row(
        "sendfile",
        ask.SendFile,
        "send a file: after the READY reply, send exactly that many raw bytes",
        (TO, FILENAME, SIZE, KEY, WAIT),
        aliases=("send_file",),
        errors=(*PEOPLE_ERRORS, *LOOKUP_ERRORS, *FILE_ERRORS, errors.UnknownMessage),
    ),
    Row(
        "sendgroupfile",
        ask.SendGroupFile,
        "send a file to a group or to several people",
        (GROUP_OR_PEOPLE, FILENAME, SIZE, KEY, WAIT),
        aliases=("sendgroup_file",),
        errors=(
            *GROUP_ERRORS,
            errors.UnknownUser,
            errors.GroupClosed,
            errors.Banned,
            *FILE_ERRORS,
            errors.UnknownMessage,
        ),
    ),
    Row(
        "files",
        ask.ListFiles,
        "list the files you may download",
        (OPTIONAL_CONVERSATION,),
        errors=CONVERSATION_ERRORS,
    ),
    Row(
        "deletefile",
        ask.DeleteFile,
        "delete a file that you have sent, with the messages that carry it",
        (Arg("code", types.FILE_CODE),),
        errors=(errors.UnknownFile, errors.NotYours),
    ),
    Row(
        "getfile",
        ask.GetFile,
        "download a file: exactly that many raw bytes follow the reply",
        (Arg("code", types.CODE, also=("filename", "name")),),
        aliases=("download_file", "downloadgroup_file"),
        errors=(errors.UnknownFile,),
    ),
)
