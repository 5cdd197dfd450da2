"""Handlers of the commands with which operators delete, export, rename and limit accounts."""

from __future__ import annotations

from chatd.base.errors import OwnAccount, UnknownUser
from chatd.base.model import Account
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.arguments import DEFAULT_QUOTA
from chatd.commands.client import Client
from chatd.commands.handlers.admin.accounts import end_clients
from chatd.commands.handlers.replies import file_found
from chatd.commands.restricted import ActHandlers
from chatd.commands.results import DownloadReply
from chatd.service.audit import Act

ACT_HANDLERS = ActHandlers()

REASON = "An operator has deleted the account"


@ACT_HANDLERS.of(ask.RemoveAccount)
async def delete(client: Client, command: ask.RemoveAccount, act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    await _delete(client, act, account, erase=False)
    return Reply(f"The account {account.name} is deleted, and its messages stay")


@ACT_HANDLERS.of(ask.EraseAccount)
async def erase(client: Client, command: ask.EraseAccount, act: Act) -> Reply:
    try:
        account = await client.service.accounts.find(command.user)
    except UnknownUser:
        account = await client.service.departures.erase(act, command.user)
        return Reply(f"The messages of {account.name}, which was deleted, are being deleted")
    await _delete(client, act, account, erase=True)
    return Reply(f"The account {account.name} is deleted, and its messages are being deleted")


async def _delete(client: Client, act: Act, account: Account, erase: bool) -> None:
    """Delete an account and end its sessions. Raises OwnAccount, OnlyOperator, UnknownUser."""
    if client.session is not None and client.session.account.id == account.id:
        raise OwnAccount
    await client.service.departures.remove(act, account, erase)
    end_clients(client, account, REASON)


@ACT_HANDLERS.of(ask.ExportAccount)
async def export(client: Client, command: ask.ExportAccount, _act: Act) -> DownloadReply:
    connection = client.connection
    account = await client.service.accounts.find(command.user)
    exports = client.service.exports
    return file_found(await exports.make(account, lambda: connection.gone, counted=False))


@ACT_HANDLERS.of(ask.RenameAccount)
async def rename(client: Client, command: ask.RenameAccount, act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    changed = await client.service.managed.rename(act, account, command.name)
    client.sessions.renew(changed)
    client.service.presence_news.profile_changed(changed, client.listener)
    return Reply(
        f"The display name of {changed.name} is {changed.display_name}",
        {"username": changed.name, "name": changed.display_name},
    )


@ACT_HANDLERS.of(ask.SetQuota)
async def quota(client: Client, command: ask.SetQuota, act: Act) -> Reply:
    service = client.service
    account = await service.accounts.find(command.user)
    if command.files is None:
        act.changes_nothing()
    else:
        size = None if command.files == DEFAULT_QUOTA else command.files
        await service.managed.set_quota(act, account, size)
    quotas = service.context.file_quotas
    limit = quotas.of(account)
    facts = await service.managed.facts(account)
    own = "an own quota" if quotas.has_own(account) else "the configured quota"
    return Reply(
        f"The files of {account.name} may have {limit} bytes: {own}",
        {"username": account.name, "quota_size": limit, "size": facts.size},
    )
