"""Rooms: live talk among those who are in a room. Nothing is stored, and files last as long as the room."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import msgspec

from chatd.base.errors import NotInRoom
from chatd.base.isolation import drop_failed
from chatd.base.model import Account, Attachment, RoomInfo, RoomTalk
from chatd.base.names import key_of
from chatd.service.presence import IListener


class Occupant(msgspec.Struct, frozen=True):
    """Someone in a room, and the connection that gets its events."""

    account: Account
    listener: IListener


class RoomFile(msgspec.Struct, frozen=True):
    """A file that `sender` has sent to a room (chatd.service.room_files)."""

    file: Attachment
    sender: Account


class Room(msgspec.Struct):
    """A room that someone is in, with its occupants by session, and its files by code, oldest first."""

    name: str
    occupants: dict[Hashable, Occupant] = {}
    files: dict[str, RoomFile] = {}

    def info(self) -> RoomInfo:
        """The room's name, and the names of those who are in it, each once."""
        people = {each.account.key: each.account.name for each in self.occupants.values()}
        return RoomInfo(self.name, tuple(people[key] for key in sorted(people)))


class Rooms:
    """All rooms that someone is in. A session is in one room at a time, and gets its events on the connection
    on which it joined."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._whereabouts: dict[Hashable, str] = {}
        self._end: Callable[[Room], None] = lambda _room: None

    def on_end(self, then: Callable[[Room], None]) -> None:
        """Call `then(room)` when the last occupant has left a room."""
        self._end = then

    def find(self, session: Hashable) -> Room | None:
        """The session's current room."""
        key = self._whereabouts.get(session)
        return None if key is None else self._rooms[key]

    def room_of(self, session: Hashable) -> Room:
        """The session's current room. Raises NotInRoom."""
        room = self.find(session)
        if room is None:
            raise NotInRoom
        return room

    def join(self, session: Hashable, account: Account, listener: IListener, name: str) -> RoomInfo:
        """Enter a room, which is created if necessary, and leave the one before."""
        key = key_of(name)
        if self._whereabouts.get(session) != key:
            self.leave(session)
        room = self._rooms.setdefault(key, Room(name))
        room.occupants[session] = Occupant(account, listener)
        self._whereabouts[session] = key
        return room.info()

    def renew(self, session: Hashable, account: Account) -> None:
        """The profile of the session's account has changed."""
        key = self._whereabouts.get(session)
        if key is not None:
            occupants = self._rooms[key].occupants
            occupants[session] = Occupant(account, occupants[session].listener)

    def leave(self, session: Hashable, listener: IListener | None = None) -> str | None:
        """Leave the current room. Returns its name, or None if there was none. An empty room is removed.

        With a `listener`, does so only if the room was entered on that connection.
        """
        key = self._whereabouts.get(session)
        if key is None:
            return None
        room = self._rooms[key]
        if listener is not None and room.occupants[session].listener is not listener:
            return None
        del self._whereabouts[session], room.occupants[session]
        if not room.occupants:
            del self._rooms[key]
            self._end(room)
        return room.name

    def talk(
        self, session: Hashable, text: str, at: int, file: Attachment | None = None
    ) -> RoomInfo:
        """Send `text`, or tell about a file, to the others in the current room. Raises NotInRoom."""
        room = self.room_of(session)
        speaker = room.occupants[session].account
        events = (RoomTalk(room.name, speaker.name, speaker.display_name, text, at, file),)
        for other, occupant in list(room.occupants.items()):
            if other is not session:
                try:
                    occupant.listener.deliver(events)
                except Exception:
                    drop_failed(occupant.listener)
        return room.info()

    def all(self) -> tuple[RoomInfo, ...]:
        """The rooms, by name."""
        return tuple(self._rooms[key].info() for key in sorted(self._rooms))
