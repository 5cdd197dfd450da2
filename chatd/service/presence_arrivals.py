"""Gathers the states that other realms tell, so that a realm that tells many costs the others little.

A person's states within INTERVAL count as one, and of one realm, few people are passed on at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

import msgspec
from twisted.internet.interfaces import IReactorTime

from chatd.base.background import in_background
from chatd.base.timers import Timer
from chatd.service.remote import TheirState

INTERVAL: Final = 0.2  # seconds between two rounds
MAX_ROUND: Final = 100  # people of one realm in a round; the others wait for the next rounds
MAX_WAITING: Final = 10_000  # people of one realm; changes of others are not passed on
MAX_NAMED: Final = 1000  # people here who are named with a state; the others are left out
MAX_NAMES: Final = 20_000  # names in all states of one realm that wait
UNTOLD: Final = "a change of presence in another realm was not told"


class ArrivedState(msgspec.Struct):
    """What a realm has told of a person: the state, the one that was known before, and the keys of the people
    here who are named, in order. `user` is a name, or an address if the person is of a third realm. People
    whom the person has blocked since, or does not block any more, are `turned`."""

    user: str
    before: str | None
    state: str
    named: dict[str, None] = {}
    turned: set[str] = set()

    @property
    def names(self) -> int:
        """How many names it has."""
        return len(self.named) + len(self.turned)


class ArrivedStates(msgspec.Struct):
    """What one realm has told: the changes by the keys of people, and how many names they have."""

    people: dict[str, ArrivedState] = {}
    names: int = 0

    def add(
        self, person: str, told: TheirState, before: str | None, turned: Collection[str] = ()
    ) -> None:
        """Add a state of the person with that key, who had the state `before`."""
        change = self.people.get(person)
        if change is None:
            if len(self.people) >= MAX_WAITING:
                return
            change = self.people[person] = ArrivedState(told.user, before, told.state)
        change.state = told.state
        others = self.names - change.names
        room = max(0, min(MAX_NAMED - len(change.named), MAX_NAMES - self.names))
        change.named.update(dict.fromkeys(told.named[:room]))
        if self.names + len(turned) <= MAX_NAMES:
            change.turned.update(turned)
        self.names = others + change.names

    def take(self, person: str) -> ArrivedState:
        """Remove a change."""
        change = self.people.pop(person)
        self.names -= change.names
        return change


class PresenceArrivals:
    """The changes that wait to be passed on with `tell`, by the realms that have told them."""

    def __init__(
        self, clock: IReactorTime, tell: Callable[[str, ArrivedState], Coroutine[Any, Any, None]]
    ) -> None:
        self._tell = tell
        self._timer = Timer(clock, self._begin_round)
        self._waiting: dict[str, ArrivedStates] = {}  # by realm
        self._busy = False  # a round is under way
        self._stopped = False

    def stop(self) -> None:
        """Pass nothing on any more."""
        self._stopped = True
        self._timer.cancel()
        self._waiting.clear()

    def add(
        self,
        realm: str,
        person: str,
        told: TheirState,
        before: str | None,
        turned: Collection[str] = (),
    ) -> None:
        """A realm has told of the person with that key, whose state was `before`. What waits of that person
        becomes one change."""
        self._waiting.setdefault(realm, ArrivedStates()).add(person, told, before, turned)
        self._start()

    def _start(self) -> None:
        if self._waiting and not self._busy and not self._stopped:
            self._timer.start(INTERVAL)

    def _begin_round(self) -> None:
        self._busy = True
        in_background(UNTOLD, self._pass_on()).addBoth(lambda _: self._end_round())

    def _end_round(self) -> None:
        self._busy = False
        self._start()

    async def _pass_on(self) -> None:
        for realm, waiting in list(self._waiting.items()):
            for person in list(waiting.people)[:MAX_ROUND]:
                if self._stopped:
                    return
                # A failure must not stop the others.
                await in_background(UNTOLD, self._tell(realm, waiting.take(person)))
            if not waiting.people:
                self._waiting.pop(realm, None)
