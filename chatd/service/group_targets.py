"""Finds the groups that people send messages to."""

from __future__ import annotations

from chatd.base.errors import NotMember
from chatd.base.model import Account, party_of
from chatd.base.names import Address, key_of
from chatd.service.context import Context
from chatd.service.directs import Directs
from chatd.service.rosters import Rosters
from chatd.service.targets import Target, group_target
from chatd.store.bans import check_ban


class GroupTargets:
    """Finds groups as the targets of messages."""

    def __init__(self, context: Context, rosters: Rosters, directs: Directs) -> None:
        self._context = context
        self._rosters = rosters
        self._directs = directs

    async def find(self, sender: Account, name: Address, member: bool = True) -> Target:
        """A group that the sender may post to, as far as this realm knows. With `member`, the sender has to
        be a member if the group lives in this realm.

        Raises UnknownGroup, NotMember, Banned, UnknownRealm, and as UnknownRealms.meet.
        """
        await self._directs.unknown.meet(sender, name)
        try:
            if not member:
                return group_target(await self._rosters.load(name))
            return group_target(await self._rosters.find_mine(sender, name, in_turn=True))
        except NotMember:
            local = self._context.localize(name)
            if local.realm is None or await self._has_come(sender, name):
                await self._check_ban(sender, name)
                raise
        # Only the group's home knows whether the group is open.
        return Target(0, (), group=str(self._directs.as_written(local)), home=key_of(local.realm))

    async def _has_come(self, sender: Account, former: Address) -> bool:
        """Whether the group that had this address in another realm has moved here."""
        try:
            roster = await self._rosters.find(former, party_of(sender))
        except NotMember:  # nobody here is a member
            return False
        return roster.group.realm is None

    async def _check_ban(self, sender: Account, name: Address) -> None:
        """Raises Banned, or UnknownGroup for a private group."""
        party = party_of(sender)
        roster = await self._rosters.find(name, party)
        await self._context.database.read(check_ban, roster.group, party)
