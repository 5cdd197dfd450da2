"""Rooms: live talk among those who are in a room. Nothing is stored, and files last as long as the room."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

import msgspec

from chatd.base.attachments import Attachment
from chatd.base.errors import NotInRoom
from chatd.base.events import Event, RoomChange, RoomTalk
from chatd.base.isolation import drop_failed
from chatd.base.model import Account
from chatd.base.names import key_of
from chatd.base.replies import RoomInfo
from chatd.service.presence import IListener, Presence

# With more people in a room, entering and leaving are not announced: each would be an event for everybody.
CROWD: Final = 200


class Occupant(msgspec.Struct, frozen=True):
    """Someone in a room, and the connection that gets its events. `changes`: also who enters and leaves, even
    if it does not listen for all events."""

    account: Account
    listener: IListener
    changes: bool = False


class RoomFile(msgspec.Struct, frozen=True):
    """A file that `sender` has sent to a room (chatd.service.room_files)."""

    file: Attachment
    sender: Account


class Room(msgspec.Struct):
    """A room that someone is in, with its occupants by session, and its files by code, oldest first."""

    name: str
    occupants: dict[Hashable, Occupant] = {}
    files: dict[str, RoomFile] = {}

    def people(self) -> list[Account]:
        """Those who are in the room, each once, by name."""
        found = {each.account.key: each.account for each in self.occupants.values()}
        return [found[key] for key in sorted(found)]

    def info(self) -> RoomInfo:
        return RoomInfo(self.name, tuple(each.name for each in self.people()))

    def tell(self, event: Event, but: Hashable) -> None:
        """Deliver an event to all but the session `but`."""
        events = (event,)
        for session, occupant in list(self.occupants.items()):
            if session is not but:
                _deliver(occupant.listener, events)


def _deliver(listener: IListener, events: tuple[Event, ...]) -> None:
    try:
        listener.deliver(events)
    except Exception:
        drop_failed(listener)


def _change(room: Room, who: Occupant, entered: bool) -> tuple[Event, ...]:
    account = who.account
    return (RoomChange(room.name, account.name, account.display_name, entered),)


class Rooms:
    """All rooms that someone is in. A session is in one room at a time, and gets its events on the connection
    on which it joined."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._rooms: dict[str, Room] = {}
        self._whereabouts: dict[Hashable, str] = {}
        self._end: Callable[[Room], None] = lambda _room: None
        self._changed: Callable[[], None] = lambda: None

    def on_change(self, then: Callable[[], None]) -> None:
        """Call `then` when somebody has entered or left a room."""
        self._changed = then

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

    def join(
        self,
        session: Hashable,
        account: Account,
        listener: IListener,
        name: str,
        changes: bool = False,
    ) -> RoomInfo:
        """Enter a room, which is created if necessary, and leave the one before. `changes`: be told who
        enters and leaves, as all are that listen for all events."""
        key = key_of(name)
        is_new = self._whereabouts.get(session) != key
        if is_new:
            self.leave(session, by=listener)
        room = self._rooms.setdefault(key, Room(name))
        before = room.occupants.get(session)
        occupant = room.occupants[session] = Occupant(account, listener, changes)
        self._whereabouts[session] = key
        if is_new:
            self._announce(room, occupant, entered=True)
        elif before is not None and before.listener is not listener:
            self._tell_change(before, _change(room, before, entered=False))
        return room.info()

    def display_names(self, session: Hashable) -> dict[str, str]:
        """The display names of those in the current room, by their names. Raises NotInRoom."""
        people = self.room_of(session).people()
        return {each.name: each.display_name for each in people}

    def renew(self, session: Hashable, account: Account) -> None:
        """The profile of the session's account has changed."""
        key = self._whereabouts.get(session)
        if key is not None:
            occupants = self._rooms[key].occupants
            occupants[session] = msgspec.structs.replace(occupants[session], account=account)

    def leave(
        self, session: Hashable, listener: IListener | None = None, by: IListener | None = None
    ) -> str | None:
        """Leave the current room. Returns its name, or None if there was none. An empty room is removed.

        With a `listener`, does so only if the room was entered on that connection. `by` is the connection
        that leaves; if another one was in the room, it is told.
        """
        key = self._whereabouts.get(session)
        if key is None:
            return None
        room = self._rooms[key]
        if listener is not None and room.occupants[session].listener is not listener:
            return None
        del self._whereabouts[session]
        occupant = room.occupants.pop(session)
        if not room.occupants:
            del self._rooms[key]
            self._end(room)
        self._announce(room, occupant, entered=False)
        if by is not None and by is not occupant.listener:
            self._tell_change(occupant, _change(room, occupant, entered=False))
        return room.name

    def _announce(self, room: Room, who: Occupant, entered: bool) -> None:
        """Tell the others that `who` has entered or left, unless that account is here in another session. On
        the connection of `who` the reply tells."""
        self._changed()
        others = [each for each in room.occupants.values() if each is not who]
        if len(others) > CROWD or any(each.account.id == who.account.id for each in others):
            return
        events = _change(room, who, entered)
        for other in others:
            if other.listener is not who.listener:
                self._tell_change(other, events)

    def _tell_change(self, whom: Occupant, events: tuple[Event, ...]) -> None:
        if whom.changes or self._presence.is_following(whom.account.id, whom.listener):
            _deliver(whom.listener, events)

    def talk(
        self, session: Hashable, text: str, at: int, file: Attachment | None = None
    ) -> RoomInfo:
        """Send `text`, or tell about a file, to the others in the current room. Raises NotInRoom."""
        room = self.room_of(session)
        speaker = room.occupants[session].account
        talk = RoomTalk(room.name, speaker.name, speaker.display_name, text, at, file)
        room.tell(talk, session)
        return room.info()

    def all(self) -> tuple[RoomInfo, ...]:
        """The rooms, by name."""
        return tuple(self._rooms[key].info() for key in sorted(self._rooms))
