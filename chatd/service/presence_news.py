"""Sends presence and profile events to the accounts that share something with the account that has changed
(chatd.store.watchers), here and in other realms.

An account that comes online, goes away or comes back is announced within INTERVAL, unless many do so at
once. One that goes offline is announced when it has been so for GRACE, so that a page that is loaded again,
or a client with an unstable connection, causes few events. A new profile is announced at once, one account at
a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from twisted.internet.interfaces import IReactorTime

from chatd.base.avatars import user_picture
from chatd.base.background import in_background
from chatd.base.cache import Cache
from chatd.base.events import PresenceChange, ProfileChange
from chatd.base.isolation import guarded
from chatd.base.model import Account
from chatd.base.timers import Timer
from chatd.service.node_news import NodeNews
from chatd.service.online_accounts import OFFLINE, ONLINE, NodeChange
from chatd.service.presence import IListener, Presence
from chatd.service.presence_elsewhere import PresenceElsewhere
from chatd.service.repeated_news import RepeatedTopic
from chatd.store.database import Database
from chatd.store.watchers import Watched, pair_of, watchers_of

INTERVAL: Final = 0.5  # seconds between two rounds
GRACE: Final = 3.0  # seconds
MAX_ROUND: Final = 100  # accounts in a round; the others wait for the next rounds
MAX_TOLD: Final = 5000  # events in a round, after which no other account is begun
# Changes that only their loss on the bus brings up; more are not told one by one, as when a node has joined
MAX_MISSED: Final = 1000
MAX_REMEMBERED: Final = 10_000  # accounts
UNTOLD: Final = "a change of presence was not told"


class PresenceNews:
    """The accounts whose change is not told yet, in rounds."""

    def __init__(
        self,
        clock: IReactorTime,
        database: Database,
        presence: Presence,
        elsewhere: PresenceElsewhere,
    ) -> None:
        self._clock = clock
        self._database = database
        self._presence = presence
        self._elsewhere = elsewhere
        self._timer = Timer(clock, self._begin_round)
        self._stopped = False
        self._busy = False  # a round is under way
        # When the change of an account is due, by its id
        self._due: dict[int, float] = {}
        # Those of them that are not, or perhaps not, told by this node
        self._by_nodes: dict[int, NodeChange] = {}
        # What listeners here were told last, while there are other nodes
        self._last_told: Cache[int, str] = Cache(MAX_REMEMBERED)
        self._tell_told: Callable[[tuple[int, str]], object] = lambda _told: None
        self._tell_blocked: Callable[[tuple[int, str]], object] = lambda _changed: None
        # Accounts with their new profiles, and the connections that changed them, by the accounts' ids
        self._profiles: dict[int, tuple[Account, IListener | None]] = {}
        self._telling_profiles = False
        self._on_profile: list[Callable[[Account], object]] = []
        presence.on_change(self._changed)
        presence.on_node_change(self._node_changed)

    def share(self, news: NodeNews) -> None:
        """Tell the other nodes which changes are told, so that each is told by one of them."""
        told = RepeatedTopic(news, "presence-told", tuple[int, str], self._told_elsewhere)
        self._tell_told = told.tell
        self._tell_blocked = news.topic(
            "presence-blocked", tuple[int, str], self._blocks_changed_in, lambda: None
        )

    def stop(self) -> None:
        """Forget what was not told, and tell nothing any more."""
        self._stopped = True
        self._timer.cancel()
        self._due.clear()
        self._by_nodes.clear()
        self._profiles.clear()

    def on_profile(self, tell: Callable[[Account], object]) -> None:
        """Call `tell` with each account that has changed its profile."""
        self._on_profile.append(tell)

    def profile_changed(self, account: Account, origin: IListener | None) -> None:
        """The account has changed its profile, on the connection `origin`."""
        if not self._stopped:
            for tell in self._on_profile:
                guarded("a new profile was not passed on", tell, account)
        if self._stopped or not self._presence.anyone_follows:
            return
        self._profiles[account.id] = (account, origin)
        if not self._telling_profiles:
            self._telling_profiles = True
            done = in_background(UNTOLD, self._tell_profiles())
            done.addBoth(lambda _: setattr(self, "_telling_profiles", False))

    async def _tell_profiles(self) -> None:
        while self._profiles:
            account, origin = self._profiles.pop(next(iter(self._profiles)))
            watched = await self._find(account.id)
            if watched is not None:
                told = watched.watchers | {account.id}
                event = ProfileChange(
                    account.name,
                    account.display_name,
                    account.country,
                    account.status,
                    user_picture(account.name, account.picture),
                )
                self._presence.tell_followers(told, event, origin)
                self._presence.flush()

    def blocks_changed(self, account: Account, key: str) -> None:
        """The account has blocked somebody, or has lifted a block: that with that key."""
        realm = key.partition("@")[2]
        if self._stopped:
            return
        if not realm and self._presence.anyone_follows:
            in_background(UNTOLD, self._tell_pair(account, key))
        elif realm:
            self._tell_blocked((account.id, realm))
            self._blocks_changed_in((account.id, realm))

    def _blocks_changed_in(self, changed: tuple[int, str]) -> None:
        """An account has blocked somebody of a realm, or has lifted a block: the node with the link tells the
        realm."""
        account_id, realm = changed
        if not self._stopped and realm in self._elsewhere.realms():
            in_background(UNTOLD, self._tell_blocks(account_id, realm))

    async def _tell_pair(self, account: Account, key: str) -> None:
        """Tell an account and the one with that key how they see each other from now on."""
        pair = await self._database.read(pair_of, account, key)
        if pair is None:
            return
        for seen, name, watcher in (
            (account.id, account.name, pair.id),
            (pair.id, pair.name, account.id),
        ):
            state = self._presence.state(seen)
            # Somebody who is offline was so before.
            if state != OFFLINE and watcher in pair.watching:
                event = PresenceChange(name, state if pair.see else OFFLINE)
                self._presence.tell_followers((watcher,), event, None)
        self._presence.flush()

    async def _tell_blocks(self, account_id: int, realm: str) -> None:
        watched = await self._find(account_id, [realm])
        if watched is not None:
            self._elsewhere.blocks_changed(watched, self._presence.state(account_id), realm)

    def _changed(self, account_id: int, soon: bool) -> None:
        anyone_hears = self._presence.anyone_follows or self._elsewhere.anyone_hears
        if self._stopped or not anyone_hears:
            return
        by_other = self._by_nodes.pop(account_id, None) is NodeChange.TOLD
        at_once = soon and (by_other or account_id not in self._due)
        self._set_due(account_id, 0 if at_once else GRACE)

    def _set_due(self, account_id: int, seconds: float) -> None:
        self._due[account_id] = self._clock.seconds() + seconds
        if not self._busy:
            self._timer.start(INTERVAL)

    def _node_changed(self, account_id: int, how: NodeChange) -> None:
        """A change that another node tells, or that is told here only if it lasts."""
        anyone_hears = self._presence.anyone_follows or self._elsewhere.anyone_hears
        if self._stopped or not anyone_hears:
            return
        if account_id in self._due and account_id not in self._by_nodes:
            return  # this node tells its state
        if how is NodeChange.TOLD and (account_id in self._due or not self._elsewhere.anyone_hears):
            return
        if how is NodeChange.MISSED and len(self._by_nodes) >= MAX_MISSED:
            return
        self._by_nodes[account_id] = how
        may_change = how in (NodeChange.LEFT, NodeChange.LOST)
        self._set_due(account_id, GRACE if may_change else 0)

    def _told_elsewhere(self, told: tuple[int, str]) -> None:
        """Another node has told the state of an account, also to listeners here."""
        account_id, state = told
        self._last_told[account_id] = state
        is_due = account_id in self._due and self._presence.state(account_id) == state
        if is_due and self._by_nodes.get(account_id) is not NodeChange.MISSED:
            self._by_nodes[account_id] = NodeChange.TOLD

    def _begin_round(self) -> None:
        self._busy = True
        done = in_background(UNTOLD, self._tell_due())
        done.addBoth(lambda _: self._end_round())

    def _end_round(self) -> None:
        self._busy = False
        if self._due and not self._stopped:
            self._timer.start(INTERVAL)

    async def _tell_due(self) -> None:
        now = self._clock.seconds()
        due = [account for account, when in self._due.items() if when <= now][:MAX_ROUND]
        told = 0
        for account in due:
            if told >= MAX_TOLD:
                return
            # The account may have changed again during the lookup of an earlier one.
            if self._due.get(account, inf) <= now:
                del self._due[account]
                told += await self._tell(account)

    async def _tell(self, account_id: int) -> int:
        """Tell the watchers of the account whether it is online. Returns how many of them here follow."""
        how = self._by_nodes.pop(account_id, None)
        realms = self._elsewhere.realms()
        if not realms and not self._presence.anyone_follows:
            return 0
        watched = await self._find(account_id, realms)
        if watched is None:
            return 0
        state = self._presence.state(account_id)
        self._elsewhere.changed(watched, state, realms)
        # An account that has lost a connection or its node, and is online again, was not seen to be gone.
        is_back = (how is NodeChange.LEFT and state != OFFLINE) or (
            how is NodeChange.LOST and state == ONLINE
        )
        if how is NodeChange.TOLD or is_back:
            return 0
        if self._presence.elsewhere:
            if how is NodeChange.MISSED and self._last_told.get(account_id) == state:
                return 0  # the event was lost, and has come since
            self._last_told[account_id] = state
        followers = self._presence.followers_of(watched.watchers)
        event = PresenceChange(watched.name, state)
        if how in (NodeChange.LOST, NodeChange.MISSED):
            self._presence.tell_followers_here(followers, event)
        else:
            self._presence.tell_followers(followers, event, None)
            if self._presence.elsewhere:
                self._tell_told((account_id, state))
        self._presence.flush()
        return len(followers)

    async def _find(self, account_id: int, realms: Sequence[str] = ()) -> Watched | None:
        """Who is told of the account. Returns None if the lookup fails, which must not stop the others."""
        found = self._database.read(watchers_of, account_id, realms)
        watched: Watched | None = await in_background(UNTOLD, found)
        return None if self._stopped else watched
