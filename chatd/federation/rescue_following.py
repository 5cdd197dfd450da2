"""Follows rescues of other realms: asks the new home to take the members here, lets the copy follow, and
hands over what only this realm has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

from sqlalchemy import Connection

from chatd.base.errors import ChatError, UnknownRealm
from chatd.base.events import GroupRescue, MemberChange
from chatd.base.model import Group
from chatd.base.names import Address
from chatd.federation.entry_handover import EntryHandover
from chatd.federation.links import ILinks
from chatd.federation.past_supply import PastSupply
from chatd.federation.rescue_judge import RescueJudge
from chatd.federation.rescue_parts import (
    MEMBERS,
    FollowAnswer,
    FollowQuestion,
    SignedRoster,
    branch_of,
    decode_rescue,
)
from chatd.federation.rescue_switch import Switch, Switched, switch
from chatd.federation.signing.group_rosters import decode_roster_statement
from chatd.federation.signing.rescues import OpenedRescue, Rescue, open_rescue, place_in
from chatd.federation.signing.statements import encode
from chatd.service.chat_service import ChatService
from chatd.store import group_rosters as roster_store
from chatd.store import rescues as store
from chatd.store.group_moves import OtherHome
from chatd.store.group_rosters import StoredRoster
from chatd.store.groups import group_of
from chatd.store.members import member_ids
from chatd.store.rescued_members import names_here
from chatd.store.rescues import KnownRescue


class RescueFollowing:
    def __init__(self, service: ChatService, links: ILinks, supply: PastSupply) -> None:
        self._handover = EntryHandover(service.context, links, supply)
        self._context = service.context
        self._database = service.database
        self._rosters = service.rosters
        self._presence = service.presence
        self._links = links

    def name_of(self, realm: str) -> str:
        with suppress(UnknownRealm):
            return self._links.name_of(realm)
        return realm

    # Following

    async def follow(self, known: KnownRescue) -> Rescue | None:
        """Let the copy of a group follow. Returns another rescue that counts, as the founder's realm says.
        Raises RealmDown, and what that realm refuses with."""
        refused: list[str] = []
        seq, about = 0, dict[str, str | bool | None]()
        async for answer in self._asked(known):
            if not answer.taken:
                if answer.other is None or answer.other.hash == known.hash:
                    await self.give_up(known)
                    return None
                return answer.other
            refused += answer.refused
            seq, about = max(seq, answer.seq), answer.about
        opened = open_rescue(decode_rescue(known.rescue))
        stated = opened.stated
        to = OtherHome(known.realm, self.name_of(known.realm), known.new_group, stated.name)
        proof = encode(branch_of(opened.rescue))

        def job(connection: Connection) -> Switched | None:
            active = store.active_rescues(connection, known.conversation_id)
            rivals = [each for each in active if each.home == known.home]
            if min(rivals, key=_rank, default=known).hash != known.hash:
                # Another rescue has come to count while the new home was asked.
                store.set_state(connection, known, "ended")
                return None
            for each in active:
                if each.hash != known.hash:
                    store.set_state(connection, each, "ended")
            # The copy skips the homes of earlier rescues that were not followed.
            skipped = [each.seq for each in active if each.state == "following"]
            after = min([known.seq, *skipped])
            store.set_followed(connection, known, after)
            what = Switch(known.conversation_id, to, proof, after, seq, refused, about)
            return switch(connection, self._context, what)

        await self._switched(await self._rosters.move(known.conversation_id, job))
        self._links.begin_past(known.realm)
        return None

    async def _asked(self, known: KnownRescue) -> AsyncIterator[FollowAnswer]:
        """Ask the new home to take the members here. Raises RealmDown, and what the realm refuses with."""
        names = await self._database.read(names_here, known.conversation_id)
        for start in range(0, max(1, len(names)), MEMBERS):
            some = tuple(names[start : start + MEMBERS])
            yield await self._links.follow(known.realm, FollowQuestion(known.hash, some))

    async def follow_again(self, known: KnownRescue) -> None:
        """The new home was restored from a backup, and has forgotten who follows. Raises as `follow`."""
        async for _ in self._asked(known):
            pass  # whom it does not take any more is told when the lists of members are compared
        await self._database.run(store.hand_over_again, known)

    async def _switched(self, done: Switched | None) -> None:
        """Send what waited for the former home, and tell the members."""
        if done is None:
            return
        for each in done.rerouted:
            self._links.post(each.realm, each.number, each.parcel, each.file)
        group, now = done.group, self._context.now()
        for ident, name in done.gone:
            event = MemberChange(group.id, group.name, name, "left", at=now, by=name)
            self._rosters.log.tell_removed(ident, event, None)
        await self._tell(group, "moved", done.before.name, group.name)

    async def _tell(self, group: Group, state: str, home: str, to: str) -> None:
        members = await self._database.read(member_ids, group.id)
        event = GroupRescue(group.id, group.name, state, home, to, self._context.now())
        self._presence.tell_followers(members, event, None)

    async def tell_pending(self, known: KnownRescue) -> None:
        """Tell the members here that a rescue is pending, or not any more."""
        group = await self._database.read(group_of, known.conversation_id)
        if group is None:
            return
        now = await self._database.read(store.rescue_with, known.conversation_id, known.hash)
        state = "void" if now is None or now.state == "ended" else "pending"
        stated = open_rescue(decode_rescue(known.rescue)).stated
        to = str(Address(stated.name, self.name_of(known.realm)))
        await self._tell(group, state, group.name, to)

    async def give_up(self, known: KnownRescue) -> None:
        """A rescue does not count any more. The members here are told."""
        await self._database.run(store.set_state, known, "ended")
        await self.tell_pending(known)

    # Going back

    async def go_back(self, known: KnownRescue) -> None:
        """The lost home is back and keeps the group. What was written meanwhile is handed over."""
        opened = open_rescue(decode_rescue(known.rescue))
        stated = opened.stated
        home = OtherHome(stated.home, self.name_of(stated.home), stated.group, opened.roster.name)
        proof = encode(branch_of(opened.rescue))
        what = Switch(known.conversation_id, home, proof, known.seq, known.seq)
        done = await self._rosters.move(
            known.conversation_id, lambda connection: switch(connection, self._context, what)
        )
        await self._switched(done)

    async def withdraw(
        self, opened: OpenedRescue, signed: SignedRoster, judge: RescueJudge
    ) -> None:
        """Another realm has a newer roster, by which the founder may not found the group. Raises
        BadSignature."""
        roster = decode_roster_statement(signed.statement)
        judge.check_roster(roster, signed)
        is_newer = (roster.home, roster.group) == (opened.stated.home, opened.stated.group)
        if not is_newer or roster.number <= opened.roster.number:
            return
        if place_in(roster, opened.stated) is not None:
            return

        def job(connection: Connection) -> KnownRescue | None:
            own = self._context.realm_key
            known = store.own_rescue(connection, own, opened.rescue.hash)
            if known is None or known.state != "own":
                return None
            kept = StoredRoster(roster.number, signed.statement, encode(signed.proof), None)
            roster_store.keep_roster(connection, known.conversation_id, roster.home, kept)
            store.set_state(connection, known, "ended")
            return known

        known = await self._database.run(job)
        if known is not None:
            await self.go_back(known)

    # Handing over

    async def hand_over(self, realm: str) -> None:
        """Give the present home of groups what only this realm has. It recognises what it has. Raises
        RealmDown, and what the realm refuses with."""
        for known in await self._database.read(store.to_hand_over, realm):
            try:
                await self._hand_over(realm, known)
            except ChatError:
                return  # over the next link

    async def _hand_over(self, realm: str, known: KnownRescue) -> None:
        await self._handover.give(realm, known.conversation_id, known.seq)
        await self._database.run(store.handed_over, known)


def _rank(known: KnownRescue) -> tuple[int, int, bytes]:
    return open_rescue(decode_rescue(known.rescue)).rank
