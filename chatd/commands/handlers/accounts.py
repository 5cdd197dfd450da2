"""Handlers of the commands for accounts, sessions and contacts."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

import msgspec

from chatd.base.avatars import user_picture
from chatd.base.errors import (
    AlreadyLoggedIn,
    ContactExists,
    UnknownContact,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.model import Account, PrivacyKey
from chatd.base.names import Address
from chatd.base.replies import Reply
from chatd.base.roles import USER
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import count, file_found, list_reply
from chatd.commands.results import DownloadReply
from chatd.commands.table import BY_COMMAND
from chatd.service.accounts import Login
from chatd.service.online_accounts import AWAY

HANDLERS = Handlers()
BLOCK_COST = 10  # commands of the rate


@HANDLERS.of(ask.Register)
async def register(client: Client, command: ask.Register) -> Reply:
    if command.outside and client.session is not None:
        raise AlreadyLoggedIn
    accounts = client.service.accounts
    about = command.username, command.password, command.name, command.country
    values = *about, client.source, command.invite
    if command.login:
        return _welcome(client, await accounts.register(*values), "Welcome")
    account, _ = await accounts.sign_up(*values)
    return Reply(f"The account {account.name} was created; log in")


@HANDLERS.of(ask.LogIn)
async def auth(client: Client, command: ask.LogIn) -> Reply:
    login = await client.service.accounts.login(command.username, command.password, client.source)
    return _welcome(client, login, "Welcome")


@HANDLERS.of(ask.ResumeSession)
async def resume(client: Client, command: ask.ResumeSession) -> Reply:
    login = await client.service.accounts.resume(command.token)
    return _welcome(client, login, "Welcome back")


def _welcome(client: Client, login: Login, greeting: str) -> Reply:
    client.connection.attach(login)
    account = client.service.accounts.current(login.account)
    return Reply(
        f"{greeting}, {account.display_name}",
        {} if login.token is None else {"tokenId": login.token},
        {"username": account.name, "name": account.display_name},
    )


@HANDLERS.of(ask.LogOut)
async def logout(client: Client, command: ask.LogOut) -> Reply:
    session = client.logged_in
    client.acknowledge()
    goodbye = f"Goodbye, {session.account.display_name}"
    if command.everywhere:
        await client.service.accounts.end_sessions(session.account)
        reason = "You were logged out everywhere; log in again"
        client.sessions.end_all(session.account, reason, but=client)
        goodbye += "; all your sessions have ended"
    else:
        await client.service.accounts.end_session(session.token_hash)
        reason = "This session was logged out on another connection"
        client.sessions.end_one(session.token_hash, reason, but=client)
    client.detach()
    return Reply(goodbye)


@HANDLERS.of(ask.ExportData)
async def export(client: Client, _command: ask.ExportData) -> DownloadReply:
    connection = client.connection
    return file_found(await client.service.exports.make(client.account, lambda: connection.gone))


@HANDLERS.of(ask.DeleteAccount)
async def delete_account(client: Client, command: ask.DeleteAccount) -> Reply:
    account, erase = client.account, command.messages == "erase"
    await client.service.departures.delete(account, command.password, erase, client.source)
    client.sessions.end_all(account, "The account was deleted", but=client)
    client.detach()
    what = "and its messages are being deleted" if erase else "and its messages stay"
    return Reply(f"The account {account.name} is deleted, {what}")


@HANDLERS.of(ask.MoveAccount)
async def move_account(client: Client, command: ask.MoveAccount) -> Reply:
    account = client.account
    moves = client.service.moves
    to, moved = await moves.move(account, command.address, command.password, client.source)
    data = {"address": str(to), "moved": moved}
    if moved:
        return Reply(f"Your account has moved and is {to} now", data=data)
    own = Address(account.name, client.service.config.realm)
    return Reply(
        f"Your account moves once {to} agrees: log in there and enter takeaccount {own}", data=data
    )


@HANDLERS.of(ask.TakeAccount)
async def take_account(client: Client, command: ask.TakeAccount) -> Reply:
    old = await client.service.moves.agree(client.account, command.address)
    own = Address(client.account.name, client.service.config.realm)
    return Reply(
        f"You have agreed to be {old}, if it moves here with moveaccount {own}",
        data={"address": str(old)},
    )


@HANDLERS.of(ask.ListMoves)
async def list_moves(client: Client, _command: ask.ListMoves) -> Reply:
    service, account = client.service, client.account
    found = (*await service.moves.all(account), *await service.claims.waiting(account))
    return list_reply(count(found, "move"), found, "moves", 0)


@HANDLERS.of(ask.ClaimAccount)
async def claim_account(client: Client, command: ask.ClaimAccount) -> Reply:
    asked = await client.service.claims.claim(client.account, command.address)
    people = "1 person is" if asked == 1 else f"{asked} people are"
    return Reply(
        f"{people} asked to confirm that you were {command.address}", data={"asked": asked}
    )


@HANDLERS.of(ask.AcceptMove)
async def accept_move(client: Client, command: ask.AcceptMove) -> Reply:
    old = await client.service.claims.confirm(client.account, command.address)
    return Reply(f"{old} is {command.address} now", data={"old": old})


@HANDLERS.of(ask.DeclineMove)
async def decline_move(client: Client, command: ask.DeclineMove) -> Reply:
    old = await client.service.claims.decline(client.account, command.address)
    return Reply(f"{old} stays as it is", data={"old": old})


@HANDLERS.of(ask.CancelMove)
async def cancel_move(client: Client, _command: ask.CancelMove) -> Reply:
    await client.service.moves.cancel(client.account)
    return Reply("Nothing is planned with your account any more")


@HANDLERS.of(ask.ListSessions)
async def sessions(client: Client, _command: ask.ListSessions) -> Reply:
    session = client.logged_in
    in_use = client.sessions.in_use(session.account.id)
    listing = client.service.session_list
    found = await listing.all(session.account, session.token_hash, in_use)
    return list_reply(count(found, "session"), found, "sessions", 0)


@HANDLERS.of(ask.RevokeSession)
async def revoke(client: Client, command: ask.RevokeSession) -> Reply:
    own = client.logged_in
    token_hash = await client.service.session_list.revoke(own.account, command.session)
    client.sessions.end_one(token_hash, "This session was ended by another one", but=client)
    if token_hash == own.token_hash:
        client.detach()
    return Reply(f"Session {command.session} has ended", data={"session": command.session})


@HANDLERS.of(ask.ChangePassword)
async def change_password(client: Client, command: ask.ChangePassword) -> Reply:
    session = client.logged_in
    await client.service.accounts.change_password(
        session.account, command.old, command.new, session.token_hash, client.source
    )
    reason = "The password was changed; log in again"
    client.sessions.end_all(session.account, reason, kept=session.token_hash)
    return Reply("The password is changed, and your other sessions have ended")


@HANDLERS.of(ask.ShowAccount)
def who_am_i(client: Client, _command: ask.ShowAccount) -> Reply:
    return _identity(client.account)


@HANDLERS.of(ask.ChangeProfile)
async def profile(client: Client, command: ask.ChangeProfile) -> Reply:
    account = await client.service.accounts.change_profile(
        client.account, command.name, command.country
    )
    client.sessions.renew(account)
    client.service.presence_news.profile_changed(account, client.listener)
    return _identity(account)


@HANDLERS.of(ask.SetStatus)
async def status(client: Client, command: ask.SetStatus) -> Reply:
    account = await client.service.accounts.set_status(client.account, command.text)
    client.sessions.renew(account)
    client.service.presence_news.profile_changed(account, client.listener)
    sentence = f"Your status is: {account.status}" if account.status else "You have no status"
    return Reply(sentence, data={"status_text": account.status})


@HANDLERS.of(ask.SetAway)
def away(client: Client, command: ask.SetAway) -> Reply:
    account_id = client.account.id
    client.service.presence.set_away(account_id, command.on)
    state = client.service.presence.own_state(account_id)
    return Reply(f"You are {state}", data={"away": state == AWAY})


@HANDLERS.of(ask.ClaimRealm)
async def claim(client: Client, command: ask.ClaimRealm) -> Reply:
    account = await client.service.operators.claim(client.account, command.code, client.source)
    client.sessions.renew(account)
    return Reply(f"You are an operator of {client.service.config.realm}", identity_of(account))


def identity_of(account: Account) -> dict[str, str | int | bool]:
    """The fields of a reply about the client's own account."""
    return {
        "username": account.name,
        "name": account.display_name,
        "country": account.country,
        "operator": account.operator,
        **({} if account.role == USER else {"role": account.role}),
        # In json the key `status` is that of the reply.
        **({"status_text": account.status} if account.status else {}),
        **picture_of(account),
    }


def picture_of(account: Account) -> dict[str, str | int | bool]:
    """The path of the account's picture, if it has one."""
    path = user_picture(account.name, account.picture)
    return {} if path is None else {"picture": path}


def _identity(account: Account) -> Reply:
    return Reply(f"You are {account.name}", identity_of(account))


@HANDLERS.of(ask.ChangePrivacy)
async def privacy(client: Client, command: ask.ChangePrivacy) -> Reply:
    if (command.key is None) != (command.value is None):
        raise BY_COMMAND[ask.ChangePrivacy].wrong("value is missing")
    settings, account = client.service.privacy, client.account
    chosen: dict[PrivacyKey, bool | None] = {
        "receipts": command.receipts,
        "presence": command.presence,
        "invitations": command.invitations,
    }
    if command.key is not None:
        chosen[command.key] = command.value
    for key, on in chosen.items():
        if on is not None:
            await settings.choose(account, key, on)
    found = await settings.of(account)
    return Reply("Your privacy settings", msgspec.structs.asdict(found))


@HANDLERS.of(ask.ListActive)
async def info(client: Client, _command: ask.ListActive) -> Reply:
    users, more = await client.service.people.active(client.account)
    return list_reply(f"{count(users, 'user')} active", users, "users", more)


@HANDLERS.of(ask.ListUsers)
async def users(client: Client, command: ask.ListUsers) -> Reply:
    users, more = await client.service.people.all(client.account)
    if command.others:
        users = tuple(each for each in users if each.username != client.account.name)
    return list_reply(count(users, "user"), users, "users", more)


@HANDLERS.of(ask.ListContacts)
async def contacts(client: Client, _command: ask.ListContacts) -> Reply:
    service = client.service
    contacts = await service.profiles.named(await service.contacts.all(client.account))
    return Reply(count(contacts, "contact"), items=contacts, items_name="contacts")


@HANDLERS.of(ask.AddContact)
async def add_contact(client: Client, command: ask.AddContact) -> Reply:
    contacts, account = client.service.contacts, client.account
    if isinstance(command.user, tuple):
        changed = await _number_done(contacts.add(account, each) for each in command.user)
        return Reply(f"{changed} added to your list of contacts", data={"changed": changed})
    address = await contacts.add(account, command.user)
    return Reply(f"{address} is on your list of contacts")


@HANDLERS.of(ask.DeleteContact)
async def delete_contact(client: Client, command: ask.DeleteContact) -> Reply:
    contacts, account = client.service.contacts, client.account
    if isinstance(command.user, tuple):
        changed = await _number_done(contacts.delete(account, each) for each in command.user)
        return Reply(f"{changed} removed from your list of contacts", data={"changed": changed})
    await contacts.delete(account, command.user)
    return Reply(f"{command.user} is no longer on your list of contacts")


@HANDLERS.of(ask.BlockPerson)
async def block(client: Client, command: ask.BlockPerson) -> Reply:
    session = client.logged_in
    # Each block makes the realm look up conversations again.
    session.bucket.take(client.service.clock.seconds(), BLOCK_COST)
    found = await client.service.blocks.block(session.account, command.user, client.listener)
    return Reply(f"{found.address} is blocked", found.fields)


@HANDLERS.of(ask.UnblockPerson)
async def unblock(client: Client, command: ask.UnblockPerson) -> Reply:
    found = await client.service.blocks.unblock(client.account, command.user, client.listener)
    return Reply(f"{found.address} is no longer blocked", found.fields)


@HANDLERS.of(ask.ListBlocks)
async def blocked(client: Client, _command: ask.ListBlocks) -> Reply:
    found = await client.service.blocks.list(client.account)
    return list_reply(f"{len(found)} blocked", found, "blocked", 0)


async def _number_done(changes: Iterable[Coroutine[Any, Any, object]]) -> int:
    """Make the changes to a list of contacts, one after the other. Returns how many of them were possible."""
    number = 0
    for change in changes:
        with suppress(UnknownUser, UnknownRealm, ContactExists, UnknownContact):
            await change
            number += 1
    return number
