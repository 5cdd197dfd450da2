"""Looks up the realms in addresses that people name, if nobody here knows them yet."""

from __future__ import annotations

from collections.abc import Iterable

from chatd.base.errors import ChatError, UnknownRealm
from chatd.base.model import Account
from chatd.base.names import Address, key_of
from chatd.service.context import Context
from chatd.service.remote import IRealms


class UnknownRealms:
    """Lookups count for the account that names a realm."""

    def __init__(self, context: Context, realms: IRealms) -> None:
        self._context = context
        self._realms = realms

    def knows(self, realm: str) -> bool:
        """Whether the realm with that key is a peer."""
        try:
            self._realms.name_of(realm)
        except UnknownRealm:
            return False
        return True

    async def meet(self, account: Account, address: Address) -> None:
        """Look up the realm of an address if it is unknown. Raises what IRealms.look_up errs with."""
        realm = self._context.localize(address).realm
        if realm is not None and not self.knows(key_of(realm)):
            await self._realms.look_up(realm, account.id)

    async def meet_all(
        self, account: Account, addresses: Iterable[Address]
    ) -> dict[str, ChatError]:
        """Look up the unknown realms of all addresses at once. Returns why the others are unknown, by key."""
        realms = {
            key_of(realm): realm
            for address in addresses
            if (realm := self._context.localize(address).realm) is not None
        }
        lookups = {
            key: self._realms.look_up(realm, account.id)
            for key, realm in realms.items()
            if not self.knows(key)
        }
        refused: dict[str, ChatError] = {}
        for key, lookup in lookups.items():
            try:
                await lookup
            except ChatError as error:
                refused[key] = error
        return refused
