"""What admins set of the groups of this realm, who the admins are, and the groups' codes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact
from chatd.base.errors import ChatError, LastAdmin, NotTheirGroup
from chatd.base.group_settings import RENEWED, Fields, columns_of
from chatd.base.model import Group, Party
from chatd.base.names import Address
from chatd.service.codes import new_group_code, new_private_code, with_new_code
from chatd.service.context import Context
from chatd.service.home_groups import HomeGroups
from chatd.service.rosters import Actor, RosterChange, Rosters
from chatd.store.groups import set_code, set_columns
from chatd.store.members import has_other_admin, set_admin
from chatd.store.roster import Delta, Roster


class HomeSettings:
    """Changes by admins, who may be of any realm."""

    def __init__(self, context: Context, rosters: Rosters, homes: HomeGroups) -> None:
        self._context = context
        self._rosters = rosters
        self._homes = homes

    async def describe(self, party: Party, name: Address) -> Roster:
        """The group, as `party` knows it. Raises UnknownGroup."""
        return await self._rosters.find_home(name, party)

    async def set(self, by: Actor, name: Address, fields: Fields) -> Group:
        """Change settings. A group that becomes private gets a new code. Returns the group. Raises
        UnknownGroup, NotMember, NotAdmin."""
        group = (await self._homes.find_ruled(by.party, name)).group
        columns = columns_of(fields)
        if columns.get("title") == group.name:
            columns["title"] = None
        fact = MadeFact(GroupFact(dict(fields)), by.party, self._context.now())
        new_code = new_private_code if columns.get("private") and not group.private else None

        async def change(code: str | None) -> Group:
            def job(connection: Connection) -> RosterChange:
                delta = set_columns(connection, group, columns)
                if code is not None:
                    coded = set_code(connection, group, code)
                    merged = {**delta.fields, **coded.fields}
                    delta = msgspec.structs.replace(delta, fields=merged)
                return RosterChange(delta, () if delta.is_empty else (fact,), group)

            delta = (await self._rosters.rule(by, group, job)).delta
            return msgspec.structs.replace(group, **delta.fields)

        if new_code is None:
            return await change(None)
        return await with_new_code(self._context.random_bytes, change, new_code)

    async def renew_code(self, by: Actor, name: Address) -> Group:
        """Give a group a new code; the old one is no longer valid. An entry says so, without the code.
        Returns the group. Raises UnknownGroup, NotMember, NotAdmin."""
        group = (await self._homes.find_ruled(by.party, name)).group
        fact = MadeFact(GroupFact(RENEWED), by.party, self._context.now())

        async def renew(code: str) -> Group:
            def job(connection: Connection) -> RosterChange:
                return RosterChange(set_code(connection, group, code), (fact,), group)

            await self._rosters.rule(by, group, job)
            return msgspec.structs.replace(group, code=code)

        new = new_private_code if group.private else new_group_code
        return await with_new_code(self._context.random_bytes, renew, new)

    async def promote(self, by: Actor, name: Address, user: Address) -> Group:
        """Make a member an admin. Raises UnknownGroup, NotMember, NotAdmin, UnknownUser, NotTheirGroup."""
        group, member = await self._find(by.party, name, user)
        return await self._change_roles(by, group, lambda db: set_admin(db, group, member))

    async def demote(self, by: Actor, name: Address, user: Address) -> Group:
        """Make an admin an ordinary member. Raises LastAdmin, and as `promote`."""
        group, member = await self._find(by.party, name, user)

        def demote(connection: Connection) -> Delta | ChatError:
            if not has_other_admin(connection, group, member):
                return LastAdmin(name=member.name, group=group.name)
            return set_admin(connection, group, member, admin=False)

        return await self._change_roles(by, group, demote)

    async def transfer(self, by: Actor, name: Address, user: Address) -> Group:
        """Make a member an admin in the place of the one who asks. Raises as `promote`."""
        group, member = await self._find(by.party, name, user)
        if member.key == by.party.key:
            return group

        def transfer(connection: Connection) -> Delta | ChatError:
            promoted = set_admin(connection, group, member).roles
            if not has_other_admin(connection, group, by.party):  # the member has left meanwhile
                return NotTheirGroup(name=member.name, group=group.name)
            demoted = set_admin(connection, group, by.party, admin=False).roles
            return Delta(group.id, (*promoted, *demoted))

        return await self._change_roles(by, group, transfer)

    async def _find(self, party: Party, name: Address, user: Address) -> tuple[Group, Party]:
        """A group that `party` is an admin of, and one of its members."""
        roster = await self._homes.find_ruled(party, name)
        member = await self._homes.party(user)
        if roster.role(member) is None:
            raise NotTheirGroup(name=member.name, group=roster.group.name)
        return roster.group, member

    async def _change_roles(
        self, by: Actor, group: Group, change: Callable[[Connection], Delta | ChatError]
    ) -> Group:
        """Run a job that returns what it has changed, or why it can't be changed. Returns the group."""

        def job(connection: Connection) -> RosterChange:
            found = change(connection)
            if isinstance(found, ChatError):
                return RosterChange(Delta(group.id), refused=found)
            return RosterChange(found, self._rosters.facts_of(found, by.party), group)

        await self._rosters.rule(by, group, job)
        return group
