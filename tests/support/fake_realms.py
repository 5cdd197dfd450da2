"""Other realms as a transcript needs them: handlers that answer in place of those that use the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatd.base.errors import (
    RealmExists,
    RealmUnreachable,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
    WrongRealm,
)
from chatd.base.model import Message
from chatd.base.names import Address, InboxFilter
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handler
from chatd.commands.handlers import HANDLERS
from chatd.commands.handlers.messages import read_inbox
from chatd.commands.handlers.replies import display_details
from chatd.commands.results import ExpectUpload
from chatd.service.attachments import Upload
from tests.support.common import START

PEOPLE = ("messi", "henderson")  # users of each realm
GROUP = "bola"
NEW = "realm3"  # can be added, under its own name only


class FakeRealms:
    """Realms that have PEOPLE and GROUP. They store nothing that is sent to them."""

    def __init__(self, realms: Sequence[str]) -> None:
        self._realms = list(realms)
        self._read: set[tuple[str, str]] = set()
        self.handlers: Mapping[type[ask.Command], Handler] = {
            **HANDLERS,
            ask.AddRealm: self._add,
            ask.SendRealmMessage: self._send,
            ask.SendRealmGroupMessage: self._send_group,
            ask.SendRealmFile: self._send_file,
            ask.SendRealmGroupFile: self._send_group_file,
            ask.ReadRealmInbox: self._inbox,
            ask.ReadOwnRealmInbox: self._inbox,
        }

    def _known(self, realm: str) -> str:
        if realm not in self._realms:
            raise UnknownRealm(realm=realm)
        return realm

    def _user(self, realm: str, user: str) -> None:
        if user not in PEOPLE:
            raise UnknownUser(name=user, where=self._known(realm))

    def _place(self, realm: str, group: str | tuple[str, ...]) -> None:
        self._known(realm)
        if isinstance(group, str) and group != GROUP:
            raise UnknownGroup(name=group, where=realm)
        if isinstance(group, tuple) and not set(group) & set(PEOPLE):
            raise UnknownUser(name=", ".join(group), where=realm)

    def _add(self, _client: Client, command: ask.AddRealm) -> Reply:
        if command.realm in self._realms:
            raise RealmExists(realm=command.realm)
        address = f"{command.host}:{command.port}"
        if command.port != 8890:
            raise RealmUnreachable(realm=command.realm, address=address, reason="refused")
        if command.realm != NEW:
            raise WrongRealm(realm=command.realm, address=address, found=NEW)
        self._realms.append(command.realm)
        return Reply(f"{command.realm} is a peer now")

    def _send(self, _client: Client, command: ask.SendRealmMessage) -> Reply:
        self._known(command.realm)
        self._user(command.realm, command.user)
        return Reply("Message sent", data={"conversation": 0, "seq": 0, "id": 0})

    def _send_group(self, _client: Client, command: ask.SendRealmGroupMessage) -> Reply:
        self._place(command.realm, command.group)
        group = command.group
        unknown = [] if isinstance(group, str) else [each for each in group if each not in PEOPLE]
        return Reply("Message sent", data={"sent": (), "unknown": unknown})

    async def _send_file(self, client: Client, command: ask.SendRealmFile) -> ExpectUpload:
        self._known(command.realm)
        self._user(command.realm, command.user)
        return await self._receive(client, command.filename, command.size)

    async def _send_group_file(
        self, client: Client, command: ask.SendRealmGroupFile
    ) -> ExpectUpload:
        self._place(command.realm, command.group)
        return await self._receive(client, command.filename, command.size)

    async def _receive(self, client: Client, name: str, size: int) -> ExpectUpload:
        to = Address(client.account.name)  # an upload needs a recipient
        upload: Upload = await client.service.files.begin(
            client.account, (to,), name, size, client.listener
        )

        async def finish() -> Reply:
            upload.abort()
            return Reply("File sent", {"name": name, "size": size})

        return ExpectUpload(upload, finish)

    async def _inbox(
        self, client: Client, command: ask.ReadRealmInbox | ask.ReadOwnRealmInbox
    ) -> Reply:
        """Return the inbox, with one message from that realm the first time."""
        realm = self._known(command.realm)
        reply = await read_inbox(client, InboxFilter(realm=realm))
        assert isinstance(reply, Reply)
        reader = client.account.name
        if (realm, reader) in self._read:
            return reply
        self._read.add((realm, reader))
        message = Message(
            1, 1, 1, int(START * 1000), f"messi@{realm}", reader, text="halo dari sana"
        )
        details = await display_details(client, [message])
        return Reply("1 message", {}, {"remaining": 0, **details}, (message,), "messages")
