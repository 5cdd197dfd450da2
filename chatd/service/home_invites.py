"""Invitations to the groups that live in this realm."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import MadeFact, MemberFact
from chatd.base.errors import AlreadyMember, ChatError, NotAccepted, none_known
from chatd.base.model import Group, Party
from chatd.base.names import Address
from chatd.service.context import Context
from chatd.service.home_groups import HomeGroups
from chatd.service.invitations import Invitations
from chatd.service.remote import MemberInvited, Notice
from chatd.service.rosters import Actor, RosterChange, Rosters
from chatd.store.bans import lift_ban
from chatd.store.invitations import NewInvitation, add_invitation, note_invited
from chatd.store.members import check_not_member
from chatd.store.privacy import asks_first
from chatd.store.roster import Delta


class Invited(msgspec.Struct, frozen=True):
    """The result of an invitation, as addresses: the people who `joined` at once, were members before
    (`present`), are unknown, were refused for another reason, or were `asked` to join."""

    joined: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


class HomeInvites:
    """Invitations by admins, who may be of any realm."""

    def __init__(
        self, context: Context, invitations: Invitations, rosters: Rosters, homes: HomeGroups
    ) -> None:
        self._context = context
        self._invitations = invitations
        self._rosters = rosters
        self._homes = homes

    async def invite(
        self, by: Actor, name: Address, users: Sequence[Address]
    ) -> tuple[Group, Invited]:
        """Make `users` of this realm members, or send them an invitation if they want to be asked. People of
        other realms always get one. Their bans are lifted.

        Raises UnknownGroup, NotMember, NotAdmin. If none of them is a member or invited afterwards, raises
        their error.
        """
        group = (await self._homes.find_ruled(by.party, name)).group
        joined: list[str] = []
        asked: list[str] = []
        present: list[str] = []
        errors: dict[str, ChatError] = {}
        accounts = await self._homes.accounts_of(users)
        for address in users:
            try:
                guest = self._homes.party_among(accounts, address)
                self._check_accepted(guest, by.party)
                if await self._is_asked(guest):
                    await self._invite(group, guest, by)
                    asked.append(guest.name)
                else:
                    await self._homes.admit(group, guest, by)
                    joined.append(guest.name)
            except AlreadyMember:
                present.append(str(address))
            except ChatError as error:
                errors[str(address)] = error
        if not joined and not asked and not present:
            raise none_known(errors)
        unknown = dict.fromkeys(
            each for each, error in errors.items() if error.code.startswith("unknown-")
        )
        refused = [each for each in errors if each not in unknown]
        return group, Invited(
            tuple(joined), tuple(present), tuple(unknown), tuple(refused), tuple(asked)
        )

    def _check_accepted(self, guest: Party, by: Party) -> None:
        """Raises NotAccepted if a person has blocked `by`."""
        if guest.id is not None and self._invitations.blocks.has(guest.id, by.key):
            raise NotAccepted(name=guest.name)

    async def _is_asked(self, guest: Party) -> bool:
        """Whether a person gets an invitation, and is not made a member at once."""
        if guest.id is None:
            return True
        return bool(await self._context.database.read(asks_first, guest.id))

    async def _invite(self, group: Group, guest: Party, actor: Actor) -> None:
        """Send an invitation to a person. Raises AlreadyMember, TooManyInvitations."""
        now, realm, by = self._context.now(), guest.realm, actor.party
        to = guest.name.partition("@")[0]
        local = NewInvitation(group.name, group.key, "", group.id, by.name, now, group.title)

        def job(connection: Connection) -> RosterChange:
            check_not_member(connection, group, guest)
            lifted = (guest.key,) if lift_ban(connection, group, guest) else ()
            delta = Delta(group.id, unbanned=lifted)
            if guest.id is not None and not add_invitation(connection, guest, local):
                return RosterChange(delta)
            if realm is not None and not note_invited(connection, group, guest.key, now):
                return RosterChange(delta)
            news = MemberInvited(group.name, group.id, to, by.name, group.title)
            invited = MadeFact(MemberFact(guest, "invited"), by, now)
            if realm is None:
                return RosterChange(delta, (invited,), group)
            return RosterChange(delta, (invited, Notice(realm, now, news, by.id)), group)

        change = await self._rosters.change(job, actor.origin, actor.signed)
        if guest.id is not None and change.steps:
            self._invitations.tell(guest.id, local)
