"""What accounts of this realm ask of the homes of groups elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chatd.base.entries import GroupFact, MemberFact
from chatd.base.errors import BadName, PeerFailed
from chatd.base.model import Account, Party, party_of
from chatd.base.names import Address, key_of, parse_address, parse_foreign_address
from chatd.service.context import Context
from chatd.service.mirror_groups import MirrorGroups
from chatd.service.remote import GroupVerb, IRealms
from chatd.service.rosters import Rosters
from chatd.store.lineage import address_now


class HomeRequests:
    """Addresses are written for the home, and read from it."""

    def __init__(
        self, context: Context, mirrors: MirrorGroups, rosters: Rosters, realms: IRealms
    ) -> None:
        self._context = context
        self._mirrors = mirrors
        self._rosters = rosters
        self._realms = realms

    async def locate(self, account: Account, name: Address) -> tuple[str | None, Address]:
        """The key of the realm that a group lives in, if that is another, and the group's address. That is
        another one than `name` if the group has moved and the account knows it. Raises UnknownRealm."""
        local = self._context.localize(name)
        roster = self._rosters.cached(local.key)
        # A name that a group has now is no former one. Then nothing delays what the account asks for.
        if roster is None or roster.group.key != local.key:
            moved = await self._context.database.read(address_now, local.key, party_of(account))
            if moved is not None:
                name = parse_address(moved)
                local = self._context.localize(name)
        if local.realm is None:
            return None, name
        self._realms.name_of(key_of(local.realm))
        return key_of(local.realm), name

    async def ask(
        self,
        realm: str,
        account: Account,
        name: Address,
        change: GroupVerb,
        users: Sequence[Address] = (),
        facts: Sequence[MemberFact | GroupFact] = (),
    ) -> tuple[str, Mapping[str, Sequence[str]]]:
        """Have the group's home make a change, which has these facts. Returns the group's name, and the
        home's answer."""
        shown = f"{name.name}@{self._realms.name_of(realm)}"
        named = [self._for(realm, user) for user in users]
        entries = await self._mirrors.sign(account, realm, shown, facts)
        found = await self._realms.change(realm, account.name, name.name, change, named, entries)
        return shown, found

    def person(self, user: Address) -> Party:
        """The person with that address, who is not looked up."""
        local = self._context.localize(user)
        return Party(local.key, str(local))

    def _for(self, realm: str, user: Address) -> str:
        """An address as another realm reads it."""
        local = self._context.localize(user)
        if local.realm is None:
            return f"{local.name}@{self._context.config.realm}"
        return local.name if key_of(local.realm) == realm else str(local)

    def address_from(self, group: Address, user: str) -> str:
        """An address from a group's home, as this realm reads it. Raises PeerFailed."""
        there = self.parsed(user, group.realm)
        return str(self._context.localize(Address(there.name, there.realm or group.realm)))

    def parsed(self, text: str, realm: str | None) -> Address:
        """Parse an address from another realm. Raises PeerFailed, which does not show it."""
        try:
            return parse_foreign_address(text)
        except BadName:
            raise PeerFailed(realm=realm) from None
