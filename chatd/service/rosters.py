"""A cache of rosters: who is in which group, for groups of this realm and groups elsewhere with members here.

A roster is read from the database when it is first used. Each transaction that changes it returns a Delta,
and the deltas are applied in the order of the transactions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress

import msgspec
from sqlalchemy import Connection

from chatd.base.cache import Cache
from chatd.base.counters import counted
from chatd.base.errors import NotMember, UnknownGroup
from chatd.base.model import Account, Group, Party, party_of
from chatd.base.names import Address, key_of
from chatd.service.context import Context
from chatd.service.remote import IForwarder, IRealms, Notice, StagedNotice
from chatd.store.groups import find_group
from chatd.store.members import Delta, Roster, find_named, roster_of

CACHED_GROUPS = 10_000


class RosterChange(msgspec.Struct, frozen=True):
    """What a transaction changed in a group's roster, and the notices of it for other realms."""

    delta: Delta
    notices: Sequence[Notice] = ()


class Rosters:
    """Rosters by group. All changes of membership go through `change`."""

    def __init__(self, context: Context, realms: IRealms, forwarder: IForwarder) -> None:
        self._context = context
        self._database = context.database
        self._forwarder = forwarder
        self._realms = realms
        self._rosters: Cache[int, Roster] = Cache(CACHED_GROUPS)
        # group's key or code -> its id
        self._ids: Cache[str, int] = Cache(2 * CACHED_GROUPS)
        # (group's id, member's key) -> how many transactions under way remove that member
        self._leaving: Counter[tuple[int, str]] = Counter()

    def cached(self, key: str) -> Roster | None:
        """The roster of the group with that name or code, if it is cached."""
        ident = self._ids.get(key)
        return None if ident is None else self._rosters.get(ident)

    def of_conversation(self, ident: int) -> Roster | None:
        """The roster of the group with that conversation, if it is cached."""
        return self._rosters.get(ident)

    async def find(self, name: Address) -> Roster:
        """The group with that name, else with that code. Raises UnknownGroup, NotMember, UnknownRealm."""
        return self.cached(name.key) or await self.load(name)

    async def load(self, name: Address) -> Roster:
        """As `find`, but in the order of the database's jobs."""
        local = self._context.localize(name)
        while True:
            known = self.cached(local.key)
            group, read = await self._database.run(
                _read, local.key, None if known is None else known.group.id
            )
            if group is None:
                break
            # A cached roster has the changes of all earlier transactions.
            roster = read or self._rosters.get(group.id)
            if roster is not None:
                self._remember(roster)
                return roster
        if local.realm is None:
            raise UnknownGroup(name=local.name)
        # It may exist in that realm, without members here.
        raise NotMember(group=f"{local.name}@{self._realms.name_of(key_of(local.realm))}")

    async def named(self, name: Address) -> Roster | None:
        """The group with that name, or None if this realm knows none. Codes do not count."""
        local = self._context.localize(name)
        roster = self.cached(local.key)
        if roster is not None:
            return roster if roster.group.key == local.key else None
        if await self._database.read(find_group, local.key) is None:
            return None
        with suppress(UnknownGroup, NotMember):  # it may have ended since
            return await self.load(local)
        return None

    def _remember(self, roster: Roster) -> None:
        group = roster.group
        self._rosters[group.id] = roster
        self._ids[group.key] = group.id
        if group.code:
            self._ids[group.code] = group.id

    async def find_mine(self, account: Account, name: Address, in_turn: bool = False) -> Roster:
        """The group, if `account` is a member. Raises UnknownGroup, NotMember, UnknownRealm."""
        roster = await (self.load(name) if in_turn else self.find(name))
        party = party_of(account)
        while in_turn and self.is_leaving(roster.group, party):
            roster = await self.load(name)
        if account.id not in roster.members:
            raise NotMember(group=roster.group.name)
        return roster

    def postable(self, account: Account, key: str) -> Roster | None:
        """The group with that name or code, if it is cached and the account is a member that no transaction
        under way removes. So a message that is sent now is stored before any later removal."""
        roster = self.cached(key)
        if roster is None or account.id not in roster.members:
            return None
        if self._leaving and (roster.group.id, account.key) in self._leaving:
            return None
        return roster

    # Changes

    def leaving(self, group: Group, party: Party) -> AbstractContextManager[None]:
        """A context in which a transaction that removes `party` is under way."""
        return counted(self._leaving, (group.id, party.key))

    def is_leaving(self, group: Group, party: Party) -> bool:
        """Whether a transaction that removes `party` is under way."""
        return (group.id, party.key) in self._leaving

    async def change(self, run: Callable[[Connection], RosterChange]) -> RosterChange:
        """Run a job that changes a group, apply what it returns to the roster in memory, and send its
        notices."""

        def job(connection: Connection) -> tuple[RosterChange, Sequence[StagedNotice]]:
            change = run(connection)
            return change, self._forwarder.stage(connection, change.notices)

        change, staged = await self._database.run(job)
        roster = self._rosters.get(change.delta.group)
        if roster is not None:
            roster.apply(change.delta)
            if change.delta.ended:
                self._rosters.pop(change.delta.group)
        self._forwarder.send_notices(staged)
        return change


def _read(
    connection: Connection, key: str, known: int | None
) -> tuple[Group | None, Roster | None]:
    """The group with that name or code, and its roster unless its id is `known`."""
    group = find_named(connection, key)
    if group is None or group.id == known:
        return group, None
    return group, roster_of(connection, group)
