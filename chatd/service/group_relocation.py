"""Agreeing that a group moves to another realm.

An admin in the group's home and an admin of the new realm both have to agree, in whatever order. What follows
is done by chatd.federation.group_mover. A move that is not agreed ends after a week.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact
from chatd.base.errors import ChatError, GroupFull, NoGroupMove, NotAdmin, NotMovable, RealmFull
from chatd.base.model import Account, Group, Party, party_of
from chatd.base.names import Address, key_of
from chatd.service.context import Context
from chatd.service.fan_out import FanOut
from chatd.service.home_groups import HomeGroups
from chatd.service.home_requests import HomeRequests
from chatd.service.realm_news import MoveOffered
from chatd.service.remote import IForwarder, IRealms, Notice, StagedNotice
from chatd.service.rosters import Rosters
from chatd.service.system_messages import SystemMessage, SystemMessages
from chatd.store import move_agreements as store
from chatd.store import names
from chatd.store.lineage import MAX_MOVES
from chatd.store.move_agreements import GroupMove
from chatd.store.shut_groups import check_open

QUIET = 3600 * 1000  # ms until admins are told again that another realm offers a group
NONE = "none"

OFFERED, AGREED, ENDED = "proposed", "agreed", "ended"


class MoveReceipt(msgspec.Struct, frozen=True):
    """A group as it is shown, the realm that it moves to, and how far that has come."""

    group: str
    realm: str
    state: str


class GroupRelocation:
    def __init__(
        self,
        context: Context,
        rosters: Rosters,
        homes: HomeGroups,
        there: HomeRequests,
        realms: IRealms,
        forwarder: IForwarder,
        fan_out: FanOut,
    ) -> None:
        self._context = context
        self._database = context.database
        self._own = context.realm_key
        self._rosters = rosters
        self._homes = homes
        self._there = there
        self._realms = realms
        self._forwarder = forwarder
        self._notes = SystemMessages(context, fan_out)

    async def move(self, account: Account, name: Address, to: str | None) -> MoveReceipt:
        """Agree that a group moves to the realm of that name; None: it stays. Raises UnknownGroup, NotMember,
        NotAdmin, UnknownRealm, NotMovable, NoGroupMove, GroupFull, RealmFull, TooManyNewGroups, and what the
        group's home refuses with."""
        home, name = await self._there.locate(account, name)
        if home is not None:
            if to is None:
                return await self._decline(account, home, name)
            return await self._accept(account, home, name, to)
        group = (await self._homes.find_ruled(party_of(account), name)).group
        if to is None:
            return await self._withdraw(group)
        return await self._offer(account, group, key_of(to))

    # In the home of the group

    async def _offer(self, account: Account, group: Group, realm: str) -> MoveReceipt:
        if realm == self._own:
            raise NotMovable(group=group.name, realm=realm, reason="it lives there")
        shown = self._realms.name_of(realm)
        roster = await self._rosters.find_home(Address(group.name))
        has_admin = any(
            admin and each.partition("@")[2] == realm for each, admin in roster.guests.items()
        )
        if not has_admin:
            why = f"none of its admins is of {shown}, and one of them has to agree"
            raise NotMovable(group=group.name, realm=shown, reason=why)
        self.check_movable(group, realm, roster.realms)
        now = self._context.now()

        def job(connection: Connection) -> tuple[GroupMove, Sequence[StagedNotice]]:
            check_open(connection, group)
            before = store.move_of(connection, group.id)
            told: list[Notice] = []
            if before is not None and (before.realm != realm or not before.is_open(now)):
                told.append(self._news_of(group, before, "", on=False))
                before = None
            if before is not None and not store.rules(connection, group.id, before.accepted_by):
                before = None
            move = before or GroupMove(group.id, realm)
            move = msgspec.structs.replace(move, offered_by=account.name, at=now)
            store.put_move(connection, move)
            told.append(self._news_of(group, move, account.name, on=True))
            return move, self._forwarder.stage(connection, told)

        move, staged = await self._database.run(job)
        self._forwarder.send_notices(staged)
        return MoveReceipt(group.name, shown, AGREED if move.is_agreed else OFFERED)

    def check_movable(self, group: Group, realm: str, guests: Iterable[str]) -> None:
        """Raises NotMovable if one of the realms can't follow a group to that realm, or the group has moved
        too often."""
        shown = self._realms.name_of(realm)
        for each in (realm, *guests):
            if not self._realms.takes_moves(each):
                why = f"{self._realms.name_of(each)} can't follow, because its version is too old"
                raise NotMovable(group=group.name, realm=shown, reason=why)
        if len(group.former) >= MAX_MOVES - 1:
            why = f"it has moved {len(group.former)} times, which is the limit"
            raise NotMovable(group=group.name, realm=shown, reason=why)

    def _news_of(self, group: Group, move: GroupMove, by: str, *, on: bool) -> Notice:
        news = MoveOffered(group.name, group.id, by, on)
        return Notice(move.realm, self._context.now(), news)

    async def _withdraw(self, group: Group) -> MoveReceipt:
        def job(connection: Connection) -> tuple[GroupMove | None, Sequence[StagedNotice]]:
            move = store.move_of(connection, group.id)
            if move is None or not move.is_open(self._context.now()):
                return None, ()
            store.end_move(connection, move, self._own)
            told = self._news_of(group, move, "", on=False)
            return move, self._forwarder.stage(connection, [told])

        move, staged = await self._database.run(job)
        if move is None:
            raise NoGroupMove(group=group.name)
        self._forwarder.send_notices(staged)
        return MoveReceipt(group.name, self._shown(move.realm), ENDED)

    def end(self, connection: Connection, group: Group) -> list[Notice]:
        """End the planned move of a group of this realm, if there is one. Returns what tells the other realm.
        Runs in the writer's thread."""
        move = store.move_of(connection, group.id)
        if move is None:
            return []
        store.end_move(connection, move, self._own)
        return [self._news_of(group, move, "", on=False)]

    def _shown(self, realm: str) -> str:
        with suppress(ChatError):
            return self._realms.name_of(realm)
        return realm

    async def accepted(
        self, party: Party, group: Group, consent: bytes, new_id: int, new_name: str
    ) -> str | None:
        """An admin of another realm agrees that a group of this realm moves there, as the signed `consent`
        says. Returns who has agreed here, if anybody has. Raises NotMovable if it moves elsewhere,
        GroupShut."""
        realm, now = party.realm or "", self._context.now()

        def job(connection: Connection) -> tuple[str | None, list[SystemMessage]]:
            check_open(connection, group)
            move = store.move_of(connection, group.id)
            if move is None or not move.is_open(now):
                move = GroupMove(group.id, realm)
            if not store.rules(connection, group.id, move.offered_by):
                # No admin here proposes it now.
                accepted = move.accepted_by if move.realm == realm else None
                move = GroupMove(group.id, realm, accepted_by=accepted)
            if move.realm != realm:
                why = "another move of it is proposed"
                raise NotMovable(group=group.name, realm=realm, reason=why)
            is_news = move.accepted_by is None and move.offered_by is None
            by = move.offered_by
            accepted_move = GroupMove(
                group.id, realm, by, party.name, consent, new_id, new_name, now
            )
            store.put_move(connection, accepted_move)
            text = (
                f"{party.name} agrees that {group.name} moves to {self._shown(realm)}. "
                f"movegroup {group.name} {self._shown(realm)} agrees, too; "
                f"movegroup {group.name} {NONE} declines."
            )
            return by, self._note(connection, group, text) if is_news else []

        agreed, notes = await self._database.run(job)
        self._tell(notes)
        return agreed

    async def declined(self, party: Party, group: Group) -> None:
        """An admin of another realm does not want a group of this realm to move there any more."""

        def job(connection: Connection) -> None:
            move = store.move_of(connection, group.id)
            if move is not None and move.realm == party.realm:
                store.end_move(connection, move, self._own)

        await self._database.run(job)

    def _note(self, connection: Connection, group: Group, text: str) -> list[SystemMessage]:
        """Write to the admins here of a group."""
        now, admins = self._context.now(), store.admins_here(connection, group.id)
        return [self._notes.store(connection, each, text, now) for each in admins]

    def _tell(self, notes: Sequence[SystemMessage]) -> None:
        for each in notes:
            self._notes.tell(each)

    # In the new realm

    async def _accept(self, account: Account, home: str, name: Address, to: str) -> MoveReceipt:
        group = await self._ruled_there(account, name)
        shown = self._shown(home)
        if key_of(to) != self._own:
            why = f"an admin in {shown}, where it lives, has to propose that"
            raise NotMovable(group=group.name, realm=to, reason=why)
        if not self._context.config.groups.adopt:
            why = "this realm takes no groups of others; its operator may allow it ([groups] adopt)"
            raise NotMovable(group=group.name, realm=to, reason=why)
        if not self._realms.takes_moves(home):
            why = f"{shown} can't hand it over, because its version is too old"
            raise NotMovable(group=group.name, realm=to, reason=why)
        await self._check_room(account, home, name)
        with self._homes.creation(account):
            move = await self._database.run(self._reserve, account, group, home)
            try:
                agreed = await self._consent(account, home, name, group, move)
            except BaseException:
                await self._database.run(self._forget, group.id)
                raise
        if agreed:
            self._realms.begin_move(home)
        return MoveReceipt(group.name, self._context.config.realm, AGREED if agreed else OFFERED)

    async def _ruled_there(self, account: Account, name: Address) -> Group:
        """Raises NotMember, NotAdmin."""
        roster = await self._rosters.find_mine(account, name)
        if not roster.members[account.id]:
            raise NotAdmin(group=roster.group.name)
        return roster.group

    async def _check_room(self, account: Account, home: str, name: Address) -> None:
        """Raises GroupFull, RealmFull if this realm does not take groups with so many members."""
        there = await self._realms.members(home, account.name, name.name)
        limits, peers = self._context.config.limits, self._context.config.peers
        if len(there) > limits.group_members:
            raise GroupFull(group=str(name), limit=limits.group_members)
        counts: dict[str, int] = {}
        for each in there:
            realm = key_of(each.username).partition("@")[2] or home
            counts[realm] = counts.get(realm, 0) + 1
        for realm, count in counts.items():
            if realm != self._own and count > peers.group_members:
                limit = peers.group_members
                raise RealmFull(group=str(name), limit=limit, realm=self._shown(realm))

    def _reserve(
        self, connection: Connection, account: Account, group: Group, home: str
    ) -> GroupMove:
        """Note that somebody here agrees, and keep a name for the group. Runs in the writer's thread. Raises
        NotMovable."""
        now = self._context.now()
        move = store.move_of(connection, group.id)
        if move is not None and (move.realm != home or not move.is_open(now)):
            store.end_move(connection, move, self._own)
            move = None
        if move is not None and move.steps is not None:
            # The home may have closed it without consent, under any name.
            why = "it has left its former home"
            raise NotMovable(group=group.name, realm=self._shown(home), reason=why)
        move = move or GroupMove(group.id, home)
        name = move.new_name or self._free_name(connection, group)
        move = msgspec.structs.replace(
            move, accepted_by=account.name, new_id=group.id, new_name=name, at=now
        )
        store.put_move(connection, move)
        return move

    def _free_name(self, connection: Connection, group: Group) -> str:
        """A name for a group that comes here: the one that it had here, or that it has, or one like it."""
        wanted = group.name.partition("@")[0]
        for each in group.former:
            if each.realm == self._own and not names.has_group(connection, each.name):
                return each.name
        for each_name in self._homes.names_like(wanted):
            if names.taken(connection, each_name) is None:
                names.take(connection, each_name, "group")
                return each_name
        why = "its name is taken there"
        raise NotMovable(group=group.name, realm=self._context.config.realm, reason=why)

    def _forget(self, connection: Connection, conversation: int) -> None:
        move = store.move_of(connection, conversation)
        if move is not None and move.steps is None:
            store.end_move(connection, move, self._own)

    async def _consent(
        self, account: Account, home: str, name: Address, group: Group, move: GroupMove
    ) -> bool:
        """Tell the home that somebody here agrees, and return whether the home does."""
        address = Address(move.new_name or "", self._context.config.realm)
        party = party_of(account)
        fields: dict[str, str | bool | None] = {"home": str(address), "home_id": str(group.id)}
        fact = MadeFact(GroupFact(fields), party, self._context.now())

        def sign(connection: Connection) -> bytes:
            [entry] = self._forwarder.sign_facts(connection, home, group.home_id or 0, [fact])
            known = store.move_of(connection, group.id) or move
            store.put_move(connection, msgspec.structs.replace(known, consent=entry))
            return entry

        entry = await self._database.run(sign)
        answer = await self._realms.change(home, account.name, name.name, "move", (), [entry])
        if not answer.get("agreed"):
            return False

        def agreed(connection: Connection) -> None:
            known = store.move_of(connection, group.id) or move
            if known.offered_by is None:
                by = next(iter(answer["agreed"]))
                store.put_move(connection, msgspec.structs.replace(known, offered_by=by))

        await self._database.run(agreed)
        return True

    async def _decline(self, account: Account, home: str, name: Address) -> MoveReceipt:
        group = await self._ruled_there(account, name)
        move = await self._database.read(store.move_of, group.id)
        if move is not None and move.steps is not None:
            why = "it has left its former home"
            raise NotMovable(group=group.name, realm=self._shown(home), reason=why)
        is_open = move is not None and move.is_open(self._context.now())
        if move is None or not is_open or not (move.offered_by or move.accepted_by):
            raise NoGroupMove(group=group.name)
        await self._realms.change(home, account.name, name.name, "stay", (), ())
        await self._database.run(self._forget, group.id)
        return MoveReceipt(group.name, self._context.config.realm, ENDED)

    async def offered(self, group: Group, by: str, on: bool) -> None:
        """The home of a group offers it to this realm, or does not any more."""
        home, now, own = group.realm or "", self._context.now(), self._context.config.realm

        def job(connection: Connection) -> tuple[bool, list[SystemMessage]]:
            move = store.move_of(connection, group.id)
            if move is not None and (move.realm != home or not move.is_open(now)):
                store.end_move(connection, move, self._own)
                move = None
            if move is not None and move.steps is not None:
                return True, []
            if not on:
                if move is not None:
                    store.put_move(connection, msgspec.structs.replace(move, offered_by=None))
                return False, []
            was_told = move is not None and now - move.at < QUIET
            move = move or GroupMove(group.id, home)
            store.put_move(connection, msgspec.structs.replace(move, offered_by=by, at=now))
            if move.accepted_by is not None:
                return True, []
            text = (
                f"{by} wants {group.name} to move to {own}. movegroup {group.name} {own} agrees; "
                f"movegroup {group.name} {NONE} declines."
            )
            return False, [] if was_told else self._note(connection, group, text)

        agreed, notes = await self._database.run(job)
        self._tell(notes)
        if agreed:
            self._realms.begin_move(home)
