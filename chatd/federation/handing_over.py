"""Hands a group of this realm over to the realm that it moves to.

The new home asks for it, again and again if need be. When it has all but the newest entries of the log, this
realm closes the log: its last entry says where the group lives from then on, and in the same transaction the
group becomes a copy here. What else the new home needs is kept, because it may have to ask for it later.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact
from chatd.base.errors import StorageFailed, UnknownGroup
from chatd.base.group_settings import settings_of
from chatd.base.model import Group
from chatd.base.names import Address, key_of
from chatd.federation.forwarder import Forwarder
from chatd.federation.handed_groups import HandedGroup
from chatd.federation.links import ILinks
from chatd.federation.move_steps import fields_of
from chatd.federation.parcel_fields import MAX_NUMBER, MAX_SEQ
from chatd.federation.parcels import encode
from chatd.federation.restores import entry_of
from chatd.service.chat_service import ChatService
from chatd.service.group_log import HOME, StoredFact
from chatd.service.realm_news import GroupHasMoved
from chatd.service.remote import Notice, StagedNotice
from chatd.store import avatars
from chatd.store.group_moves import OtherHome, demote
from chatd.store.groups import group_of
from chatd.store.handovers import (
    banned_in,
    guests_of,
    invited_in,
    keep_package,
    members_of,
    package_of,
)
from chatd.store.held import signed_change
from chatd.store.lineage import PLANNED, HomeStep, planned_steps
from chatd.store.members import member_ids, realms_of
from chatd.store.move_agreements import GroupMove, end_move, is_agreed, move_of
from chatd.store.shut_groups import check_open

MAX_BEHIND = 200  # entries that the new home may lack when the log is closed
SLICE = 50_000  # bytes of a package in one answer


class HandedSlice(NamedTuple):
    """A part of the package of a group, and the size of the whole; 0: the group is not closed yet."""

    data: bytes
    size: int


class _Closed(NamedTuple):
    """A group that was closed: its last entry, and what tells other realms."""

    fact: StoredFact
    staged: list[StagedNotice]
    members: frozenset[int]


class HandingOver:
    def __init__(self, service: ChatService, links: ILinks, forwarder: Forwarder) -> None:
        self._context = service.context
        self._database = service.database
        self._own = service.context.realm_key
        self._rosters = service.rosters
        self._relocation = service.relocation
        self._links = links
        self._forwarder = forwarder

    async def answer(self, realm: str, group_id: int, have: int, start: int) -> HandedSlice:
        """Give the realm a part of the package of a group from the byte `start` on. The group is closed
        first, if the realm has its log up to about the seq `have`. Raises UnknownGroup if the group does not
        move there, NotMovable."""
        if not (0 < group_id <= MAX_NUMBER and 0 <= have <= MAX_SEQ and 0 <= start <= MAX_SEQ):
            raise UnknownGroup(name=group_id)
        asked = group_id, realm, start, SLICE
        found = await self._database.read(package_of, *asked)
        if found is None and await self._close(realm, group_id, have):
            found = await self._database.read(package_of, *asked)
        return HandedSlice(b"", 0) if found is None else HandedSlice(*found)

    async def _close(self, realm: str, ident: int, have: int) -> bool:
        """Close a group. Returns False if the realm lacks too much of its log."""
        # A realm that has no part in a move learns nothing of the group.
        group, _ = await self._database.read(self._agreed, ident, realm)
        roster = await self._rosters.find_home(Address(group.name))
        self._relocation.check_movable(group, realm, tuple(roster.realms))
        shown = self._links.name_of(realm)

        def job(connection: Connection) -> _Closed | None:
            current, move = self._agreed(connection, ident, realm)
            if self._rosters.log.newest(connection, current) - have > MAX_BEHIND:
                return None
            return self._hand_over(connection, current, move, shown)

        closed = await self._rosters.move(group.id, job)
        if closed is None:
            return False
        self._forwarder.relay(closed.fact.place, None)
        self._forwarder.send_notices(closed.staged)
        self._rosters.log.tell_members(closed.fact, closed.members, None)
        await self._rosters.tell_moved(group)
        return True

    def _agreed(self, connection: Connection, ident: int, realm: str) -> tuple[Group, GroupMove]:
        """A group of this realm, and its move to another one. Raises UnknownGroup unless an admin of each of
        the two realms agrees to it, GroupShut."""
        move, group = move_of(connection, ident), group_of(connection, ident)
        if move is None or group is None or group.realm is not None:
            raise UnknownGroup(name=ident)
        is_open = move.is_open(self._context.now())
        if not (is_open and move.realm == realm and move.new_name and is_agreed(connection, move)):
            raise UnknownGroup(name=ident)
        check_open(connection, group)
        return group, move

    def _hand_over(
        self, connection: Connection, group: Group, move: GroupMove, shown: str
    ) -> _Closed:
        """Runs in the writer's thread."""
        members = member_ids(connection, group.id)
        realms, guests = realms_of(connection, group.id), guests_of(connection, group.id)
        to = OtherHome(move.realm, shown, move.new_id or 0, move.new_name or "")
        keep_package(connection, group.id, move.realm, self._package(connection, group, move))
        last = self._rosters.log.newest(connection, group) + 1
        fields = fields_of(to.address, to.home_id, last)
        fact = MadeFact(GroupFact(fields), HOME, self._context.now())
        stored = self._rosters.log.write(connection, group, fact, realms)
        entry = signed_change(connection, group.id, last)
        if entry is None or stored.place.seq != last:
            raise StorageFailed
        left = HomeStep(
            self._own,
            group.id,
            key_of(group.name),
            group.key,
            last,
            PLANNED,
            encode(entry_of(entry)),
            group.code or None,
            guests,
        )
        proofs = (*(each.proof for each in planned_steps(connection, group.id)), left.proof)
        demote(connection, group, to, left)
        end_move(connection, move, self._own, done=True)
        now, news = self._context.now(), GroupHasMoved(proofs)
        notices = [Notice(each, now, news) for each in realms]
        return _Closed(stored, self._forwarder.stage(connection, notices), members)

    def _package(self, connection: Connection, group: Group, move: GroupMove) -> bytes:
        own = self._context.config.realm
        picture = avatars.find(connection, avatars.place_of_group(group.name))
        return encode(
            HandedGroup(
                members_of(connection, group.id, own),
                banned_in(connection, group.id, own),
                invited_in(connection, group, own),
                {**settings_of(group), "closed": group.closed},
                group.code,
                b"" if picture is None else picture.body,
                move.consent or b"",
            )
        )
