"""Changes of membership that other realms report: their people left, or ours joined or were removed."""

from __future__ import annotations

from chatd.base.errors import NotMember, TooManyUnknown, UnknownGroup
from chatd.base.names import Address, key_of, parse_foreign_name, parse_name
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.parcels import Joined, Left, Parcel, Removed
from chatd.federation.questions import guest_of
from chatd.service.groups import Groups
from chatd.service.home_groups import HomeGroups
from chatd.service.realms import IRealms
from chatd.store.mirrors import is_news


class GroupNews:
    def __init__(
        self, homes: HomeGroups, groups: Groups, realms: IRealms, guesses: NameGuesses
    ) -> None:
        self._homes = homes
        self._groups = groups
        self._realms = realms
        self._guesses = guesses

    async def receive(self, realm: str, number: int, parcel: Parcel) -> None:
        """Apply a change. A parcel that is none is ignored. Raises BadName, TooManyUnknown, and what the
        methods of `Groups` do."""
        if isinstance(parcel, Joined):
            parse_foreign_name(parcel.group)
            await self._guesses.check_people(realm, [Address(parse_name(parcel.user))])
            await self._groups.joined(realm, number, parcel)
        elif isinstance(parcel, Removed):
            # No verdict says whether there is such a user, but the time that it takes would.
            if not await self._guesses.barred(realm, [key_of(parse_name(parcel.user))]):
                await self._groups.removed(realm, number, parcel)
        elif isinstance(parcel, Left):
            try:
                await self._leave(realm, number, parcel)
            except (UnknownGroup, NotMember, TooManyUnknown):
                return  # they are no member already

    async def _leave(self, realm: str, number: int, left: Left) -> None:
        """Raises UnknownGroup, NotMember, TooManyUnknown."""
        guest, name = guest_of(self._realms, realm, left.sender), Address(parse_name(left.group))
        await self._guesses.check_group(realm, name)
        await self._homes.leave(guest, name, lambda db: is_news(db, realm, name.key, number))
