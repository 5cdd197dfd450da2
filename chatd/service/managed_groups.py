"""Groups as operators and moderators manage them."""

from __future__ import annotations

from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact
from chatd.base.errors import GroupElsewhere, GroupNotShut, NotTheirGroup, UnknownGroup
from chatd.base.group_records import GroupRecord
from chatd.base.group_settings import SHUT
from chatd.base.model import Group, Party
from chatd.base.names import Address
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR, includes
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.group_log import HOME
from chatd.service.group_relocation import GroupRelocation
from chatd.service.group_removals import GroupRemovals
from chatd.service.home_groups import HomeGroups
from chatd.service.rosters import RosterChange, Rosters
from chatd.store import managed_groups as store
from chatd.store.group_removals import check_not_ending
from chatd.store.groups import group_of
from chatd.store.managed_groups import GroupFacts, GroupFilter, other_admins
from chatd.store.members import set_admin
from chatd.store.rights import role_in
from chatd.store.roster import Delta
from chatd.store.shut_groups import Shutting, open_again, put_shutting

AT_ONCE = 20  # admins who become ordinary members in one transaction
LISTED = 5  # groups of a list that are counted at a time, at most about 10 ms
MOST_PAGES = 1000  # such transactions


class ManagedGroups:
    """What is done to a group here is done in its home: those of other realms are listed and shown only."""

    def __init__(
        self,
        context: Context,
        rosters: Rosters,
        homes: HomeGroups,
        relocation: GroupRelocation,
        removals: GroupRemovals,
    ) -> None:
        self._context = context
        self._database = context.database
        self._rosters = rosters
        self._homes = homes
        self._relocation = relocation
        self._removals = removals

    async def list(
        self, actor: Principal, wanted: GroupFilter, limit: int
    ) -> tuple[tuple[GroupRecord, ...], int]:
        """The first `limit` groups by name that the actor knows, and how many more there are."""
        known_to = _moderator(actor)
        found, more = await self._database.read(store.find_listed, wanted, known_to, limit)
        records: list[GroupRecord] = []
        for start in range(0, len(found), LISTED):
            part = found[start : start + LISTED]
            records += await self._database.read(store.records_of, part, known_to)
        return tuple(records), more

    async def find(self, actor: Principal, name: Address) -> Group:
        """The group with that name or code, here or of another realm, if the actor knows it. Raises
        UnknownGroup."""
        local = self._context.localize(name)
        group = await self._database.run(store.find_managed, local.key, _moderator(actor))
        if group is None:
            raise UnknownGroup(name=str(local))
        return group

    async def find_here(self, actor: Principal, name: Address) -> Group:
        """As `find`, for a group of this realm. Raises UnknownGroup, GroupElsewhere."""
        group = await self.find(actor, name)
        if group.realm is not None:
            raise self._elsewhere(group)
        return group

    def _elsewhere(self, group: Group) -> GroupElsewhere:
        return GroupElsewhere(group=group.name, realm=group.name.rpartition("@")[2])

    async def facts(self, actor: Principal, name: Address) -> GroupFacts:
        """What is stored of a group. Raises UnknownGroup."""
        group = await self.find(actor, name)
        found = await self._database.read(store.facts_of, group.id)
        if found is None:
            raise UnknownGroup(name=group.name)
        return found

    async def close(self, act: Act, group: Group, reason: str) -> None:
        """Close a group of this realm for everybody, or give another reason for it. A planned move of it
        ends. Raises UnknownGroup, GroupElsewhere, GroupEnding."""

        def job(connection: Connection) -> RosterChange:
            current, now = self._current(connection, group), self._context.now()
            shutting = Shutting(reason, now, act.actor.name)
            delta = put_shutting(connection, current.id, shutting)
            told = self._relocation.end(connection, current)
            fact = MadeFact(GroupFact({SHUT: reason}), HOME, now)
            return RosterChange(delta, (*told, fact) if delta.fields else told, current)

        await self._rosters.change(job, act=act)

    async def open(self, act: Act, group: Group) -> None:
        """Open a group that operators have closed. Raises GroupNotShut, UnknownGroup, GroupElsewhere,
        GroupEnding."""

        def job(connection: Connection) -> RosterChange:
            current = self._current(connection, group)
            delta = open_again(connection, current.id)
            if not delta.fields:
                raise GroupNotShut(group=current.name)
            fact = MadeFact(GroupFact({SHUT: None}), HOME, self._context.now())
            return RosterChange(delta, (fact,), current)

        await self._rosters.change(job, act=act)

    async def transfer(self, group: Group, person: Address, keep: bool) -> Party:
        """Make a member an admin of a group of this realm, and with `keep` leave the other admins what they
        are; otherwise they become ordinary members, a few in a transaction. Returns the member. Raises
        UnknownUser, UnknownRealm, NotTheirGroup, UnknownGroup, GroupElsewhere, GroupEnding."""
        party = await self._homes.party(person)

        def job(connection: Connection) -> RosterChange:
            current = self._current(connection, group)
            if role_in(connection, current.id, party) is None:
                raise NotTheirGroup(name=party.name, group=current.name)
            roles = set_admin(connection, current, party).roles
            others = () if keep else other_admins(connection, current, party, AT_ONCE)
            for other in others:
                roles += set_admin(connection, current, other, admin=False).roles
            delta = Delta(current.id, roles)
            return RosterChange(delta, self._rosters.facts_of(delta, HOME), current)

        for _ in range(MOST_PAGES):
            change = await self._rosters.change(job)
            if len(change.delta.roles) < AT_ONCE:
                break
        return party

    async def delete(self, act: Act, group: Group) -> None:
        """End a group of this realm for everybody, and erase it. That is done in the background. Raises
        UnknownGroup, GroupElsewhere, GroupEnding."""

        def job(connection: Connection) -> RosterChange:
            return self._removals.begin(connection, self._current(connection, group), act)

        await self._rosters.change(job, act=act)
        self._removals.wake()

    def _current(self, connection: Connection, group: Group) -> Group:
        """A group of this realm as it is in this transaction. Raises UnknownGroup if it has ended,
        GroupElsewhere if it has moved, GroupEnding if it is being deleted."""
        current = group_of(connection, group.id)
        if current is None or not current.key:
            raise UnknownGroup(name=group.name)
        if current.realm is not None:
            raise self._elsewhere(current)
        check_not_ending(connection, current)
        return current


def _moderator(actor: Principal) -> int | None:
    """The account of an actor who knows only what moderators know; None: the actor knows all groups."""
    return None if includes(actor.role, OPERATOR) else actor.account or 0
