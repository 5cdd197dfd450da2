"""The groups that live in this realm: who is in them, and who may do what there, whatever realm they are of.

Rosters are kept in memory once used, also those of groups elsewhere with members here; the store holds
the truth.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from chatd import parcels
from chatd.accounts import Accounts
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
from chatd.model import Account, Group, Member, Party, party_of
from chatd.names import Address, key_of
from chatd.outbox import Outbox
from chatd.presence import Presence
from chatd.realms import IRealms
from chatd.store import groups as store
from chatd.store.database import CodeTaken, Database
from chatd.store.groups import Roster
from chatd.store.outbox import NewParcel

CACHED_GROUPS = 10_000
CODE_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # none that are taken for one another
CODE_LENGTH = 6
CODE_TRIES = 10

T = TypeVar("T")
# What a change of a group comes to besides: parcels for other realms.
Change = Callable[[Connection], Sequence[NewParcel] | None]


class Invited(msgspec.Struct, frozen=True):
    """Who joined by an invitation, who was in the group already, and whom nobody knows."""

    joined: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


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


class HomeGroups:
    """Whoever is in these groups, and acts there, is a `Party`, from here or elsewhere."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        presence: Presence,
        outbox: Outbox,
        realms: IRealms,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._presence = presence
        self._outbox = outbox
        self._realms = realms
        self._random_bytes = random_bytes
        self._rosters: Cache[str, Roster] = Cache(CACHED_GROUPS)

    def cached(self, key: str) -> Roster | None:
        return self._rosters.get(key)

    async def find(self, name: Address) -> Roster:
        """The group of that name, or else of that code. Raises UnknownGroup, NotMember, UnknownRealm."""
        return self._rosters.get(name.key) or await self.load(name)

    async def load(self, name: Address) -> Roster:
        """As `find`, but takes its turn among all that waits for the database."""
        local = self._accounts.localize(name)
        roster = await self._database.run(store.find_roster, local.key)
        if roster is not None:
            self.remember(roster)
            return roster
        if local.realm is None:
            raise UnknownGroup(name=local.name)
        # It may exist there; nobody of this realm is in it.
        raise NotMember(group=f"{local.name}@{self._realms.name_of(key_of(local.realm))}")

    def remember(self, roster: Roster) -> None:
        self._rosters[roster.group.key] = roster
        if roster.group.code:
            self._rosters[roster.group.code] = roster

    async def find_mine(self, account: Account, name: Address, in_turn: bool = False) -> Roster:
        """The group, if `account` is a member. Raises UnknownGroup, NotMember, UnknownRealm."""
        roster = await (self.load(name) if in_turn else self.find(name))
        if account.id not in roster.members:
            raise NotMember(group=roster.group.name)
        return roster

    async def _find_ruled(self, party: Party, name: Address) -> Roster:
        """The group of this realm, if `party` is an admin."""
        roster = await self._find_of(party, name)
        if not roster.role(party):
            raise NotAdmin(group=roster.group.name)
        return roster

    async def _find_of(self, party: Party, name: Address) -> Roster:
        """The group, if `party` is a member."""
        roster = await self.find(name)
        if roster.role(party) is None:
            raise NotMember(group=roster.group.name)
        return roster

    async def change(self, group: Group, change: Change) -> Sequence[int]:
        """Run a job that changes a group, and remember the group as it then is: the numbers of the parcels
        that it came to.

        Both in one transaction, so that the rosters arrive here in the order of the changes.
        """

        def job(connection: Connection) -> tuple[Roster | None, list[int], Sequence[NewParcel]]:
            items = change(connection) or ()
            numbers = self._outbox.writer.store(connection, items) if items else []
            return store.find_roster(connection, group.key), numbers, items

        roster, numbers, items = await self._database.run(job)
        self._rosters.pop(group.code, None)
        if roster is None:
            self._rosters.pop(group.key, None)
        else:
            self.remember(roster)
        self._outbox.send(numbers, items)
        return numbers

    async def waits(self, realm: str, number: int) -> bool:
        """Whether a parcel has not been acknowledged yet."""
        self._outbox.tidy()
        return await self._outbox.get(realm, number) is not None

    # What people do with groups of this realm

    async def create(self, account: Account, name: str) -> Group:
        """Raises GroupExists, ReservedName."""
        self._accounts.check_name(name)
        return await with_new_code(
            self._random_bytes,
            lambda code: self._database.run(
                store.add_group, name, key_of(name), code, account.id, self._accounts.now()
            ),
        )

    async def join(self, party: Party, name: Address) -> Group:
        """Join by name or by code. Raises UnknownGroup, AlreadyMember."""
        group = (await self.find(name)).group
        await self._admit(group, party)
        return group

    async def _admit(self, group: Group, party: Party) -> None:
        now = self._accounts.now()

        def job(connection: Connection) -> Sequence[NewParcel]:
            seq = store.join_group(connection, group, party, now)
            if party.realm is None:
                return ()
            joined = parcels.Joined(group.name, group.id, party.name.partition("@")[0], seq)
            return (NewParcel(party.realm, parcels.encode(joined), now),)

        await self.change(group, job)

    async def leave(
        self,
        party: Party,
        name: Address,
        is_news: Callable[[Connection], bool] = lambda _connection: True,
    ) -> Group:
        """Raises UnknownGroup, NotMember. Nothing happens if it `is_news` no more when it is written."""
        group = (await self._find_of(party, name)).group
        now = self._accounts.now()

        def job(connection: Connection) -> Sequence[NewParcel]:
            return self._take_out(connection, group, party, now) if is_news(connection) else ()

        await self.change(group, job)
        return group

    def _take_out(
        self, connection: Connection, group: Group, member: Party, now: int
    ) -> Sequence[NewParcel]:
        """The member's realm is told, even if it said so itself: it may have heard otherwise since."""
        store.leave_group(connection, group, member)
        if member.realm is None:
            return ()
        removed = parcels.Removed(group.name, group.id, member.name.partition("@")[0])
        return (NewParcel(member.realm, parcels.encode(removed), now),)

    async def invite(
        self, party: Party, name: Address, users: Sequence[Address]
    ) -> tuple[Group, Invited]:
        """Make `users` members.

        Raises UnknownGroup, NotMember, NotAdmin; UnknownUser or UnknownRealm if none is known.
        """
        group = (await self._find_ruled(party, name)).group
        joined: list[str] = []
        present: list[str] = []
        unknown: dict[str, ChatError] = {}
        for address in users:
            try:
                guest = await self.party(address)
                await self._admit(group, guest)
                joined.append(guest.name)
            except AlreadyMember:
                present.append(str(address))
            except (UnknownUser, UnknownRealm) as error:
                unknown[str(address)] = error
        if not joined and not present:
            raise none_known(unknown)
        return group, Invited(tuple(joined), tuple(present), tuple(unknown))

    async def party(self, address: Address) -> Party:
        """Whoever that is. Raises UnknownUser, UnknownRealm; who is of another realm may not exist there."""
        local = self._accounts.localize(address)
        if local.realm is None:
            return party_of(await self._accounts.find(local.name))
        realm = key_of(local.realm)
        shown = Address(local.name, self._realms.name_of(realm))
        return Party(shown.key, str(shown), realm=realm)

    async def kick(self, party: Party, name: Address, user: Address) -> Group:
        """Raises UnknownGroup, NotMember, NotAdmin, UnknownUser, NotTheirGroup."""
        group, member = await self._find_member(party, name, user)
        now = self._accounts.now()
        await self.change(group, lambda db: self._take_out(db, group, member, now))
        return group

    async def promote(self, party: Party, name: Address, user: Address) -> Group:
        """Make a member an admin. Raises as `kick`."""
        group, member = await self._find_member(party, name, user)
        await self.change(group, lambda db: store.set_admin(db, group, member))
        return group

    async def _find_member(self, party: Party, name: Address, user: Address) -> tuple[Group, Party]:
        roster = await self._find_ruled(party, name)
        member = await self.party(user)
        if roster.role(member) is None:
            raise NotTheirGroup(name=member.name, group=roster.group.name)
        return roster.group, member

    async def set_closed(self, party: Party, name: Address, closed: bool) -> Group:
        """Raises UnknownGroup, NotMember, NotAdmin."""
        group = (await self._find_ruled(party, name)).group
        await self.change(group, lambda db: store.set_closed(db, group, closed))
        return group

    async def members(self, party: Party, name: Address) -> tuple[Group, tuple[Member, ...]]:
        """For members only; who is of another realm counts as offline. Raises UnknownGroup, NotMember."""
        roster = await self._find_of(party, name)
        found = await self._database.read(store.member_names, roster.group.id)
        is_online = self._presence.is_online
        return roster.group, tuple(
            Member(shown, admin, ident is not None and is_online(ident))
            for ident, shown, admin in found
        )
