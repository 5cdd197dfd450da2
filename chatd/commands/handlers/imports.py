"""Handlers of the commands for importing an archive."""

from __future__ import annotations

from chatd.base.attachments import StoredFile
from chatd.base.errors import NotLoggedIn
from chatd.base.replies import FormerGroup, Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.results import ExpectUpload
from chatd.service.imports import change_of
from chatd.store.imports import AccountImport

HANDLERS = Handlers()


@HANDLERS.of(ask.ImportArchive)
def import_archive(client: Client, command: ask.ImportArchive) -> ExpectUpload:
    session = client.logged_in
    upload = client.service.imports.begin(session.account, command.size)

    async def finish() -> Reply:
        try:
            client.check_session(session)
        except NotLoggedIn:
            upload.abort()
            raise
        return import_reply(*await upload.finish())

    return ExpectUpload(upload, finish)


@HANDLERS.of(ask.ShowImport)
async def imported(client: Client, _command: ask.ShowImport) -> Reply:
    return import_reply(await client.service.imports.state(client.account))


@HANDLERS.of(ask.CancelImport)
async def cancel_import(client: Client, _command: ask.CancelImport) -> Reply:
    return import_reply(await client.service.imports.cancel(client.account))


def import_reply(found: AccountImport, archive: StoredFile | None = None) -> Reply:
    """The reply about an import: what it has done so far, and the groups that one can join again. `archive`
    has just arrived."""
    done, change = found.progress, change_of(found)
    fields: dict[str, str | int | bool] = {
        "state": found.state,
        "messages": done.messages,
        "known": done.known,
        "files": done.files,
        "contacts": done.contacts,
        "conversations": done.conversations,
        "of": done.of,
    }
    told = {"from": found.source, "code": change.code, "reason": change.reason}
    fields |= {key: value for key, value in told.items() if value is not None}
    groups = tuple(
        FormerGroup(each.group, each.title, each.code, each.visibility) for each in done.groups
    )
    received = {} if archive is None else {"size": archive.size, "sha256": archive.sha256}
    return Reply(change.sentence, fields, received, groups, "groups")
