"""Argument types for names and addresses of users, groups and rooms."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

from chatd.base.errors import BadArgument
from chatd.base.names import (
    Address,
    Place,
    parse_address,
    parse_foreign_name,
    parse_group,
    parse_group_name,
    parse_imported,
    parse_name,
    parse_place,
    parse_room,
)
from chatd.commands.arguments.base import ParsedType, Type, kind_of
from chatd.commands.arguments.values import SIZE

# `https://HOST/join/CODE`, or `…/CODE@REALM` for a group of another realm than that of the link
_JOIN_LINK = re.compile(r"https?://([^/?#@]+?)(?::[0-9]+)?/join/([^/?#]+)", re.IGNORECASE)
MAX_PEOPLE = 100  # in one command, so that it does not delay other clients


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
    """One or more addresses, separated by commas."""

    shape = "address[,address…]"
    about = "usernames, or username@realm, separated by commas"
    json = "string or list of strings"

    def from_text(self, name: str, text: str) -> tuple[Address, ...]:
        return _addresses(name, text)

    def from_json(self, name: str, value: Any) -> tuple[Address, ...]:
        # Most messages have one recipient, and parse_address is cached.
        if type(value) is list and len(value) == 1 and type(value[0]) is str:
            return (parse_address(value[0]),)
        if isinstance(value, str):
            return _addresses(name, value) if "," in value else (parse_address(value),)
        if not isinstance(value, list) or not value:
            expected = "a list of addresses, or one"
            raise BadArgument(argument=name, found=kind_of(value), expected=expected)
        return _people(name, [self.string(name, each) for each in value])


class WordsType(AddressesType):
    """One or more addresses, separated by spaces."""

    shape = "user [user…]"
    about = "usernames, separated by spaces"
    greedy = True

    def from_text(self, name: str, text: str) -> tuple[Address, ...]:
        words = text.split()
        if not words:
            raise BadArgument(argument=name, found="empty", expected=self.about)
        return _people(name, words)


class GroupOrPeopleType(Type):
    """A group, or with a comma a list of addresses."""

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
    """Like GroupOrPeopleType, in a realm that another argument names."""

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
            raise BadArgument(argument=name, found=kind_of(value), expected=self.about)
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


class PersonOrRealmType(Type):
    """The address of a person, or the name of a realm: `@@realm`, or in JSON under the key `realm`."""

    shape = "address|@@realm"
    about = "a username, username@realm, or @@realm for everybody there"

    def from_text(self, name: str, text: str) -> Address | str:
        if text.startswith("@@"):
            return parse_foreign_name(text[2:])
        return parse_address(text.removeprefix("@"))

    def from_json(self, name: str, value: Any) -> Address | str:
        text = self.string(name, value)
        if name == "realm":
            return parse_foreign_name(text.removeprefix("@@"))
        return self.from_text(name, text)


class GroupType(Type):
    """A group by name or code. A leading `#` is ignored."""

    shape = "group"
    about = "a group's name, or group@realm"

    def from_text(self, name: str, text: str) -> Address:
        return parse_group(text.removeprefix("#"))


class GroupOrIdType(Type):
    """A group, or the id of a conversation. `#` comes before the name of a group that has only digits."""

    shape = "group|id"
    about = "a group's name, or group@realm, or the number of a conversation"
    json = "string or number"

    def from_text(self, name: str, text: str) -> Address | int:
        if text.isascii() and text.isdecimal():
            number: int = SIZE.from_text(name, text)
            return number
        return GROUP.from_text(name, text)

    def from_json(self, name: str, value: Any) -> Address | int:
        if isinstance(value, str):
            return self.from_text(name, value)
        number: int = SIZE.from_json(name, value)
        return number


class InvitingType(Type):
    """A group that invites, or `@` and the address of a person who asks to write; in JSON, under the keys
    `group` and `user`."""

    shape = "group|@address"
    about = "a group's name, or group@realm; or @ and the address of a person"

    def from_text(self, name: str, text: str) -> Address | Place:
        if text.startswith("@"):
            return Place(user=parse_address(text[1:]))
        return parse_group(text.removeprefix("#"))

    def from_json(self, name: str, value: Any) -> Address | Place:
        text = self.string(name, value)
        if name == "user":
            return Place(user=parse_address(text.removeprefix("@")))
        return self.from_text(name, text)


class JoinableType(GroupType):
    """A group to join. A join link stands for its code and the realm that it leads to."""

    shape = "group|code"
    about = "a group's name or code, or group@realm"

    def from_text(self, name: str, text: str) -> Address:
        link = _JOIN_LINK.fullmatch(text)
        if link is None:
            return super().from_text(name, text)
        host, code = link[1], unquote(link[2])
        return parse_group(code if "@" in code or _is_here(host) else f"{code}@{host}")


def _is_here(host: str) -> bool:
    """Whether the host in a link names no realm, so that this one is meant."""
    with suppress(ValueError):
        return bool(ip_address(host.strip("[]")))
    return host.lower() == "localhost"


class PlaceType(Type):
    """A conversation by the name of a user or a group. `@name` or `#name` says which; in JSON, so can the key
    of the argument."""

    shape = "user|group"
    about = "the name of a user or a group, or name@realm; @name means the user and #name the group"

    def from_text(self, name: str, text: str) -> Place:
        return parse_place(text)

    def from_json(self, name: str, value: Any) -> Place | int:
        text = self.string(name, value)
        if name == "group":
            return Place(group=parse_group(text.removeprefix("#")))
        if name == "place":
            return parse_place(text)
        return Place(user=parse_address(text.removeprefix("@")))


class DestinationType(PlaceType):
    """A place to send to: in JSON too, the sign says what it is."""

    def from_json(self, name: str, value: Any) -> Place:
        return parse_place(self.string(name, value))


class ConversationType(PlaceType):
    """A place, also an imported one, or in JSON the id of a conversation."""

    json = "string or number"
    about = f"{PlaceType.about}, and ~name what you have imported"

    def from_text(self, name: str, text: str) -> Place:
        return parse_imported(text) or super().from_text(name, text)

    def from_json(self, name: str, value: Any) -> Place | int:
        if name == "conversation":
            number: int = SIZE.from_json(name, value)
            return number
        return parse_imported(self.string(name, value)) or super().from_json(name, value)


NAME = ParsedType(parse_name, "name", "1 to 64 letters, digits, dots, underscores and hyphens")
GROUP_NAME = ParsedType(parse_group_name, "group", "a group's name or code")  # in a named realm
ROOM = ParsedType(parse_room, "room", "a name, which may contain spaces", greedy=True)
ADDRESS = ParsedType(parse_address, "address", "a username, or username@realm")
ADDRESSES = AddressesType()
WORDS = WordsType()
GROUP_OR_PEOPLE = GroupOrPeopleType()
GROUP_OR_NAMES = GroupOrNamesType()
NAMES = NamesType()
PERSON_OR_REALM = PersonOrRealmType()
GROUP = GroupType()
GROUP_OR_ID = GroupOrIdType()
JOINABLE = JoinableType()
INVITING = InvitingType()
PLACE = PlaceType()
DESTINATION = DestinationType()
CONVERSATION = ConversationType()
