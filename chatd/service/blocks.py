"""The blocks of accounts: of people of any realm, and of whole realms.

Direct messages of a blocked person are refused. Their messages in groups are marked as blocked. Neither of
the two sees the other's read marks, typing and presence (chatd.store.receipts). All blocks are in memory,
because they are looked up for each message in a group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from chatd.base.errors import BadArgument, NotAccepted
from chatd.base.events import BlockChange
from chatd.base.isolation import guarded
from chatd.base.model import Account, Message, Party
from chatd.base.names import Address, key_of
from chatd.base.replies import BlockInfo
from chatd.service.accounts import Accounts
from chatd.service.context import Context
from chatd.service.node_caches import NodeTable
from chatd.service.online_accounts import OFFLINE
from chatd.service.presence import IListener, Presence
from chatd.service.request_answers import log_pause
from chatd.store import blocks as store
from chatd.store.blocks import REALM_MARK, keys_covering

MAX_BLOCKS = 1000  # of an account
NO_ONE: frozenset[int] = frozenset()

# Called with an account that blocks, and the account that it blocks; None if that is a realm, or a person of
# another one.
OnBlock = Callable[[Account, Account | None], None]
Shown = TypeVar("Shown")


class Blocks:
    """The blocks of all accounts."""

    def __init__(self, context: Context, accounts: Accounts, presence: Presence) -> None:
        self._presence = presence
        self._context = context
        self._database = context.database
        self._versions = context.writers.versions
        self._accounts = accounts
        # key of a block -> the accounts that have it
        self._by_key: dict[str, frozenset[int]] = {}
        self._on_block: list[OnBlock] = []
        self._on_change: list[Callable[[Account, str], None]] = []
        self._on_elsewhere: list[Callable[[], object]] = []
        # By accounts, and the keys of what they have blocked
        self._table: NodeTable[tuple[int, str], list[tuple[int, str]]] = NodeTable(
            context, "blocks", tuple[int, str], self._read, self._take
        )
        accounts.on_deleted(self._forget)

    def load(self, found: Iterable[tuple[int, str]]) -> None:
        """Take the blocks that are stored: accounts, and the keys of what they block."""
        by_key: defaultdict[str, list[int]] = defaultdict(list)
        for account_id, key in found:
            by_key[key].append(account_id)
        self._by_key = {key: frozenset(blockers) for key, blockers in by_key.items()}

    def _read(
        self, connection: Connection, wanted: Sequence[tuple[int, str]] | None
    ) -> list[tuple[int, str]]:
        return store.all_blocks(connection) if wanted is None else store.stored(connection, wanted)

    def _take(
        self, wanted: Sequence[tuple[int, str]] | None, found: Sequence[tuple[int, str]]
    ) -> None:
        if wanted is None:
            self.load(found)
        else:
            for each in wanted:
                (self._note if each in found else self._drop)(*each)
        for then in self._on_elsewhere:
            guarded("what depends on blocks of other nodes was not forgotten", then)

    def on_block(self, then: OnBlock) -> None:
        """Call `then` at each new block."""
        self._on_block.append(then)

    def on_elsewhere(self, then: Callable[[], object]) -> None:
        """Call `then` when other nodes have changed blocks."""
        self._on_elsewhere.append(then)

    def on_change(self, then: Callable[[Account, str], None]) -> None:
        """Call `then` with an account and the key of a block that is new, or was lifted."""
        self._on_change.append(then)

    def _changed(self, account: Account, key: str) -> None:
        for then in self._on_change:
            guarded("a change of blocks was not passed on", then, account, key)

    def _note(self, account_id: int, key: str) -> None:
        self._by_key[key] = self._by_key.get(key, NO_ONE) | {account_id}

    def _forget(self, account: Account) -> None:
        """Drop the blocks of a deleted account."""
        for key, blockers in list(self._by_key.items()):
            if account.id in blockers:
                self._drop(account.id, key)

    def follow(self, account_id: int, key: str) -> None:
        """The account has blocked an address, and it is also blocked under this key, which is stored."""
        self._note(account_id, key)
        self._table.tell((account_id, key))

    def _drop(self, account_id: int, key: str) -> None:
        left = self._by_key.get(key, NO_ONE) - {account_id}
        if left:
            self._by_key[key] = left
        else:
            self._by_key.pop(key, None)

    # Who has blocked whom

    def against(self, address: str) -> frozenset[int]:
        """The accounts that have blocked that address, or its realm."""
        if not self._by_key:
            return NO_ONE
        found = [self._by_key.get(each, NO_ONE) for each in keys_covering(key_of(address))]
        blocking = [each for each in found if each]
        # The set of a person with many blockers is not copied for each of their messages.
        return blocking[0] if len(blocking) == 1 else NO_ONE.union(*blocking)

    def has(self, account_id: int, key: str) -> bool:
        """Whether the account has blocked the person with that key, or their realm."""
        if not self._by_key:
            return False
        return any(account_id in self._by_key.get(each, NO_ONE) for each in keys_covering(key))

    def separate(self, one: Account | Party, account_id: int, key: str) -> bool:
        """Whether one of the two has blocked the other: `one`, and the account with that id and key."""
        if self.has(account_id, one.key):
            return True
        return one.id is not None and self.has(one.id, key)

    def state_for(self, viewer: Account | Party, account_id: int, key: str) -> str:
        """What the viewer sees of the account with that id and key: online, away or offline."""
        if viewer.id == account_id:
            return self._presence.own_state(account_id)
        if self.separate(viewer, account_id, key):
            return OFFLINE
        return self._presence.state(account_id)

    def check(self, sender: Account, audience: Iterable[int], name: str) -> None:
        """Raises NotAccepted if an account in the audience of a direct message has blocked its sender."""
        blockers = self._by_key.get(sender.key, NO_ONE)
        if any(each in blockers for each in audience):
            raise NotAccepted(name=name)

    def marked(self, account: Account, shown: Sequence[Shown]) -> list[Shown]:
        """The messages and other entries, with the marks of those in groups whose senders the account has
        blocked."""
        if not self._by_key:
            return list(shown)
        return [
            msgspec.structs.replace(each, blocked=True)
            if isinstance(each, Message)
            and each.group is not None
            and self.has(account.id, key_of(each.sender))
            else each
            for each in shown
        ]

    # Changing them

    async def block(
        self, account: Account, who: Address | str, origin: IListener | None = None
    ) -> BlockInfo:
        """Block an address, or the realm with a name. Returns the block. `origin` is the connection that asks
        for it, and is not told. Raises UnknownUser, BadArgument, TooManyBlocks."""
        key, shown = self._named(who)
        if isinstance(who, str) and key == REALM_MARK + self._context.realm_key:
            raise BadArgument(argument="realm", found=shown, expected="another realm")
        if key == account.key:
            raise BadArgument(argument="user", found=shown, expected="somebody else")
        blocked = None
        if "@" not in key:
            blocked = await self._accounts.find(shown)
            shown = blocked.name
        block = BlockInfo(shown, self._context.now())
        new = await self._database.run(
            store.add_block, self._versions, account, key, block, MAX_BLOCKS
        )
        if new is not None:
            if new.paused is not None:
                log_pause(new.paused)
            self._note(account.id, key)
            self._table.tell((account.id, key))
            for then in self._on_block:
                guarded("a block was not passed on", then, account, blocked)
            self._changed(account, key)
            self._tell(account, shown, True, origin)
        return block

    async def unblock(
        self, account: Account, who: Address | str, origin: IListener | None = None
    ) -> BlockInfo:
        """Lift a block. Returns it. `origin` is as in `block`. Raises NotBlocked."""
        key, shown = self._named(who)
        lifted = await self._database.run(store.delete_block, self._versions, account, key, shown)
        self._drop(account.id, key)
        self._table.tell((account.id, key))
        self._changed(account, key)
        self._tell(account, lifted.address, False, origin)
        return lifted

    def _tell(self, account: Account, address: str, on: bool, origin: IListener | None) -> None:
        """Tell the other connections of the account."""
        self._presence.tell_followers((account.id,), BlockChange(address, on), origin)
        self._presence.flush()

    async def list(self, account: Account) -> tuple[BlockInfo, ...]:
        """What the account has blocked, by key."""
        return tuple(await self._database.read(store.blocks_of, account.id))

    def _named(self, who: Address | str) -> tuple[str, str]:
        if isinstance(who, str):
            return REALM_MARK + key_of(who), f"{REALM_MARK}{REALM_MARK}{who}"
        local = self._context.localize(who)
        return local.key, str(local)
