"""The questions of chatd.federation.links.ILinks, and what other realms are told without an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred

from chatd.base.errors import NotSupportedThere
from chatd.base.replies import Member
from chatd.federation.amp.peer_calls import PeerCalls
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.capabilities import ACCOUNT_MOVES, ALL, MOVES, PAST, PROFILES
from chatd.federation.past_pages import PastPage
from chatd.federation.rescue_parts import Branch, FollowAnswer, FollowQuestion, RescueAnswer
from chatd.federation.roster_pieces import RosterPiece
from chatd.federation.signing.rescues import Rescue
from chatd.service.remote import Membership, RemotePicture, RemoteProfile, TheirState

T = TypeVar("T")


class AskingLinks:
    """Subclasses have the links."""

    peers: PeerTable

    async def _reach(self, peer: Peer) -> PeerCalls:
        """What asks a realm. Its link is dialled before if it rests. Raises RealmDown."""
        raise NotImplementedError

    def _linked(self, realm: str) -> PeerCalls | None:
        """What asks and tells the realm, if a node of this one is linked with it. May be called in any
        thread."""
        raise NotImplementedError

    # What is known of a linked realm

    def is_linked(self, realm: str) -> bool:
        return self._linked(realm) is not None

    def lacks(self, realm: str, capability: str) -> bool:
        link = self._linked(realm)
        return link is not None and capability in link.lacks

    def follows_moves(self, realm: str) -> bool:
        return not self.lacks(realm, ACCOUNT_MOVES)

    def check_moves(self, realm: str) -> None:
        if not self.follows_moves(realm):
            name = self.peers.find(realm).known.name
            raise NotSupportedThere(realm=name, what=ALL[ACCOUNT_MOVES])

    def takes_moves(self, realm: str) -> bool:
        return not self.lacks(realm, MOVES)

    # Without an answer

    def type(self, realm: str, sender: str, to: str) -> None:
        if (link := self._linked(realm)) is not None:
            link.type(sender, to)

    def file_ready(self, realm: str, origin: str, number: int) -> None:
        if (link := self._linked(realm)) is not None:
            link.file_ready(origin, number)

    def rosters_changed(self, realm: str, numbers: Sequence[tuple[int, int]]) -> None:
        if (link := self._linked(realm)) is not None:
            link.rosters_changed(numbers)

    def profile_changed(self, realm: str, user: str) -> None:
        if (link := self._linked(realm)) is not None:
            link.profile_changed(user)

    # Questions

    def _ask(
        self, realm: str, question: Callable[[PeerCalls], Awaitable[T]], needs: str = ""
    ) -> Deferred[T]:
        """Ask the realm something, and dial it before if its link rests. Fails with UnknownRealm, RealmDown,
        and with NotSupportedThere if the realm lacks the capability that the question `needs`."""

        async def ask() -> T:
            peer = self.peers.find(realm)
            link = await self._reach(peer)
            if needs in link.lacks:
                raise NotSupportedThere(realm=peer.known.name, what=ALL[needs])
            return await question(link)

        return Deferred.fromCoroutine(ask())

    def file(self, realm: str, origin: str, number: int, offset: int, size: int) -> Deferred[bytes]:
        return self._ask(realm, lambda link: link.file(origin, number, offset, size))

    def roster(self, realm: str, group_id: int, offset: int) -> Deferred[RosterPiece]:
        return self._ask(realm, lambda link: link.requests.roster(group_id, offset))

    def rescue(self, realm: str, rescue: Rescue) -> Deferred[RescueAnswer]:
        return self._ask(realm, lambda link: link.requests.rescue(rescue))

    def follow(self, realm: str, asked: FollowQuestion) -> Deferred[FollowAnswer]:
        return self._ask(realm, lambda link: link.requests.follow(asked))

    def lineage(self, realm: str, home: str, group_id: int) -> Deferred[Sequence[Branch]]:
        return self._ask(realm, lambda link: link.requests.lineage(home, group_id))

    def hand_over(self, realm: str, posts: Sequence[bytes]) -> Deferred[None]:
        return self._ask(realm, lambda link: link.requests.hand_over(posts))

    def find(self, realm: str, user: str, group: str) -> Deferred[Membership]:
        return self._ask(realm, lambda link: link.requests.find(user, group))

    def join(self, realm: str, user: str, group: str, entry: bytes) -> Deferred[Membership]:
        return self._ask(realm, lambda link: link.requests.join(user, group, entry))

    def members(self, realm: str, user: str, group: str) -> Deferred[Sequence[Member]]:
        return self._ask(realm, lambda link: link.requests.members(user, group))

    def change(
        self,
        realm: str,
        user: str,
        group: str,
        change: str,
        users: Sequence[str],
        entries: Sequence[bytes] = (),
    ) -> Deferred[Mapping[str, Sequence[str]]]:
        return self._ask(
            realm, lambda link: link.requests.change(user, group, change, users, entries)
        )

    def presence(self, realm: str, users: Collection[str]) -> Deferred[dict[str, TheirState]]:
        return self._ask(realm, lambda link: link.requests.presence(list(users)))

    def profile(self, realm: str, user: str, known: str) -> Deferred[RemoteProfile]:
        return self._ask(realm, lambda link: link.requests.profile(user, known), PROFILES)

    def group_picture(self, realm: str, user: str, group: str) -> Deferred[RemotePicture]:
        return self._ask(realm, lambda link: link.requests.group_picture(user, group), PROFILES)

    def past(self, realm: str, group_id: int, before: int, after: int) -> Deferred[PastPage]:
        return self._ask(realm, lambda link: link.requests.past(group_id, before, after), PAST)

    def handover(
        self, realm: str, group_id: int, have: int, start: int
    ) -> Deferred[tuple[bytes, int]]:
        return self._ask(realm, lambda link: link.requests.handover(group_id, have, start))
