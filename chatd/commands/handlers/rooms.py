"""Handlers of the commands for rooms."""

from __future__ import annotations

from typing import Any

from chatd.base.errors import NotInRoom
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import about, count, file_found
from chatd.commands.results import DownloadReply, ExpectUpload

HANDLERS = Handlers()


@HANDLERS.of(ask.JoinRoom)
def room_join(client: Client, command: ask.JoinRoom) -> Reply:
    session, rooms = client.logged_in, client.service.rooms
    info = rooms.join(session, client.account, client.listener, command.room, command.changes)
    sentence = f"You are in {info.room} with {count(info.users, 'user')}"
    data: dict[str, Any] = {"users": info.users}
    if client.connection.traits.detailed:
        data["names"] = rooms.display_names(session)
    return Reply(sentence, {"room": info.room}, data)


@HANDLERS.of(ask.SendRoomMessage)
def room_chat(client: Client, command: ask.SendRoomMessage) -> Reply:
    client.service.messages.check_text(command.text)
    info = client.service.rooms.talk(client.logged_in, command.text, client.service.context.now())
    return Reply(f"Said in {info.room}", {"room": info.room})


@HANDLERS.of(ask.SendRoomFile)
def room_send_file(client: Client, command: ask.SendRoomFile) -> ExpectUpload:
    upload = client.service.room_files.begin(
        client.logged_in, client.account, command.filename, command.size, command.announce
    )

    async def finish() -> Reply:
        file = await upload.finish()
        fields: dict[str, str | int | bool] = {
            "room": upload.where,
            "name": file.name,
            "size": file.size,
        }
        return Reply(
            f"File sent to {upload.where}",
            {**fields, "sha256": file.sha256, "code": file.code},
            about(file),
        )

    return ExpectUpload(upload, finish)


@HANDLERS.of(ask.ListRoomFiles)
def room_files(client: Client, _command: ask.ListRoomFiles) -> Reply:
    files = client.service.room_files.list(client.logged_in)
    return Reply(count(files, "file"), items=files, items_name="files")


@HANDLERS.of(ask.GetRoomFile)
async def room_get_file(client: Client, command: ask.GetRoomFile) -> DownloadReply:
    return file_found(await client.service.room_files.fetch(client.logged_in, command.code))


@HANDLERS.of(ask.LeaveRoom)
def room_leave(client: Client, _command: ask.LeaveRoom) -> Reply:
    room = client.service.rooms.leave(client.logged_in, by=client.listener)
    if room is None:
        raise NotInRoom
    return Reply(f"You have left {room}", {"room": room})


@HANDLERS.of(ask.ListRooms)
def rooms(client: Client, command: ask.ListRooms) -> Reply:
    if command.watch is not None:
        client.service.room_watch.watch(client.listener, command.watch)
    rooms = client.service.rooms.all()
    return Reply(count(rooms, "room"), items=rooms, items_name="rooms")
