"""Applies membership changes that other realms report: their people left, or ours joined or were removed."""

from __future__ import annotations

from contextlib import suppress
from typing import assert_never

from chatd.base.errors import NotMember, TooManyUnknown, UnknownGroup
from chatd.base.names import Address, key_of, parse_foreign_name, parse_name
from chatd.federation.links import ILinks
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.parcels import Joined, Left, Removed
from chatd.federation.questions import guest_of
from chatd.service.chat_service import ChatService
from chatd.service.remote import MemberJoined, MemberRemoved


class MembershipNews:
    """Checks the reports of other realms, and passes them to the groups."""

    def __init__(self, service: ChatService, links: ILinks, guesses: NameGuesses) -> None:
        self._homes = service.homes
        self._groups = service.groups
        self._links = links
        self._guesses = guesses

    async def receive(self, realm: str, number: int, parcel: Joined | Removed | Left) -> None:
        """Apply a change. Raises BadName, TooManyUnknown, and what the methods of `Groups` do."""
        match parcel:
            case Joined(group, group_id, user, seq):
                parse_foreign_name(group)
                await self._guesses.check_people(realm, [Address(parse_name(user))])
                joined = MemberJoined(group, group_id, user, seq)
                await self._groups.joined(realm, number, joined)
            case Removed(group, group_id, user):
                # No verdict tells whether there is such a user, but the time that it takes would.
                if not await self._guesses.barred(realm, [key_of(parse_name(user))]):
                    removed = MemberRemoved(group, group_id, user)
                    await self._groups.removed(realm, number, removed)
            case Left():
                # Someone who is not a member has left already.
                with suppress(UnknownGroup, NotMember, TooManyUnknown):
                    await self._leave(realm, number, parcel)
            case _:
                assert_never(parcel)

    async def _leave(self, realm: str, number: int, left: Left) -> None:
        """Raises UnknownGroup, NotMember, TooManyUnknown."""
        guest, name = guest_of(self._links, realm, left.sender), Address(parse_name(left.group))
        await self._guesses.check_group(realm, name)
        await self._homes.leave(guest, name, number)
