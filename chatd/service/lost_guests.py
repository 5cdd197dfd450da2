"""Removes from the groups of this realm the members that their own realm does not know."""

from __future__ import annotations

from sqlalchemy import Connection

from chatd.base.errors import GroupMoved, UnknownGroup
from chatd.base.model import Group, Party
from chatd.base.names import Address
from chatd.service.group_log import HOME
from chatd.service.rosters import RosterChange, Rosters
from chatd.store.invitations import forget_invited
from chatd.store.members import leave_group, realm_leaves


class LostGuests:
    """Called for what another realm has refused."""

    def __init__(self, rosters: Rosters) -> None:
        self._rosters = rosters

    async def drop_guest(self, name: Address, group_id: int, guest: Party) -> None:
        """Remove a member that does not exist in its realm, if the group with that id still has the name."""
        group = await self._find_same(name, group_id)
        if group is None:
            return

        def job(connection: Connection) -> RosterChange:
            forget_invited(connection, group.id, guest.key)
            delta = leave_group(connection, group, guest)
            return RosterChange(delta, self._rosters.facts_of(delta, HOME, "kicked"), group)

        await self._rosters.change(job)

    async def drop_realm(self, name: Address, group_id: int, realm: str) -> None:
        """Remove all members of a realm that does not know the group, if the one with that id still has the
        name."""
        group = await self._find_same(name, group_id)
        if group is None:
            return

        def job(connection: Connection) -> RosterChange:
            delta = realm_leaves(connection, group, realm)
            return RosterChange(delta, self._rosters.facts_of(delta, HOME, "kicked"), group)

        await self._rosters.change(job)

    async def _find_same(self, name: Address, group_id: int) -> Group | None:
        try:
            group = (await self._rosters.find_home(name)).group
        except (UnknownGroup, GroupMoved):
            return None  # it has ended, or is another realm's
        return group if group.id == group_id else None
