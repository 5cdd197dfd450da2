"""Handlers of the commands for pictures of people and groups."""

from __future__ import annotations

from chatd.base.avatars import avatar_path
from chatd.base.errors import NotLoggedIn
from chatd.base.model import Account
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
        try:
            client.check_session(session)
        except NotLoggedIn:
            upload.abort()
            raise
        return picture_set(client, session.account, place, *await upload.finish())

    return ExpectUpload(upload, finish)


def picture_set(
    client: Client, account: Account, place: Place, avatar: Avatar, received: str
) -> Reply:
    """The reply to a picture that `account` has set. `received` is the SHA-256 of the file that it is made
    of."""
    _renew(client, account)
    return Reply(
        "The picture is set",
        {"picture": avatar_path(_shown(client, account, place), avatar.hash)},
        {"size": len(avatar.body), "sha256": avatar.sha256, "received_sha256": received},
    )


def _shown(client: Client, account: Account, place: Place) -> str:
    """A place as paths have it."""
    is_own = client.service.avatars.is_own(account, place)
    return f"@{account.name}" if is_own else f"#{place.group}"


def _renew(client: Client, account: Account) -> None:
    """Let the account's sessions know its picture."""
    client.sessions.renew(client.service.accounts.current(account))


@HANDLERS.of(ask.RemovePicture)
async def remove_picture(client: Client, command: ask.RemovePicture) -> Reply:
    account = client.account
    await client.service.pictures.remove(account, command.place, client.listener)
    _renew(client, account)
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
