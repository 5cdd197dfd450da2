"""The commands for rooms."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.common import FILENAME, SIZE, TEXT

ROWS: tuple[Row, ...] = (
    Row(
        "roomjoin",
        ask.JoinRoom,
        "enter a room and leave the previous one",
        (Arg("room", types.ROOM),),
    ),
    Row(
        "roomchat",
        ask.SendRoomMessage,
        "say something to the people in the room",
        (TEXT,),
        aliases=("say",),
        errors=(errors.NotInRoom, errors.MessageTooLong),
    ),
    Row(
        "roomsendfile",
        ask.SendRoomFile,
        "send a file to the room, where it stays until everybody has left",
        (FILENAME, SIZE),
        aliases=("room_send_file",),
        errors=(
            errors.NotInRoom,
            errors.BadFileName,
            errors.FileTooLarge,
            errors.RoomFilesFull,
        ),
    ),
    Row("roomfiles", ask.ListRoomFiles, "list the files of the room", errors=(errors.NotInRoom,)),
    Row(
        "roomgetfile",
        ask.GetRoomFile,
        "download a file of the room",
        (Arg("code", types.CODE, also=("filename", "name")),),
        aliases=("room_get_file",),
        errors=(errors.NotInRoom, errors.UnknownFile),
    ),
    Row("roomleave", ask.LeaveRoom, "leave the room", errors=(errors.NotInRoom,)),
    Row(
        "rooms",
        ask.ListRooms,
        "list the rooms and who is in them",
        (Arg("watch", types.FLAG, optional=True, named=True),),
    ),
)
