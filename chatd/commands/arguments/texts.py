"""Argument types for texts: messages, display names, secrets, file names."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from chatd.base.characters import MAX_FILE_NAME, find_hidden
from chatd.base.emoji import MAX_EMOJI, is_emoji
from chatd.base.errors import BadArgument, BadText
from chatd.base.names import printable
from chatd.base.texts import CONTROL, MAX_DISPLAY_NAME, Secret, check_text
from chatd.commands.arguments.base import ParsedType, Type, kind_of

MAX_SECRET = 1024
MAX_SEARCH = 500
_HIDDEN = "can't contain characters that are invisible or change the direction of text"

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


class TextType(Type):
    """A text, which is kept with LF for each CR LF."""

    shape = "text"
    about = "text without control characters other than tabs and line ends"
    greedy = True

    def from_text(self, name: str, text: str) -> str:
        return check_text(text.replace("\r\n", "\n") if "\r" in text else text)

    def from_json(self, name: str, value: Any) -> str:
        if type(value) is str and "\r" not in value:
            return check_text(value)  # with fewer calls, because this is done for each message
        return self.from_text(name, self.string(name, value))


class SearchType(TextType):
    """A search pattern, limited in length because long patterns are slow."""

    about = f"up to {MAX_SEARCH} characters"

    def from_json(self, name: str, value: Any) -> str:
        return self.from_text(name, self.string(name, value))

    def from_text(self, name: str, text: str) -> str:
        if len(text) > MAX_SEARCH:
            found = f"{len(text)} characters long"
            raise BadArgument(argument=name, found=found, expected=self.about)
        return super().from_text(name, text)


class ReasonType(SearchType):
    """The reason for a report."""


class DisplayNameType(Type):
    """A display name or a country. In text an underscore stands for a space."""

    shape = "text"
    about = f"up to {MAX_DISPLAY_NAME} characters (in a line, _ stands for a space)"
    what = "A name or a country"

    def from_text(self, name: str, text: str) -> str:
        return self.from_json(name, text.replace("_", " "))

    def from_json(self, name: str, value: Any) -> str:
        text = self.string(name, value)
        if len(text) > MAX_DISPLAY_NAME:
            raise BadArgument(argument=name, found="that long", expected=self.about)
        check_text(text)
        if (hidden := find_hidden(text)) is not None:
            raise BadText(what=f"{self.what} {_HIDDEN}", position=hidden + 1)
        return text


class CountryType(DisplayNameType):
    """Like DisplayNameType. An empty value, or only spaces, removes the country."""

    about = f"{DisplayNameType.about}; empty to remove it (in a line, _ alone)"

    def from_json(self, name: str, value: Any) -> str:
        text = self.string(name, value)
        return super().from_json(name, text) if text.strip(" ") else ""


class FullNameType(DisplayNameType):
    """Like DisplayNameType, at the end of a line, where spaces need no underscores."""

    about = f"up to {MAX_DISPLAY_NAME} characters"
    greedy = True

    def from_text(self, name: str, text: str) -> str:
        return self.from_json(name, text)


class TitleType(FullNameType):
    """The title of a group: like FullNameType, without spaces at its ends."""

    what = "A title"

    def from_json(self, name: str, value: Any) -> str:
        return super().from_json(name, self.string(name, value).strip())


class StatusType(TitleType):
    """The status of a person. An empty one removes it."""

    what = "A status"

    def from_json(self, name: str, value: Any) -> str:
        text = self.string(name, value)
        return super().from_json(name, text) if text.strip() else ""


class SecretType(Type):
    shape = "secret"
    about = "text that is never shown (in a line, without spaces)"

    def from_text(self, name: str, text: str) -> Secret:
        if not text or len(text) > MAX_SECRET or CONTROL.search(text):
            expected = f"1 to {MAX_SECRET} characters, none of them a control character"
            raise BadArgument(argument=name, found="that", expected=expected)
        return Secret(text)


class InviteType(SecretType):
    """The code of an invitation."""

    shape = "code"
    about = "the code of an invitation"


class FileNameType(Type):
    shape = "filename"
    about = "a file name; any folders before it are dropped"

    def from_text(self, name: str, text: str) -> str:
        if not text:
            raise BadArgument(argument=name, found="empty", expected=self.about)
        return unicodedata.normalize("NFC", text[-MAX_FILE_NAME:])


class SpacedFileNameType(FileNameType):
    """A file name that may contain spaces, because it takes all words up to the file's content or the end."""

    greedy = True


class KeyType(Type):
    shape = "key"
    about = "1 to 64 letters A to Z, digits, underscores and hyphens; a new key for each message"

    def from_text(self, name: str, text: str) -> str:
        if not _KEY.fullmatch(text):
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return text


class PathType(Type):
    """The absolute path of a folder on the realm's machine."""

    shape = "folder"
    about = "the absolute path of a folder on the realm's machine"
    json = "string"

    def from_text(self, name: str, text: str) -> str:
        if not text.startswith("/") or not text.isprintable():
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return text

    def from_json(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise BadArgument(argument=name, found=kind_of(value), expected=self.about)
        return self.from_text(name, value)


class FileCodeType(FileNameType):
    shape = "code"
    about = "a file's code"


class CodeType(FileNameType):
    shape = "code|filename"
    about = "a file's code, its name (the newest of that name), or CODE-NAME"
    greedy = True


class EmojiType(Type):
    shape = "emoji"
    about = f"one emoji, of {MAX_EMOJI} bytes at most"

    def from_text(self, name: str, text: str) -> str:
        if not is_emoji(text):
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return text


TEXT = TextType()
EMOJI = EmojiType()
SEARCH = SearchType()
DISPLAY_NAME = DisplayNameType()
COUNTRY = CountryType()
FULL_NAME = FullNameType()
TITLE = TitleType()
STATUS = StatusType()
REASON = ReasonType()
SECRET = SecretType()
INVITE = InviteType()
FILENAME = FileNameType()
SPACED_FILENAME = SpacedFileNameType()
CODE = CodeType()
FILE_CODE = FileCodeType()
FOLDER = PathType()
KEY = KeyType()
VERB = ParsedType(str.lower, "verb", "the name of a command, or its first words", greedy=True)
