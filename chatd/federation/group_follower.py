"""Follows groups that move from one realm to another.

The parcel `moved` proves that. It comes from the former home, in order with everything else that this has
sent, and from the new one. A copy follows when the new one says so, because only that shows that it has
agreed. If this realm lacks the last entries of the former home by then, it asks for them before it follows,
so that the log here has the same order as elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.errors import BadSignature, ChatError, StorageFailed, UnknownRealm
from chatd.base.model import Group
from chatd.base.names import key_of, parse_foreign_name
from chatd.federation import parcels
from chatd.federation.entry_trust import EntryTrust
from chatd.federation.forwarder import Forwarder
from chatd.federation.group_mover import GroupMover
from chatd.federation.links import ILinks
from chatd.federation.move_steps import MoveStep, check_step, open_steps
from chatd.federation.parcels import GroupMark, Left, Moved, MoveOffer, Parcel, Post, Relay, encode
from chatd.federation.receive import Receiver
from chatd.federation.rerouting import GroupPlace, MovedParcel, WaitingParcel, reroute, waiting_for
from chatd.service.chat_service import ChatService
from chatd.store.group_moves import OtherHome, demote, repoint
from chatd.store.groups import find_mirror, group_of
from chatd.store.lineage import place_named, place_of_home, steps_of
from chatd.store.members import member_ids
from chatd.store.pasts import renumber_past

PAGE = 100  # entries that are asked for at a time

log = Logger()


class Found(NamedTuple):
    """The group that steps are about, and those of them that are news here."""

    group: Group
    news: Sequence[MoveStep]


class GroupFollower:
    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        forwarder: Forwarder,
        trust: EntryTrust,
        mover: GroupMover,
        receiver: Receiver,
    ) -> None:
        self._context = service.context
        self._database = service.database
        self._own = service.context.realm_key
        self._rosters = service.rosters
        self._relocation = service.relocation
        self._links = links
        self._forwarder = forwarder
        self._trust = trust
        self._mover = mover
        self._receiver = receiver

    async def receive(self, realm: str, parcel: Moved | MoveOffer) -> None:
        """Apply a parcel of the realm. Raises BadSignature, BadName, StorageFailed."""
        if isinstance(parcel, Moved):
            await self._moved(realm, parcel)
            return
        parse_foreign_name(parcel.group)
        group = await self._database.read(find_mirror, realm, parcel.group_id)
        if group is not None and group.key:
            by = f"{parse_foreign_name(parcel.by)}@{self._name_of(realm)}" if parcel.by else ""
            await self._relocation.offered(group, by, parcel.on)

    def _name_of(self, realm: str) -> str:
        try:
            return self._links.name_of(realm)
        except UnknownRealm:
            return realm

    # Moved

    async def _moved(self, realm: str, parcel: Moved) -> None:
        steps = open_steps(parcel.steps)
        found = await self._find(steps)
        if found is None:
            return
        for step in found.news:
            await check_step(self._trust, realm, step)
        group, news = found
        if not news:
            await self._send_again(group)
        elif news[-1].to.realm == self._own:
            await self._mover.closed(group, list(news), encode(parcel.steps))
        elif group.realm is None:
            await self._give_up(group, news)
        elif news[-1].to.realm == realm:
            await self._database.read(_check_free, group, news[-1].to)
            await self._catch_up(realm, group, steps)
            await self._follow(group, news)
        # Otherwise the new home says so, too, once it has the group. The former one alone could give its
        # group the address, and its members the messages, of a group that lives there.

    async def _find(self, steps: Sequence[MoveStep]) -> Found | None:
        """The group of these steps. Raises BadSignature if it went elsewhere, as far as is known here."""
        first = steps[0]
        group = await self._database.read(_group_in, first.home, first.home_id, self._own)
        if group is None:
            return None
        former = group.former
        known = [(each.realm, each.home_id) for each in former]
        known.append(
            (self._own, group.id) if group.realm is None else (group.realm, group.home_id or 0)
        )
        told = [(each.home, each.home_id) for each in steps]
        told.append((steps[-1].to.realm, steps[-1].to.home_id))
        shared = min(len(known), len(told))
        if known[:shared] != told[:shared]:
            raise BadSignature(reason="the group has moved to another realm")
        return Found(group, steps[len(former) :])

    async def _catch_up(self, realm: str, group: Group, steps: Sequence[MoveStep]) -> None:
        """Ask `realm` for the last entries of the former homes that are not here. Raises StorageFailed if
        they do not come: then the parcel is sent again."""
        if not await self._database.read(member_ids, group.id):
            return
        homes = [(each.home, each.home_id) for each in steps]
        homes.append((steps[-1].to.realm, steps[-1].to.home_id))
        ident = next((home_id for home, home_id in reversed(homes) if home == realm), None)
        low = await self._database.run(self._rosters.log.newest, group)
        last = steps[-1].last
        if ident is None or low >= last:
            return
        try:
            while low < last:
                high = min(low + PAGE, last)
                relays = await self._between(realm, ident, low, high)
                here = [self._as_here(group, each) for each in relays]
                await self._receive(realm, group, here)
                low = high
        except StorageFailed:
            raise
        except ChatError as error:
            log.info("what {group} lacks does not come: {error}", group=group.name, error=error)
            raise StorageFailed from None

    async def _between(self, realm: str, ident: int, low: int, high: int) -> list[Relay]:
        """The entries after the seq `low` and up to `high`, in order."""
        found: list[Relay] = []
        before = high + 1
        while before > low + 1:
            page = await self._links.past(realm, ident, before, low)
            decoded = (parcels.try_decode(each) for each in page.entries)
            found = [each for each in decoded if isinstance(each, Relay)] + found
            before = page.start
        return found

    def _as_here(self, group: Group, relay: Relay) -> Relay:
        """The entry as the home would have sent it that the group has here."""
        name = group.name.partition("@")[0]
        return msgspec.structs.replace(relay, group=name, group_id=group.home_id or 0)

    async def _receive(self, realm: str, group: Group, relays: Sequence[Relay]) -> None:
        home = group.realm or ""
        batch: list[tuple[int, Parcel | None]] = [(0, each) for each in relays]
        if home == realm:
            await self._receiver.take(home, batch)  # it is its turn already
        else:
            await self._receiver.receive(home, batch)

    async def _follow(self, group: Group, news: Sequence[MoveStep]) -> None:
        """Let the copy of a group live in another realm from now on."""

        def job(connection: Connection) -> list[MovedParcel] | None:
            current = group_of(connection, group.id)
            if current is None or current.former != group.former or current.realm is None:
                return None
            sent: list[MovedParcel] = []
            for step in news:
                left = _place(current)
                name = key_of(left.name)
                to = self._shown(step.to)
                current = repoint(connection, current, to, step.left(name, current.key))
                sent = reroute(
                    connection,
                    self._forwarder.outbox.writer,
                    left,
                    _place(current),
                    self._context.now(),
                )
            return sent

        sent = await self._rosters.move(group.id, job)
        if sent is None:
            return
        for each in sent:
            self._links.post(*each)
        await self._rosters.tell_moved(group)
        self._links.begin_past(news[-1].to.realm)

    def _shown(self, to: OtherHome) -> OtherHome:
        """A home with the name that its realm has here."""
        try:
            return msgspec.structs.replace(to, shown=self._links.name_of(to.realm))
        except UnknownRealm:
            return to

    async def _give_up(self, group: Group, news: Sequence[MoveStep]) -> None:
        """This realm has handed the group over, and has lost that in a restore. It is a copy from now on."""

        def job(connection: Connection) -> bool:
            current = group_of(connection, group.id)
            if current is None or current.realm is not None or current.former != group.former:
                return False
            for step in news:
                name, to = key_of(_place(current, self._own).name), self._shown(step.to)
                left = step.left(name, current.key)
                move = demote if current.realm is None else repoint
                current = move(connection, current, to, left)
            renumber_past(connection, group.id)
            return True

        if await self._rosters.move(group.id, job):
            await self._rosters.tell_moved(group)
            self._links.begin_past(news[-1].to.realm)

    async def _send_again(self, group: Group) -> None:
        """The home of a group tells where it lives, and that is known here. What waits there is sent again,
        because it may have come before the group."""
        if group.realm is None:
            return
        place = _place(group)
        for queued, _ in await self._database.read(_waiting, place):
            self._links.post(place.realm, queued.id, queued.parcel, queued.attachment_id)

    # What was refused by a former home

    async def refused(self, realm: str, parcel: Parcel | None) -> bool:
        """The realm says that the group of a parcel has moved. Returns whether this realm knows that group:
        then the parcel waits, and goes to the new home once the group has followed."""
        if not isinstance(parcel, Post | Left | GroupMark):
            return False
        group = await self._database.read(_group_named, realm, parcel)
        if group is None:
            return False
        for each in group.former:
            if each.realm == realm:
                left = GroupPlace(realm, each.home_id, each.name)
                in_background("posts were not rerouted", self._reroute(group, left))
        return True

    async def _reroute(self, group: Group, left: GroupPlace) -> None:
        """Send on what was stored for the former home of a group that has followed."""
        if group.realm is None:
            await self._mover.adopt(group.id, left)
            return
        if group.realm == left.realm:
            return

        def job(connection: Connection) -> list[MovedParcel]:
            now, writer = self._context.now(), self._forwarder.outbox.writer
            return reroute(connection, writer, left, _place(group), now)

        for each in await self._database.run(job):
            self._links.post(*each)


def _place(group: Group, own: str = "") -> GroupPlace:
    """Where a group lives."""
    if group.realm is None:
        return GroupPlace(own, group.id, group.name)
    return GroupPlace(group.realm, group.home_id or 0, group.name.partition("@")[0])


def _check_free(connection: Connection, group: Group, to: OtherHome) -> None:
    """Raises BadSignature if another group here lives in the new home under the id that this one gets."""
    there = find_mirror(connection, to.realm, to.home_id)
    if there is not None and there.id != group.id:
        raise BadSignature(reason="it would become one with another group")


def _waiting(connection: Connection, place: GroupPlace) -> list[WaitingParcel]:
    return list(waiting_for(connection, place))


def _group_in(connection: Connection, realm: str, ident: int, own: str) -> Group | None:
    """The group that has begun in that realm with that id, and has not ended."""
    place = place_of_home(connection, realm, ident)
    if place is None and realm == own:
        place = ident
    group = None if place is None else group_of(connection, place)
    if group is None or not group.key:
        return None
    steps = steps_of(connection, group.id)
    if steps:
        begun = steps[0].realm, steps[0].home_id
    else:
        begun = (own, group.id) if group.realm is None else (group.realm, group.home_id or 0)
    return group if begun == (realm, ident) else None


def _group_named(
    connection: Connection, realm: str, parcel: Post | Left | GroupMark
) -> Group | None:
    """The group of a parcel for that realm, in which it lives or has lived."""
    if isinstance(parcel, GroupMark):
        place = place_of_home(connection, parcel.home, parcel.group_id)
        return None if place is None else group_of(connection, place)
    place = place_named(connection, realm, key_of(parcel.group))
    return None if place is None else group_of(connection, place)
