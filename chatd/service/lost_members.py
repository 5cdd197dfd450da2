"""Makes this realm's mirrors of groups agree with their homes, after one of the realms was restored."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection

from chatd.base.background import in_background
from chatd.base.errors import UnknownRealm, UnknownUser
from chatd.base.events import MemberChange
from chatd.base.names import Address
from chatd.service.accounts import Accounts
from chatd.service.context import Context
from chatd.service.mirror_groups import MirrorGroups
from chatd.service.realm_news import MemberLeft
from chatd.service.remote import IRealms, Notice
from chatd.service.rosters import RosterChange, Rosters
from chatd.store import mirrors
from chatd.store.account_moves import has_come
from chatd.store.conversations import takes_part
from chatd.store.groups import find_mirror
from chatd.store.guest_lists import Guest, has_asked
from chatd.store.roster import Delta


class LostMembers:
    """Realms are named by their keys."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        rosters: Rosters,
        realms: IRealms,
        mirrors: MirrorGroups,
    ) -> None:
        self._mirrors = mirrors
        self._context = context
        self._accounts = accounts
        self._rosters = rosters
        self._realms = realms

    async def not_there(self, realm: str, guest: Guest) -> None:
        """The home of a group does not have this member: remove it here, and tell it."""
        try:
            account = await self._accounts.find(guest.user)
            name = Address(guest.group, self._realms.name_of(realm))
        except (UnknownUser, UnknownRealm):
            return  # one of them was deleted meanwhile

        def job(connection: Connection) -> RosterChange:
            group = find_mirror(connection, realm, guest.group_id)
            if group is None:
                return RosterChange(Delta(0))
            return RosterChange(mirrors.leave_mirror(connection, group, account))

        change = await self._rosters.change(job)
        if change.delta.roles:
            now, user = self._context.now(), account.name
            event = MemberChange(change.delta.group, str(name), user, "kicked", 0, now, "")
            self._rosters.log.tell_removed(account.id, event, None)

    async def not_here(self, realm: str, guest: Guest) -> None:
        """The home of a group has a member that is none here: tell the home that it has left, unless it joins
        just now. If the account has moved here, this realm may have lost that it came with its groups: it
        joins again."""
        account = None
        with suppress(UnknownUser):
            account = await self._accounts.find(guest.user)
        left = MemberLeft(guest.group, guest.group_id, guest.user)
        notice = Notice(realm, self._context.now(), left)

        came = False

        def job(connection: Connection) -> RosterChange:
            nonlocal came
            if account is not None:
                group = find_mirror(connection, realm, guest.group_id)
                if group is not None and takes_part(connection, account.id, group.id):
                    return RosterChange(Delta(0))
                came = has_come(connection, account.key, notice.at)
                if came or has_asked(connection, account.id, realm):
                    return RosterChange(Delta(0))
            return RosterChange(Delta(0), (notice,))

        await self._rosters.change(job)
        if came and account is not None:
            there = Address(guest.group, self._realms.name_of(realm))
            joining = self._mirrors.join(account, realm, there)
            in_background("an account that has moved here has lost a group", joining)
