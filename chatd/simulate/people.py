"""Users of simulated realms, and what they do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from chatd.base.errors import ChatError
from chatd.base.events import Event
from chatd.base.model import Account, Message
from chatd.base.names import Place, key_of, parse_address, parse_group
from chatd.base.replies import FileInfo, Reply
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.connection import Connection, Origin
from chatd.service.accounts import Login
from chatd.service.presence import IListener
from chatd.store.invitations import add_request

if TYPE_CHECKING:
    from chatd.simulate.servers import Server, SimulatedRealm


@implementer(IListener)
class Person:
    """A user who is logged in on one connection that listens. `events` has what was pushed to it."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self.name = name
        self.events: list[Event] = []
        self._client: Client | None = None
        self._realm: SimulatedRealm | None = None
        self.account: Account

    def deliver(self, events: Sequence[Event]) -> None:
        self.events.extend(events)

    def drop(self) -> None:
        raise AssertionError(f"{self.name}'s connection was dropped")

    def refuse(self, error: ChatError) -> None:
        raise AssertionError(f"{self.name}'s connection was closed: {error}")

    @property
    def client(self) -> Client:
        realm = self._server.realm
        if self._client is None or self._realm is not realm:
            self._realm = realm
            connection = Connection(realm.sessions, self, Origin("here", 1))
            token = hashlib.sha256(f"{self.name} {self._server.lives}".encode()).digest()
            connection.attach(Login(self.account, token, 1 << 50))
            self._client = connection.own
            realm.service.presence.listen(self.account.id, self, True)
        return self._client

    def leaves(self) -> None:
        """Close the connection."""
        self.client.connection.leave(True)
        self._client = None

    @property
    def server(self) -> Server:
        """Where the client is connected."""
        return self._server

    @property
    def is_connected(self) -> bool:
        """Whether the person can ask for something."""
        return self._server.is_open

    def begins(self, command: ask.Command) -> Deferred[Any]:
        """Execute a command, and return its Deferred."""
        return self.on_client(lambda client: _begin(client, command))

    def on_client(self, begin: Callable[[Client], Deferred[Any]]) -> Deferred[Any]:
        """Call `begin` with the client, and return the Deferred that it returns."""
        return begin(self.client)

    def does(self, command: ask.Command) -> Any:
        return self._server.network.result(self.begins(command))

    def begins_to_send(self, to: str, text: str, key: str | None = None) -> Deferred[Any]:
        return self.begins(ask.SendMessage(tuple(map(parse_address, to.split(","))), text, key))

    def sends(self, to: str, text: str, key: str | None = None) -> Reply:
        """Send a message to one address, or to several, separated by commas."""
        reply: Reply = self._server.network.result(self.begins_to_send(to, text, key))
        return reply

    def begins_to_post(self, group: str, text: str, key: str | None = None) -> Deferred[Any]:
        return self.begins(ask.SendGroupMessage(parse_address(group), text, key))

    def posts(self, group: str, text: str, key: str | None = None) -> Reply:
        reply: Reply = self._server.network.result(self.begins_to_post(group, text, key))
        return reply

    def inbox(self) -> list[Message]:
        """Read all unread messages. The next command confirms them."""
        found: list[Message] = []
        while True:
            reply = self.does(ask.ReadInbox())
            found.extend(reply.items)
            if not reply.fields.get("remaining"):
                return found

    def reads(self) -> list[str]:
        """Read the inbox. Each message is `sender: text`, or has the file's name as its text."""
        return [f"{each.sender}: {_shown(each)}" for each in self.inbox()]

    def history(self, user: str = "", group: str = "") -> list[str]:
        """Return `sender: text` of each message with a user, or in a group."""
        place = Place(
            parse_address(user) if user else None, parse_address(group) if group else None
        )
        return [
            f"{each.sender}: {_shown(each)}"
            for each in self.does(ask.ShowHistory(place, 500)).items
        ]

    def members(self, group: str) -> list[str]:
        """Return the members of a group: `*` before an admin, `+` after a member who is online."""
        return [
            f"{'*' if each.admin else ''}{each.username}{'+' if each.online else ''}"
            for each in self.does(ask.ListMembers(parse_address(group))).items
        ]

    def mine(self) -> list[str]:
        """Return the user's groups."""
        return [each.group for each in self.does(ask.ListOwnGroups()).items]

    def files(self) -> list[FileInfo]:
        return list(self.does(ask.ListFiles()).items)

    def creates(self, group: str) -> str:
        """Create a group, and return its code."""
        return str(self.does(ask.AddGroup(group)).fields["groupcode"])

    def accepts(self, group: str) -> Reply:
        """Accept the invitation to a group of another realm."""
        reply: Reply = self.does(ask.AcceptInvitation(parse_address(group)))
        return reply

    def invitations(self) -> list[str]:
        return [each.group for each in self.does(ask.ListInvitations()).items]

    def has_asked_for(self, group: str) -> None:
        """Have asked to join a group of another realm, and got no answer."""
        realm = self._server.realm
        address = parse_address(group)
        done = realm.service.database.run(
            add_request,
            self.account.id,
            address.key,
            key_of(address.realm or ""),
            realm.service.context.now(),
        )
        self._server.network.result(done)

    def joins(self, group: str) -> Reply:
        reply: Reply = self.does(ask.JoinGroup(parse_group(group)))
        return reply

    def begins_to_send_file(
        self, to: str, name: str, data: bytes, key: str | None = None
    ) -> Deferred[Any]:
        """Send a file to users, or to `#group`."""

        async def send(client: Client) -> Any:
            command: ask.Command
            if to.startswith("#"):
                command = ask.SendGroupFile(parse_address(to[1:]), name, len(data), key)
            else:
                people = tuple(map(parse_address, to.split(",")))
                command = ask.SendFile(people, name, len(data), key)
            receive: Any = await _begin(client, command)
            if isinstance(receive, Reply):
                return receive  # it was sent before
            receive.upload.write(data)
            return await receive.finish()

        return self.on_client(lambda client: Deferred.fromCoroutine(send(client)))

    def sends_file(self, to: str, name: str, data: bytes, key: str | None = None) -> Reply:
        reply: Reply = self._server.network.result(self.begins_to_send_file(to, name, data, key))
        return reply

    def fetches(self, code: str) -> bytes:
        give = self.does(ask.GetFile(code))
        network = self._server.network
        data: bytes = network.result(give.download.file.read(give.download.file.size))
        network.result(give.download.file.close())
        return data


def _begin(client: Client, command: ask.Command) -> Deferred[Any]:
    client.connection.moment += 1
    return maybeDeferred(client.execute, command)


def _shown(message: Message) -> str:
    return (
        message.text if message.text is not None else f"file {message.file and message.file.name}"
    )
