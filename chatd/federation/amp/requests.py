"""Asks another realm questions over a link, on behalf of people here, and checks the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from chatd.base.avatars import is_hash
from chatd.base.errors import ChatError, PeerFailed, RealmDown, UnknownRealm, UnknownUser
from chatd.base.replies import Member
from chatd.federation.amp import wire
from chatd.federation.amp.wire import Refused
from chatd.federation.parcels import Verdict, encode
from chatd.federation.past_pages import PastEntries, PastPage
from chatd.federation.refusals import refusal
from chatd.federation.rescue_parts import (
    Branch,
    FollowAnswer,
    FollowQuestion,
    RescueAnswer,
    decode_branches,
    decode_follow_answer,
    decode_rescue_answer,
)
from chatd.federation.restores import Returned
from chatd.federation.roster_pieces import RosterPiece
from chatd.federation.signing.entries import MAX_IN_QUESTION
from chatd.federation.signing.rescues import Rescue
from chatd.service.online_accounts import shown_state
from chatd.service.remote import Membership, RemotePicture, RemoteProfile, TheirState
from chatd.store.past_pages import PAGE

if TYPE_CHECKING:
    from chatd.federation.amp.peer_calls import PeerCalls

T = TypeVar("T")
Pictured = TypeVar("Pictured", RemotePicture, RemoteProfile)

MAX_ASKED = 32  # requests under way on one link
MAX_UNANSWERED = 1000  # requests on one link; AMP remembers each until the link ends
MAX_MEMBERS = 2000  # of one group
MAX_PICTURE = 64 << 10  # bytes


class PeerRequests:
    """The methods raise the refusals of the other realm as ChatErrors, PeerFailed if an answer is malformed,
    and RealmDown if no answer comes or too many requests are under way. A link on which `MAX_UNANSWERED` got
    no answer is closed."""

    def __init__(self, link: PeerCalls) -> None:
        self._link = link
        self._under_way = 0
        self._unanswered = 0

    async def find(self, user: str, group: str) -> Membership:
        return Membership(**await self._ask(wire.FindCommand, user=user, group=group))

    async def join(
        self, user: str, group: str, entry: bytes, before: bytes | None = None
    ) -> Membership:
        """`before`: see JoinCommand."""
        asked = {"user": user, "group": group, "entry": entry, "before": before}
        return Membership(**await self._ask(wire.JoinCommand, **asked))

    async def members(self, user: str, group: str) -> list[Member]:
        found: list[Member] = []
        while len(found) < MAX_MEMBERS:
            answer = await self._ask(wire.MembersCommand, user=user, group=group, start=len(found))
            page = self._decode(answer["members"], list[Member])
            found.extend(page)
            if not page or answer["more"] <= 0:
                break
        return found

    async def change(
        self,
        user: str,
        group: str,
        change: str,
        users: Sequence[str],
        entries: Sequence[bytes],
    ) -> Mapping[str, Sequence[str]]:
        result: dict[str, list[str]] = {}
        refused: ChatError | None = None
        step = MAX_IN_QUESTION if entries else wire.MAX_NAMES
        for start in range(0, max(1, len(users)), step):
            some = list(users[start : start + step])
            signed = [msgspec.Raw(each) for each in entries[start : start + step]]
            try:
                answer = await self._ask(
                    wire.ChangeCommand,
                    user=user,
                    group=group,
                    change=change,
                    users=some,
                    entries=encode(signed),
                )
            except (UnknownUser, UnknownRealm) as error:
                # The realm knows none of these, but may know some of the others.
                refused = error
                found = {"unknown": some}
            else:
                found = self._decode(answer["result"], dict[str, list[str]])
            for key, names in found.items():
                result.setdefault(key, []).extend(names)
        reached = any(result.get(key) for key in ("joined", "present", "asked"))
        if refused is not None and not reached:
            raise refused
        return result

    async def presence(self, users: Sequence[str]) -> dict[str, TheirState]:
        states: dict[str, TheirState] = {}
        for start in range(0, len(users), wire.MAX_NAMES):
            asked = list(users[start : start + wire.MAX_NAMES])
            answer = await self._ask(wire.PresenceCommand, users=asked)
            found = self._decode(answer["states"], dict[str, str])
            blocked = answer.get("unseen")
            unseen = self._decode(blocked, dict[str, tuple[str, ...]]) if blocked else {}
            for user, state in found.items():
                told = TheirState(user, shown_state(state), unseen=unseen.get(user, ()))
                states[user] = told
        return states

    async def profile(self, user: str, known: str) -> RemoteProfile:
        answer = await self._ask(wire.ProfileCommand, user=user, known=known)
        return self._checked(RemoteProfile(**answer))

    async def group_picture(self, user: str, group: str) -> RemotePicture:
        answer = await self._ask(wire.GroupPictureCommand, user=user, group=group)
        return self._checked(RemotePicture(**answer))

    def _checked(self, answer: Pictured) -> Pictured:
        """An answer with a picture and its hash."""
        is_hash_or_empty = not answer.picture or is_hash(answer.picture)
        if not is_hash_or_empty or len(answer.body) > MAX_PICTURE:
            raise PeerFailed(realm=self._link.realm)
        return answer

    async def past(self, group_id: int, before: int, after: int) -> PastPage:
        answer = await self._ask(wire.PastCommand, group_id=group_id, before=before, after=after)
        entries = self._decode(answer["entries"], PastEntries)
        start, earlier, first = answer["start"], answer["earlier"], answer["first"]
        if len(entries) > PAGE or not after < start < before or earlier < 0 or first < 0:
            raise PeerFailed(realm=self._link.realm)
        return PastPage(tuple(entries), start, min(earlier, start - after - 1), min(first, before))

    async def roster(self, group_id: int, offset: int) -> RosterPiece:
        answer = await self._ask(wire.RosterCommand, group_id=group_id, offset=offset)
        return RosterPiece(answer["statement"], answer["proof"], answer["rows"])

    async def rescue(self, rescue: Rescue) -> RescueAnswer:
        answer = await self._ask(wire.RescueCommand, rescue=encode(rescue))
        return decode_rescue_answer(answer["answer"])

    async def follow(self, asked: FollowQuestion) -> FollowAnswer:
        answer = await self._ask(wire.FollowCommand, asked=encode(asked))
        return decode_follow_answer(answer["answer"])

    async def lineage(self, home: str, group_id: int) -> Sequence[Branch]:
        answer = await self._ask(wire.LineageCommand, home=home, group_id=group_id)
        return decode_branches(answer["branches"])

    async def hand_over(self, posts: Sequence[bytes]) -> None:
        items = [Returned(0, msgspec.Raw(each), theirs=True) for each in posts]
        await self._ask(wire.ReturnCommand, parcels=encode(items), upto=None)

    async def handover(self, group_id: int, have: int, start: int) -> tuple[bytes, int]:
        answer = await self._ask(wire.HandoverCommand, group_id=group_id, have=have, start=start)
        return answer["data"], answer["size"]

    async def _ask(self, command: type[wire.PeerCommand], **arguments: Any) -> Any:
        try:
            return await self.pass_on(command, arguments)
        except Refused as refused:
            raise refusal(Verdict(refused.code, refused.details), self._link.realm) from None

    async def pass_on(
        self, command: type[wire.PeerCommand], arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Send a request. Returns the answer as it came. Raises Refused, RealmDown."""
        if self._under_way >= MAX_ASKED:
            raise RealmDown(realm=self._link.realm)
        self._under_way += 1
        try:
            answer: dict[str, Any] = await self._link.call(command, **arguments)
            return answer
        except RealmDown:
            self._unanswered += 1
            if self._unanswered == MAX_UNANSWERED:
                self._link.protocol_error(f"{MAX_UNANSWERED} requests without an answer")
            raise
        finally:
            self._under_way -= 1

    def _decode(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except (msgspec.DecodeError, RecursionError):
            raise PeerFailed(realm=self._link.realm) from None
