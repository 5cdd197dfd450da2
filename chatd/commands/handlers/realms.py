"""Handlers of the commands for other realms: peering, and messages to their users and groups."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatd.base.errors import NotOperator, NotYourself, OwnRealm
from chatd.base.names import Address, InboxFilter, key_of
from chatd.base.realms import Added
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers import files, messages
from chatd.commands.handlers.replies import count
from chatd.commands.results import ExpectUpload, ReplyWithFiles, Result

HANDLERS = Handlers()


def _check_may_peer(client: Client) -> None:
    """Raises NotOperator if the client may not add or delete peers."""
    if client.service.config.peers.add != "anyone" and not client.account.operator:
        raise NotOperator


@HANDLERS.of(ask.AddRealm)
async def add_realm(client: Client, command: ask.AddRealm) -> Reply:
    _check_may_peer(client)
    return await link_with(client, command, client.account.operator)


async def link_with(
    client: Client, command: ask.AddRealm | ask.LinkRealm, by_operator: bool
) -> Reply:
    """Make a realm a peer. Raises OwnRealm, and as IRealms.add."""
    if key_of(command.realm) == client.service.context.realm_key:
        raise OwnRealm(realm=command.realm)
    added = await client.service.realms.add(command.realm, command.host, command.port, by_operator)
    facts: dict[str, str | int | bool] = {"realm": command.realm}
    if added.fingerprint:
        facts["fingerprint"] = added.fingerprint
    if not added.replaced:
        return Reply(f"{command.realm} is a peer", facts)
    facts["replaced"] = added.replaced
    return Reply(_replaced(command.realm, added), facts, items=added.exposed, items_name="exposed")


def _replaced(realm: str, added: Added) -> str:
    """The reply to an operator who replaces the remembered certificate of another realm."""
    sentence = (
        f"{realm} is a peer; another realm had connected under that name before, and its certificate, "
        "which no operator had confirmed, is replaced"
    )
    if not added.exposed:
        return f"{sentence}; nothing was sent to it or received from it"
    return f"{sentence}; the messages sent to it and received from it are counted below"


@HANDLERS.of(ask.DeleteRealm)
async def delete_realm(client: Client, command: ask.DeleteRealm) -> Reply:
    _check_may_peer(client)
    return await forget(client, command.realm)


async def forget(client: Client, realm: str) -> Reply:
    """Remove a peer. Raises UnknownRealm."""
    waiting = await client.service.realms.forget(key_of(realm))
    sentence = f"{realm} is no longer a peer"
    if waiting:
        sentence += f"; the {waiting} queued for it will be sent if it is added again"
    return Reply(sentence, {"realm": realm}, {"queued": waiting})


@HANDLERS.of(ask.ListRealms)
async def realms(client: Client, _command: ask.ListRealms) -> Reply:
    return await listed(client, client.account.operator)


async def listed(client: Client, by_operator: bool) -> Reply:
    """The peers; operators see more of them."""
    found = await client.service.realms.all(by_operator)
    return Reply(count(found, "realm"), items=tuple(found), items_name="realms")


@HANDLERS.of(ask.SendRealmMessage)
def send_realm(client: Client, command: ask.SendRealmMessage) -> Deferred[Result]:
    to = (Address(command.user, command.realm),)
    return messages.send(client, ask.SendMessage(to, command.text, command.key, command.wait))


@HANDLERS.of(ask.SendRealmGroupMessage)
def send_group_realm(client: Client, command: ask.SendRealmGroupMessage) -> Deferred[Result]:
    to = _addresses(command.realm, command.group)
    sending = ask.SendGroupMessage(to, command.text, command.key, wait=command.wait)
    return messages.send_group(client, sending)


@HANDLERS.of(ask.SendRealmFile)
async def send_file_realm(client: Client, command: ask.SendRealmFile) -> ExpectUpload | Reply:
    to = (Address(command.user, command.realm),)
    sending = ask.SendFile(to, command.filename, command.size, wait=command.wait)
    return await files.send_file(client, sending)


@HANDLERS.of(ask.SendRealmGroupFile)
async def send_group_file_realm(
    client: Client, command: ask.SendRealmGroupFile
) -> ExpectUpload | Reply:
    to = _addresses(command.realm, command.group)
    sending = ask.SendGroupFile(to, command.filename, command.size, wait=command.wait)
    return await files.send_group_file(client, sending)


def _addresses(realm: str, group: str | tuple[str, ...]) -> Address | tuple[Address, ...]:
    if isinstance(group, str):
        return Address(group, realm)
    return tuple(Address(name, realm) for name in group)


@HANDLERS.of(ask.ReadRealmInbox)
async def realm_inbox(client: Client, command: ask.ReadRealmInbox) -> Reply | ReplyWithFiles:
    scope = InboxFilter(here=True, own=command.own)
    if key_of(command.realm) != client.service.context.realm_key:
        client.service.realms.name_of(key_of(command.realm))
        scope = InboxFilter(realm=command.realm, own=command.own)
    return await messages.read_inbox(client, scope, contents=command.contents)


@HANDLERS.of(ask.ReadOwnRealmInbox)
async def inbox_realm(client: Client, command: ask.ReadOwnRealmInbox) -> Reply | ReplyWithFiles:
    if key_of(command.username) != client.account.key:
        raise NotYourself(name=client.account.name)
    return await realm_inbox(client, ask.ReadRealmInbox(command.realm, command.own))
