"""The state of the client: the user, the open menu or chat, unread counts and known names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from chatd.base.names import key_of
from chatd.client.threads import Shown, Threads

CHANGES = ("edited", "deleted", "reaction", "pinned", "member", "group", "moved")  # entries of logs
MAX_REMEMBERED = 20_000  # of ids, names and files each; the oldest are dropped


class Menu(StrEnum):
    MAIN = "main"
    CONTACT = "contact"
    GROUP = "group"
    LIST = "list"


class Kind(StrEnum):
    USER = "user"
    GROUP = "group"


class Place:
    """A conversation the user chats in. Until `sure`, its kind is a guess."""

    def __init__(self, name: str, kind: Kind, sure: bool = True) -> None:
        self.name = name
        self.kind = kind
        self.sure = sure
        self.gone = False  # the realm said that it does not exist

    @property
    def key(self) -> tuple[Kind, str]:
        return (self.kind, key_of(self.name))

    def __str__(self) -> str:
        return f"#{self.name}" if self.kind is Kind.GROUP else self.name


class Names:
    """A set of names that ignores case and drops the oldest ones."""

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
    """A file that a message announced; `group` is the group of that message, if any."""

    def __init__(self, name: str, group: str | None) -> None:
        self.name = name
        self.group = group


class KnownNames:
    """The names that replies and messages have told, for completion and to tell users from groups."""

    def __init__(self) -> None:
        self.users = Names()
        self.contacts = Names()
        self.groups = Names()
        self.my_groups = Names()
        self.realms = Names()
        self.rooms = Names()
        self.numbered: tuple[
            str, ...
        ] = ()  # groups in the order in which the group menu last listed them

    def forget_own(self) -> None:
        """Drop the names that belong to the last user."""
        self.contacts.put(())
        self.my_groups.put(())
        self.numbered = ()


class State:
    def __init__(self, where: str) -> None:
        self.where = where
        self.user: str | None = None
        self.display_name = ""
        self.token: str | None = None
        self.expired = False  # the session ended without a logout here
        self.menu = Menu.MAIN
        self.chat: Place | None = None
        self.room: str | None = None
        self.unread: dict[int, int] = {}
        self.asking: set[str] = set()  # invitations (`#group`) and requests (`@address`) that wait
        self.names = KnownNames()
        self.files: OrderedDict[str, AnnouncedFile] = OrderedDict()
        self.threads = Threads()
        self.picked: Shown | None = None  # the message of the open chat that the next line is about
        self.typing: dict[int, str] = {}  # conversation -> who is writing there
        self._seen: OrderedDict[int, None] = OrderedDict()

    # The user

    def logged_in(self, user: str, display_name: str, token: str | None) -> None:
        if self.user is not None and key_of(user) != key_of(self.user):
            self.forget()
        self.user = user
        self.display_name = display_name
        self.token = token or self.token
        self.expired = False
        self.names.users.add(user)

    def logged_out(self, expired: bool) -> None:
        self.token = None
        self.room = None
        self.expired = expired
        if not expired:
            self.user = None
            self.forget()

    def forget(self) -> None:
        """Drop everything that belongs to the last user."""
        self.unread.clear()
        self.asking.clear()
        self.names.forget_own()
        self.files.clear()
        self._seen.clear()
        self.threads.clear()
        self.typing.clear()
        self.picked = None
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

    def asks(self, item: Mapping[str, Any]) -> None:
        """Note that an invitation or a message request waits for the user's answer."""
        group = item.get("group")
        self.asking.add(f"@{item.get('user')}" if group is None else f"#{group}")

    def place_of(self, message: Mapping[str, Any]) -> Place:
        """The conversation of a message, as this user sees it."""
        if message.get("group") is not None:
            return Place(str(message["group"]), Kind.GROUP)
        sender = str(message.get("from", ""))
        return Place(str(message.get("to", "")) if self.is_me(sender) else sender, Kind.USER)

    def is_open(self, message: Mapping[str, Any]) -> bool:
        return self.chat is not None and self.place_of(message).key == self.chat.key

    def see(self, message: Mapping[str, Any]) -> bool:
        """Store the names, the files and the text in a message. Return whether the message is new here."""
        place, number = self.place_of(message), message.get("id", 0)
        self.threads.of(place.key).see(message)
        if place.kind is Kind.USER:
            self.names.users.add(place.name)
        else:
            self.names.users.add(str(message.get("from", "")))
            self.names.groups.add(place.name)
        if (file := message.get("file")) is not None:
            group = place.name if place.kind is Kind.GROUP else None
            self.files[str(file.get("code"))] = AnnouncedFile(str(file.get("name")), group)
            _trim(self.files)
        if number in self._seen:
            return False
        self.note(number)
        return True

    def has_applied(self, event: Mapping[str, Any]) -> bool:
        """Whether the event is a change of the log that was seen already."""
        thread, seq = self.threads.of_conversation(event.get("conversation")), event.get("seq")
        is_change = event.get("event") in CHANGES
        return thread is not None and is_change and seq in thread.seen

    def apply(self, event: Mapping[str, Any]) -> None:
        """Apply an edit or a deletion to the message that was shown."""
        thread = self.threads.of_conversation(event.get("conversation"))
        if thread is not None:
            thread.note(event.get("conversation"), event.get("seq"))
            thread.change(event)

    def caused(self, reply: Mapping[str, Any]) -> None:
        """Note the entry that a command of this client has made: no event tells it here."""
        thread = self.threads.of_conversation(reply.get("conversation"))
        if thread is not None and "at" in reply:
            thread.note(reply.get("conversation"), reply.get("seq"))

    def read_by(self, event: Mapping[str, Any]) -> bool:
        """Whether the mark of another person in the open chat passes the user's last message for the first
        time."""
        thread = self.threads.of_conversation(event.get("conversation"))
        if thread is None or self.chat is None or thread is not self.threads.of(self.chat.key):
            return False
        mine = [each.seq for each in thread.messages() if self.is_me(each.sender)]
        last, seq = max(mine, default=0), event.get("seq", 0)
        if not thread.read < last <= seq:
            return False
        thread.read = seq
        return True

    def note(self, number: int) -> None:
        """Remember a message as shown."""
        if number:
            self._seen[number] = None
            _trim(self._seen)

    def arrived(self, message: Mapping[str, Any]) -> None:
        if not self.is_me(str(message.get("from", ""))):
            number = message.get("conversation", 0)
            self.unread[number] = self.unread.get(number, 0) + 1

    def mentions_me(self, message: Mapping[str, Any]) -> bool:
        """Whether a message deserves a notification: it is direct, or contains the user's name."""
        if self.user is None or self.is_me(str(message.get("from", ""))):
            return False
        if "group" not in message and "room" not in message:
            return True
        if any(map(self.is_me, message.get("mentions", ()))):
            return True
        words = key_of(str(message.get("text", "")))
        return any(_contains_word(key_of(name), words) for name in (self.user, self.display_name))

    # Picking a message

    def pick(self, back: bool) -> None:
        """Pick the message before (`back`) or after the picked one of the open chat."""
        if self.chat is not None:
            self.picked = self.threads.of(self.chat.key).step(self.picked, back)

    # Menus and chats

    def back(self) -> None:
        """Leave the chat, or else the menu."""
        self.picked = None
        if self.chat is not None:
            self.chat = None
        else:
            self.menu = Menu.MAIN

    def resolve(self, name: str) -> Place:
        """The conversation that a bare name most likely means."""
        is_user = name in self.names.contacts or name in self.names.users
        if name in self.names.my_groups and not is_user:
            return Place(name, Kind.GROUP, sure=False)
        return Place(name, Kind.USER, sure=False)


def _contains_word(name: str, text: str) -> bool:
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
