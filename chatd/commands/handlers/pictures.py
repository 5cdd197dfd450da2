"""Handlers of the commands for pictures of people."""

from __future__ import annotations

from chatd.base.errors import NotLoggedIn
from chatd.base.model import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.accounts import picture_of
from chatd.commands.results import DownloadReply, ExpectUpload

HANDLERS = Handlers()


@HANDLERS.of(ask.SetPicture)
def set_picture(client: Client, command: ask.SetPicture) -> ExpectUpload:
    session = client.logged_in
    upload = client.service.avatars.begin(
        client.account, command.place, command.filename, command.size, client.listener
    )

    async def finish() -> Reply:
        if client.session is not session:
            upload.abort()
            raise NotLoggedIn  # the session was ended on another connection
        account, avatar, received = await upload.finish()
        client.sessions.renew(account)
        return Reply(
            "Your picture is set",
            picture_of(account),
            {"size": len(avatar.body), "sha256": avatar.sha256, "received_sha256": received},
        )

    return ExpectUpload(upload, finish)


@HANDLERS.of(ask.RemovePicture)
async def remove_picture(client: Client, command: ask.RemovePicture) -> Reply:
    account = await client.service.avatars.remove(client.account, command.place, client.listener)
    client.sessions.renew(account)
    return Reply("You have no picture now")


@HANDLERS.of(ask.GetPicture)
async def get_picture(client: Client, command: ask.GetPicture) -> DownloadReply:
    avatar = await client.service.profiles.find(command.place)
    download = client.service.avatars.opened(command.place, avatar)
    file = download.attachment
    reply = Reply(
        f"{file.size} bytes follow",
        {"name": file.name, "size": file.size, "sha256": file.sha256},
        {"mime": file.mime},
    )
    return DownloadReply(reply, download)
