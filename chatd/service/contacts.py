"""Contact lists, and which contacts are online, here and in other realms."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection

from chatd.base.errors import RealmDown, UnknownUser
from chatd.base.model import Account
from chatd.base.names import Address, key_of, parse_address
from chatd.base.replies import Contact
from chatd.service.accounts import Accounts
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.online_accounts import AWAY, OFFLINE
from chatd.service.remote import IRealms
from chatd.service.remote_presence import RemotePresence
from chatd.service.request_answers import AcceptedRequest, RequestAnswers
from chatd.service.unknown_realms import UnknownRealms
from chatd.store import accounts as store


class Contacts:
    """The contact list of each account."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        blocks: Blocks,
        realms: IRealms,
        answers: RequestAnswers,
        there: RemotePresence,
    ) -> None:
        self._answers = answers
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._blocks = blocks
        self._realms = realms
        self._unknown = UnknownRealms(context, realms)
        self._there = there

    async def add(self, account: Account, address: Address) -> Address:
        """Add a contact. Returns the address as its realm writes it. An address of a realm that does not
        answer is assumed to exist. Raises UnknownUser, UnknownRealm, ContactExists, TooManyContacts, and as
        UnknownRealms.meet."""
        local = self._context.localize(address)
        if local.realm is None:
            found = Address((await self._accounts.find(local.name)).name)
        else:
            await self._unknown.meet(account, local)
            realm = key_of(local.realm)
            name = self._realms.name_of(realm)
            found = Address(local.name, name)
            try:
                known = await self._there.states(realm, [key_of(local.name)])
            except RealmDown:
                known = {key_of(local.name): OFFLINE}
            if key_of(local.name) not in known:
                raise UnknownUser(name=local.name, where=name)
        limit = self._context.config.limits.account_contacts

        def job(connection: Connection) -> AcceptedRequest | None:
            store.add_contact(connection, account.id, found, limit)
            return self._answers.accept(connection, account, found.key)

        accepted = await self._database.run(job)
        if accepted is not None:
            self._answers.accepted(accepted)
        return found

    async def delete(self, account: Account, address: Address) -> None:
        """Remove a contact. Raises UnknownContact."""
        local = self._context.localize(address)
        await self._database.run(store.delete_contact, account.id, local)

    async def all(self, account: Account) -> tuple[Contact, ...]:
        """The account's contacts. Those whose realm does not answer count as offline."""
        written = await self._database.read(store.contacts_of, account.id)
        addresses = [parse_address(each) for each in written]
        elsewhere: dict[str, list[str]] = defaultdict(list)
        for address in addresses:
            if address.realm is not None:
                elsewhere[key_of(address.realm)].append(key_of(address.name))
        states = await self._there.all_states(account, elsewhere)
        found = []
        for address in addresses:
            if address.realm is None:
                contact = await self._accounts.find(address.name)
                state, shown = (
                    self._blocks.state_for(account, contact.id, contact.key),
                    contact.name,
                )
            else:
                there = states[key_of(address.realm)]
                state, shown = there.get(key_of(address.name), OFFLINE), str(address)
            found.append(Contact(shown, state != OFFLINE, state == AWAY))
        return tuple(found)
