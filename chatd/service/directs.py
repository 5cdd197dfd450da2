"""Direct conversations of an account with another, or with someone of another realm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from sqlalchemy import Connection

from chatd.base.errors import ChatError, NotAccepted, UnknownRealm, UnknownUser
from chatd.base.model import Account, Party, party_of
from chatd.base.names import Address, key_of
from chatd.service.accounts import Accounts
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.moved_addresses import MovedAddresses
from chatd.service.node_caches import NodeCache
from chatd.service.remote import IRealms
from chatd.service.request_answers import AcceptedRequest, RequestAnswers
from chatd.service.targets import Target
from chatd.service.unknown_realms import UnknownRealms
from chatd.store import accounts as account_store
from chatd.store import conversations as store
from chatd.store.blocks import is_blocked
from chatd.store.requests import has_asked

CACHED_CONVERSATIONS = 100_000

# The account with an address, if it is of this realm, a conversation with it, and the address that it has now
Found: TypeAlias = tuple[Account | None, int | None, Address]


class Directs:
    """Conversations by account and the other's address, cached in memory."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        blocks: Blocks,
        realms: IRealms,
        answers: RequestAnswers,
        moved: MovedAddresses,
    ) -> None:
        self._moved = moved
        self.answers = answers
        self.unknown = UnknownRealms(context, realms)
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._blocks = blocks
        self._realms = realms
        # (account id, key of the other's address) -> their conversation
        self._known: NodeCache[tuple[int, str], Target] = NodeCache(
            CACHED_CONVERSATIONS, context.news, "direct conversations", tuple[int, str]
        )
        self._tell_moved = context.news.topic(
            "addresses of conversations", tuple[str, str], self._drop_moved, lambda: None
        )
        blocks.on_block(self._blocked)
        accounts.on_deleted(self._forget)

    def _blocked(self, blocker: Account, blocked: Account | None) -> None:
        """Look the conversation up again at the next message of the blocked account."""
        if blocked is not None:
            self._known.pop((blocked.id, blocker.key))
            self._known.tell((blocked.id, blocker.key))

    def _forget(self, account: Account) -> None:
        """Drop the conversations of a deleted account, and those of others with it."""
        self._known.drop(lambda key, _: account.id == key[0] or account.key == key[1])

    def readdressed(self, old: str, new: str) -> None:
        """Look the conversations with these addresses up again."""
        self._drop_moved((old, new))
        self._tell_moved((old, new))

    def _drop_moved(self, keys: tuple[str, str]) -> None:
        self._known.version += 1
        self._known.drop(lambda key, _: key[1] in keys)

    @property
    def _version(self) -> tuple[int, int]:
        """Those of the accounts and conversations in memory, before something is read."""
        return self._accounts.version, self._known.version

    def cached(self, account: Account, address: Address) -> Target | None:
        """The conversation, if it is in memory and its realm is still known."""
        # Not `address.key`, because this is done for each message.
        key = address.key if address.realm is not None else key_of(address.name)
        target = self._known.get((account.id, key))
        if target is not None and target.realms and not self.unknown.knows(target.realms[0]):
            return None
        return target

    async def open(
        self, sender: Account, to: Sequence[Address]
    ) -> tuple[list[Target], dict[str, ChatError]]:
        """The sender's conversations with `to`, without repetitions, created if necessary; and the errors by
        address. Unknown realms are looked up. Otherwise it runs in the order of the database's jobs."""
        wanted, errors = await self._meet(sender, to)
        version = self._version
        found, accepted = await self._database.run(
            self._open_all, sender, list(wanted.values()), self._context.now()
        )
        for each in accepted:
            self.answers.accepted(each)
        targets = []
        for key, address in wanted.items():
            if key not in found:
                errors[str(address)] = UnknownUser(name=address.name)
                continue
            other, conversation, now = found[key]
            if conversation is None or self._refuses(other, sender):
                errors[str(address)] = NotAccepted(name=address)
                continue
            targets.append(self._remember(sender, now, other, conversation, version))
        return targets, self._in_order(to, errors)

    def _open_all(
        self, connection: Connection, sender: Account, to: Sequence[Address], now: int
    ) -> tuple[dict[str, Found], list[AcceptedRequest]]:
        """For each address of another realm or of an account: see Found; no conversation if the account has
        blocked the sender. Also returns the requests that are accepted, because the sender answers them. Runs
        in the writer's thread."""
        opened: dict[str, Found] = {}
        accepted = []
        for written in to:
            address = self._moved.resolve(connection, sender.id, written)
            if address.realm is not None:
                place = store.open_remote(connection, sender.id, address, now)
                opened[written.key] = None, place, address
                if (request := self.answers.accept(connection, sender, address.key)) is not None:
                    accepted.append(request)
                continue
            account = account_store.find_account(connection, address.key)
            if account is None:
                continue
            conversation = None
            if not is_blocked(connection, account.id, sender.key):
                conversation = store.open_direct(connection, sender, account, now)
            opened[written.key] = account, conversation, address
        return opened, accepted

    async def look(
        self, sender: Account, to: Sequence[Address]
    ) -> tuple[list[Target], dict[str, ChatError]] | None:
        """As `open`, but creates no conversation. Returns None if one does not exist."""
        wanted, errors = await self._meet(sender, to)
        version = self._version
        found = await self._database.read(self._find_all, sender, list(wanted.values()))
        targets = []
        for key, address in wanted.items():
            if key not in found:
                errors[str(address)] = UnknownUser(name=address.name)
                continue
            account, conversation, now = found[key]
            if self._refuses(account, sender):
                errors[str(address)] = NotAccepted(name=address)
                continue
            if conversation is None:
                return None
            targets.append(self._remember(sender, now, account, conversation, version))
        return targets, self._in_order(to, errors)

    def _refuses(self, other: Account | None, sender: Account) -> bool:
        """Whether the other account has blocked the sender."""
        return other is not None and self._blocks.has(other.id, sender.key)

    async def _meet(
        self, sender: Account, to: Sequence[Address]
    ) -> tuple[dict[str, Address], dict[str, ChatError]]:
        """As `_sort`, after unknown realms were looked up, all at once."""
        wanted, errors = self._sort(to)
        if not errors:
            return wanted, errors
        refused = await self.unknown.meet_all(sender, to)
        wanted, errors = self._sort(to)
        for name in errors:
            errors[name] = refused.get(key_of(name.partition("@")[2]), errors[name])
        return wanted, errors

    def _sort(self, to: Sequence[Address]) -> tuple[dict[str, Address], dict[str, ChatError]]:
        """The addresses by key, without repetitions, and the errors of those in unknown realms."""
        wanted: dict[str, Address] = {}
        errors: dict[str, ChatError] = {}
        for address in map(self._context.localize, to):
            try:
                wanted[address.key] = self.as_written(address)
            except UnknownRealm as error:
                errors[str(address)] = error
        return wanted, errors

    def _in_order(
        self, to: Sequence[Address], errors: Mapping[str, ChatError]
    ) -> dict[str, ChatError]:
        """The errors in the order of the addresses."""
        names = dict.fromkeys(str(self._context.localize(address)) for address in to)
        return {name: errors[name] for name in names if name in errors}

    def as_written(self, address: Address) -> Address:
        """The address with its realm's name as that realm writes it. Raises UnknownRealm."""
        if address.realm is None:
            return address
        return Address(address.name, self._realms.name_of(key_of(address.realm)))

    def knows(self, realm: str) -> bool:
        """Whether the realm with that key is a peer."""
        return self.unknown.knows(realm)

    def _remember(
        self,
        owner: Account,
        address: Address,
        other: Account | None,
        conversation: int,
        version: tuple[int, int],
    ) -> Target:
        if other is not None:
            self._accounts.remember(other, version[0])
            target = Target(conversation, frozenset((other.id, owner.id)), to=other.name)
        else:
            realm = key_of(address.realm or "")
            target = Target(conversation, frozenset((owner.id,)), to=str(address), realms=(realm,))
        self._known.keep((owner.id, address.key), target, version[1])
        return target

    async def open_from(
        self, pairs: Sequence[tuple[str, Address]]
    ) -> dict[tuple[str, Address], tuple[Account, Target | None]]:
        """Return the conversations of accounts (by their keys) with people of another realm, created if
        necessary, and None for those that have blocked the person. Accounts that do not exist are left out.
        The conversations need not be in memory afterwards, because other nodes may have changed something.
        """
        version = self._version
        found = await self._database.run(self._open_from, pairs, self._context.now())
        opened: dict[tuple[str, Address], tuple[Account, Target | None]] = {}
        for pair, owner, conversation in found:
            self._accounts.remember(owner, version[0])
            target = None
            if conversation is not None:
                target = self._remember(owner, pair[1], None, conversation, version)
            opened[pair] = owner, target
        return opened

    async def party(self, address: Address) -> Party:
        """The person with that address. Raises UnknownUser, UnknownRealm."""
        address = self._context.localize(address)
        if address.realm is None:
            return party_of(await self._accounts.find(address.name))
        return Party(address.key, str(self.as_written(address)), realm=key_of(address.realm))

    def localize(self, address: Address) -> Address:
        return self._context.localize(address)

    def is_here(self, address: Address) -> bool:
        """Whether the address belongs to this realm."""
        return self._context.localize(address).realm is None

    async def find(self, account: Account, address: Address) -> int | None:
        """The account's conversation with someone, or None if there is none yet.

        Raises UnknownUser, UnknownRealm if the address does not exist either, as far as this realm knows.
        """
        address = self._context.localize(address)
        known = self._known.get((account.id, address.key))
        if known is not None:
            return known.conversation
        found = await self._database.read(store.find_direct, account.id, address.key)
        if found is None and (now := self._moved.current(address)) != address:
            return await self.find(account, now)
        if found is None:
            if address.realm is None:
                await self._accounts.find(address.name)
            else:
                self.as_written(address)
        return found

    def _find_all(
        self, connection: Connection, sender: Account, to: Sequence[Address]
    ) -> dict[str, Found]:
        """For each address of another realm or of an account: see Found. A conversation that the sender has
        not accepted is left out."""
        found: dict[str, Found] = {}
        for written in to:
            address = self._moved.resolve(connection, sender.id, written)
            account = None
            if address.realm is None:
                account = account_store.find_account(connection, address.key)
                if account is None:
                    continue
            elif has_asked(connection, sender, address.key):
                found[written.key] = None, None, address
                continue
            place = store.find_direct(connection, sender.id, address.key)
            found[written.key] = account, place, address
        return found

    def _open_from(
        self, connection: Connection, pairs: Sequence[tuple[str, Address]], now: int
    ) -> list[tuple[tuple[str, Address], Account, int | None]]:
        """The pairs whose accounts exist, with the conversations; None if the account has blocked the
        person. What somebody has written before they moved is in the conversation with their new address."""
        opened = []
        for key, address in dict.fromkeys(pairs):
            account = account_store.find_account(connection, key)
            if account is None:
                continue
            conversation = None
            if not is_blocked(connection, account.id, address.key):
                there = self._moved.resolve(connection, account.id, address)
                if there != address:
                    conversation = store.find_direct(connection, account.id, there.key)
                if conversation is None:
                    conversation = store.open_remote(connection, account.id, address, now)
            opened.append(((key, address), account, conversation))
        return opened
