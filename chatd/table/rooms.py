"""Rooms."""

from __future__ import annotations

from chatd import arguments as types
from chatd import commands as ask
from chatd import errors
from chatd.rows import Arg, Row
from chatd.table.common import TEXT

ROWS: tuple[Row, ...] = (
    Row(
        "roomjoin",
        ask.RoomJoin,
        "go into a room, and out of the one before",
        (Arg("room", types.ROOM),),
    ),
    Row(
        "roomchat",
        ask.RoomChat,
        "say something to those in the room",
        (TEXT,),
        aliases=("say",),
        errors=(errors.NotInRoom, errors.MessageTooLong),
    ),
    Row("roomleave", ask.RoomLeave, "leave the room", errors=(errors.NotInRoom,)),
    Row("rooms", ask.Rooms, "the rooms, and who is in them"),
)
