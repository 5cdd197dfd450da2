"""Tells of read marks that have moved, not more often than people can see.

The first move of a reader's mark is told at once. The moves of the next INTERVAL seconds are told together,
of each conversation the last one. In each of these rounds, everybody is told of at most one conversation of a
reader; the others wait for the next round. So one reader causes at most two events in a second to each
sender, whatever they read. The reader's own connections are told of all conversations in each round.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from twisted.internet.interfaces import IReactorTime

from chatd.base.background import in_background
from chatd.base.events import ReadMoved
from chatd.base.timers import Timer
from chatd.service.presence import IListener, Presence
from chatd.store.receipts import Audience

INTERVAL = 0.6  # seconds between two rounds of a reader; a little longer than half a second


class Reader(msgspec.Struct, frozen=True):
    """Whose marks move: an account of this realm, or, with None for its id, a person of another one.

    All moves of a person have the same reader, whichever realm has told of each: they share their rounds.
    """

    key: str
    address: str
    account_id: int | None = None


# Looks up who is told that a reader has moved the marks of these conversations.
FindAudiences: TypeAlias = Callable[[Reader, Sequence[int]], Awaitable[Iterable[Audience]]]
# Tells the realms of an audience that a reader has read up to a seq.
TellRealms: TypeAlias = Callable[[Reader, Audience, int], Awaitable[None]]


class Moves:
    """The marks of one reader that are not told yet: `own` to the reader's connections, each with the
    connection that moved it, and `others` to everybody else. `timer` ends the round."""

    __slots__ = ("busy", "others", "own", "reader", "timer")

    def __init__(self, reader: Reader, timer: Timer) -> None:
        self.reader = reader
        self.own: dict[int, tuple[int, IListener | None]] = {}
        self.others: dict[int, int] = {}
        self.timer = timer
        self.busy = False

    def add(self, moved: Mapping[int, int], origin: IListener | None) -> None:
        self.others.update(moved)
        if self.reader.account_id is not None:
            self.own.update({place: (seq, origin) for place, seq in moved.items()})


class ReadEvents:
    """The moves of all readers, in rounds."""

    def __init__(
        self, clock: IReactorTime, presence: Presence, find: FindAudiences, tell: TellRealms
    ) -> None:
        self._clock = clock
        self._presence = presence
        self._find = find
        self._tell_realms = tell
        self._stopped = False
        # Readers whose round is not over, by the key of their address
        self._moves: dict[str, Moves] = {}

    def moved(
        self, reader: Reader, moved: Mapping[int, int], origin: IListener | None = None
    ) -> None:
        """The reader has read these conversations up to these seqs. `origin` is the connection that is not
        told, because the move came from there."""
        if not moved or self._stopped:
            return
        moves = self._moves.get(reader.key)
        if moves is not None:
            moves.add(moved, origin)
            return
        timer = Timer(self._clock, lambda: self._end_round(reader.key))
        moves = self._moves[reader.key] = Moves(reader, timer)
        moves.add(moved, origin)
        self._begin_round(moves)

    def stop(self) -> None:
        """Forget what was not told, and tell nothing any more."""
        self._stopped = True
        for moves in self._moves.values():
            moves.timer.cancel()
        self._moves.clear()

    def _begin_round(self, moves: Moves) -> None:
        moves.timer.start(INTERVAL)
        own, moves.own = moves.own, {}
        mine = () if moves.reader.account_id is None else (moves.reader.account_id,)
        for place, (seq, origin) in own.items():
            event = ReadMoved(place, seq, moves.reader.address)
            self._presence.tell_followers(mine, event, origin)
        self._presence.flush()
        if moves.busy:
            return  # the lookup of the last round is still under way
        moves.busy = True
        done = in_background("read marks were not told", self._tell_others(moves))
        done.addBoth(lambda _: setattr(moves, "busy", False))

    def _end_round(self, key: str) -> None:
        moves = self._moves[key]
        if moves.own or moves.others or moves.busy:
            self._begin_round(moves)
        else:
            del self._moves[key]

    async def _tell_others(self, moves: Moves) -> None:
        """Tell of those that have waited longest. The rest waits for the next round."""
        moved, moves.others = moves.others, {}
        found = await self._find(moves.reader, list(moved))
        audiences = {audience.conversation: audience for audience in found}
        told: set[int | str] = set()
        waiting = {place: seq for place, seq in moved.items() if place in audiences}
        try:
            for place, seq in list(waiting.items()):
                audience = audiences[place]
                people: set[int | str] = set(self._presence.followers_of(audience.accounts))
                people.update([audience.peer] if audience.peer else audience.realms)
                if told.isdisjoint(people):
                    told |= people
                    del waiting[place]
                    await self._tell(moves.reader, audience, seq)
        finally:
            moves.others = {**waiting, **moves.others}
            self._presence.flush()

    async def _tell(self, reader: Reader, audience: Audience, seq: int) -> None:
        event = ReadMoved(audience.conversation, seq, reader.address)
        self._presence.tell_followers(audience.accounts, event, None)
        if audience.realms:
            await self._tell_realms(reader, audience, seq)
