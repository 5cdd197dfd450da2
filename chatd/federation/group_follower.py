"""Follows groups that move from one realm to another.

The parcel `moved` proves that. It comes from the former home, in order with everything else that this has
sent, and from the new one. A copy follows when the new one says so, because only that shows that it has
agreed. If this realm lacks the last entries of the former home by then, it asks for them before it follows,
so that the log here has the same order as elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from chatd.federation.moved_posts import MovedPosts
from chatd.federation.parcels import GroupMark, Left, Moved, MoveOffer, Parcel, Post, Relay, encode
from chatd.federation.receive import Receiver
from chatd.federation.rerouting import GroupPlace, MovedParcel, WaitingParcel, reroute, waiting_for
from chatd.federation.signing.entries import open_entry
from chatd.service.chat_service import ChatService
from chatd.store import names
from chatd.store.group_moves import OtherHome, demote, repoint
from chatd.store.groups import find_mirror, group_at, group_of
from chatd.store.lineage import place_named, place_of_home, planned_steps
from chatd.store.members import member_ids
from chatd.store.parcel_numbers import TERM_BITS
from chatd.store.pasts import expect_entries, renumber_past
from chatd.store.starts import start_before
from chatd.store.terms import end_of_term

PAGE = 100  # entries that are asked for at a time

log = Logger()


class Found(NamedTuple):
    """The group that steps are about, and those of them that are news here."""

    group: Group
    news: Sequence[MoveStep]


class _Followed(NamedTuple):
    """A group that has followed, and the parcels that wait for its new home now."""

    group: Group
    sent: list[MovedParcel]


class GroupFollower:
    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        forwarder: Forwarder,
        trust: EntryTrust,
        mover: GroupMover,
        receiver: Receiver,
        posts: MovedPosts,
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
        self._posts = posts

    def on_forgotten(self, then: Callable[[str], None]) -> None:
        """Call `then` with the new home of a group that this realm had forgotten to have handed over."""
        self._on_forgotten = then

    async def receive(self, realm: str, parcel: Moved | MoveOffer) -> None:
        """Apply a parcel of the realm. Raises BadSignature, BadName, StorageFailed."""
        if isinstance(parcel, Moved):
            await self._moved(realm, parcel)
            return
        parse_foreign_name(parcel.group)
        group = await self._database.read(find_mirror, realm, parcel.group_id)
        if group is not None and group.key:
            shown = self._links.name_of(realm)
            by = f"{parse_foreign_name(parcel.by)}@{shown}" if parcel.by else ""
            await self._relocation.offered(group, by, parcel.on)

    # Moved

    async def _moved(self, realm: str, parcel: Moved) -> None:
        steps = open_steps(parcel.steps)
        found = await self._database.read(_find, steps, self._own)
        if found is None:
            return
        group, news = found
        for step in news:
            await check_step(self._trust, realm, step)
        to = steps[-1].to
        if not news:
            if group.realm == realm:
                await self._send_again(group)
        elif to.realm == self._own:
            if realm == news[-1].home and news[:-1]:
                await self._follow(group, news[:-1])
            await self._mover.closed(group, list(news), encode(parcel.steps))
        elif to.realm == realm:
            for stage in _stages(news, self._own):
                await self._catch_up(group, stage[0].last, to)
                followed = await self._follow(group, stage)
                if followed is None:
                    return
                group = followed
        # Otherwise the new home says so, too, once it has the group. The former one alone could give its
        # group the address, and its members the messages, of a group that lives there.

    async def _catch_up(self, group: Group, last: int, to: OtherHome) -> None:
        """Ask the new home for the entries up to the seq `last` of the home that the group has here. Raises
        StorageFailed if they do not come: then the parcel is sent again."""
        if group.realm is None or not await self._database.read(member_ids, group.id):
            return
        low = await self._database.run(self._rosters.log.newest, group)
        try:
            while low < last:
                high = min(low + PAGE, last)
                relays = await self._between(to, low, high)
                # The batches of the former home may have their turn, and wait for one of the new home.
                here = [(0, _as_here(group, each)) for each in relays]
                await self._receiver.take(group.realm, here)
                low = high
        except StorageFailed:
            raise
        except ChatError as error:
            log.info("what {group} lacks does not come: {error}", group=group.name, error=error)
            raise StorageFailed from None

    async def _between(self, home: OtherHome, low: int, high: int) -> list[Relay]:
        """The entries after the seq `low` and up to `high`, in order, as the new home has them."""
        found: list[Relay] = []
        before = high + 1
        while before > low + 1:
            page = await self._links.past(home.realm, home.home_id, before, low)
            decoded = (parcels.try_decode(each) for each in page.entries)
            found = [each for each in decoded if isinstance(each, Relay)] + found
            before = page.start
        return found

    async def _follow(self, group: Group, news: Sequence[MoveStep]) -> Group | None:
        """Let a group live in another realm from now on, and return it; None if it has moved or ended
        meanwhile. A group of this realm was handed over, and this realm has lost that in a restore. Raises
        BadSignature."""

        def job(connection: Connection) -> _Followed | None:
            current = group_of(connection, group.id)
            if current is None or current.former != group.former:
                return None
            newest = self._rosters.log.newest(connection, current)
            now, writer = self._context.now(), self._forwarder.outbox.writer
            sent: list[MovedParcel] = []
            for step in news:
                _check_free(connection, current, step.to)
                left = _place(current, self._own)
                move = demote if current.realm is None else repoint
                kept = step.left(key_of(left.name), _address_here(connection, current, self._own))
                if current.realm is None:
                    after = _known_upto(connection, current, step, newest)
                    kept = msgspec.structs.replace(kept, after=after)
                current = move(connection, current, self._shown(step.to), kept)
                sent = reroute(connection, writer, left, _place(current), now)
            if group.realm is None:
                renumber_past(connection, group.id)
            else:
                expect_entries(connection, group.id, newest, news[-1].last)
            return _Followed(current, sent)

        followed = await self._rosters.move(group.id, job)
        if followed is None:
            return None
        if group.realm is None:
            log.warn(
                "this realm was restored to before a group moved to {to}: messages that were written in "
                "{group} here since the restore are sent to {to}, changes of members and settings are not",
                group=group.name,
                to=news[-1].to.realm,
            )
        for each in followed.sent:
            self._links.post(*each)
        await self._rosters.tell_moved(group)
        self._links.begin_past(news[-1].to.realm)
        if group.realm is None:
            self._on_forgotten(news[-1].to.realm)
        return followed.group

    def _shown(self, to: OtherHome) -> OtherHome:
        """A home with the name that its realm has here."""
        try:
            return msgspec.structs.replace(to, shown=self._links.name_of(to.realm))
        except UnknownRealm:
            return to

    async def _send_again(self, group: Group) -> None:
        """The home of a group tells where it lives, and that is known here. What waits there is sent again,
        because it may have come before the group."""
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
        read = self._database.read
        if group.realm == realm and isinstance(parcel, Post) and not await read(_is_told, group):
            return False
        for each in group.former:
            if each.realm == realm:
                left = GroupPlace(realm, each.home_id, each.name)
                in_background("posts were not rerouted", self._reroute(group, left))
        return True

    async def _reroute(self, group: Group, left: GroupPlace) -> None:
        """Send on what was stored for the former home of a group that has followed."""
        if group.realm is None:
            await self._posts.adopt_waiting(group.id, left)
            return
        if group.realm == left.realm:
            return

        def job(connection: Connection) -> list[MovedParcel]:
            now, writer = self._context.now(), self._forwarder.outbox.writer
            return reroute(connection, writer, left, _place(group), now)

        for each in await self._database.run(job):
            self._links.post(*each)


def _known_upto(connection: Connection, group: Group, step: MoveStep, newest: int) -> int:
    """The last seq of a group of this realm that its backup can have had, by the number of the `step` which
    this realm has lost. The new home has all up to that. `newest` is the last seq now."""
    number = open_entry(step.entry).statement.number
    term = (start_before(connection, number) or 0) >> TERM_BITS
    return end_of_term(connection, group.id, term, newest)


def _stages(news: Sequence[MoveStep], own: str) -> list[list[MoveStep]]:
    """Steps that are made together. Entries of a home can be read once it is known, so there is one step
    after the other. But a group can't become one of this realm, with the key `own`, in between."""
    stages: list[list[MoveStep]] = [[]]
    for step in news:
        stages[-1].append(step)
        if step.to.realm != own:
            stages.append([])
    return stages[:-1]


def _place(group: Group, own: str = "") -> GroupPlace:
    """Where a group lives."""
    if group.realm is None:
        return GroupPlace(own, group.id, group.name)
    return GroupPlace(group.realm, group.home_id or 0, group.name.partition("@")[0])


def _address_here(connection: Connection, group: Group, own: str) -> str:
    """The key of the address of a group that it leaves. It has had a name in this realm, if this realm has
    lost that the group has lived here. Nothing else gets that name."""
    if group.realm != own:
        return group.key
    name = _place(group).name
    if names.taken(connection, name) is None:
        names.take(connection, name, "group")
    return key_of(name)


def _as_here(group: Group, relay: Relay) -> Relay:
    """The entry as the home would have sent it that the group has here."""
    place = _place(group)
    return msgspec.structs.replace(relay, group=place.name, group_id=place.home_id)


def _check_free(connection: Connection, group: Group, to: OtherHome) -> None:
    """Raises BadSignature if another group here, with members, lives in the new home under the id that this
    one gets."""
    there = find_mirror(connection, to.realm, to.home_id)
    if there is not None and there.id != group.id and member_ids(connection, there.id):
        raise BadSignature(reason="it would become one with another group")


def _is_told(connection: Connection, group: Group) -> bool:
    """Whether the home tells this realm where the group has gone: it has members here, or had some until it
    reads that they have left."""
    if member_ids(connection, group.id):
        return True
    return any(isinstance(each.parcel, Left) for each in waiting_for(connection, _place(group)))


def _waiting(connection: Connection, place: GroupPlace) -> list[WaitingParcel]:
    return list(waiting_for(connection, place))


def _find(connection: Connection, steps: Sequence[MoveStep], own: str) -> Found | None:
    """The group of these steps, and those of them that are news; None if this realm has nothing to do with
    it. Raises BadSignature if it went elsewhere, as far as is known here."""
    homes = [(each.home, each.home_id) for each in steps]
    # People here may have left the group, and have joined it again in a later home.
    groups = (_group_in(connection, *each, own) for each in reversed(homes))
    group = next((each for each in groups if each is not None), None)
    if group is None:
        return None
    known = [(each.realm, each.home_id) for each in planned_steps(connection, group.id)]
    present = _place(group, own)
    known.append((present.realm, present.home_id))
    told = [*homes, (steps[-1].to.realm, steps[-1].to.home_id)]
    for begun in range(len(told)):  # the home from which on the group is known here
        shared = min(len(known), len(told) - begun)
        if known[:shared] == told[begun : begun + shared]:
            return Found(group, steps[begun + len(known) - 1 :])
    raise BadSignature(reason="the group has moved to another realm")


def _group_in(connection: Connection, realm: str, ident: int, own: str) -> Group | None:
    """The group that lives, or has lived, in that realm with that id, and has not ended."""
    group = group_at(connection, realm, ident, own)
    return group if group is not None and group.key else None


def _group_named(
    connection: Connection, realm: str, parcel: Post | Left | GroupMark
) -> Group | None:
    """The group of a parcel for that realm, in which it lives or has lived."""
    if isinstance(parcel, GroupMark):
        place = place_of_home(connection, parcel.home, parcel.group_id)
    else:
        place = place_named(connection, realm, key_of(parcel.group))
    return None if place is None else group_of(connection, place)
