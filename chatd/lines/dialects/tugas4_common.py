"""What both forms of `tugas4` share: the names of files, and the sentences of refusals."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from chatd.base import errors
from chatd.base.file_handles import STAMP, stamped
from chatd.base.names import Address, Place
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialects.verbs import Texts

_STAMPED = re.compile(r"(\d{4}(?:_\d\d){5}_)(.+)", re.ASCII | re.DOTALL)
WANTED = Arg("filename", types.CODE)

NO_USER: Texts = {errors.UnknownUser: "User not found"}
NO_GROUP: Texts = {errors.UnknownGroup: "Group not found"}
NOT_IN_GROUP: Texts = NO_GROUP | {errors.NotMember: "You are not group member"}
NO_FILE: Texts = {errors.UnknownFile: "File not found"}
NO_SESSION = "Session not found"
WRONG = "Username/Password salah"


def stored_name(stored: str, name: str, at: int) -> str:
    """The name under which a file is stored. It begins with the time at which it was sent. Files of older
    releases are stored in another way, and are shown as if they were stored in this one."""
    return stored if _STAMPED.fullmatch(stored) else stamped(name, at)


def get_file(filename: str, place: Place | None = None) -> ask.Command:
    """The command to get a file by its name, with or without the time."""
    found = _STAMPED.fullmatch(filename)
    sent = None
    if found is not None:
        try:
            second = datetime.strptime(found[1], STAMP).replace(tzinfo=UTC)
        except ValueError:  # such as the 31st of June: a name without a time
            pass
        else:
            sent = (found[2], int(second.timestamp()) * 1000)
    return ask.GetFile(filename, stamped=sent, place=place)


def get_group_file(group: Address, filename: str) -> ask.Command:
    return get_file(filename, Place(group=group))
