"""Rooms: live talk among those who are in a room. Nothing is stored, and files last as long as the room."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import count
from typing import Final

import msgspec
from twisted.internet.interfaces import IReactorTime

from chatd.base.attachments import Attachment
from chatd.base.errors import NotInRoom
from chatd.base.events import Event, RoomChange, RoomTalk
from chatd.base.isolation import drop_failed
from chatd.base.model import Account
from chatd.base.names import key_of
from chatd.base.replies import RoomInfo
from chatd.service.node_news import NodeNews
from chatd.service.presence import IListener, Presence
from chatd.service.soft_state import CopyChange, SoftState, StatePage, StateSource

# With more people in a room, entering and leaving are not announced: each would be an event for everybody.
CROWD: Final = 200


class Occupant(msgspec.Struct, frozen=True):
    """Someone in a room, and the connection that gets its events. `changes`: also who enters and leaves, even
    if it does not listen for all events. `number` stands for the session at this node."""

    account: Account
    listener: IListener
    changes: bool = False
    number: int = 0


class RoomPlace(msgspec.Struct, frozen=True):
    """Somebody in a room at another node."""

    room: str
    account: Account


class RoomFile(msgspec.Struct, frozen=True):
    """A file that `sender` has sent to a room (chatd.service.room_files)."""

    file: Attachment
    sender: Account


class Room(msgspec.Struct):
    """A room that someone is in, with its occupants by session, those at other nodes, and its files by code,
    oldest first. The files are those that were sent at this node."""

    name: str
    occupants: dict[Hashable, Occupant] = {}
    files: dict[str, RoomFile] = {}
    elsewhere: list[Account] = []

    @property
    def is_empty(self) -> bool:
        return not self.occupants and not self.elsewhere

    def people(self) -> list[Account]:
        """Those who are in the room, each once, by name."""
        found = {each.account.key: each.account for each in self.occupants.values()}
        for account in self.elsewhere:
            found.setdefault(account.key, account)
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


def _change(room: Room, account: Account, entered: bool) -> tuple[Event, ...]:
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
        # Sessions that are in a room, by their numbers
        self._sessions: dict[int, Hashable] = {}
        self._numbers = count(1)
        self._state: SoftState[int, RoomPlace] | None = None
        self._tell_talk: Callable[[RoomTalk], object] = lambda _talk: None

    def share(self, news: NodeNews, clock: IReactorTime) -> None:
        """Let rooms have people at all nodes of the realm."""
        source = StateSource(lambda: self._sessions.keys(), self._place)
        self._state = SoftState[int, RoomPlace](
            news, clock, "rooms", StatePage[int, RoomPlace], source, self._changed_elsewhere
        )
        self._tell_talk = news.topic("room-talk", RoomTalk, self._heard, lambda: None)

    def stop(self) -> None:
        """Tell the other nodes nothing any more."""
        if self._state is not None:
            self._state.stop()

    def _place(self, number: int) -> RoomPlace | None:
        """Where a session is, for the other nodes."""
        session = self._sessions.get(number)
        room = None if session is None else self.find(session)
        return None if room is None else RoomPlace(room.name, room.occupants[session].account)

    def _tell_place(self, number: int) -> None:
        if self._state is not None:
            self._state.changed(number)

    def _changed_elsewhere(
        self, _number: int, before: RoomPlace | None, after: RoomPlace | None, _how: CopyChange
    ) -> None:
        """Somebody at another node has entered, changed or left a room."""
        stays = before and after and key_of(before.room) == key_of(after.room)
        if after is not None:
            room = self._rooms.setdefault(key_of(after.room), Room(after.room))
            if not stays:
                self._announce(room, after.account, None, entered=True)
            room.elsewhere.append(after.account)
        if before is not None:
            room = self._rooms[key_of(before.room)]
            room.elsewhere.remove(before.account)
            if not stays:
                self._remove_empty(room)
                self._announce(room, before.account, None, entered=False)

    def _heard(self, talk: RoomTalk) -> None:
        """Somebody at another node has sent something to a room."""
        room = self._rooms.get(key_of(talk.room))
        if room is not None:
            room.tell(msgspec.structs.replace(talk, room=room.name), None)

    def _remove_empty(self, room: Room) -> None:
        if room.is_empty:
            del self._rooms[key_of(room.name)]
            self._end(room)

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
        number = next(self._numbers) if before is None else before.number
        occupant = room.occupants[session] = Occupant(account, listener, changes, number)
        self._whereabouts[session] = key
        self._sessions[number] = session
        self._tell_place(number)
        if is_new:
            self._announce(room, account, occupant, entered=True)
        elif before is not None and before.listener is not listener:
            self._tell_change(before, _change(room, before.account, entered=False))
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
            self._tell_place(occupants[session].number)

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
        del self._sessions[occupant.number]
        self._tell_place(occupant.number)
        self._remove_empty(room)
        self._announce(room, occupant.account, occupant, entered=False)
        if by is not None and by is not occupant.listener:
            self._tell_change(occupant, _change(room, occupant.account, entered=False))
        return room.name

    def _announce(self, room: Room, account: Account, who: Occupant | None, entered: bool) -> None:
        """Tell the others at this node that `account` has entered or left, unless it is in the room in
        another session. `who` is None if it is at another node; else the reply tells on its connection."""
        self._changed()
        others = [each for each in room.occupants.values() if each is not who]
        ids = [*(each.account.id for each in others), *(each.id for each in room.elsewhere)]
        if len(ids) > CROWD or account.id in ids:
            return
        events = _change(room, account, entered)
        for other in others:
            if who is None or other.listener is not who.listener:
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
        if room.elsewhere:
            self._tell_talk(talk)
        return room.info()

    def all(self) -> tuple[RoomInfo, ...]:
        """The rooms, by name."""
        return tuple(self._rooms[key].info() for key in sorted(self._rooms))
