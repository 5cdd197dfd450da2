"""Limits on guessing the names and codes of private groups: a refusal may tell that a name is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.interfaces import IReactorTime

from chatd.base.errors import (
    GroupExists,
    TooManyFailedJoins,
    TooManyTakenNames,
    UnknownGroup,
    UserExists,
)
from chatd.base.model import Party
from chatd.base.throttle import FailureThrottle, Quota

TAKEN_PER_HOUR = 20
FREE_JOINS = 20  # failed joins of a person before there are pauses
FREE_JOINS_OF_REALM = 200  # those of all people of another realm


class TakenNames:
    """Counts attempts to create accounts and groups whose names are taken: TAKEN_PER_HOUR for each account,
    and before the login for each network address. The refusal is the same for the name of a private group.
    Without `limited`, there is no limit."""

    def __init__(self, clock: IReactorTime, limited: bool) -> None:
        self._clock = clock
        self._quota = Quota(TAKEN_PER_HOUR if limited else 0)

    @contextmanager
    def attempt(self, key: str) -> Iterator[None]:
        """A context in which something is created for the account or address `key`. Raises
        TooManyTakenNames before anything is looked up."""
        wait = self._quota.take(key, self._clock.seconds())
        if wait:
            raise TooManyTakenNames(limit=TAKEN_PER_HOUR, minutes=math.ceil(wait / 60))
        is_taken = False
        try:
            yield
        except (GroupExists, UserExists):
            is_taken = True
            raise
        finally:
            if not is_taken:
                self._quota.give_back(key)


class FailedJoins:
    """Lets each person, and each other realm, wait after joins of groups that do not exist for them."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._people = FailureThrottle(FREE_JOINS)
        self._realms = FailureThrottle(FREE_JOINS_OF_REALM)

    @contextmanager
    def attempt(self, party: Party) -> Iterator[None]:
        """A context in which `party` joins a group. Raises TooManyFailedJoins before anything is looked
        up."""
        now, realm = self._clock.seconds(), party.realm
        wait = self._people.wait(party.key, now)
        if realm is not None:
            wait = max(wait, self._realms.wait(realm, now))
        if wait > 0:
            raise TooManyFailedJoins(seconds=math.ceil(wait))
        try:
            yield
        except UnknownGroup:
            self._people.failed(party.key, now)
            if realm is not None:
                self._realms.failed(realm, now)
            raise
