"""Rooms."""

from __future__ import annotations

from chatd.commands.values.base import Command

__all__ = [
    "GetRoomFile",
    "JoinRoom",
    "LeaveRoom",
    "ListRoomFiles",
    "ListRooms",
    "SendRoomFile",
    "SendRoomMessage",
]


class JoinRoom(Command, frozen=True):
    """`changes`: be told who enters and leaves."""

    room: str
    changes: bool = False


class SendRoomMessage(Command, frozen=True):
    text: str


class SendRoomFile(Command, frozen=True):
    """`announce`: tell the others in the room. A client that tells them by itself does not want it."""

    filename: str
    size: int
    announce: bool = True


class ListRoomFiles(Command, frozen=True):
    pass


class GetRoomFile(Command, frozen=True):
    """Download a file of the room by its code, by CODE-NAME, or the newest with a name."""

    code: str


class LeaveRoom(Command, frozen=True):
    pass


class ListRooms(Command, frozen=True):
    """`watch`: whether the connection is told from now on when the list changes."""

    watch: bool | None = None
