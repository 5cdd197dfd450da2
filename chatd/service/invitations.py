"""Invitations to groups, which accounts of this realm accept or decline: to groups of other realms, and to
those of this realm if the account wants to be asked.

Only the group's home can send an invitation, over its own link. It does not make the person a member: to
accept it is to join. The home is not told if they decline.
"""

from __future__ import annotations

import msgspec

from chatd.base.errors import NotAccepted, UnknownInvitation
from chatd.base.events import Invitation
from chatd.base.model import Account
from chatd.base.names import Address, parse_foreign_address, parse_foreign_name, printable
from chatd.base.replies import InvitationInfo
from chatd.service.accounts import Accounts
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.presence import Presence
from chatd.service.realm_news import MemberInvited
from chatd.service.remote import IRealms
from chatd.store import invitations as store
from chatd.store.invitations import NewInvitation


class Invitations:
    """Those that wait for an answer. They expire after 30 days."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        blocks: Blocks,
        presence: Presence,
        realms: IRealms,
    ) -> None:
        self.blocks = blocks
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._presence = presence
        self._realms = realms

    async def arrived(self, realm: str, report: MemberInvited) -> None:
        """Store an invitation to a group of the realm with the key `realm`, and tell the account. Raises
        BadName, UnknownUser, NotAccepted, TooManyInvitations."""
        account = await self._accounts.find(report.user)
        home = self._realms.name_of(realm)
        group = Address(parse_foreign_name(report.group), home)
        inviter = parse_foreign_address(report.by)
        by = self._context.localize(Address(inviter.name, inviter.realm or home))
        if self.blocks.has(account.id, by.key):
            raise NotAccepted(name=account.name)
        title = None if report.title is None else printable(report.title)
        new = NewInvitation(
            str(group), group.key, realm, report.group_id, str(by), self._context.now(), title
        )
        if await self._database.run(store.add_invitation, account, new):
            self.tell(account.id, new)

    def tell(self, account_id: int, new: NewInvitation) -> None:
        """Tell the account's connections of an invitation."""
        event = Invitation(*msgspec.structs.astuple(_info(new)))
        self._presence.tell_followers((account_id,), event, None)

    async def list(self, account: Account) -> tuple[InvitationInfo, ...]:
        """The account's open invitations, oldest first."""
        now = self._context.now()
        found = await self._database.read(store.invitations_of, account.id, now)
        return tuple(map(_info, found))

    async def find(self, account: Account, group: Address) -> InvitationInfo:
        """The account's invitation to that group. Raises UnknownInvitation."""
        key, now = self._context.localize(group).key, self._context.now()
        for each in await self._database.read(store.invitations_of, account.id, now):
            if each.key == key:
                return _info(each)
        raise UnknownInvitation(group=group)

    async def decline(self, account: Account, group: Address) -> InvitationInfo:
        """Decline an invitation. Raises UnknownInvitation."""
        invitation = await self.find(account, group)
        key, now = self._context.localize(group).key, self._context.now()
        if not await self._database.run(store.decline, account.id, key, now):
            raise UnknownInvitation(group=group)
        return invitation

    async def forget(self, account: Account, group: Address) -> None:
        """Forget an invitation that can't be accepted any more."""
        key = self._context.localize(group).key
        await self._database.run(store.forget_invitation, account.id, key)


def _info(invitation: NewInvitation) -> InvitationInfo:
    _, _, realm = invitation.group.partition("@")
    return InvitationInfo(
        invitation.group, invitation.by, invitation.at, realm or None, invitation.title
    )
