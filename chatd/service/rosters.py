"""A cache of rosters: who is in which group, for groups of this realm and groups elsewhere with members here.

A roster is read from the database when it is first used. Each transaction that changes it returns a Delta,
and the deltas are applied in the order of the transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias, TypeVar

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import Happening, MadeFact, MemberFact
from chatd.base.errors import ChatError, GroupMoved, NotMember, UnknownGroup
from chatd.base.model import Account, Group, Party, party_of
from chatd.base.names import Address, key_of
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.group_log import HOME, GroupLog, StoredFact
from chatd.service.group_pushes import GroupPushes
from chatd.service.presence import IListener, LogPlace, Presence
from chatd.service.remote import IForwarder, IRealms, Notice, SignedFact, StagedNotice
from chatd.service.rights import PostRights
from chatd.service.roster_cache import RosterCache
from chatd.store.epochs import epoch_of
from chatd.store.groups import find_former, find_known, group_of
from chatd.store.lineage import check_home_now
from chatd.store.members import find_named, member_ids, realms_of, roster_of
from chatd.store.new_entries import Stored
from chatd.store.rights import ruling_refusal
from chatd.store.roster import Delta, Roster

T = TypeVar("T")


class RosterChange(msgspec.Struct, frozen=True):
    """What a transaction changed in a group's roster. `steps` are the notices for other realms, and the facts
    that become entries of the log of `group`, in this order. `also` are the keys of realms that get these
    entries, besides those with members after the change. With `refused`, nothing was changed for that reason:
    an exception would undo the transaction, and all of it would run again."""

    delta: Delta
    steps: Sequence[Notice | MadeFact] = ()
    group: Group | None = None
    also: tuple[str, ...] = ()
    refused: ChatError | None = None


class Actor(msgspec.Struct, frozen=True):
    """Who changes a group, over the connection `origin`, which is not told of the change. People of other
    realms have `signed` what they do."""

    party: Party
    origin: IListener | None = None
    signed: Sequence[SignedFact] = ()


Staged: TypeAlias = StagedNotice | StoredFact


class Rosters:
    """Rosters by group. All changes of membership go through `change`."""

    def __init__(
        self, context: Context, presence: Presence, realms: IRealms, forwarder: IForwarder
    ) -> None:
        self.log = GroupLog(context, presence, forwarder)
        self._cache = RosterCache(context)
        self.pushes = GroupPushes(context, self._cache, presence)
        self._context = context
        self._database = context.database
        self._forwarder = forwarder
        self._realms = realms
        self._on_changed: Callable[[int], object] = lambda _group: None
        self._on_ended: Callable[[], object] = lambda: None
        self._messages = context.writers.messages
        self._epochs = self._messages.epochs
        self._epochs.on_moved(PostRights(forwarder).check_again)

    def on_changed(self, tell: Callable[[int], object]) -> None:
        """Call `tell` with the id of each group whose members, bans or attributes have changed."""
        self._on_changed = tell

    def on_ended(self, tell: Callable[[], object]) -> None:
        """Call `tell` when a group of this realm has ended."""
        self._on_ended = tell

    def cached(self, key: str) -> Roster | None:
        """The roster of the group with that name or code, if it is cached."""
        return self._cache.named(key)

    def _certain(self, key: str) -> Roster | None:
        """As `cached`, unless the other nodes may have changed the roster and could not tell it."""
        roster = self._cache.named(key)
        if roster is None or not self._cache.is_certain(roster.group.id):
            return None
        return roster

    def of_conversation(self, ident: int) -> Roster | None:
        """The roster of the group with that conversation, if it is cached."""
        return self._cache.get(ident)

    def tell_viewers(
        self,
        group: int,
        stored: Stored,
        seq: int,
        otherwise: Collection[int],
        tell: Callable[[Collection[int], LogPlace | None], object],
    ) -> None:
        """Call `tell` with the accounts that see the entry `seq` of a group, because of what was `stored`. If
        other nodes may have changed the group, that is checked first, and what comes later in this group
        waits. `otherwise` is for a group that is not cached."""
        if self.pushes.are_checked(stored.epoch):
            self.pushes.push(LogPlace(group, stored.epoch, seq), tell)
            return
        roster = self._cache.get(group)
        tell(otherwise if roster is None else roster.viewers(seq), None)

    async def find(
        self, name: Address, viewer: Party | None = None, joining: bool = False
    ) -> Roster:
        """The group with that name, else with that code, if the `viewer` knows it: see `is_known`. Without
        a viewer, this realm asks for itself. Raises UnknownGroup, NotMember, UnknownRealm."""
        roster = self._certain(name.key)
        if roster is not None and _is_shown(roster, viewer):
            return roster
        return await self.load(name, viewer, joining)

    async def load(
        self, name: Address, viewer: Party | None = None, joining: bool = False
    ) -> Roster:
        """As `find`, but in the order of the database's jobs."""
        local = self._context.localize(name)
        while True:
            known = self.cached(local.key)
            at = None if known is None else (known.group.id, known.epoch)
            doubts = self._cache.doubts
            asked = _Asked(local.key, at, viewer, joining, self._context.now())
            group, read = await self._database.run(_read, asked)
            if group is None:
                break
            # A cached roster has the changes of all earlier transactions of this node.
            roster = read or self._cache.get(group.id)
            if roster is not None:
                if self._cache.keep(roster, doubts) and group.former:
                    self._cache.know(local.key, group.id)  # it may be a former address
                return roster
        if local.realm is None:
            raise UnknownGroup(name=local.name)
        # It may exist in that realm, without members here.
        raise NotMember(group=f"{local.name}@{self._realms.name_of(key_of(local.realm))}")

    async def find_home(
        self, name: Address, viewer: Party | None = None, joining: bool = False
    ) -> Roster:
        """As `find`, for a group of this realm. Raises GroupMoved if it lives in another one now."""
        roster = await self.find(name, viewer, joining)
        if roster.group.realm is not None:
            raise GroupMoved(group=name, to=roster.group.name)
        return roster

    async def named(self, name: Address, viewer: Party) -> Roster | None:
        """The group with that name, or None if the viewer knows none. Codes do not count."""
        local = self._context.localize(name)
        roster = self._certain(local.key)
        if roster is not None and _is_shown(roster, viewer):
            return None if roster.group.code == local.key else roster
        if not await self._database.read(_is_named, local.key, viewer):
            return None
        with suppress(UnknownGroup, NotMember):  # it may have ended since
            return await self.load(local, viewer)
        return None

    async def find_mine(self, account: Account, name: Address, in_turn: bool = False) -> Roster:
        """The group, if `account` is a member. Raises UnknownGroup, NotMember, UnknownRealm."""
        find = self.load if in_turn else self.find
        roster = await find(name, party_of(account))
        if account.id not in roster.members:
            raise NotMember(group=roster.group.name)
        return roster

    def postable(self, account: Account, key: str) -> Roster | None:
        """The group with that name or code, if it is cached and the account is a member. Another node may
        have removed the account, which the writer notices."""
        roster = self._cache.named(key)
        if roster is None or account.id not in roster.members:
            return None
        return None if self._cache.is_doubted(roster.group.id) else roster

    # Changes

    async def change(
        self,
        run: Callable[[Connection], RosterChange],
        origin: IListener | None = None,
        signed: Sequence[SignedFact] = (),
        act: Act | None = None,
    ) -> RosterChange:
        """Run a job that changes a group, apply what it returns to the roster in memory, and pass it on: to
        other realms, and to members except the connection `origin`, which has caused it. If people of another
        realm have, `signed` is what they say. If it is the `act` of an operator, the job raises the error
        with which it is refused."""

        def job(connection: Connection) -> tuple[RosterChange, list[Staged]]:
            change = run(connection)
            delta = self.dated(connection, change.delta)
            change = msgspec.structs.replace(change, delta=delta)
            return change, self._stage(connection, change, signed)

        run_job = self._database.run if act is None else act.run
        change, staged = await run_job(job)
        if change.refused is not None:
            raise change.refused
        roster = self.apply(change.delta)
        for each in staged:
            if isinstance(each, StagedNotice):
                self._forwarder.send_notices((each,))
            elif each.place.realms:
                self._forwarder.relay(each.place, None)
        facts = [each for each in staged if isinstance(each, StoredFact)]
        if facts:
            await self._tell(facts, roster, origin)
        return change

    def dated(self, connection: Connection, delta: Delta) -> Delta:
        """The delta with the epoch that begins with it, if it changes anything. Runs in the writer's
        thread."""
        if delta.is_empty:
            return delta
        epoch = self._epochs.move(connection, delta.group)
        return msgspec.structs.replace(delta, epoch=epoch)

    async def rule(
        self, by: Actor, group: Group, run: Callable[[Connection], RosterChange]
    ) -> RosterChange:
        """As `change`, for what only admins may do: `by` is still one in the transaction, and operators have
        not closed the group. Raises NotAdmin, NotMember, UnknownGroup, GroupShut."""

        def job(connection: Connection) -> RosterChange:
            refused = ruling_refusal(connection, group, by.party)
            if refused is not None:
                return RosterChange(Delta(group.id), refused=refused)
            return run(connection)

        return await self.change(job, by.origin, by.signed)

    def facts_of(
        self, delta: Delta, by: Party, gone: Happening = "left"
    ) -> list[Notice | MadeFact]:
        """The facts of a change in which members were removed (`gone`), or their roles were changed. If
        somebody is removed, it is the home that makes another member an admin."""
        now = self._context.now()
        removed = any(role is None for _, role in delta.roles)
        facts: list[Notice | MadeFact] = [
            MadeFact(
                MemberFact(party, _happening(role, gone)), HOME if removed and role else by, now
            )
            for party, role in delta.roles
        ]
        if delta.ended:
            facts.append(MadeFact(MemberFact(by, "ended"), by, now))
        return facts

    async def move(self, conversation: int, run: Callable[[Connection], T]) -> T:
        """Run a job that gives the group of a conversation another home (chatd.store.group_moves). What is in
        memory of the group is read again."""

        def job(connection: Connection) -> tuple[T, int]:
            result = run(connection)
            self._messages.moved(conversation)
            return result, self._epochs.move(connection, conversation)

        result, epoch = await self._database.run(job)
        self._cache.drop(conversation, epoch)
        self._on_changed(conversation)
        return result

    def renumbered(self, conversation: int) -> None:
        """Number the next entries of a group of this realm anew. Runs in the writer's thread, in `move`."""
        self._messages.moved(conversation)

    async def tell_moved(self, group: Group) -> None:
        """Tell the members here that a group has moved, and has another address."""
        now, members = await self._database.read(_moved, group.id)
        if now is not None:
            self.log.tell_moved(now, members)

    def apply(self, delta: Delta) -> Roster | None:
        """Apply what a transaction has changed, in the order of the transactions. Returns the roster, if it
        is cached."""
        if not delta.is_empty:
            self._on_changed(delta.group)
        if delta.ended:
            self._on_ended()
        return self._cache.apply(delta)

    def _stage(
        self, connection: Connection, change: RosterChange, signed: Sequence[SignedFact]
    ) -> list[Staged]:
        group = change.group
        realms: tuple[str, ...] = ()
        if group is not None and change.steps:
            check_home_now(connection, group.id, None)
            realms = tuple(dict.fromkeys((*realms_of(connection, group.id), *change.also)))
        staged: list[Staged] = []
        for step in change.steps:
            if isinstance(step, Notice):
                staged += self._forwarder.stage(connection, (step,))
            elif group is not None:
                staged.append(self.log.write(connection, group, step, realms, signed))
        return staged

    async def _tell(
        self, facts: Sequence[StoredFact], roster: Roster | None, origin: IListener | None
    ) -> None:
        if self.pushes.are_checked(facts[0].place.epoch):
            for fact in facts:
                place = LogPlace(fact.group.id, fact.place.epoch, fact.place.seq)
                self.pushes.push(place, partial(self._tell_checked, fact, origin), roster)
            return
        members: Collection[int]
        if roster is not None:
            members = roster.members
        else:
            members = await self._database.read(member_ids, facts[0].group.id)
        for fact in facts:
            self.log.tell(fact, members, origin)

    def _tell_checked(
        self,
        fact: StoredFact,
        origin: IListener | None,
        members: Collection[int],
        place: LogPlace,
    ) -> None:
        self.log.tell(fact, members, origin, place)


def _happening(role: bool | None, gone: Happening) -> Happening:
    if role is None:
        return gone
    return "promoted" if role else "demoted"


class _Asked(msgspec.Struct, frozen=True):
    """A name or code to look up. The roster of the group with the id `known` is not read if it is in this
    epoch."""

    key: str
    known: tuple[int, int] | None
    viewer: Party | None
    joining: bool
    now: int


def _is_shown(roster: Roster, viewer: Party | None) -> bool:
    """Whether a person knows a group without looking further."""
    return viewer is None or not roster.group.private or roster.role(viewer) is not None


def _read(connection: Connection, asked: _Asked) -> tuple[Group | None, Roster | None]:
    """The group, and its roster unless that is known."""
    group = find_named(connection, asked.key, asked.viewer, asked.joining, asked.now)
    if group is None or (
        asked.known is not None
        and group.id == asked.known[0]
        and epoch_of(connection, group.id) == asked.known[1]
    ):
        return group, None
    return group, roster_of(connection, group)


def _moved(connection: Connection, conversation: int) -> tuple[Group | None, frozenset[int]]:
    """A group and its members here."""
    return group_of(connection, conversation), member_ids(connection, conversation)


def _is_named(connection: Connection, key: str, viewer: Party) -> bool:
    """Whether the viewer knows a group that has that name, or had it before it moved."""
    known = find_known(connection, key, viewer, 0, by_code=False, joining=False)
    return known is not None or find_former(connection, key, viewer) is not None
