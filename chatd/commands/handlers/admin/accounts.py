"""Handlers of the commands with which operators manage accounts."""

from __future__ import annotations

from chatd.base.model import Account
from chatd.base.replies import Reply
from chatd.base.timestamps import timestamp
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import count, list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act
from chatd.store.managed_accounts import AccountFilter

ACT_HANDLERS = ActHandlers()

MAX_LISTED = 500  # accounts on a page
LISTED = 100


@ACT_HANDLERS.of(ask.ListAccounts)
async def list_accounts(client: Client, command: ask.ListAccounts, _act: Act) -> Reply:
    limit = min(command.limit or LISTED, MAX_LISTED)
    wanted = AccountFilter(command.name, command.role, command.state, command.after)
    found, more = await client.service.managed.list(wanted, limit)
    return list_reply(count(found, "account"), found, "accounts", more)


@ACT_HANDLERS.of(ask.InspectAccount)
async def show(client: Client, command: ask.InspectAccount, _act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    facts = await client.service.managed.facts(account)
    fields: dict[str, str | int | bool] = {
        "username": account.name,
        "name": account.display_name,
        **({"country": account.country} if account.country else {}),
        "role": account.role,
        "created": timestamp(facts.created),
        "online": client.service.presence.is_online(account.id),
        "sessions": facts.sessions,
        "groups": facts.groups,
        "files": facts.files,
        "size": facts.size,
    }
    quotas = client.service.context.file_quotas
    if quotas.has_own(account):
        fields["quota_size"] = quotas.of(account)
    if facts.used is not None:
        fields["used"] = timestamp(facts.used)
    if facts.disabled is not None:
        fields["disabled"] = timestamp(facts.disabled)
    if facts.reason is not None:
        fields["reason"] = facts.reason
    return Reply(f"The account {account.name}", fields)


@ACT_HANDLERS.of(ask.AddAccount)
async def add(client: Client, command: ask.AddAccount, act: Act) -> Reply:
    account = await client.service.managed.add(
        act, command.user, command.password, command.role, command.name, command.country
    )
    what = "" if account.role == "user" else f" with the role {account.role}"
    return Reply(f"The account {account.name} was created{what}", _about(account))


@ACT_HANDLERS.of(ask.SetPassword)
async def passwd(client: Client, command: ask.SetPassword, act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    await client.service.managed.set_password(act, account, command.password)
    end_clients(client, account, "An operator has changed the password; log in again")
    return Reply(f"The password of {account.name} is changed, and its sessions have ended")


@ACT_HANDLERS.of(ask.SetRole)
async def role(client: Client, command: ask.SetRole, act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    changed = await client.service.managed.set_role(act, account, command.role)
    client.sessions.renew(changed)
    return Reply(f"The role of {changed.name} is {changed.role}", _about(changed))


def _about(account: Account) -> dict[str, str | int | bool]:
    return {"username": account.name, "role": account.role}


@ACT_HANDLERS.of(ask.DisableAccount)
async def disable(client: Client, command: ask.DisableAccount, act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    await client.service.managed.disable(act, account, command.reason or None)
    end_clients(client, account, "The account is disabled; ask an operator of this realm")
    return Reply(f"The account {account.name} is disabled, and its sessions have ended")


@ACT_HANDLERS.of(ask.EnableAccount)
async def enable(client: Client, command: ask.EnableAccount, act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    await client.service.managed.enable(act, account)
    return Reply(f"The account {account.name} may log in again")


@ACT_HANDLERS.of(ask.ListAccountSessions)
async def sessions(client: Client, command: ask.ListAccountSessions, _act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    in_use = client.sessions.in_use(account.id)
    found = await client.service.managed.sessions(account, in_use)
    return list_reply(count(found, "session"), found, "account_sessions", 0)


@ACT_HANDLERS.of(ask.LogOutAccount)
async def logout(client: Client, command: ask.LogOutAccount, act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    reason = "An operator has ended this session; log in again"
    if command.session is None:
        await client.service.managed.end_sessions(act, account)
        end_clients(client, account, reason)
        return Reply(f"The sessions of {account.name} have ended")
    token_hash = await client.service.managed.end_session(act, account, command.session)
    client.sessions.end_one(token_hash, reason, but=client)
    if client.session is not None and client.session.token_hash == token_hash:
        client.detach()
    return Reply(f"Session {command.session} of {account.name} has ended")


def end_clients(client: Client, account: Account, reason: str) -> None:
    """Detach the clients of the account, whose sessions have ended. Those that listen are told why."""
    client.sessions.end_all(account, reason, but=client)
    if client.session is not None and client.session.account.id == account.id:
        client.detach()
