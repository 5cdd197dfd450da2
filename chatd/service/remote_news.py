"""Finds out what news of other realms is about: who has done something, and in which conversation."""

from __future__ import annotations

from chatd.base.names import Address, key_of, parse_address, parse_foreign_name, parse_name
from chatd.service.context import Context
from chatd.service.remote import IRealms
from chatd.store import places as store


class RemoteNews:
    """What a realm says is believed of its own people, and of the members of its own groups."""

    def __init__(self, context: Context, realms: IRealms) -> None:
        self._context = context
        self._database = context.database
        self._realms = realms

    async def direct(self, realm: str, person: str, user: str) -> tuple[Address, int] | None:
        """The address of a `person` of the realm, and their conversation with the `user` of this realm. None
        if they have none. Raises BadName, UnknownRealm."""
        address = Address(parse_foreign_name(person), self._realms.name_of(realm))
        key = key_of(parse_name(user))
        found = await self._database.read(store.direct_between, key, address.key)
        return None if found is None else (address, found)

    async def group(
        self, realm: str, person: str, home: str, group_id: int, seq: int | None = None
    ) -> tuple[Address, int] | None:
        """The address of a `person`, and the conversation of a group that they are a member of. None if the
        realm has no say in that: with `seq`, a former home has a say in what was written there. Raises
        BadName, UnknownRealm."""
        address = parse_address(person)
        if address.realm is None:
            address = Address(parse_foreign_name(person), self._realms.name_of(realm))
        if home == self._context.realm_key:
            if key_of(address.realm or "") != realm:
                return None
            found = await self._database.read(store.group_with, group_id, address.key)
        elif home == realm and self._context.localize(address).realm is not None:
            found = await self._database.read(store.group_from, realm, group_id, seq)
        else:
            return None
        return None if found is None else (address, found)
