"""The commands for rooms."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.common import TEXT

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
    Row("roomleave", ask.LeaveRoom, "leave the room", errors=(errors.NotInRoom,)),
    Row("rooms", ask.ListRooms, "list the rooms and who is in them"),
)
