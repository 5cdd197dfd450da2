"""Handlers of the commands for pictures of people and groups."""

from __future__ import annotations

from chatd.base.avatars import avatar_path
from chatd.base.errors import NotLoggedIn
from chatd.base.names import Place
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.results import DownloadReply, ExpectUpload
from chatd.store.avatars import Avatar

HANDLERS = Handlers()


@HANDLERS.of(ask.SetPicture)
async def set_picture(client: Client, command: ask.SetPicture) -> ExpectUpload:
    session, place = client.logged_in, command.place
    upload = await client.service.pictures.begin(
        client.account, place, command.filename, command.size, client.listener
    )

    async def finish() -> Reply:
        if client.session is not session:
            upload.abort()
            raise NotLoggedIn  # the session was ended on another connection
        return picture_set(client, place, *await upload.finish())

    return ExpectUpload(upload, finish)


def picture_set(client: Client, place: Place, avatar: Avatar, received: str) -> Reply:
    """The reply to a picture that was set. `received` is the SHA-256 of the file that it is made of."""
    _renew(client)
    return Reply(
        "The picture is set",
        {"picture": avatar_path(_shown(client, place), avatar.hash)},
        {"size": len(avatar.body), "sha256": avatar.sha256, "received_sha256": received},
    )


def _shown(client: Client, place: Place) -> str:
    """A place as paths have it."""
    is_own = client.service.avatars.is_own(client.account, place)
    return f"@{client.account.name}" if is_own else f"#{place.group}"


def _renew(client: Client) -> None:
    """Let the client's sessions know the picture of its account."""
    client.sessions.renew(client.service.accounts.current(client.account))


@HANDLERS.of(ask.RemovePicture)
async def remove_picture(client: Client, command: ask.RemovePicture) -> Reply:
    await client.service.pictures.remove(client.account, command.place, client.listener)
    _renew(client)
    return Reply("There is no picture now")


@HANDLERS.of(ask.GetPicture)
async def get_picture(client: Client, command: ask.GetPicture) -> DownloadReply:
    avatar = await client.service.pictures.find(client.account, command.place)
    download = client.service.avatars.opened(command.place, avatar)
    file = download.attachment
    reply = Reply(
        f"{file.size} bytes follow",
        {"name": file.name, "size": file.size, "sha256": file.sha256},
        {"mime": file.mime},
    )
    return DownloadReply(reply, download)
