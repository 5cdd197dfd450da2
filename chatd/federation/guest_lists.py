"""Compares with another realm who of each realm is in the groups of the other.

A realm that was restored from a backup may have lost the fact that a person has joined or left. So the realm
of the members lists them at the next link, after its outbox is sent. The home of the groups answers with the
listed people who are not in its groups, and with members who are missing in the list. Then the realm of the
members removes the former, and tells the home that the latter have left.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Protocol

import msgspec

from chatd.base.errors import BadName, RealmDown
from chatd.base.names import MAX_NAME, key_of, parse_foreign_name, parse_name
from chatd.federation.parcel_fields import Number
from chatd.federation.standing import Standing, Standings
from chatd.service.chat_service import ChatService
from chatd.service.lost_members import LostMembers
from chatd.service.remote import IRealms
from chatd.store import guest_lists as store
from chatd.store.guest_lists import Guest, GuestPage, Position
from chatd.store.outbox import waiting_span

MAX_GUESTS = 100  # in a page, so that it fits into a value of AMP
# Answers of one comparison after which the list goes on from the last missing member
MAX_FULL = 100

_Place = tuple[Number, Annotated[str, msgspec.Meta(max_length=2 * MAX_NAME + 1)]]
_Guests = Annotated[tuple[Guest, ...], msgspec.Meta(max_length=MAX_GUESTS)]


class GuestList(msgspec.Struct, frozen=True, array_like=True):
    """The members between two places, in order: all of the realm that sends the list, in groups of the realm
    that reads it. A place is a group's id, and the key of a member's address. `upto` is None at the end."""

    guests: _Guests
    after: _Place
    upto: _Place | None = None

    def __len__(self) -> int:
        return len(self.guests)


class GuestAnswer(msgspec.Struct, frozen=True, array_like=True):
    """How the members of a home differ from a list: the places in the list of people who are no members, and
    members who are not in the list."""

    unknown: Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_GUESTS)]
    missing: _Guests


class IComparing(Protocol):
    """The link over which lists are compared."""

    async def guests(self, listed: GuestList) -> GuestAnswer:
        """Ask the home of groups. Raises RealmDown, and what the realm refuses with."""


class GuestLists:
    def __init__(self, service: ChatService, realms: IRealms, standings: Standings) -> None:
        self._database = service.database
        self._own = service.context.realm_key
        self._standings = standings
        # By realm: the last parcel that is sent before the list, and before the answer
        self._listed: dict[str, int] = {}
        self._answered: dict[str, int] = {}
        self._lost = LostMembers(
            service.context, service.accounts, service.rosters, realms, service.mirrors
        )

    def is_needed(self, realm: str, other: Standing | None) -> bool:
        """Whether the realm, which stands with us as `other`, or this one may have been restored."""
        if other is None:
            return False
        return not other.is_settled or not self._standings.is_settled(realm)

    async def compare(self, link: IComparing, realm: str) -> bool:
        """Compare the members of this realm in the groups of that one. Returns whether that is done: not
        while the realm may return who has joined, or parcels wait that may tell of it. Raises RealmDown, and
        what the realm refuses with."""
        if not self._standings.is_settled(realm) or not await self._sent(self._listed, realm):
            return False
        after: Position | None = (0, "")
        full = 0
        while after is not None:
            page: GuestPage = await self._database.read(
                store.guests_here, realm, self._own, after, MAX_GUESTS
            )
            answer = await link.guests(GuestList(tuple(page.guests), after, page.upto))
            await self._apply(realm, page, answer)
            start, after = after, page.upto
            if len(answer.missing) == MAX_GUESTS and full < MAX_FULL:
                full += 1
                after = self._position_after(start, page, answer.missing[-1])
        return True

    async def _apply(self, realm: str, page: GuestPage, answer: GuestAnswer) -> None:
        """Make this realm and its members agree with what a home has."""
        for place in answer.unknown:
            if 0 <= place < len(page.guests):
                await self._lost.not_there(realm, page.guests[place])
        for guest in answer.missing:
            with suppress(BadName):
                parse_foreign_name(guest.group)
                parse_name(guest.user)
                await self._lost.not_here(realm, guest)

    def _position_after(self, start: Position, page: GuestPage, last: Guest) -> Position | None:
        """Where the list goes on after a full answer, which ends with `last`: more may be missing on this
        page."""
        found = last.group_id, key_of(f"{last.user}@{self._own}")
        is_within = found > start and (page.upto is None or found < page.upto)
        return found if is_within else page.upto

    async def answer(self, realm: str, listed: GuestList) -> GuestAnswer:
        """How the members of this realm's groups differ from a list of `realm`. Raises RealmDown while
        parcels wait that may explain it, and while `realm` is to return who has joined."""
        if self._standings.is_doubted(realm) or not await self._sent(self._answered, realm):
            raise RealmDown(realm=realm)
        guests, between = listed.guests, (listed.after, listed.upto)
        unknown = await self._database.read(store.unknown_of, realm, guests)
        missing = await self._database.read(store.missing_from, realm, guests, between, MAX_GUESTS)
        return GuestAnswer(tuple(unknown), tuple(missing))

    async def _sent(self, asked: dict[str, int], realm: str) -> bool:
        """Whether the parcels for the realm are sent that waited when this was asked first."""
        waiting = await self._database.read(waiting_span, realm)
        if waiting is not None:
            oldest, newest = waiting
            if oldest <= asked.setdefault(realm, newest):
                return False
        asked.pop(realm, None)
        return True

    def link_down(self, realm: str) -> None:
        """The link is gone."""
        self._listed.pop(realm, None)
        self._answered.pop(realm, None)
