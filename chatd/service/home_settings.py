"""What admins set of the groups of this realm, who the admins are, and the groups' codes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact, MemberFact
from chatd.base.errors import LastAdmin, NotTheirGroup
from chatd.base.group_settings import Fields, columns_of
from chatd.base.model import Group, Party
from chatd.base.names import Address
from chatd.service.codes import new_group_code, new_private_code, with_new_code
from chatd.service.context import Context
from chatd.service.home_groups import HomeGroups
from chatd.service.presence import IListener
from chatd.service.remote import SignedFact
from chatd.service.rosters import RosterChange, Rosters
from chatd.store.members import has_other_admin, set_admin, set_code, set_columns
from chatd.store.roster import Delta, Roster


class HomeSettings:
    """Changes by admins, who may be of any realm. What people of other realms do comes with what they have
    `signed`."""

    def __init__(self, context: Context, rosters: Rosters, homes: HomeGroups) -> None:
        self._context = context
        self._rosters = rosters
        self._homes = homes

    async def describe(self, party: Party, name: Address) -> Roster:
        """The group, as `party` knows it. Raises UnknownGroup."""
        return await self._rosters.find(name, party)

    async def set(
        self,
        party: Party,
        name: Address,
        fields: Fields,
        origin: IListener | None = None,
        signed: Sequence[SignedFact] = (),
    ) -> Group:
        """Change settings. A group that becomes private gets a new code. Returns the group. Raises
        UnknownGroup, NotMember, NotAdmin."""
        group = (await self._homes.find_ruled(party, name)).group
        columns = columns_of(fields)
        if columns.get("title") == group.name:
            columns["title"] = None
        fact = MadeFact(GroupFact(dict(fields)), party, self._context.now())
        new_code = new_private_code if columns.get("private") and not group.private else None

        async def change(code: str | None) -> Group:
            def job(connection: Connection) -> RosterChange:
                delta = set_columns(connection, group, columns)
                if code is not None:
                    coded = set_code(connection, group, code)
                    merged = {**delta.fields, **coded.fields}
                    delta = msgspec.structs.replace(delta, fields=merged)
                return RosterChange(delta, () if delta.is_empty else (fact,), group)

            delta = (await self._rosters.change(job, origin, signed)).delta
            return msgspec.structs.replace(group, **delta.fields)

        if new_code is None:
            return await change(None)
        return await with_new_code(self._context.random_bytes, change, new_code)

    async def renew_code(self, party: Party, name: Address) -> Group:
        """Give a group a new code; the old one is no longer valid. Returns the group. Raises UnknownGroup,
        NotMember, NotAdmin."""
        group = (await self._homes.find_ruled(party, name)).group

        async def renew(code: str) -> Group:
            def job(connection: Connection) -> RosterChange:
                return RosterChange(set_code(connection, group, code))

            await self._rosters.change(job)
            return msgspec.structs.replace(group, code=code)

        new = new_private_code if group.private else new_group_code
        return await with_new_code(self._context.random_bytes, renew, new)

    async def demote(
        self,
        party: Party,
        name: Address,
        user: Address,
        origin: IListener | None = None,
        signed: Sequence[SignedFact] = (),
    ) -> Group:
        """Make an admin an ordinary member. Raises UnknownGroup, NotMember, NotAdmin, UnknownUser,
        NotTheirGroup, LastAdmin."""
        group, member = await self._find(party, name, user)

        def job(connection: Connection) -> RosterChange:
            if not has_other_admin(connection, group, member):
                refused = LastAdmin(name=member.name, group=group.name)
                return RosterChange(Delta(group.id), refused=refused)
            delta = set_admin(connection, group, member, admin=False)
            return RosterChange(delta, self._facts(delta, party), group)

        await self._rosters.change(job, origin, signed)
        return group

    async def transfer(
        self,
        party: Party,
        name: Address,
        user: Address,
        origin: IListener | None = None,
        signed: Sequence[SignedFact] = (),
    ) -> Group:
        """Make a member an admin in the place of `party`. Raises UnknownGroup, NotMember, NotAdmin,
        UnknownUser, NotTheirGroup."""
        group, member = await self._find(party, name, user)
        if member.key == party.key:
            return group

        def job(connection: Connection) -> RosterChange:
            promoted = set_admin(connection, group, member).roles
            if not has_other_admin(connection, group, party):  # the member has left meanwhile
                refused = NotTheirGroup(name=member.name, group=group.name)
                return RosterChange(Delta(group.id), refused=refused)
            demoted = set_admin(connection, group, party, admin=False).roles
            delta = Delta(group.id, (*promoted, *demoted))
            return RosterChange(delta, self._facts(delta, party), group)

        await self._rosters.change(job, origin, signed)
        return group

    async def _find(self, party: Party, name: Address, user: Address) -> tuple[Group, Party]:
        """A group that `party` is an admin of, and one of its members."""
        roster = await self._homes.find_ruled(party, name)
        member = await self._homes.party(user)
        if roster.role(member) is None:
            raise NotTheirGroup(name=member.name, group=roster.group.name)
        return roster.group, member

    def _facts(self, delta: Delta, by: Party) -> list[MadeFact]:
        now = self._context.now()
        return [
            MadeFact(MemberFact(party, "promoted" if admin else "demoted"), by, now)
            for party, admin in delta.roles
        ]
