"""Handlers of the commands that send, list and fetch files."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from chatd.base.attachments import Attachment
from chatd.base.entries import Deletion
from chatd.base.errors import ChatError, NotLoggedIn, UnknownUser
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import count, file_found, file_sent
from chatd.commands.results import DownloadReply, ExpectUpload

HANDLERS = Handlers()


@HANDLERS.of(ask.SendFile)
async def send_file(client: Client, command: ask.SendFile) -> ExpectUpload | Reply:
    return await _receive(client, command.to, command, command.echo)


@HANDLERS.of(ask.SendGroupFile)
async def send_group_file(client: Client, command: ask.SendGroupFile) -> ExpectUpload | Reply:
    to = command.group
    if command.either and isinstance(to, Address):
        with suppress(UnknownUser):
            return await _receive(client, (to,), command)
    return await _receive(client, to, command)


async def _receive(
    client: Client,
    to: tuple[Address, ...] | Address,
    command: ask.SendFile | ask.SendGroupFile,
    echo: bool = False,
) -> ExpectUpload | Reply:
    session, key = client.logged_in, command.key
    files = client.service.files
    single = isinstance(to, Address) or len(to) == 1
    name, size, wait = command.filename, command.size, client.waits(command.wait)
    before = None if key is None else await files.answered(client.account, to, key, wait)
    if before is not None:
        file, sent = before
        return file_sent(file, sent, single, _details(client, file, session.account))
    upload = await files.begin(client.account, to, name, size, client.listener, key, wait)

    async def finish() -> Reply | DownloadReply:
        try:
            client.check_session(session)
        except NotLoggedIn:
            upload.abort()
            raise
        file, sent = await upload.finish()
        reply = file_sent(file, sent, single, _details(client, file, session.account))
        return await _echoed(client, file, reply) if echo else reply

    return ExpectUpload(upload, finish)


async def _echoed(client: Client, file: Attachment, reply: Reply) -> Reply | DownloadReply:
    """The reply with the bytes of the file, from the disk: all of them never wait in memory."""
    try:
        return DownloadReply(reply, await client.service.downloads.fetch(client.account, file.code))
    except ChatError:
        return reply  # the file was sent, whatever happened to the disk since


def _details(client: Client, file: Attachment, sender: Account | None = None) -> dict[str, Any]:
    """When the file was sent, by whom if that was just now, and how it is stored, for dialects that show
    it."""
    if not client.connection.traits.detailed:
        return {}
    found = {"at": file.at, "stored": file.stored}
    return found if sender is None else {**found, "sender": sender.name}


@HANDLERS.of(ask.ListFiles)
async def files(client: Client, command: ask.ListFiles) -> Reply:
    files = await client.service.downloads.list(client.account, command.place)
    return Reply(count(files, "file"), items=files, items_name="files")


@HANDLERS.of(ask.DeleteFile)
async def delete_file(client: Client, command: ask.DeleteFile) -> Reply:
    """Deletes what can be deleted. If a message stays, its file does, and the reply is the reason."""
    refused: ChatError | None = None
    deleted, newest = 0, 0
    while places := await client.service.downloads.sent_with(client.account, command.code, newest):
        for conversation, seq, ident in places:
            newest = ident
            try:
                await client.service.changes.change(
                    client.account, conversation, seq, Deletion(), client.listener
                )
                deleted += 1
            except ChatError as error:
                refused = refused or error
    if refused is not None:
        raise refused
    sentence = f"File deleted, with {count(range(deleted), 'message')}"
    return Reply(sentence, data={"code": command.code, "messages": deleted})


@HANDLERS.of(ask.GetFile)
async def get_file(client: Client, command: ask.GetFile) -> DownloadReply:
    downloads = client.service.downloads
    attachment = await downloads.find(
        client.account, command.code, command.by_code, command.stamped, command.place
    )
    return file_found(await downloads.open(attachment), _details(client, attachment))
