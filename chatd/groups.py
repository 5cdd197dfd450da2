"""Groups: who is in them, and who may do what there. Kept in memory once used; the store holds the truth."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from chatd.accounts import MAX_LISTED, Accounts
from chatd.cache import Cache
from chatd.errors import (
    AlreadyMember,
    ChatError,
    NotAdmin,
    NotMember,
    NotTheirGroup,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
    none_known,
)
from chatd.model import Account, Group, GroupInfo, Member
from chatd.names import Address
from chatd.presence import Presence
from chatd.store import conversations as store
from chatd.store.database import CodeTaken, Database

CACHED_GROUPS = 10_000
CODE_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # none that are taken for one another
CODE_LENGTH = 6
CODE_TRIES = 10

T = TypeVar("T")


class Roster(msgspec.Struct, frozen=True):
    """A group and its members: account id -> whether an admin, longest-standing first."""

    group: Group
    members: dict[int, bool]


def new_code(random_bytes: Callable[[int], bytes]) -> str:
    """Six characters at random, for a group or a file."""
    return "".join(CODE_ALPHABET[byte % 32] for byte in random_bytes(CODE_LENGTH))


async def with_new_code(
    random_bytes: Callable[[int], bytes], use: Callable[[str], Awaitable[T]]
) -> T:
    """What `use` makes of a new code; it raises CodeTaken if chance has given one that exists."""
    for _ in range(CODE_TRIES):
        try:
            return await use(new_code(random_bytes))
        except CodeTaken:
            continue
    raise CodeTaken


class Groups:
    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        presence: Presence,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._presence = presence
        self._random_bytes = random_bytes
        self._rosters: Cache[str, Roster] = Cache(CACHED_GROUPS)
        self._keys: Cache[str, str] = Cache(CACHED_GROUPS)  # by code

    def cached(self, name: Address) -> Roster | None:
        """The group of that name or code, if it is in memory."""
        key = name.key
        roster = self._rosters.get(key)
        if roster is None and key in self._keys:
            roster = self._rosters.get(self._keys[key])
            if roster is not None and roster.group.code != key:
                return None  # the group that had the code has ended, and another has its name
        return roster

    async def find(self, name: Address) -> Roster:
        """The group of that name, else of that code. Raises UnknownGroup, UnknownRealm."""
        return self.cached(name) or await self.load(name)

    async def load(self, name: Address) -> Roster:
        """As `find`, but takes its turn among all that waits for the database."""
        key = self._accounts.local(name).key
        roster = await self._database.run(_load, key, None)
        if roster is None:
            raise UnknownGroup(name=name)
        self._rosters[roster.group.key] = roster
        self._keys[roster.group.code] = roster.group.key
        return roster

    async def find_mine(self, account: Account, name: Address, in_turn: bool = False) -> Roster:
        """The group, if `account` is a member. Raises UnknownGroup, NotMember."""
        roster = await (self.load(name) if in_turn else self.find(name))
        if account.id not in roster.members:
            raise NotMember(group=roster.group.name)
        return roster

    async def _find_ruled(self, account: Account, name: Address) -> Roster:
        roster = await self.find_mine(account, name)
        if not roster.members[account.id]:
            raise NotAdmin(group=roster.group.name)
        return roster

    async def _change(self, group: Group, job: Callable[..., None], *args: object) -> None:
        """Run a job that changes a group, and remember the group as it then is.

        Both in one transaction, so that the rosters arrive here in the order of the changes.
        """
        roster = await self._database.run(_load, group.key, (job, args))
        if roster is None:
            self._rosters.pop(group.key, None)
        else:
            self._rosters[group.key] = roster

    # What people do with groups

    async def create(self, account: Account, name: str) -> Group:
        """Raises GroupExists, ReservedName."""
        self._accounts.check_name(name)
        return await with_new_code(
            self._random_bytes,
            lambda code: self._database.run(
                store.add_group, name, code, account.id, self._accounts.now()
            ),
        )

    async def join(self, account: Account, name: Address) -> Group:
        """Join by name or by code. Raises UnknownGroup, AlreadyMember."""
        group = (await self.find(name)).group
        await self._change(group, store.join_group, group, account, self._accounts.now())
        return group

    async def leave(self, account: Account, name: Address) -> Group:
        """Raises UnknownGroup, NotMember."""
        roster = await self.find_mine(account, name)
        await self._change(roster.group, store.leave_group, roster.group.id, account.id)
        return roster.group

    async def invite(
        self, account: Account, name: Address, users: Sequence[Address]
    ) -> tuple[Group, list[str], list[str], list[str]]:
        """Make `users` members: the group, and who joined, who was in it already, who is unknown.

        Raises UnknownGroup, NotMember, NotAdmin; UnknownUser or UnknownRealm if none is known.
        """
        roster = await self._find_ruled(account, name)
        joined: list[str] = []
        present: list[str] = []
        unknown: dict[str, ChatError] = {}
        for address in users:
            try:
                user = await self._accounts.find(self._accounts.local(address).name)
                await self._change(
                    roster.group, store.join_group, roster.group, user, self._accounts.now()
                )
                joined.append(user.name)
            except AlreadyMember:
                present.append(str(address))
            except (UnknownUser, UnknownRealm) as error:
                unknown[str(address)] = error
        if not joined and not present:
            raise none_known(unknown)
        return roster.group, joined, present, list(unknown)

    async def kick(self, account: Account, name: Address, user: Address) -> Group:
        """Raises UnknownGroup, NotMember, NotAdmin, UnknownUser, NotTheirGroup."""
        roster, member = await self._find_member(account, name, user)
        await self._change(roster.group, store.leave_group, roster.group.id, member.id)
        return roster.group

    async def promote(self, account: Account, name: Address, user: Address) -> Group:
        """Make a member an admin. Raises as `kick`."""
        roster, member = await self._find_member(account, name, user)
        await self._change(roster.group, store.set_admin, roster.group.id, member.id)
        return roster.group

    async def _find_member(
        self, account: Account, name: Address, user: Address
    ) -> tuple[Roster, Account]:
        roster = await self._find_ruled(account, name)
        member = await self._accounts.find(self._accounts.local(user).name)
        if member.id not in roster.members:
            raise NotTheirGroup(name=member.name, group=roster.group.name)
        return roster, member

    async def set_closed(self, account: Account, name: Address, closed: bool) -> Group:
        """Raises UnknownGroup, NotMember, NotAdmin."""
        roster = await self._find_ruled(account, name)
        await self._change(roster.group, store.set_closed, roster.group.id, closed)
        return roster.group

    async def list(self, account: Account, mine: bool) -> tuple[tuple[GroupInfo, ...], int]:
        """All groups, or the account's own: the first of them, and how many more there are."""
        found, more = await self._database.read(store.list_groups, account.id, mine, MAX_LISTED)
        return tuple(found), more

    async def members(self, account: Account, name: Address) -> tuple[Group, tuple[Member, ...]]:
        """For members only. Raises UnknownGroup, NotMember."""
        group = (await self.find_mine(account, name)).group
        names = await self._database.read(store.member_names, group.id)
        is_online = self._presence.is_online
        return group, tuple(
            Member(shown, admin, is_online(ident)) for ident, (shown, admin) in names.items()
        )


def _load(
    connection: Connection,
    key: str,
    change: tuple[Callable[..., None], tuple[object, ...]] | None,
) -> Roster | None:
    """The group of that key, or that code, and its members, after `change` if there is one."""
    if change is not None:
        job, args = change
        job(connection, *args)
    group = store.find_group(connection, key) or store.find_group_by_code(connection, key)
    return None if group is None else Roster(group, store.members_of(connection, group.id))
