"""What the client knows at one moment: who one is, where one is in the menus, what is unread, which names
there are. No input or output; the rest of the client changes it and shows it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from chatd.base.names import key_of

MAX_REMEMBERED = 20_000  # ids, names, files: of each, the newest stay


class Menu(StrEnum):
    MAIN = "main"
    CONTACT = "contact"
    GROUP = "group"
    LIST = "list"


class Kind(StrEnum):
    USER = "user"
    GROUP = "group"


class Place:
    """A conversation that is talked in. Which kind it is may be found out later."""

    def __init__(self, name: str, kind: Kind, sure: bool = True) -> None:
        self.name = name
        self.kind = kind
        self.sure = sure
        self.gone = False  # it turned out that there is none

    @property
    def key(self) -> tuple[Kind, str]:
        return (self.kind, key_of(self.name))

    def __str__(self) -> str:
        return f"#{self.name}" if self.kind is Kind.GROUP else self.name


class Names:
    """Names as they are written, found without regard to case; the newest stay."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, str] = OrderedDict()

    def add(self, *names: str) -> None:
        for name in names:
            self._names[key_of(name)] = name
            self._names.move_to_end(key_of(name))
        while len(self._names) > MAX_REMEMBERED:
            self._names.popitem(last=False)

    def put(self, names: Iterable[str]) -> None:
        self._names.clear()
        self.add(*names)

    def discard(self, name: str) -> None:
        self._names.pop(key_of(name), None)

    def __contains__(self, name: str) -> bool:
        return key_of(name) in self._names

    def __iter__(self) -> Any:
        return iter(list(self._names.values()))


class AnnouncedFile:
    """A file that was announced here; `group` if that was in one."""

    def __init__(self, name: str, group: str | None) -> None:
        self.name = name
        self.group = group


class State:
    def __init__(self, where: str) -> None:
        self.where = where
        self.user: str | None = None
        self.display_name = ""
        self.token: str | None = None
        self.expired = False  # the session has ended, and not because one logged out
        self.menu = Menu.MAIN
        self.chat: Place | None = None
        self.room: str | None = None
        self.unread: dict[int, int] = {}
        self.users = Names()
        self.contacts = Names()
        self.groups = Names()
        self.my_groups = Names()
        self.realms = Names()
        self.rooms = Names()
        self.numbered: tuple[str, ...] = ()  # the groups as the group menu listed them last
        self.files: OrderedDict[str, AnnouncedFile] = OrderedDict()
        self._seen: OrderedDict[int, None] = OrderedDict()

    # Who

    def logged_in(self, user: str, display_name: str, token: str | None) -> None:
        if self.user is not None and key_of(user) != key_of(self.user):
            self.forget()
        self.user = user
        self.display_name = display_name
        self.token = token or self.token
        self.expired = False
        self.users.add(user)

    def logged_out(self, expired: bool) -> None:
        self.token = None
        self.room = None
        self.expired = expired
        if not expired:
            self.user = None
            self.forget()

    def forget(self) -> None:
        """What belonged to the one who was logged in."""
        self.unread.clear()
        self.contacts.put(())
        self.my_groups.put(())
        self.files.clear()
        self._seen.clear()
        self.numbered = ()
        self.chat = None
        self.menu = Menu.MAIN

    @property
    def is_logged_in(self) -> bool:
        return self.user is not None and not self.expired

    def is_me(self, name: str) -> bool:
        return self.user is not None and key_of(name) == key_of(self.user)

    # Messages

    @property
    def total_unread(self) -> int:
        return sum(self.unread.values())

    def place_of(self, message: Mapping[str, Any]) -> Place:
        """The conversation in which a message stands, from one's own point of view."""
        if message.get("group") is not None:
            return Place(str(message["group"]), Kind.GROUP)
        sender = str(message.get("from", ""))
        return Place(str(message.get("to", "")) if self.is_me(sender) else sender, Kind.USER)

    def is_open(self, message: Mapping[str, Any]) -> bool:
        return self.chat is not None and self.place_of(message).key == self.chat.key

    def see(self, message: Mapping[str, Any]) -> bool:
        """Note what a message teaches; whether it is new here."""
        place, number = self.place_of(message), message.get("id", 0)
        if place.kind is Kind.USER:
            self.users.add(place.name)
        else:
            self.users.add(str(message.get("from", "")))
            self.groups.add(place.name)
        if (file := message.get("file")) is not None:
            group = place.name if place.kind is Kind.GROUP else None
            self.files[str(file.get("code"))] = AnnouncedFile(str(file.get("name")), group)
            _trim(self.files)
        if number in self._seen:
            return False
        self.note(number)
        return True

    def note(self, number: int) -> None:
        """A message that needs no showing any more."""
        if number:
            self._seen[number] = None
            _trim(self._seen)

    def arrived(self, message: Mapping[str, Any]) -> None:
        if not self.is_me(str(message.get("from", ""))):
            number = message.get("conversation", 0)
            self.unread[number] = self.unread.get(number, 0) + 1

    def mentions_me(self, message: Mapping[str, Any]) -> bool:
        """Whether a message is to be noticed: it is for me alone, or speaks of me."""
        if self.user is None or self.is_me(str(message.get("from", ""))):
            return False
        if "group" not in message and "room" not in message:
            return True
        words = key_of(str(message.get("text", "")))
        return any(_stands_in(key_of(name), words) for name in (self.user, self.display_name))

    # Where

    def back(self) -> None:
        """One step out: of a chat into the menu around it, of a menu into the main one."""
        if self.chat is not None:
            self.chat = None
        else:
            self.menu = Menu.MAIN

    def resolve(self, name: str) -> Place:
        """The conversation meant by a bare name, as far as is known."""
        is_user = name in self.contacts or name in self.users
        if name in self.my_groups and not is_user:
            return Place(name, Kind.GROUP, sure=False)
        return Place(name, Kind.USER, sure=False)


def _stands_in(name: str, text: str) -> bool:
    """Whether `name` is in `text` as a word of its own."""
    at = text.find(name) if name else -1
    while at >= 0:
        end = at + len(name)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not before.isalnum() and not after.isalnum():
            return True
        at = text.find(name, at + 1)
    return False


def _trim(found: OrderedDict[Any, Any]) -> None:
    while len(found) > MAX_REMEMBERED:
        found.popitem(last=False)
