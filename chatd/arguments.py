"""The types of commands' arguments: each reads a value from text (a word, or the rest of a line) and
from JSON. They raise a BadRequest that says what was expected; nothing is looked up here.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv6Address
from typing import Any, ClassVar

from chatd.characters import find_hidden, is_blank
from chatd.errors import BadArgument, BadText, EmptyText
from chatd.names import (
    Address,
    Place,
    parse_address,
    parse_group,
    parse_group_name,
    parse_name,
    parse_place,
    parse_room,
    printable,
)

MAX_PEOPLE = 100  # in one command: more would keep everybody else waiting
MAX_SECRET = 1024
MAX_DISPLAY_NAME = 128
MAX_SEARCH = 500
MAX_NUMBER = 2**62

_HOST = re.compile(r"[\w.-]{1,253}|\[?([0-9a-fA-F:.]{2,64}(?:%\w{1,32})?)\]?")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HIDDEN = (
    "A name or a country can't hold characters that are invisible or change the direction of text"
)
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")


class Secret(str):
    """A password or a token: a string that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


def check_text(text: str) -> str:
    """`text` if something of it can be seen and it can stand on a terminal. Raises BadText, EmptyText."""
    if not text or text.isspace():
        raise EmptyText
    # isprintable() is quick, and too strict: it refuses tabs and some spaces.
    if not text.isprintable() and (found := _CONTROL.search(text)):
        raise BadText(position=found.start() + 1)
    if not text.isascii() and is_blank(text):
        raise EmptyText
    return text


class Type:
    """`shape` is how usage shows a value, `about` says it in words, `json` names its JSON types.
    A `greedy` one takes the rest of the line."""

    shape: ClassVar[str] = "text"
    about: ClassVar[str] = "text"
    json: ClassVar[str] = "string"
    greedy: ClassVar[bool] = False

    def from_text(self, name: str, text: str) -> Any:
        """The value that `text` stands for; `name` is the argument's, for errors."""
        raise NotImplementedError

    def from_json(self, name: str, value: Any) -> Any:
        return self.from_text(name, self.string(name, value))

    def string(self, name: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        raise BadArgument(argument=name, found=_kind(value), expected=f"{self.about}, as a string")


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


class NameType(Type):
    shape = "name"
    about = "1 to 64 letters, digits, dots, underscores and hyphens"

    def from_text(self, name: str, text: str) -> str:
        return parse_name(text)


class GroupNameType(Type):
    """A group of a realm that is said elsewhere."""

    shape = "group"
    about = "a group's name or code"

    def from_text(self, name: str, text: str) -> str:
        return parse_group_name(text)


class RoomType(Type):
    shape = "room"
    about = "a name that may have spaces in it"
    greedy = True

    def from_text(self, name: str, text: str) -> str:
        return parse_room(text)


class AddressType(Type):
    shape = "address"
    about = "a username, or username@realm"

    def from_text(self, name: str, text: str) -> Address:
        return parse_address(text)


def _addresses(name: str, text: str) -> tuple[Address, ...]:
    return _people(name, text.split(","))


def _people(name: str, words: list[str]) -> tuple[Address, ...]:
    _check_number(name, words)
    return tuple(map(parse_address, words))


def _check_number(name: str, words: list[str]) -> None:
    if len(words) > MAX_PEOPLE:
        found = f"a list of {len(words)}"
        raise BadArgument(argument=name, found=found, expected=f"{MAX_PEOPLE} people at most")


class AddressesType(Type):
    """Several people, separated by commas."""

    shape = "address[,address…]"
    about = "usernames or username@realm, separated by commas"
    json = "string or list of strings"

    def from_text(self, name: str, text: str) -> tuple[Address, ...]:
        return _addresses(name, text)

    def from_json(self, name: str, value: Any) -> tuple[Address, ...]:
        if isinstance(value, str):
            return _addresses(name, value)
        if not isinstance(value, list) or not value:
            expected = "a list of addresses, or one"
            raise BadArgument(argument=name, found=_kind(value), expected=expected)
        return _people(name, [self.string(name, each) for each in value])


class WordsType(AddressesType):
    """Several people, separated by spaces."""

    shape = "user [user…]"
    about = "usernames, separated by spaces"
    greedy = True

    def from_text(self, name: str, text: str) -> tuple[Address, ...]:
        words = text.split()
        if not words:
            raise BadArgument(argument=name, found="empty", expected=self.about)
        return _people(name, words)


class GroupOrPeopleType(Type):
    """A group's name; with a comma in it, a list of people."""

    shape = "group|address,address[,…]"
    about = "a group's name, group@realm, or a list of addresses"
    json = "string or list of strings"

    def from_text(self, name: str, text: str) -> Address | tuple[Address, ...]:
        if "," in text:
            return _addresses(name, text)
        place = parse_place(text)
        if place.group is None:
            return _addresses(name, str(place))
        return place.group

    def from_json(self, name: str, value: Any) -> Address | tuple[Address, ...]:
        if isinstance(value, str) and name == "group":
            return self.from_text(name, value)
        return ADDRESSES.from_json(name, value)


class GroupOrNamesType(Type):
    """As GroupOrPeopleType, all of one realm, which is said elsewhere."""

    shape = "group|user,user[,…]"
    about = "a group's name, or a list of usernames"
    json = "string or list of strings"

    def from_text(self, name: str, text: str) -> str | tuple[str, ...]:
        return self._names(name, text.split(",")) if "," in text else parse_group_name(text)

    def from_json(self, name: str, value: Any) -> str | tuple[str, ...]:
        if isinstance(value, str):
            found = self.from_text(name, value)
            return found if name == "group" or isinstance(found, tuple) else (found,)
        if not isinstance(value, list) or not value:
            raise BadArgument(argument=name, found=_kind(value), expected=self.about)
        return self._names(name, [self.string(name, each) for each in value])

    def _names(self, name: str, words: list[str]) -> tuple[str, ...]:
        _check_number(name, words)
        return tuple(map(parse_name, words))


class NamesType(GroupOrNamesType):
    """Several usernames, separated by commas."""

    shape = "user[,user…]"
    about = "usernames, separated by commas"

    def from_text(self, name: str, text: str) -> tuple[str, ...]:
        return self._names(name, text.split(","))


class GroupType(Type):
    """A group by its name or its code; a `#` before it says no more than that."""

    shape = "group"
    about = "a group's name, or group@realm"

    def from_text(self, name: str, text: str) -> Address:
        return parse_group(text.removeprefix("#"))


class JoinableType(GroupType):
    """A group to be joined."""

    shape = "group|code"
    about = "a group's name or code, here or (group@realm) elsewhere"


class PlaceType(Type):
    """A conversation by its name. In text it may be a user's or a group's, and `@name` or `#name` says
    which; in JSON the key says it, too."""

    shape = "user|group"
    about = (
        "the name of a user or a group, here or (name@realm) elsewhere; "
        "@name is a user and #name a group"
    )

    def from_text(self, name: str, text: str) -> Place:
        return parse_place(text)

    def from_json(self, name: str, value: Any) -> Place:
        text = self.string(name, value)
        if name == "group":
            return Place(group=parse_group(text.removeprefix("#")))
        if name == "place":
            return parse_place(text)
        return Place(user=parse_address(text.removeprefix("@")))


class TextType(Type):
    shape = "text"
    about = "text without control characters"
    greedy = True

    def from_text(self, name: str, text: str) -> str:
        return check_text(text)


class SearchType(TextType):
    """What is looked for. A longer one costs more, and finds nothing that a shorter one does not."""

    about = f"up to {MAX_SEARCH} characters"

    def from_text(self, name: str, text: str) -> str:
        if len(text) > MAX_SEARCH:
            found = f"{len(text)} characters long"
            raise BadArgument(argument=name, found=found, expected=self.about)
        return super().from_text(name, text)


class DisplayNameType(Type):
    """How someone is called, or where from. In text an underscore stands for a space."""

    shape = "text"
    about = f"up to {MAX_DISPLAY_NAME} characters (in a line, _ stands for a space)"

    def from_text(self, name: str, text: str) -> str:
        return self.from_json(name, text.replace("_", " "))

    def from_json(self, name: str, value: Any) -> str:
        text = check_text(self.string(name, value))
        if (hidden := find_hidden(text)) is not None:
            raise BadText(what=_HIDDEN, position=hidden + 1)
        if len(text) > MAX_DISPLAY_NAME:
            raise BadArgument(argument=name, found="that long", expected=self.about)
        return text


class CountryType(DisplayNameType):
    """As DisplayNameType; nothing, or only spaces, takes away what there was."""

    about = f"{DisplayNameType.about}; or nothing: in a line, _ alone"

    def from_json(self, name: str, value: Any) -> str:
        text = self.string(name, value)
        return super().from_json(name, text) if text.strip(" ") else ""


class FullNameType(DisplayNameType):
    """As DisplayNameType, at the end of a line, where spaces are what they are."""

    about = f"up to {MAX_DISPLAY_NAME} characters"
    greedy = True

    def from_text(self, name: str, text: str) -> str:
        return self.from_json(name, text)


class SecretType(Type):
    shape = "secret"
    about = "text that is never shown; in a line, without spaces"

    def from_text(self, name: str, text: str) -> Secret:
        if not text or len(text) > MAX_SECRET or _CONTROL.search(text):
            expected = f"1 to {MAX_SECRET} characters, none of them a control character"
            raise BadArgument(argument=name, found="that", expected=expected)
        return Secret(text)


class FileNameType(Type):
    shape = "filename"
    about = "a file's name; a path before it is dropped"

    def from_text(self, name: str, text: str) -> str:
        if not text:
            raise BadArgument(argument=name, found="empty", expected=self.about)
        return unicodedata.normalize("NFC", text)


class KeyType(Type):
    shape = "key"
    about = "1 to 64 letters A to Z, digits, underscores and hyphens, new for each message"

    def from_text(self, name: str, text: str) -> str:
        if not _KEY.fullmatch(text):
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return text


class CodeType(FileNameType):
    shape = "code|filename"
    about = "a file's code, or its name (then the newest of that name)"
    greedy = True


class NumberType(Type):
    shape = "number"
    json = "number"

    def __init__(self, minimum: int) -> None:
        self._minimum = minimum
        self.about = f"a whole number, {minimum} or more"  # type: ignore[misc]

    def from_text(self, name: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return self.from_json(name, int(text))

    def from_json(self, name: str, value: Any) -> int:
        if type(value) is not int or not self._minimum <= value <= MAX_NUMBER:
            found = value if isinstance(value, int | float) else printable(str(value))
            raise BadArgument(argument=name, found=found, expected=self.about)
        return value


class HostType(Type):
    """RFC 1123 host names and IP addresses; whether they lead anywhere is found out by asking."""

    shape = "host"
    about = "a host's name or IP address"

    def from_text(self, name: str, text: str) -> str:
        match = _HOST.fullmatch(text)
        if match is None or (match[1] and not _is_ipv6(match[1])):
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return text


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


class PortType(NumberType):
    shape = "port"
    about = "a TCP port, 1 to 65535"

    def __init__(self) -> None:
        self._minimum = 1

    def from_json(self, name: str, value: Any) -> int:
        port = super().from_json(name, value)
        if port > 0xFFFF:
            raise BadArgument(argument=name, found=port, expected=self.about)
        return port


class FlagType(Type):
    shape = "on|off"
    about = "on or off"
    json = "boolean"

    def from_text(self, name: str, text: str) -> bool:
        if text.lower() not in ("on", "off"):
            raise BadArgument(argument=name, found=printable(text), expected="on or off")
        return text.lower() == "on"

    def from_json(self, name: str, value: Any) -> bool:
        if isinstance(value, str):
            return self.from_text(name, value)
        if not isinstance(value, bool):
            raise BadArgument(argument=name, found=_kind(value), expected="true or false")
        return value


class VerbType(Type):
    shape = "verb"
    about = "the name of a command"

    def from_text(self, name: str, text: str) -> str:
        return text.lower()


NAME = NameType()
GROUP_NAME = GroupNameType()
ROOM = RoomType()
ADDRESS = AddressType()
ADDRESSES = AddressesType()
WORDS = WordsType()
GROUP_OR_PEOPLE = GroupOrPeopleType()
GROUP_OR_NAMES = GroupOrNamesType()
NAMES = NamesType()
GROUP = GroupType()
JOINABLE = JoinableType()
PLACE = PlaceType()
TEXT = TextType()
SEARCH = SearchType()
DISPLAY_NAME = DisplayNameType()
COUNTRY = CountryType()
FULL_NAME = FullNameType()
SECRET = SecretType()
FILENAME = FileNameType()
CODE = CodeType()
KEY = KeyType()
COUNT = NumberType(1)
SIZE = NumberType(0)
FLAG = FlagType()
HOST = HostType()
PORT = PortType()
VERB = VerbType()
