"""Founds a group again of which this realm has a copy, and takes the members of realms that follow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact
from chatd.base.errors import (
    GroupExists,
    GroupLivesHere,
    HomeNotLost,
    NoRoster,
    NotFounder,
    RescueExists,
)
from chatd.base.model import Account, Group
from chatd.base.names import Address, key_of
from chatd.federation.forwarder import Forwarder
from chatd.federation.links import ILinks
from chatd.federation.lost_rosters import listed, lost_rosters
from chatd.federation.moved_posts import Adopted, MovedPosts
from chatd.federation.reached import ReachedRealms
from chatd.federation.rerouting import GroupPlace
from chatd.federation.rescue_parts import (
    FollowAnswer,
    FollowQuestion,
    branch_of,
    decode_proof,
    decode_rescue,
)
from chatd.federation.signing.group_rosters import (
    RosterRow,
    RosterStatement,
    decode_roster_statement,
    realm_in,
)
from chatd.federation.signing.rescues import (
    OpenedRescue,
    Rescue,
    RescueStatement,
    is_due,
    open_rescue,
)
from chatd.federation.signing.statements import encode
from chatd.service.chat_service import ChatService
from chatd.service.codes import new_group_code, new_private_code
from chatd.service.group_log import HOME, StoredFact
from chatd.store import group_rosters as roster_store
from chatd.store import names
from chatd.store import rescues as store
from chatd.store.avatars import about_group
from chatd.store.conversations import last_seq
from chatd.store.group_moves import NewHome, promote
from chatd.store.group_rosters import StoredRoster
from chatd.store.groups import find_group, group_of
from chatd.store.handovers import HandedMember
from chatd.store.lineage import HomeStep
from chatd.store.members import member_ids, roster_of
from chatd.store.rescued_members import (
    lost_rights,
    members_since,
    take_guests,
)
from chatd.store.rescues import RESCUE, KnownRescue

# The numbers of entries that the new home leaves free after its last one: realms may have some of these.
GAP = 1000
MAX_NAMES = 100  # that are tried
DAY = 86_400_000  # ms


class _Founded(NamedTuple):
    """A group that lives here again: what its members are told."""

    group: Group
    fact: StoredFact
    adopted: Adopted
    members: frozenset[int]
    left: str  # the key of the lost home


class RescueFounding:
    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        forwarder: Forwarder,
        reached: ReachedRealms,
        posts: MovedPosts,
    ) -> None:
        self._posts = posts
        self._context = service.context
        self._database = service.database
        self._accounts = service.accounts
        self._rosters = service.rosters
        self._links = links
        self._forwarder = forwarder
        self._reached = reached

    async def found(self, account: Account, name: Address) -> Group:
        """Let an account found a group again. What people here have posted to the lost home, and waits, is in
        its log from then on. Raises UnknownGroup, NotMember, GroupLivesHere, HomeNotLost, NoRoster,
        NotFounder, RescueExists, StorageFailed."""
        group = (await self._rosters.find_mine(account, name)).group
        if group.realm is None:
            raise GroupLivesHere(group=group.name)
        away = await self._reached.away(group.realm)
        if not is_due(away, self._reached.long):
            left = self._reached.long - (away or 0)
            raise HomeNotLost(
                realm=self._links.name_of(group.realm), hours=max(1, -(-left // 3_600_000))
            )
        code = self._code(group)

        def job(connection: Connection) -> _Founded:
            return self._found(connection, account, group, code)

        return await self._tell(await self._rosters.move(group.id, job))

    async def found_again(self, opened: OpenedRescue) -> None:
        """This realm was restored from a backup, and has forgotten that it has founded the group."""
        place = opened.stated.new_group
        group = await self._database.read(group_of, place)
        if group is None:
            return
        code = self._code(group)

        def job(connection: Connection) -> _Founded | None:
            fresh = group_of(connection, place)
            if fresh is None or (fresh.realm, fresh.home_id) != (
                opened.stated.home,
                opened.stated.group,
            ):
                return None
            name = self._name(connection, fresh)
            self._end_others(connection, fresh, opened)
            return self._establish(connection, fresh, opened, name, code)

        done = await self._rosters.move(place, job)
        if done is not None:
            await self._tell(done)

    def _code(self, group: Group) -> str:
        make = new_private_code if group.private else new_group_code
        return make(self._context.random_bytes)

    async def _tell(self, founded: _Founded) -> Group:
        """Tell the members here where the group lives now, and what its log has."""
        self._posts.send(founded.adopted)
        self._rosters.log.tell_members(founded.fact, founded.members, None)
        await self._posts.tell(founded.left, founded.adopted)
        return (await self._rosters.load(Address(founded.group.name))).group

    def _found(self, connection: Connection, account: Account, group: Group, code: str) -> _Founded:
        """Runs in the writer's thread."""
        kept = roster_store.roster_of_mirror(connection, group.id, group.realm or "")
        if kept is None or kept.rows is None:
            raise NoRoster(group=group.name)
        roster = decode_roster_statement(kept.statement)
        self._check_founder(connection, account, group, roster)
        wanted = self._name(connection, group)
        opened = open_rescue(self._sign(connection, account, group, wanted, kept))
        self._end_others(connection, group, opened)
        return self._establish(connection, group, opened, wanted, code)

    def _establish(
        self, connection: Connection, group: Group, opened: OpenedRescue, name: str, code: str
    ) -> _Founded:
        """Let a group live here from now on. Raises StorageFailed, and nothing else that the caller has not
        checked."""
        _, _, rows = next(lost_rosters(connection, group.id, opened))
        home = self._new_home(connection, group, opened, rows, name, code)
        place = GroupPlace(group.realm or "", group.home_id or 0, group.name.partition("@")[0])
        left = left_home(connection, group, opened.rescue)
        promoted = promote(connection, group, home, left).group
        store.add_rescue(connection, known_rescue(group.id, opened, "own"))
        store.add_realms(connection, group.id, self._realms(connection, group.id, opened))
        self._rosters.renumbered(group.id)
        here = str(Address(promoted.name, self._context.config.realm))
        made = MadeFact(GroupFact({"home": here}), HOME, self._context.now())
        fact = self._rosters.log.write(connection, promoted, made, ())
        # In this transaction: nothing that their authors write from now on may come before it.
        adopted = self._posts.adopt(connection, place, roster_of(connection, promoted))
        members = member_ids(connection, promoted.id)
        return _Founded(promoted, fact, adopted, members, place.realm)

    def _end_others(self, connection: Connection, group: Group, opened: OpenedRescue) -> None:
        """This rescue counts from now on. Raises RescueExists if another one of the same home outranks it."""
        for known in store.rescues_of(connection, group.id):
            if known.state == "ended":
                continue
            if known.state != "followed" and known.home == opened.stated.home:
                other = open_rescue(decode_rescue(known.rescue))
                if other.rank < opened.rank:
                    raise RescueExists(group=group.name, to=f"{other.stated.name}@{known.realm}")
            store.set_state(connection, known, "ended")

    def _realms(self, connection: Connection, conversation: int, opened: OpenedRescue) -> set[str]:
        """The other realms that have to follow: the lost homes, and those with members by their rosters."""
        found: set[str] = set()
        for home, _, rows in lost_rosters(connection, conversation, opened):
            found |= {home, *(realm_in(each.address) for each in listed(rows).members)}
        return found - {self._context.realm_key}

    def _check_founder(
        self, connection: Connection, account: Account, group: Group, roster: RosterStatement
    ) -> None:
        """Raises NotFounder."""
        own = self._context.config.realm
        place = roster.place_of(f"{account.name}@{own}")
        if place is None or lost_rights(connection, group.id, account.name, roster.seq):
            founders = ", ".join(roster.founders) or "nobody"
            raise NotFounder(group=group.name, founders=founders)

    def _name(self, connection: Connection, group: Group) -> str:
        """The name that the group has in this realm: its own, or one with a number if that is taken. Raises
        GroupExists."""
        name = group.name.partition("@")[0]
        was_here = any(
            each.realm == self._context.realm_key and each.name == key_of(name)
            for each in group.former
        )
        for number in range(1, MAX_NAMES):
            wanted = name if number == 1 else f"{name[:60]}-{number}"
            is_own = number == 1 and was_here and find_group(connection, key_of(wanted)) is None
            if is_own or (
                self._accounts.is_allowed(wanted) and names.taken(connection, wanted) is None
            ):
                return wanted
        raise GroupExists(name=name)

    def _sign(
        self,
        connection: Connection,
        account: Account,
        group: Group,
        name: str,
        kept: StoredRoster,
    ) -> Rescue:
        number = self._context.writers.parcels.take(connection)
        roster = decode_roster_statement(kept.statement)
        statement = encode(
            RescueStatement(
                self._context.realm_key,
                number,
                roster.home,
                roster.group,
                roster.number,
                account.name,
                group.id,
                name,
                last_seq(connection, group.id),
                self._context.now(),
            )
        )
        proof = self._forwarder.sign(statement)
        return Rescue(statement, proof, kept.statement, decode_proof(kept.proof))

    def _new_home(
        self,
        connection: Connection,
        group: Group,
        opened: OpenedRescue,
        rows: Sequence[RosterRow],
        name: str,
        code: str,
    ) -> NewHome:
        """What the group becomes here. People of realms that have not followed are no members yet."""
        own = self._context.config.realm
        since = members_since(connection, group, listed(rows), opened.roster.seq, own)
        founder = key_of(opened.stated.founder_address)
        here = [
            msgspec.structs.replace(each, admin=each.admin or key_of(each.address) == founder)
            for each in since.members
            if realm_in(each.address) == self._context.realm_key
        ]
        last = opened.stated.seq + GAP
        return NewHome(self._context.realm_key, name, code, here, since.bans, last=last)

    async def follow(self, realm: str, asked: FollowQuestion) -> FollowAnswer:
        """Take the members of a realm that follows a rescue of this one."""

        def job(connection: Connection) -> FollowAnswer:
            found = store.own_rescue(connection, self._context.realm_key, asked.rescue)
            if found is None:
                return FollowAnswer(False)
            if found.state != "own":
                counts = store.counting(connection, found.conversation_id)
                other = None if counts is None else decode_rescue(counts.rescue)
                return FollowAnswer(False, other=other)
            return self._take(connection, realm, found, asked.members)

        own = self._context.realm_key
        known = await self._database.run(store.own_rescue, own, asked.rescue)
        if known is None:
            return FollowAnswer(False)
        # What is written from that transaction on is sent to the realm, and the past ends there.
        return await self._rosters.move(known.conversation_id, job)

    def _members_of(
        self, connection: Connection, realm: str, group: Group, found: KnownRescue
    ) -> dict[str, HandedMember]:
        """The members of a realm, by the keys of their addresses. If it has not followed an earlier rescue,
        they are in the roster of the home before that."""
        opened = open_rescue(decode_rescue(found.rescue))
        for _, seq, rows in lost_rosters(connection, group.id, opened):
            since = members_since(
                connection, group, listed(rows), seq, self._context.config.realm
            ).members
            theirs = {
                key_of(each.address): each for each in since if realm_in(each.address) == realm
            }
            if theirs:
                return theirs
        return {}

    def _take(
        self, connection: Connection, realm: str, found: KnownRescue, members: Sequence[str]
    ) -> FollowAnswer:
        """Make people of a realm members, as far as the roster of the lost home, or the log after it, has
        them. Runs in the writer's thread."""
        group = group_of(connection, found.conversation_id)
        if group is None or group.realm is not None:
            return FollowAnswer(False)
        theirs = self._members_of(connection, realm, group, found)
        shown = realm
        with suppress(Exception):
            shown = self._links.name_of(realm)
        wanted = {name: theirs.get(key_of(f"{name}@{realm}")) for name in members}
        take_guests(
            connection,
            found.conversation_id,
            [
                msgspec.structs.replace(each, address=f"{name}@{shown}")
                for name, each in wanted.items()
                if each is not None
            ],
        )
        store.realm_follows(connection, found.conversation_id, realm)
        refused = tuple(name for name, each in wanted.items() if each is None)
        newest, about = last_seq(connection, group.id), about_group(connection, group)
        return FollowAnswer(True, refused, newest, about=about)


def left_home(connection: Connection, group: Group, rescue: Rescue) -> HomeStep:
    """What is kept of the home that a copy of a group had until now."""
    name, last = key_of(group.name.partition("@")[0]), last_seq(connection, group.id)
    proof = encode(branch_of(rescue))
    return HomeStep(group.realm or "", group.home_id or 0, name, group.key, last, RESCUE, proof)


def known_rescue(
    conversation: int, opened: OpenedRescue, state: store.RescueState, verdict: bytes | None = None
) -> KnownRescue:
    """What is stored of a rescue."""
    stated = opened.stated
    return KnownRescue(
        conversation,
        opened.rescue.hash,
        state,
        stated.realm,
        stated.new_group,
        stated.name,
        stated.home,
        stated.seq,
        stated.at,
        encode(opened.rescue),
        verdict,
    )
