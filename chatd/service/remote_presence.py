"""Who is online in other realms: asked for, remembered, and told to accounts that share something with them.

A realm tells when the state of one of its people changes, and whom of this realm that concerns. What it has
answered or told holds for KEPT_FOR. When a realm comes back, it is asked about the contacts of accounts here,
and about people who share a conversation with one. When its link has been down for LOST_AFTER, its people
count as offline.

Only the realm of a person is believed. If the home of a group tells that a guest's state has changed, the
guest's own realm is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from chatd.base.background import in_background, log_unexpected
from chatd.base.cache import Cache
from chatd.base.errors import BadName, ChatError, UnknownRealm
from chatd.base.events import PresenceChange
from chatd.base.model import Account
from chatd.base.names import MAX_NAME, Address, key_of, parse_address, parse_foreign_name
from chatd.base.throttle import Quota
from chatd.base.timers import cancel
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.node_limits import share_quota
from chatd.service.online_accounts import OFFLINE
from chatd.service.presence import Presence
from chatd.service.presence_arrivals import UNTOLD, ArrivedState, PresenceArrivals
from chatd.service.presence_copies import PresenceCopies
from chatd.service.presence_elsewhere import MAX_UNSEEN, PresenceElsewhere
from chatd.service.remote import IRealms, TheirState
from chatd.store import watchers_elsewhere as store
from chatd.store.peers import concerned

KEPT_FOR = 60.0  # seconds
LOST_AFTER = 10.0  # seconds
MAX_KNOWN = 10_000  # people of one realm
MAX_AT_ONCE = 100  # people of one realm that are asked about for one list
MAX_WOKEN = 100  # realms that are dialled because an account follows who is online there
MAX_ASKED = 1000  # people that a realm is asked about when it comes back
# People of one realm who have blocked people here; further ones count as offline.
MAX_BLOCKERS = 1000
MAX_KEY = 4 * MAX_NAME  # characters of the key of a name: a character may become several
HINTS_PER_HOUR = 1000  # from one home, for which the realms of guests are asked
MAX_ASKING = 100  # such questions under way
UNKNOWN = "unknown"  # in place of a state: there is no such person


class Known(msgspec.Struct, frozen=True):
    """The state of a person, and until when it holds."""

    state: str
    until: float


class RemotePresence:
    """What this realm knows of who is online in other realms."""

    def __init__(
        self,
        context: Context,
        realms: IRealms,
        presence: Presence,
        elsewhere: PresenceElsewhere,
        blocks: Blocks,
    ) -> None:
        self._context = context
        self._clock = context.clock
        self._database = context.database
        self._realms = realms
        self._presence = presence
        self._elsewhere = elsewhere
        self._blocks = blocks
        self._known: dict[str, Cache[str, Known]] = {}  # by the keys of realms and of people there
        # The people here whom people there have blocked
        self._unseen: dict[str, dict[str, frozenset[str]]] = {}
        self._hints = Quota(HINTS_PER_HOUR)
        share_quota(self._hints, context.news, context.clock, "presence-hints")
        self._asking = 0  # questions under way after hints
        self._lost: dict[str, IDelayedCall] = {}  # realms whose people will count as offline
        presence.on_follow(self._followed)
        self._arrivals = PresenceArrivals(context.clock, self._pass_on)
        # When something was last lost that other nodes had learnt, by the clock
        self._doubted = -inf
        self._copies = PresenceCopies(context, self._note, self._pass_to_realms, self._doubt)

    def stop(self) -> None:
        """Tell nothing any more."""
        for call in self._lost.values():
            cancel(call)
        self._lost.clear()
        self._arrivals.stop()
        self._copies.stop()
        self._elsewhere.stop()

    # Asking

    def known(self, viewer: Account, address: Address) -> str | None:
        """The last known state of a person of another realm, as the viewer sees it; None if it is not
        known."""
        state = self._last(address)
        return None if state is None else self._seen(viewer, address, state)

    def _last(self, address: Address) -> str | None:
        people = self._known.get(key_of(address.realm or ""))
        found = None if people is None else people.get(key_of(address.name))
        return None if found is None or found.state == UNKNOWN else found.state

    def _seen(self, viewer: Account, address: Address, state: str) -> str:
        """The state of a person, as the viewer sees it. If one of the two has blocked the other, neither sees
        the other."""
        unseen = viewer.key in self._unseen_by(address)
        return OFFLINE if unseen or self._blocks.has(viewer.id, address.key) else state

    def _unseen_by(self, address: Address) -> frozenset[str]:
        people = self._unseen.get(key_of(address.realm or ""), {})
        return people.get(key_of(address.name), frozenset())

    async def states(self, realm: str, users: Collection[str]) -> dict[str, str]:
        """The states of people, by their keys. Unknown ones are left out. Raises UnknownRealm, RealmDown, and
        any ChatError with which the realm refuses."""
        found = {user: known for user in users if (known := self._find(realm, user)) is not None}
        asked = [user for user in users if user not in found]
        if asked:
            answer = await self._realms.presence(realm, asked)
            learnt = [answer.get(user) or TheirState(user, UNKNOWN) for user in asked]
            self._copies.tell(realm, learnt)
            for user, told in zip(asked, learnt, strict=True):
                before = _shown(self._note(realm, user, told))
                found[user] = self._known[realm].get(user) or Known(OFFLINE, 0)
                now = _shown(found[user].state)
                if before != now:
                    self._arrivals.add(realm, user, TheirState(user, now), before)
        return {user: each.state for user, each in found.items() if each.state != UNKNOWN}

    def soon(self, people: Iterable[Address]) -> None:
        """Ask in the background about the people whose states were not told within KEPT_FOR. A realm
        that has not added this one does not tell changes."""
        asked: defaultdict[str, set[str]] = defaultdict(set)
        for each in people:
            realm, user = key_of(each.realm or ""), key_of(each.name)
            if self._find(realm, user) is None and len(asked[realm]) < MAX_AT_ONCE:
                asked[realm].add(user)
        if asked:
            in_background(UNTOLD, self._ask_all(asked))

    async def all_states(
        self, viewer: Account, users: Mapping[str, Collection[str]]
    ) -> dict[str, dict[str, str]]:
        """The states of `users` (keys by the realm's key), by realm, as the viewer sees them. Of a realm that
        does not answer, none are known."""
        return {
            realm: {
                user: self._seen(viewer, Address(user, realm), state)
                for user, state in people.items()
            }
            for realm, people in (await self._ask_all(users)).items()
        }

    async def _ask_all(self, users: Mapping[str, Collection[str]]) -> dict[str, dict[str, str]]:
        # All are asked at once, so that the wait is only as long as that for the slowest one.
        asked = {
            realm: Deferred.fromCoroutine(self._states_if_there(realm, names))
            for realm, names in users.items()
        }
        return {realm: await answer for realm, answer in asked.items()}

    async def _states_if_there(self, realm: str, users: Collection[str]) -> dict[str, str]:
        try:
            return await self.states(realm, users)
        except ChatError:
            return {}
        except Exception:
            log_unexpected("who is online in {realm} was not asked", realm=realm)
            return {}

    def _find(self, realm: str, user: str) -> Known | None:
        people = self._known.get(realm)
        found = None if people is None else people.get(user)
        if found is None or found.until <= max(self._clock.seconds(), self._doubted + KEPT_FOR):
            return None
        return found

    def _doubt(self) -> None:
        """Other nodes may have learnt what this one does not know. What it knows does not hold any more."""
        self._doubted = self._clock.seconds()

    def _note(self, realm: str, user: str, told: TheirState) -> str | None:
        """Remember a state. Returns the one before, if there was one."""
        people = self._known.setdefault(realm, Cache(MAX_KNOWN))
        before = people.get(user)
        state = told.state if self._note_unseen(realm, user, told.unseen) else OFFLINE
        people[user] = Known(state, self._clock.seconds() + KEPT_FOR)
        return None if before is None else before.state

    def _note_unseen(self, realm: str, user: str, names: Sequence[str]) -> bool:
        """Remember whom a person has blocked. Returns False if that is too much to remember. Then the person
        has to be offline for everybody here."""
        people = self._unseen.setdefault(realm, {})
        people.pop(user, None)
        if names and (
            len(people) >= MAX_BLOCKERS
            or len(names) > MAX_UNSEEN
            or any(len(each) > MAX_KEY for each in names)
        ):
            return False
        if names:
            people[user] = frozenset(names)
        return True

    # What other realms tell

    def arrived(self, realm: str, told: Sequence[TheirState]) -> None:
        """A realm tells the states of people: of its own, or of members of its groups."""
        self._copies.tell(realm, told)
        for each in told:
            try:
                address = parse_address(each.user)
                parse_foreign_name(address.name)
            except BadName:
                continue
            if address.realm is None:
                user, there = key_of(address.name), Address(address.name, realm)
                blocked = self._unseen_by(there)
                before = self._note(realm, user, each)
                self._arrivals.add(realm, user, each, before, blocked ^ self._unseen_by(there))
            elif self._context.localize(address).realm is not None:
                self._arrivals.add(realm, address.key, each, None)

    async def _pass_on(self, realm: str, change: ArrivedState) -> None:
        """Tell what a realm has told."""
        address = parse_address(change.user)
        if address.realm is not None:
            self._take_hint(realm, address, change)
            return
        if (name := self._name_of(realm)) is None:
            return
        there = Address(address.name, name)
        state = self._last(there) or change.state
        if state != change.before:
            await self._tell(realm, there, state, change.named)
        elif change.named:
            await self._tell_named(realm, there, state, change.named)
        if change.turned and state != OFFLINE:
            await self._tell_turned(realm, there, state, change.turned)

    def _name_of(self, realm: str) -> str | None:
        """The name of a realm; None if it was forgotten meanwhile."""
        try:
            return self._realms.name_of(realm)
        except UnknownRealm:
            return None

    async def _tell_turned(
        self, realm: str, address: Address, state: str, turned: Collection[str]
    ) -> None:
        """Tell people whom the person has blocked, or does not block any more, how they see the person."""
        if not self._presence.anyone_follows:
            return
        unseen, turned = self._unseen_by(address), frozenset(turned)
        for keys, shown in ((turned & unseen, OFFLINE), (turned - unseen, state)):
            if keys:
                find = store.watchers_among
                accounts = await self._database.read(find, address.key, realm, keys)
                self._presence.tell_followers(accounts, PresenceChange(str(address), shown), None)
        self._presence.flush()

    def _take_hint(self, home: str, address: Address, change: ArrivedState) -> None:
        """The home of a group tells of a guest. Ask the guest's own realm, unless it has told the same, and
        tell the accounts that the home names. Does not wait for that realm, which may not answer."""
        there, user = key_of(address.realm or ""), key_of(address.name)
        if not self._presence.anyone_follows or not self._realms.is_linked(there):
            return
        known = self._find(there, user)
        if known is not None and known.state == change.state:
            in_background(UNTOLD, self._tell_named(home, address, known.state, change.named))
        elif self._asking < MAX_ASKING and not self._hints.take(home, self._clock.seconds()):
            self._asking += 1
            asked = in_background(UNTOLD, self._follow_hint(home, address, change.named))
            asked.addBoth(lambda _: setattr(self, "_asking", self._asking - 1))

    async def _follow_hint(self, home: str, address: Address, named: Collection[str]) -> None:
        there, user = key_of(address.realm or ""), key_of(address.name)
        if not await self._database.read(store.named_by_home, address.key, home, named):
            return
        if (people := self._known.get(there)) is not None and (old := people.get(user)) is not None:
            people[user] = Known(old.state, 0)
        state = (await self._states_if_there(there, [user])).get(user)
        if state is not None:
            await self._tell_named(home, address, state, named)

    async def _tell_named(
        self, realm: str, address: Address, state: str, named: Collection[str]
    ) -> None:
        """Tell the state of a person to accounts that the home of a group names."""
        if not self._presence.anyone_follows:
            return
        named = [each for each in named if each not in self._unseen_by(address)]
        accounts = await self._database.read(store.named_by_home, address.key, realm, named)
        self._presence.tell_followers(accounts, PresenceChange(str(address), state), None)
        self._presence.flush()

    async def _tell(self, realm: str, address: Address, state: str, named: Collection[str]) -> None:
        """Tell the state of a person to accounts here, and to people of other realms in groups of this
        one."""
        if self._presence.anyone_follows:
            find = store.watchers_of_guest
            unseen = self._unseen_by(address)
            accounts = await self._database.read(find, address.key, realm, named, unseen)
            self._presence.tell_followers(accounts, PresenceChange(str(address), state), None)
            self._presence.flush()
        await self._tell_realms(realm, address, state)

    async def _pass_to_realms(self, realm: str, change: ArrivedState) -> None:
        """Tell other realms what another node has learnt. That node has told the accounts here."""
        if (name := self._name_of(realm)) is not None:
            there = Address(parse_address(change.user).name, name)
            await self._tell_realms(realm, there, _shown(change.state))

    async def _tell_realms(self, realm: str, address: Address, state: str) -> None:
        """Tell the state of a person of the realm to people of other realms in groups of this one."""
        if others := [each for each in self._elsewhere.realms() if each != realm]:
            groups = await self._database.read(store.watchers_in_groups, address.key, others)
            for other, names in groups.items():
                self._elsewhere.tell(other, str(address), state, names)

    # Links

    def _followed(self, account_id: int) -> None:
        """An account begins to follow who is online: link with the realms of its people."""
        in_background(UNTOLD, self._wake(account_id))

    async def _wake(self, account_id: int) -> None:
        found = await self._database.read(store.realms_of, account_id, MAX_WOKEN)
        self._realms.wake([each for each in found if not self._realms.is_linked(each)])

    async def is_followed(self, realm: str) -> bool:
        """Whether anybody here follows who is online in the realm."""
        if not self._presence.anyone_follows:
            return False
        return self._presence.may_follow(await self._database.read(concerned, realm))

    def linked(self, realm: str) -> None:
        """A realm is linked: ask it about its people who concern accounts here."""
        self._elsewhere.linked(realm)
        if (call := self._lost.pop(realm, None)) is not None:
            cancel(call)
        in_background(UNTOLD, self._ask_again(realm))

    def linked_elsewhere(self, realm: str) -> None:
        """Another node of this realm is linked with that one, and asks it."""
        if (call := self._lost.pop(realm, None)) is not None:
            cancel(call)

    async def _ask_again(self, realm: str) -> None:
        people = await self._database.read(store.watched_people, realm, MAX_ASKED)
        # What was told before may be too old.
        known = self._known.get(realm)
        online = list(self._online(realm))[-MAX_ASKED:]
        asked = sorted({*people, *online})
        for user in asked:
            if known is not None and (each := known.get(user)) is not None:
                known[user] = Known(each.state, 0)
        if asked:
            await self._states_if_there(realm, asked)

    def unlinked(self, realm: str) -> None:
        """The link to a realm is lost. Its people count as offline if it does not come back soon."""
        self._elsewhere.unlinked(realm)
        if realm in self._known and realm not in self._lost:
            self._lost[realm] = self._clock.callLater(LOST_AFTER, self._give_up, realm)

    def _give_up(self, realm: str) -> None:
        del self._lost[realm]
        if self._realms.is_linked(realm):
            return  # another node is linked by now
        gone = self._online(realm)
        self._known.pop(realm, None)
        self._unseen.pop(realm, None)
        if not self._realms.is_kept(realm):
            return  # another node tells it
        for user, state in gone.items():
            self._arrivals.add(realm, user, TheirState(user, OFFLINE), state)

    def _online(self, realm: str) -> dict[str, str]:
        """The people of a realm that are online, as far as that is known, with their states."""
        known = self._known.get(realm)
        people = () if known is None else known.items()
        return {user: each.state for user, each in people if _shown(each.state) != OFFLINE}


def _shown(state: str | None) -> str:
    """A state as others see it."""
    return OFFLINE if state is None or state == UNKNOWN else state
