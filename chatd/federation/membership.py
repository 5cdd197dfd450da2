"""Applies what other realms report of the members of groups, and of what else happens to groups."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import assert_never

from chatd.base.entries import MadeFact, MemberFact
from chatd.base.errors import (
    BadSignature,
    NotAccepted,
    NotMember,
    NotRequested,
    TooManyInvitations,
    TooManyUnknown,
    UnknownGroup,
    UnknownUser,
)
from chatd.base.model import Party
from chatd.base.names import Address, parse_foreign_name, parse_name
from chatd.federation.fact_reader import FactReader, RelayedFact
from chatd.federation.links import ILinks
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.parcels import GroupNews, Invite, Joined, Left, Removed
from chatd.federation.questions import guest_of
from chatd.federation.realm_quotas import RealmQuotas
from chatd.service.chat_service import ChatService
from chatd.service.realm_news import MemberInvited, MemberJoined, MemberRemoved
from chatd.service.remote import SignedFact
from chatd.service.rosters import Actor
from chatd.store.account_moves import OVER, find_move

# Why an invitation is not kept
UNTOLD = (UnknownUser, NotAccepted, TooManyInvitations)


class MembershipNews:
    """Checks the reports of other realms, and passes them to the groups."""

    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        guesses: NameGuesses,
        quotas: RealmQuotas,
        facts: FactReader,
    ) -> None:
        self._quotas = quotas
        self._facts = facts
        self._homes = service.homes
        self._member_moves = service.member_moves
        self._database = service.database
        self._mirrors = service.mirrors
        self._invitations = service.invitations
        self._links = links
        self._guesses = guesses

    async def receive(self, realm: str, number: int, parcel: GroupNews) -> None:
        """Apply a report. Raises BadName, and what MirrorGroups and Invitations raise; but a realm that was
        not added is not told who exists, or has refused."""
        match parcel:
            case Joined(group, group_id, user, seq, first, about, _, at, seal):
                parse_foreign_name(group)
                parse_name(user)
                joined = MemberJoined(group, group_id, user, seq, first, about, at, seal)
                try:
                    await self._mirrors.joined(realm, number, joined)
                except (UnknownUser, NotRequested):
                    if self._guesses.is_free(realm):
                        raise
                    raise NotRequested(name=user, group=group) from None
            case Invite(group, group_id, user, by, title):
                parse_name(user)
                invited = MemberInvited(group, group_id, user, by, title)
                untold = () if self._guesses.is_free(realm) else UNTOLD
                with suppress(*untold):
                    await self._invitations.arrived(realm, invited)
            case Removed(group, group_id, user, seq, by):
                removed = MemberRemoved(group, group_id, user, seq, by)
                await self._mirrors.removed(realm, number, removed)
            case Left():
                # Someone who is not a member has left already.
                with suppress(UnknownGroup, NotMember, TooManyUnknown):
                    await self._leave(realm, parcel)
            case _:
                assert_never(parcel)

    async def fact(self, realm: str, fact: RelayedFact) -> None:
        """Store an entry about a group of the realm. Raises RealmQuota."""
        self._quotas.charge_bytes(realm, fact.cost)
        await self._mirrors.entry(fact.group, fact.made, fact.seq, fact.origin, fact.signature)

    async def _moved(
        self, name: Address, old: Party, new: Party, signed: Sequence[SignedFact]
    ) -> None:
        """A member is at another address now. The proof of that came before; the new realm takes part only if
        it has agreed. Raises BadSignature, UnknownGroup."""
        known = await self._database.read(find_move, old.key)
        if known is None or known.state == OVER or known.move.new.key != new.key:
            raise BadSignature(reason="its author has not moved there")
        roster = await self._homes.find_joinable(old, name)
        await self._member_moves.replace(roster.group, old, known.move.new, signed)

    async def _leave(self, realm: str, left: Left) -> None:
        """Raises UnknownGroup, NotMember, TooManyUnknown, BadSignature."""
        guest, name = guest_of(self._links, realm, left.sender), Address(parse_name(left.group))
        await self._guesses.check_group(guest, name)
        if left.entry is None:
            raise BadSignature(reason="it is not signed")
        signed = await self._facts.said(realm, guest, name, [left.entry])
        fact = signed[0].made.fact
        if isinstance(fact, MemberFact) and fact.what == "moved":
            await self._moved(name, guest, fact.who, signed)
            return
        if not signed[0].says(MadeFact(MemberFact(guest, "left"), guest, 0)):
            raise BadSignature(reason="it says something else")
        await self._homes.leave(Actor(guest, signed=signed), name)
