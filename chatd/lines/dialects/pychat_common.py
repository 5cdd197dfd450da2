"""What the two languages of py-chat share: that of its document, and that of its client."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.characters import isolated_lines
from chatd.base.errors import PasswordMismatch
from chatd.base.model import Message
from chatd.base.names import Address, Place, parse_name
from chatd.base.replies import GroupInfo
from chatd.base.texts import Secret
from chatd.commands import values as ask
from chatd.lines.dialect import text_of
from chatd.lines.dialects.verbs import Texts

TEXTS: Texts = {
    errors.NotLoggedIn: "unauthorized!",
    errors.UnknownUser: "unknown user",
    errors.WrongPassword: "wrong password",
    errors.UserExists: "that username already been used",
    errors.PasswordMismatch: "password doesn't match!",
    errors.UnknownGroup: "group code is invalid",
    errors.NotMember: "you are not a member of the group!",
    errors.NotAdmin: "you are not an admin of the group!",
    errors.UnknownFile: "file code is invalid",
    errors.UnknownCommand: "there is no keyword {verb}",
}
LOGIN: Texts = {errors.UnknownUser: "unknown user, please register first"}
INVITE: Texts = {
    errors.UnknownUser: "unknown users: {name}",
    errors.NotMember: TEXTS[errors.NotAdmin],
}


def registration(username: str, password: Secret, again: Secret) -> ask.Command:
    if password != again:
        raise PasswordMismatch
    return ask.Register(username, password, login=False)


def new_group(words: str) -> ask.Command:
    """One word is the name of the group, several are its title."""
    return ask.AddGroup(None, words) if " " in words else ask.AddGroup(parse_name(words))


def private_file(to: Address, code: str) -> ask.Command:
    return ask.GetFile(code.lower(), by_code=True, place=Place(user=to))


def group_file(group: Address, code: str) -> ask.Command:
    return ask.GetFile(code.lower(), by_code=True, place=Place(group=group))


def title_of(group: GroupInfo) -> str:
    """What people call a group."""
    return group.title or group.group


def announcement(name: object, code: object) -> str:
    """The text of a message that carries a file."""
    return f"[{name}], file_code: {code}"


def content(message: Message, line_end: str = "\n") -> str:
    """The text of a message, or the announcement of its file."""
    file = message.file
    if file is None:
        return isolated_lines(text_of(message), line_end)
    return announcement(file.name, file.code)
