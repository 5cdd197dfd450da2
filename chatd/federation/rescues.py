"""Rescues of groups whose homes are lost: tells other realms of those of this one, and follows others.

Nothing waits in an outbox: when a link comes up, the two realms ask each other about all rescues that concern
both. Until these questions are answered, no parcels of that realm are taken: they may be for the other home
of a group. chatd.federation.rescue_judge decides, and chatd.federation.rescue_switch does what it has
decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec
from twisted.logger import Logger

from chatd.base.background import EXPECTED, in_background, log_unexpected
from chatd.base.errors import BadSignature, ChatError, RealmDown, UnknownRealm
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.base.timers import Timer
from chatd.federation.capabilities import RESCUES
from chatd.federation.forwarder import Forwarder
from chatd.federation.links import ILinks
from chatd.federation.moved_posts import MovedPosts
from chatd.federation.past_supply import PastSupply
from chatd.federation.reached import ReachedRealms
from chatd.federation.receive import Receiver
from chatd.federation.rerouting import GroupPlace
from chatd.federation.rescue_following import RescueFollowing
from chatd.federation.rescue_founding import RescueFounding
from chatd.federation.rescue_judge import Judgement, RescueJudge
from chatd.federation.rescue_parts import (
    FollowAnswer,
    FollowQuestion,
    RescueAnswer,
    decode_rescue,
)
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.signing.rescues import OpenedRescue, Rescue, RescueVerdict, open_rescue
from chatd.service.chat_service import ChatService
from chatd.service.remote import Rescued
from chatd.store import rescues as store
from chatd.store.rescues import KnownRescue

CHECK_EVERY = 3600.0  # seconds
MAX_PENDING = 1000  # rescues that are looked at then

log = Logger()


class Rescues:
    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        forwarder: Forwarder,
        keys: KeyBook,
        reached: ReachedRealms,
        receiver: Receiver,
        posts: MovedPosts,
    ) -> None:
        self._posts = posts
        self._context = service.context
        self._database = service.database
        self._links = links
        self._reached = reached
        self._receiver = receiver
        self._judge = RescueJudge(service.context, forwarder, keys)
        self.founding = RescueFounding(service, links, forwarder, reached, posts)
        supply = PastSupply(service.context, forwarder.entries)
        self._following = RescueFollowing(service, links, supply)
        self._linked: set[str] = set()
        self._stopped = False
        self._checking = Timer(service.clock, self._check)

    def stop(self) -> None:
        self._stopped = True
        self._checking.cancel()

    # What people here do

    async def found(self, account: Account, name: Address) -> Rescued:
        """As `RescueFounding.found`. Other realms are told."""
        group = await self.founding.found(account, name)
        await self._adopt_all()  # what was on its way into the outbox
        waits = await self._database.read(store.realms_left, group.id)
        for realm in sorted(self._linked):
            self._begin_meeting(realm)
        return Rescued(group, [self._following.name_of(each) for each in waits])

    async def _adopt_all(self) -> None:
        """Take what people here have posted to groups that live here now, and that waits for the lost homes,
        into the logs."""
        for known in await self._database.read(store.own_rescues):
            stated = open_rescue(decode_rescue(known.rescue))
            place = GroupPlace(known.home, stated.stated.group, stated.roster.name)
            try:
                await self._posts.adopt_waiting(known.conversation_id, place)
            except EXPECTED:
                raise
            except Exception:
                log_unexpected("posts to a group that was rescued were not taken")

    # Links

    def link_up(self, realm: str) -> None:
        """Ask the realm about all rescues that concern it, before anything else that it sends is taken."""
        if self._links.lacks(realm, RESCUES):
            return
        self._linked.add(realm)
        self._begin_meeting(realm)
        if not self._stopped:
            self._checking.start(CHECK_EVERY)

    def meet(self, realm: str) -> None:
        """Ask the realm again, because another node of this realm has founded a group."""
        if realm in self._linked:
            self._begin_meeting(realm)

    def link_down(self, realm: str) -> None:
        self._linked.discard(realm)

    def _begin_meeting(self, realm: str) -> None:
        in_background("rescues were not settled with {realm}", self._meet(realm), realm=realm)

    async def _meet(self, realm: str) -> None:
        # Nothing may come before this: parcels of the lost home are refused while the group lives here.
        async with self._receiver.held(realm):
            await self._adopt_all()
            concerned = await self._database.run(store.rescues_for, realm)
            offered = self._to_offer(realm, concerned)
            for known in concerned:
                if realm not in self._linked:
                    return
                try:
                    await self._talk(realm, known, known.hash in offered)
                except (RealmDown, UnknownRealm):
                    return  # over the next link
                except ChatError as error:
                    log.debug(
                        "a rescue is not settled with {realm}: {error}", realm=realm, error=error
                    )
        await self._following.hand_over(realm)

    def _to_offer(self, realm: str, concerned: Sequence[KnownRescue]) -> set[bytes]:
        """The hashes of the rescues that the realm has to follow: those of this one, and the earlier ones of
        the same groups, because it may not know these."""
        found: set[bytes] = set()
        homes: set[tuple[int, str]] = set()
        for known in reversed(concerned):
            place = known.conversation_id
            if known.state == "own" or (known.realm != realm and (place, known.realm) in homes):
                found.add(known.hash)
                homes.add((place, known.home))
        return found

    async def _talk(self, realm: str, known: KnownRescue, offers: bool) -> None:
        """Ask a realm about one rescue. Raises RealmDown, and what the realm refuses with."""
        opened = open_rescue(decode_rescue(known.rescue))
        asks_home = known.home == realm and known.verdict is None
        lives_there = known.realm == realm and known.state == "followed"
        if asks_home or offers or lives_there:
            answer = await self._links.rescue(realm, opened.rescue)
            await self._answered(realm, opened, answer)
            if lives_there and answer.state == "again":
                await self._following.follow_again(known)
        if known.realm == realm and known.state == "following":
            await self._follow(known)

    async def _answered(self, realm: str, opened: OpenedRescue, answer: RescueAnswer) -> None:
        """Do what follows from an answer about a rescue that is known here."""
        if answer.verdict is not None:
            await self._apply(await self._take_verdict(opened, answer.verdict))
        if answer.roster is not None:
            await self._following.withdraw(opened, answer.roster, self._judge)
        if answer.other is not None:
            await self.offered(realm, answer.other)

    async def _take_verdict(self, opened: OpenedRescue, verdict: RescueVerdict) -> Judgement:
        return await self._database.run(self._judge.take_verdict, opened, verdict)

    # What other realms tell

    async def offered(self, realm: str, rescue: Rescue) -> RescueAnswer:
        """Answer a realm that tells of a rescue. Raises BadSignature."""
        opened = open_rescue(rescue)
        home = opened.stated.home
        away: int | None = None
        if home == realm:
            away = self._reached.long  # it says itself that the group lives elsewhere
        elif home != self._context.realm_key:
            away = await self._reached.away(home)
        judgement: Judgement = await self._database.run(self._judge.judge, opened, away)
        if judgement.effect == "found":
            await self.founding.found_again(opened)
        await self._apply(judgement)
        if await self._database.read(store.is_left, opened.rescue.hash, realm):
            return msgspec.structs.replace(judgement.answer, state="again")
        return judgement.answer

    async def follow(self, realm: str, asked: FollowQuestion) -> FollowAnswer:
        """Take the members of a realm that follows."""
        return await self.founding.follow(realm, asked)

    # What is done then

    async def _apply(self, judgement: Judgement) -> None:
        known = judgement.known
        if known is None:
            return
        match judgement.effect:
            case "follow":
                # The realm that has founded the group may be the one that waits for this answer.
                following = self._follow_when_linked(known)
                in_background("a rescue was not followed", following)
            case "return":
                await self._following.go_back(known)
            case "wait":
                await self._following.tell_pending(known)
                if known.state == "pending" and known.home in self._linked:
                    in_background("a home was not asked about a rescue", self._ask_home(known))
            case "none" | "found":
                return

    async def _ask_home(self, known: KnownRescue) -> None:
        """The home is reached while a rescue is pending: it says at once whether it yields."""
        with suppress(ChatError):  # it is asked over the next link
            await self._talk(known.home, known, False)

    async def _follow_when_linked(self, known: KnownRescue) -> None:
        if known.realm not in self._linked:
            return  # when it is
        async with self._receiver.held(known.realm):
            try:
                await self._follow(known)
            except (RealmDown, UnknownRealm):
                return
        await self._following.hand_over(known.realm)

    async def _follow(self, known: KnownRescue) -> None:
        """Ask the new home to take the members, and let the copy here follow. Raises RealmDown, and what the
        realm refuses with."""
        other = await self._following.follow(known)
        if other is not None:
            await self.offered(known.realm, other)

    # Time

    def _check(self) -> None:
        if self._stopped:
            return
        self._checking.start(CHECK_EVERY)
        in_background("pending rescues were not looked at", self._check_pending())

    async def _check_pending(self) -> None:
        """Follow the rescues whose homes have not been reached for long enough by now."""
        pending: Sequence[KnownRescue] = await self._database.read(
            store.pending_rescues, MAX_PENDING
        )
        for known in pending:
            try:
                await self.offered(known.realm, decode_rescue(known.rescue))
            except BadSignature as error:
                log.debug("a rescue is given up: {error}", error=error)
                await self._following.give_up(known)
            except EXPECTED:
                return
            except Exception:
                log_unexpected("a pending rescue was not looked at")
