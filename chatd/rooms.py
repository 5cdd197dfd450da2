"""Rooms: named and live. Who is in one hears it; nothing of it is kept."""

from __future__ import annotations

from chatd.errors import NotInRoom
from chatd.model import Account, RoomInfo, RoomTalk
from chatd.names import key_of
from chatd.presence import IListener


class Rooms:
    """All rooms with somebody in them. An occupant is a connection, and the account that speaks there."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._occupants: dict[str, dict[IListener, Account]] = {}
        self._whereabouts: dict[IListener, str] = {}

    def join(self, listener: IListener, account: Account, room: str) -> RoomInfo:
        """Go into `room`, made on demand, and out of the one before."""
        key = key_of(room)
        if self._whereabouts.get(listener) != key:
            self.leave(listener)
            self._names.setdefault(key, room)
            self._whereabouts[listener] = key
        self._occupants.setdefault(key, {})[listener] = account
        return self._info(key)

    def leave(self, listener: IListener) -> str | None:
        """Go out of the current room; its name, or None if there was none. An empty room is gone."""
        key = self._whereabouts.pop(listener, None)
        if key is None:
            return None
        occupants = self._occupants[key]
        del occupants[listener]
        if occupants:
            return self._names[key]
        del self._occupants[key]
        return self._names.pop(key)

    def talk(self, listener: IListener, text: str, at: int) -> RoomInfo:
        """Say `text` to the others in the current room. Raises NotInRoom."""
        key = self._whereabouts.get(listener)
        if key is None:
            raise NotInRoom
        occupants = self._occupants[key]
        account = occupants[listener]
        events = (RoomTalk(self._names[key], account.name, account.display_name, text, at),)
        for other in list(occupants):
            if other is not listener:
                other.deliver(events)
        return self._info(key)

    def all(self) -> tuple[RoomInfo, ...]:
        return tuple(self._info(key) for key in sorted(self._names))

    def _info(self, key: str) -> RoomInfo:
        people = {account.key: account.name for account in self._occupants[key].values()}
        return RoomInfo(self._names[key], tuple(people[name] for name in sorted(people)))
