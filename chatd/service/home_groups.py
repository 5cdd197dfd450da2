"""The groups that live in this realm, with members of any realm."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from chatd.base.errors import (
    AlreadyMember,
    Banned,
    ChatError,
    GroupClosed,
    GroupExists,
    NotAdmin,
    NotMember,
    NotTheirGroup,
    TooManyNewGroups,
    UnknownGroup,
    none_known,
)
from chatd.base.model import Account, Ban, Group, Member, Party, party_of
from chatd.base.names import Address, key_of
from chatd.base.throttle import Quota
from chatd.base.titles import names_for
from chatd.service.accounts import Accounts
from chatd.service.context import Context
from chatd.service.presence import Presence
from chatd.service.remote import IRealms, MemberJoined, MemberRemoved, Notice
from chatd.service.rosters import RosterChange, Rosters
from chatd.store import bans as ban_store
from chatd.store import members as store
from chatd.store import mirrors
from chatd.store.groups import add_group
from chatd.store.members import Bounds, Delta, Roster
from chatd.store.writer import CodeTaken

CODE_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without letters and digits that look alike
CODE_LENGTH = 6  # significant characters
CODE_TRIES = 10

T = TypeVar("T")


class Invited(msgspec.Struct, frozen=True):
    """The result of an invitation, as addresses: new members, those that were members before (`present`),
    unknown ones, and those refused for another reason."""

    joined: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def new_code(random_bytes: Callable[[int], bytes]) -> str:
    """Six random characters: the code of a file."""
    return "".join(CODE_ALPHABET[byte % 32] for byte in random_bytes(CODE_LENGTH))


def new_group_code(random_bytes: Callable[[int], bytes]) -> str:
    """The code of a group: as `new_code`, with a colon, which names cannot contain."""
    code = new_code(random_bytes)
    return f"{code[: CODE_LENGTH // 2]}:{code[CODE_LENGTH // 2 :]}"


async def with_new_code(
    random_bytes: Callable[[int], bytes],
    use: Callable[[str], Awaitable[T]],
    new: Callable[[Callable[[int], bytes]], str] | None = None,
) -> T:
    """Return what `use` returns for a new code, which `new` makes (`new_code` by default). Tries again if the
    code is in use. Raises CodeTaken after CODE_TRIES tries."""
    for _ in range(CODE_TRIES):
        try:
            return await use((new or new_code)(random_bytes))
        except CodeTaken:
            continue
    raise CodeTaken


class HomeGroups:
    """Members, and those who act on a group, are `Party`s: accounts of this realm, or people of another."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        presence: Presence,
        rosters: Rosters,
        realms: IRealms,
    ) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._presence = presence
        self._rosters = rosters
        self._realms = realms
        limits, peers = context.config.limits, context.config.peers
        self._bounds = Bounds(limits.group_members, peers.group_members, limits.account_groups)
        self._creations_per_hour = limits.groups_per_hour
        self._creations = Quota(limits.groups_per_hour)

    async def _find_ruled(self, party: Party, name: Address) -> Roster:
        """The group, if `party` is an admin. Raises UnknownGroup, NotMember, NotAdmin."""
        roster = await self._find_of(party, name)
        if not roster.role(party):
            raise NotAdmin(group=roster.group.name)
        return roster

    async def _find_of(self, party: Party, name: Address) -> Roster:
        """The group, if `party` is a member. Raises UnknownGroup, NotMember."""
        roster = await self._rosters.find(name)
        if roster.role(party) is None:
            raise NotMember(group=roster.group.name)
        return roster

    async def create(self, account: Account, name: str | None, title: str | None) -> Group:
        """Create a group, with `account` as its admin. Without a name, it gets one made of its title. Raises
        BadName, GroupExists, ReservedName, TooManyGroups, TooManyNewGroups."""
        if name is not None:
            self._accounts.check_name(name)
            return await self._create(account, [name], title)
        wanted = names_for(title or "", self._context.random_bytes)
        return await self._create(account, [*filter(self._accounts.is_allowed, wanted)], title)

    async def _create(self, account: Account, names: Sequence[str], title: str | None) -> Group:
        """Create a group with the first of `names` that is free."""
        wait = self._creations.take(account.key, self._context.clock.seconds())
        if wait:
            limit, minutes = self._creations_per_hour, math.ceil(wait / 60)
            raise TooManyNewGroups(limit=limit, minutes=minutes)
        now = self._context.now()

        def job(connection: Connection, code: str) -> Group:
            store.check_groups(connection, account.id, account.name, self._bounds.account_groups)
            for name in names[:-1]:
                with suppress(GroupExists):
                    return make(connection, name, code)
            return make(connection, names[-1], code)

        def make(connection: Connection, name: str, code: str) -> Group:
            shown = None if title == name else title
            return add_group(connection, name, shown, code, account.id, now)

        try:
            return await with_new_code(
                self._context.random_bytes,
                lambda code: self._database.run(job, code),
                new_group_code,
            )
        except Exception:
            self._creations.give_back(account.key)
            raise

    async def join(self, party: Party, name: Address) -> Group:
        """Join by name or by code. Raises UnknownGroup, AlreadyMember, Banned, and what `join_group` does."""
        roster = await self._rosters.find(name)
        if not self._rosters.is_leaving(roster.group, party):
            # The job checks this too, but if a job fails, its whole transaction runs again.
            if roster.role(party) is not None:
                raise AlreadyMember(name=party.name, group=roster.group.name)
            if party.key in roster.banned:
                raise Banned(group=roster.group.name)
        await self._admit(roster.group, party)
        return roster.group

    async def _admit(self, group: Group, party: Party, invited: bool = False) -> None:
        now = self._context.now()

        def job(connection: Connection) -> RosterChange:
            seq, delta = store.join_group(connection, group, party, now, self._bounds, invited)
            if party.realm is None:
                return RosterChange(delta)
            joined = MemberJoined(group.name, group.id, party.name.partition("@")[0], seq)
            return RosterChange(delta, (Notice(party.realm, now, joined),))

        await self._rosters.change(job)

    async def leave(self, party: Party, name: Address, number: int | None = None) -> Group:
        """Leave a group. `number` is that of the parcel in which the realm of `party` reports it; nothing is
        done if a later one has arrived. Raises UnknownGroup, NotMember."""
        group = (await self._find_of(party, name)).group
        now = self._context.now()

        def job(connection: Connection) -> RosterChange:
            if number is not None and not mirrors.is_news(
                connection, party.realm or "", name.key, number
            ):
                return RosterChange(Delta(group.id))
            return self._take_out(connection, group, party, now)

        with self._rosters.leaving(group, party):
            await self._rosters.change(job)
        return group

    def _take_out(
        self, connection: Connection, group: Group, member: Party, now: int
    ) -> RosterChange:
        """Remove a member. Its realm gets a notice even if it asked for the removal, because it may have
        got other notices since."""
        delta = store.leave_group(connection, group, member)
        if member.realm is None:
            return RosterChange(delta)
        removed = MemberRemoved(group.name, group.id, member.name.partition("@")[0])
        return RosterChange(delta, (Notice(member.realm, now, removed),))

    async def invite(
        self, party: Party, name: Address, users: Sequence[Address]
    ) -> tuple[Group, Invited]:
        """Make `users` members, and lift their bans.

        Raises UnknownGroup, NotMember, NotAdmin. If none of them is a member afterwards, raises their
        error.
        """
        group = (await self._find_ruled(party, name)).group
        joined: list[str] = []
        present: list[str] = []
        errors: dict[str, ChatError] = {}
        for address in users:
            try:
                guest = await self.party(address)
                await self._admit(group, guest, invited=True)
                joined.append(guest.name)
            except AlreadyMember:
                present.append(str(address))
            except ChatError as error:
                errors[str(address)] = error
        if not joined and not present:
            raise none_known(errors)
        unknown = [each for each, error in errors.items() if error.code.startswith("unknown-")]
        refused = [each for each in errors if each not in unknown]
        return group, Invited(tuple(joined), tuple(present), tuple(unknown), tuple(refused))

    async def party(self, address: Address) -> Party:
        """The person with that address. Someone of another realm is not looked up there. Raises UnknownUser,
        UnknownRealm."""
        local = self._context.localize(address)
        if local.realm is None:
            return party_of(await self._accounts.find(local.name))
        realm = key_of(local.realm)
        shown = Address(local.name, self._realms.name_of(realm))
        return Party(shown.key, str(shown), realm=realm)

    async def kick(self, party: Party, name: Address, user: Address) -> tuple[Group, Party | None]:
        """Remove and ban a member. Returns the group, and the member, or None if they were not a member.

        People of other realms may post to an open group without being members, so they can be banned too.
        Someone who kicks themselves leaves, and is not banned.
        """
        roster = await self._find_ruled(party, name)
        group, member = roster.group, await self.party(user)
        may_post = member.realm is not None and not group.closed and member.key not in roster.banned
        if roster.role(member) is None and not may_post:
            raise NotTheirGroup(name=member.name, group=group.name)
        now = self._context.now()

        def job(connection: Connection) -> RosterChange:
            change = self._take_out(connection, group, member, now)
            if member.key == party.key or change.delta.ended:
                return change
            dropped = ban_store.add_ban(connection, group, member, now)
            delta = msgspec.structs.replace(change.delta, banned=(member.key,), unbanned=dropped)
            return RosterChange(delta, change.notices)

        with self._rosters.leaving(group, member):
            change = await self._rosters.change(job)
        return group, member if change.delta.roles else None

    async def unban(self, party: Party, name: Address, user: Address) -> tuple[Group, str]:
        """Lift a ban. Returns the group, and the address as shown. Raises UnknownGroup, NotMember, NotAdmin,
        UnknownUser, NotBanned."""
        group = (await self._find_ruled(party, name)).group
        member = await self.party(user)

        def job(connection: Connection) -> RosterChange:
            ban_store.unban(connection, group, member)
            return RosterChange(Delta(group.id, unbanned=(member.key,)))

        await self._rosters.change(job)
        return group, member.name

    async def bans(
        self, party: Party, name: Address, after: str, limit: int
    ) -> tuple[Group, Sequence[Ban]]:
        """The first `limit` bans whose keys come after `after`. Raises UnknownGroup, NotMember, NotAdmin."""
        group = (await self._find_ruled(party, name)).group
        return group, await self._database.read(ban_store.bans_of, group.id, after, limit)

    async def promote(self, party: Party, name: Address, user: Address) -> Group:
        """Make a member an admin. Raises UnknownGroup, NotMember, NotAdmin, UnknownUser, NotTheirGroup."""
        roster = await self._find_ruled(party, name)
        group, member = roster.group, await self.party(user)
        if roster.role(member) is None:
            raise NotTheirGroup(name=member.name, group=group.name)
        await self._rosters.change(lambda db: RosterChange(store.set_admin(db, group, member)))
        return group

    async def drop_guest(self, name: Address, group_id: int, guest: Party) -> None:
        """Remove a member that does not exist in its realm, if the group with that id still has the name."""
        group = await self._find_same(name, group_id)
        if group is not None:
            await self._rosters.change(lambda db: RosterChange(store.leave_group(db, group, guest)))

    async def drop_realm(self, name: Address, group_id: int, realm: str) -> None:
        """Remove all members of a realm that does not know the group, if the one with that id still has the
        name."""
        group = await self._find_same(name, group_id)
        if group is not None:
            await self._rosters.change(
                lambda db: RosterChange(store.realm_leaves(db, group, realm))
            )

    async def _find_same(self, name: Address, group_id: int) -> Group | None:
        try:
            group = (await self._rosters.find(name)).group
        except UnknownGroup:
            return None  # it has ended
        return group if group.id == group_id else None

    async def set_closed(self, party: Party, name: Address, closed: bool) -> Group:
        """Close or open a group. Raises UnknownGroup, NotMember, NotAdmin."""
        group = (await self._find_ruled(party, name)).group
        await self._rosters.change(lambda db: RosterChange(store.set_closed(db, group, closed)))
        return group

    async def members(
        self, party: Party, name: Address, start: int = 0, limit: int | None = None
    ) -> tuple[Roster, tuple[Member, ...]]:
        """At most `limit` members (None: all) from the `start`-th on, longest-standing first, for a member.
        People of other realms count as offline. Raises UnknownGroup, NotMember."""
        roster = await self._find_of(party, name)
        found = await self._database.read(store.member_names, roster.group.id, start, limit)
        is_online = self._presence.is_online
        return roster, tuple(
            Member(shown, admin, ident is not None and is_online(ident))
            for ident, shown, admin in found
        )

    async def find_postable(self, party: Party, name: Address) -> Roster:
        """The group, if `party`, of another realm, may post to it. Raises UnknownGroup, GroupClosed,
        Banned."""
        roster = await self._rosters.find(name)
        while self._rosters.is_leaving(roster.group, party):
            roster = await self._rosters.load(name)
        if party.key in roster.banned:
            raise Banned(group=roster.group.name)
        if roster.group.closed and roster.role(party) is None:
            raise GroupClosed(group=roster.group.name)
        return roster
