"""Invitations to the groups that live in this realm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, gatherResults

from chatd.base.entries import MadeFact, MemberFact
from chatd.base.errors import AlreadyMember, ChatError, NotAccepted, none_known
from chatd.base.model import Group, Party
from chatd.base.names import Address
from chatd.service.context import Context
from chatd.service.home_groups import HomeGroups
from chatd.service.invitations import Invitations
from chatd.service.realm_news import MemberInvited
from chatd.service.remote import Notice
from chatd.service.rosters import Actor, RosterChange, Rosters
from chatd.store.bans import lift_ban
from chatd.store.invitations import NewInvitation, add_invitation, note_invited
from chatd.store.members import check_not_member
from chatd.store.privacy import asking_first
from chatd.store.roster import Delta, Roster

AT_ONCE = 50  # people whose jobs share a transaction


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
        """Make `users` of this realm members, or send them an invitation if they want to be asked. If they or
        the admin are of another realm, they always get one. Their bans are lifted.

        Raises UnknownGroup, NotMember, NotAdmin. If none of them is a member or invited afterwards, raises
        their error.
        """
        roster = await self._homes.find_ruled(by.party, name)
        guests: dict[str, Party] = {}
        errors: dict[str, ChatError] = {}
        accounts = await self._homes.accounts_of(users)
        for address in users:
            try:
                guests[str(address)] = self._homes.party_among(accounts, address)
            except ChatError as error:
                errors[str(address)] = error
        ids = [each.id for each in guests.values() if each.id is not None]
        asking = await self._context.database.read(asking_first, ids)
        found: defaultdict[str, list[str]] = defaultdict(list)
        named = list(guests.items())
        for start in range(0, len(named), AT_ONCE):
            page = named[start : start + AT_ONCE]
            adding = (self._add(roster, guest, by, asking) for _, guest in page)
            outcomes = await gatherResults(map(Deferred.fromCoroutine, adding), consumeErrors=True)
            for (shown, guest), outcome in zip(page, outcomes, strict=True):
                if isinstance(outcome, AlreadyMember):
                    found["present"].append(shown)
                elif isinstance(outcome, ChatError):
                    errors[shown] = outcome
                else:
                    found[outcome].append(guest.name)
        if not found:
            raise none_known(errors)
        for shown, why in errors.items():
            is_unknown = why.code.startswith("unknown-")
            found["unknown" if is_unknown else "refused"].append(shown)
        return roster.group, Invited(**{key: tuple(each) for key, each in found.items()})

    async def _add(
        self, roster: Roster, guest: Party, by: Actor, asking: Collection[int]
    ) -> str | ChatError:
        """Make a person a member (`joined`), or send them an invitation (`asked`), as people of other realms
        get, accounts whom an admin of another realm invites, and those that are `asking` for it. Returns
        which, or why not."""
        if guest.id is not None and self._invitations.blocks.has(guest.id, by.party.key):
            return NotAccepted(name=guest.name)
        # The jobs check this too, but if a job fails, its whole transaction runs again.
        if roster.role(guest) is not None:
            return AlreadyMember(name=guest.name, group=roster.group.name)
        try:
            from_elsewhere = by.party.realm is not None
            if guest.id is None or from_elsewhere or guest.id in asking:
                await self._invite(roster.group, guest, by)
                return "asked"
            await self._homes.admit(roster.group, guest, by)
        except ChatError as error:
            return error
        return "joined"

    async def _invite(self, group: Group, guest: Party, actor: Actor) -> None:
        """Send an invitation to a person. Raises AlreadyMember, TooManyInvitations, NotAdmin."""
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

        change = await self._rosters.rule(actor, group, job)
        if guest.id is not None and change.steps:
            self._invitations.tell(guest.id, local)
