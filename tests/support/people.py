"""Who lives in the realms of tests.support.play, and what they do there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from chatd.base.model import Account, Event, FileInfo, Message, Reply
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.connection import Connection, Origin
from chatd.service.accounts import Login
from chatd.service.presence import IListener

if TYPE_CHECKING:
    from tests.support.play import House, PlayRealm


@implementer(IListener)
class Person:
    """Somebody with an account, logged in on one connection that listens. `events` are what came there."""

    def __init__(self, house: House, name: str) -> None:
        self._house = house
        self.name = name
        self.events: list[Event] = []
        self._client: Client | None = None
        self._realm: PlayRealm | None = None
        self.account: Account

    def deliver(self, events: Sequence[Event]) -> None:
        self.events.extend(events)

    def drop(self) -> None:
        raise AssertionError(f"{self.name}'s connection was dropped")

    @property
    def client(self) -> Client:
        realm = self._house.realm
        if self._client is None or self._realm is not realm:
            self._realm = realm
            connection = Connection(realm.sessions, self, Origin("here", 1))
            token = hashlib.sha256(f"{self.name} {id(realm)}".encode()).digest()
            connection.attach(Login(self.account, token, 1 << 50))
            self._client = connection.own
            realm.service.presence.listen(self.account.id, self, True)
        return self._client

    def leaves(self) -> None:
        """Close the connection."""
        self.client.connection.leave(True)
        self._client = None

    def begins(self, command: ask.Command) -> Deferred[Any]:
        """Ask for something; what comes of it."""
        self.client.connection.moment += 1
        return maybeDeferred(self.client.execute, command)

    def does(self, command: ask.Command) -> Any:
        return self._house.world.result(self.begins(command))

    def begins_to_send(self, to: str, text: str, key: str | None = None) -> Deferred[Any]:
        return self.begins(ask.SendMessage(tuple(map(parse_address, to.split(","))), text, key))

    def sends(self, to: str, text: str, key: str | None = None) -> Reply:
        """A message to one address, or to several with commas between."""
        reply: Reply = self._house.world.result(self.begins_to_send(to, text, key))
        return reply

    def begins_to_post(self, group: str, text: str, key: str | None = None) -> Deferred[Any]:
        return self.begins(ask.SendGroupMessage(parse_address(group), text, key))

    def posts(self, group: str, text: str, key: str | None = None) -> Reply:
        reply: Reply = self._house.world.result(self.begins_to_post(group, text, key))
        return reply

    def inbox(self) -> list[Message]:
        """All that is unread. The next thing that is done proves that it has come."""
        found: list[Message] = []
        while True:
            reply = self.does(ask.ReadInbox())
            found.extend(reply.items)
            if not reply.fields.get("remaining"):
                return found

    def reads(self) -> list[str]:
        """As `inbox`: `sender: text`, or the file's name."""
        return [f"{each.sender}: {_shown(each)}" for each in self.inbox()]

    def history(self, user: str = "", group: str = "") -> list[str]:
        """`sender: text` of all that was said with somebody, or in a group."""
        place = Place(
            parse_address(user) if user else None, parse_address(group) if group else None
        )
        return [
            f"{each.sender}: {_shown(each)}"
            for each in self.does(ask.ShowHistory(place, 500)).items
        ]

    def members(self, group: str) -> list[str]:
        """Who is in a group: `*` before an admin, `+` after who is online."""
        return [
            f"{'*' if each.admin else ''}{each.username}{'+' if each.online else ''}"
            for each in self.does(ask.ListMembers(parse_address(group))).items
        ]

    def mine(self) -> list[str]:
        """The groups that one is in."""
        return [each.group for each in self.does(ask.ListOwnGroups()).items]

    def files(self) -> list[FileInfo]:
        return list(self.does(ask.ListFiles()).items)

    def creates(self, group: str) -> str:
        """The group's code."""
        return str(self.does(ask.AddGroup(group)).fields["groupcode"])

    def joins(self, group: str) -> Reply:
        reply: Reply = self.does(ask.JoinGroup(parse_group(group)))
        return reply

    def begins_to_send_file(
        self, to: str, name: str, data: bytes, key: str | None = None
    ) -> Deferred[Any]:
        """To people, or `#group`."""

        async def send() -> Any:
            self.client.connection.moment += 1
            command: ask.Command
            if to.startswith("#"):
                command = ask.SendGroupFile(parse_address(to[1:]), name, len(data), key)
            else:
                people = tuple(map(parse_address, to.split(",")))
                command = ask.SendFile(people, name, len(data), key)
            receive: Any = await maybeDeferred(self.client.execute, command)
            if isinstance(receive, Reply):
                return receive  # it was sent before
            receive.upload.write(data)
            return await receive.finish()

        return Deferred.fromCoroutine(send())

    def sends_file(self, to: str, name: str, data: bytes, key: str | None = None) -> Reply:
        reply: Reply = self._house.world.result(self.begins_to_send_file(to, name, data, key))
        return reply

    def fetches(self, code: str) -> bytes:
        give = self.does(ask.GetFile(code))
        world = self._house.world
        data: bytes = world.result(give.download.file.read(give.download.file.size))
        world.result(give.download.file.close())
        return data


def _shown(message: Message) -> str:
    return (
        message.text if message.text is not None else f"file {message.file and message.file.name}"
    )
