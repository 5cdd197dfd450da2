"""Tells other realms when people of this one come online, go offline or are away.

Only realms that were added are told, while they are linked. Of an account, those are told that have people
who share a conversation with it, and those that have asked about it, as for a contact list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from twisted.internet.interfaces import IReactorTime

from chatd.base.cache import Cache
from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.service.online_accounts import OFFLINE
from chatd.service.remote import IRealms, TheirState
from chatd.store.watchers import Watched

MAX_ASKED = 5000  # people that a realm has asked about; the oldest questions are forgotten
MAX_NAMES = 200  # people of a realm that are named with one state
# Blocked people of a realm. An account that has blocked more is offline for the whole realm.
MAX_UNSEEN = 30
GATHERED = 0.1  # seconds for which states are gathered
MAX_WAITING = 1000  # states that wait for one realm; more are sent at once
UNTOLD = "another realm was not told who is online"


class PresenceElsewhere:
    """The states that are on their way to other realms."""

    def __init__(self, clock: IReactorTime, realms: IRealms) -> None:
        self._realms = realms
        self._linked: set[str] = set()
        self._asked: dict[str, Cache[str, bool]] = {}  # people here, by the realm that asked
        # States by realm, and by the person and the people who are named
        self._waiting: dict[str, dict[tuple[str, tuple[str, ...]], TheirState]] = {}
        self._timer = Timer(clock, self._send)

    def linked(self, realm: str) -> None:
        """A realm is linked."""
        self._linked.add(realm)

    def unlinked(self, realm: str) -> None:
        """The link to a realm is lost. It asks again at the next one."""
        self._linked.discard(realm)
        self._asked.pop(realm, None)
        self._waiting.pop(realm, None)

    def realms(self) -> list[str]:
        """The keys of the realms that are told."""
        return [each for each in self._linked if self._realms.hears_presence(each)]

    @property
    def anyone_hears(self) -> bool:
        """Whether some realm may be told."""
        return bool(self._linked)

    def asked(self, realm: str, people: Iterable[str]) -> None:
        """A realm has asked about people, by their keys. It is told when their states change."""
        if realm in self._linked:
            asked = self._asked.setdefault(realm, Cache(MAX_ASKED))
            for key in people:
                asked[key] = True

    def changed(self, watched: Watched, state: str, realms: Collection[str]) -> None:
        """Tell those of `realms` that the account concerns."""
        for realm in realms:
            if realm in watched.blocks.realms:
                continue
            if realm in watched.elsewhere or self._has_asked(realm, watched):
                unseen = watched.blocks.people.get(realm, ())
                names = watched.elsewhere.get(realm, ())
                self.tell(realm, watched.name, state, names, unseen)

    def blocks_changed(self, watched: Watched, state: str, realm: str) -> None:
        """Tell a realm in which the account has blocked something, or lifted a block. No people are named,
        because nothing has changed for most of them. The realm may remember an earlier state, so it is told
        even if the account concerns no other people there."""
        barred = realm in watched.blocks.realms
        unseen = watched.blocks.people.get(realm, ())
        self.tell(realm, watched.name, OFFLINE if barred else state, (), unseen)

    def _has_asked(self, realm: str, watched: Watched) -> bool:
        asked = self._asked.get(realm)
        return asked is not None and watched.key in asked

    def tell(
        self,
        realm: str,
        user: str,
        state: str,
        names: Sequence[str],
        unseen: Sequence[str] = (),
    ) -> None:
        """Tell a realm soon that a person, with those people there, has that state, and is offline for people
        in `unseen`."""
        if len(unseen) > MAX_UNSEEN:
            state, unseen = OFFLINE, ()
        for start in range(0, max(1, len(names)), MAX_NAMES):
            named = tuple(names[start : start + MAX_NAMES])
            self._add(realm, TheirState(user, state, named, tuple(unseen)))

    def _add(self, realm: str, state: TheirState) -> None:
        """Add a state. It takes the place of an earlier one, but not its turn."""
        waiting = self._waiting.setdefault(realm, {})
        whom = state.user, state.named
        waiting.pop(whom, None)
        waiting[whom] = state
        if len(waiting) >= MAX_WAITING:
            self._send()
        else:
            self._timer.start(GATHERED)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for realm, states in waiting.items():
            guarded(UNTOLD, self._realms.presence_changed, realm, list(states.values()))

    def stop(self) -> None:
        """Tell nothing any more."""
        self._timer.cancel()
        self._waiting.clear()
