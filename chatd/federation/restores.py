"""Sends another realm again what it has lost: what this realm sent, and what its own people wrote.

A realm can't notice itself that its whole state was restored from a backup. Its peers can: it tells less than
they have sent, or there are gaps in its numbers that they can fill. So this is looked at whenever a link
comes up, before anything new is sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from twisted.logger import Logger

from chatd.base.entries import (
    Deletion,
    Edit,
    EntryRef,
    MadeFact,
    MemberFact,
    MessageChange,
    Pin,
    React,
)
from chatd.base.errors import ChatError, RealmDown, RealmQuota, StorageFailed, TooMuchArriving
from chatd.base.model import Party
from chatd.base.names import key_of
from chatd.federation import parcels
from chatd.federation.admissions import encode_admission
from chatd.federation.changes import change_parcel
from chatd.federation.forwarder import Forwarder
from chatd.federation.move_steps import entries_of
from chatd.federation.parcel_fields import FileNote, Number, Seal
from chatd.federation.parcels import (
    Accepted,
    AccountMove,
    Direct,
    DirectChange,
    Joined,
    Luggage,
    Moved,
    Parcel,
    Post,
    Ref,
    Relay,
)
from chatd.federation.seals import Seals
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.proofs import Proof
from chatd.federation.standing import Standing, Standings
from chatd.service.context import Context
from chatd.store import held as held_store
from chatd.store import losses as store
from chatd.store.acceptances import lost_acceptances
from chatd.store.account_moves import moves_for
from chatd.store.avatars import about_group
from chatd.store.groups import group_of
from chatd.store.held import HeldChange, HeldEntry, HeldMessage, HeldPage, HeldSigned
from chatd.store.lineage import moved_with, planned_steps
from chatd.store.losses import Lost, LostJoin, SharedDirect, SharedGroup
from chatd.store.moving_out import luggage_of
from chatd.store.pasts import renumber_pasts

MAX_ITEMS = 100  # in one request
MAX_BYTES = 50_000  # of their parcels; one parcel may be larger
MIRRORS = 100  # groups whose ends are asked for at a time: each counts as a request
MAX_REJOINING = 1000  # members of one group
MAX_MOVED = 10_000  # groups that have moved
MAX_POSTS = 100  # that are sent again in one transaction

# Refusals of what may be sent again after a while
LATER = (RealmQuota.code, TooMuchArriving.code)

log = Logger()

_proofs = msgspec.msgpack.Decoder(Proof)
_data = msgspec.json.Decoder(dict[str, str | bool | None])

# Reads the page of a conversation after a seq
ReadPage = Callable[[int], Awaitable[HeldPage]]


# Tells the realm with that key again how far people have read
TellMarks = Callable[[str], Coroutine[Any, Any, None]]


class Returned(msgspec.Struct, frozen=True, array_like=True):
    """A parcel that is sent again. `theirs`: it is one of the realm that gets it, or an entry for a group
    that lives there. The content of a message may come from a later change of it: then `by` is the number of
    that, the seal is that of the change, and `first` is the seal of the message."""

    number: Number
    parcel: msgspec.Raw
    theirs: bool = False
    by: Number = 0
    first: Seal = b""


class IReturning(Protocol):
    """The link over which it is sent."""

    async def give_back(self, items: Sequence[Returned], upto: int | None = None) -> None:
        """Send parcels again. Returns once they are on disk there. If the realm refuses them because they are
        too much for now, this tries again later. With `upto` these are the last ones, and this realm has
        nothing else with a number up to that."""

    async def rejoin(self, user: str, group: str, entry: bytes, before: bytes | None) -> None:
        """Let a person of this realm be a member of a group there, again, as the signed `entry` says.
        `before` is the proof that they were one, if there is one. Raises what the realm refuses with."""

    async def tails(self, groups: Sequence[int]) -> Mapping[int, int]:
        """The numbers of the last entries which groups of the other realm had when it was last settled."""


class Restores:
    """`name` is that of this realm."""

    def __init__(
        self,
        context: Context,
        standings: Standings,
        seals: Seals,
        forwarder: Forwarder,
        tell_marks: TellMarks,
    ) -> None:
        self._database = context.database
        self._now = context.now
        self._forwarder = forwarder
        self._name = context.config.realm
        self.tell_marks = tell_marks
        self.standings = standings
        self.seals = seals

    def is_needed(self, realm: str, other: Standing | None) -> bool:
        """Whether the realm, which stands with us as `other`, may lack something."""
        if other is None:
            return False
        return not other.is_settled or other.received < self.standings.of(realm).acknowledged

    async def run(self, link: IReturning, realm: str, other: Standing) -> bool:
        """Send what the realm lacks. Returns whether it may have lost what this realm had sent. Raises
        RealmDown, and the errors with which the realm refuses."""
        upto = self.standings.of(realm).acknowledged
        lost = Lost(realm, other.received, upto, () if other.is_settled else other.gaps)
        if other.received < upto or self._is_forgotten(lost):
            await self._database.run(renumber_pasts, realm)
        batch: list[Returned] = []
        size = 0
        async for item in self._all(link, lost, other):
            if batch and (len(batch) >= MAX_ITEMS or size + len(item.parcel) > MAX_BYTES):
                await link.give_back(batch)
                batch, size = [], 0
            batch.append(item)
            size += len(item.parcel)
        if not other.is_settled:
            await self._repost(realm)
        await link.give_back(batch, upto)
        return lost.has_ours

    async def _repost(self, realm: str) -> None:
        """Send the messages to groups of the realm again, and the changes of messages there, that it has
        acknowledged and not sent back. It recognises those that it still has."""
        for send in (self._forwarder.repost, self._forwarder.request_again):
            after: int | None = 0
            while after is not None:
                after = await self._database.run(send, realm, after, MAX_POSTS)

    async def _all(self, link: IReturning, lost: Lost, other: Standing) -> AsyncIterator[Returned]:
        """All that the realm lacks. Moves come first: what follows is in the conversations with the new
        addresses."""
        async for move in self._moves(lost):
            yield move
        async for item in self._items(link, lost, other):
            yield item

    async def _items(
        self, link: IReturning, lost: Lost, other: Standing
    ) -> AsyncIterator[Returned]:
        """All that the realm lacks, each conversation in order. It is told first where groups live now."""
        async for known in self._known_first(lost):
            yield known
        for direct in await self._database.read(store.directs, lost):
            async for entry in self._entries(self._direct_pages(direct, lost)):
                yield self._of_direct(direct, entry)
        for join in await self._database.read(store.lost_joins, lost):
            joined = await self._joined(join)
            if joined is not None:
                number = await self._database.run(self._forwarder.outbox.writer.take)
                sealed = self.seals.add(number, parcels.encode(joined), lost.realm)
                yield Returned(number, msgspec.Raw(sealed), theirs=True)
        homes = await self._database.read(store.homes, lost) if lost.has_ours else ()
        for home in homes:
            async for entry in self._entries(self._group_pages(home, lost)):
                yield Returned(entry.number, _raw(_relay(home, entry)))
        if not other.is_settled:
            async for mirror in self._mirrors(link, lost):
                async for entry in self._entries(self._group_pages(mirror, None)):
                    if isinstance(entry, HeldSigned):
                        yield Returned(0, _raw(Post(entry_of(entry), mirror.name)), theirs=True)

    async def _moves(self, lost: Lost) -> AsyncIterator[Returned]:
        """Moves that the realm may have lost."""
        for stored in await self._database.read(moves_for, lost.realm):
            move = stored.move
            yield Returned(0, _raw(AccountMove(move.proof)), theirs=True)
            if move.old.id is None or move.new.realm != lost.realm:
                continue
            name, to = move.old.name, move.new.name.partition("@")[0]
            for page in await self._database.read(luggage_of, move.old.id):
                yield Returned(0, _raw(Luggage(name, to, page)), theirs=True)

    async def _known_first(self, lost: Lost) -> AsyncIterator[Returned]:
        """What the realm has to know before the rest: where groups live now that have moved, and who has
        accepted a message request."""
        for group in await self._database.read(moved_with, lost.realm, MAX_MOVED):
            steps = await self._database.read(planned_steps, group)
            if not steps:
                continue  # it was rescued, of which the two realms talk at each link
            number = await self._database.run(self._forwarder.outbox.writer.take)
            yield Returned(number, _raw(Moved(entries_of(steps))))
        for each in await self._database.read(lost_acceptances, lost):
            of, people = each.acceptance, (each.user, each.sender)
            yield Returned(of.number, _raw(Accepted(of.request, *people, of.seal)), theirs=True)

    async def _joined(self, join: LostJoin) -> Joined | None:
        """The report of a member, with the proof; None if the entry is not signed."""
        entry = await self._database.read(held_store.signed_change, join.group, join.seq)
        group = await self._database.read(group_of, join.group)
        if entry is None or group is None:
            return None
        user, seq = join.address.partition("@")[0], join.seq - 1
        about = await self._database.read(about_group, group)
        return Joined(group.name, group.id, user, seq, join.first, about, entry_of(entry), join.at)

    def _is_forgotten(self, lost: Lost) -> bool:
        """Whether the realm may not know the newest parcel that it has sent."""
        return _is_within(lost, self.standings.of(lost.realm).received)

    async def _mirrors(self, link: IReturning, lost: Lost) -> AsyncIterator[SharedGroup]:
        """The groups of the realm, each with the seq up to which the realm lacks nothing. Their members whom
        the realm may have forgotten join again, if they may."""
        after = 0
        while True:
            page = await self._database.read(store.mirrors, lost.realm, after, MIRRORS)
            if not page:
                return
            after = page[-1].conversation
            for group in page:
                await self._rejoin(link, lost, group)
            tails = await link.tails([group.ident for group in page])
            for group in page:
                if group.ident in tails:
                    yield msgspec.structs.replace(group, after=tails[group.ident])

    async def _rejoin(self, link: IReturning, lost: Lost, group: SharedGroup) -> None:
        """Raises RealmDown, and StorageFailed if one of the two realms can't store anything."""
        realm, refused = lost.realm, 0
        members = await self._database.read(store.members_here, group.conversation, MAX_REJOINING)
        forgotten = self._is_forgotten(lost)
        for user, number, at, seal in members:
            if not (forgotten if number is None else _is_within(lost, number)):
                continue
            before = None
            if number is not None:
                before = encode_admission(number, group.ident, seal or b"", at or 0)
            party = Party(key_of(user), user)
            joined = MadeFact(MemberFact(party, "joined"), party, self._now())
            [entry] = await self._database.run(
                self._forwarder.sign_facts, realm, group.ident, [joined]
            )
            try:
                await link.rejoin(user, group.name, entry, before)
            except (RealmDown, StorageFailed):
                raise
            except ChatError as error:
                refused += 1
                log.debug(
                    "{user} is not in {group}: {error}", user=user, group=group.name, error=error
                )
        if refused:
            where = f"{group.name}@{realm}"
            log.info("{count} members of {group} may not join again", count=refused, group=where)

    async def _entries(self, read: ReadPage) -> AsyncIterator[HeldEntry]:
        after = 0
        while True:
            page = await read(after)
            for entry in page.entries:
                yield entry
            if not page.upto:
                return
            after = page.upto

    def _direct_pages(self, direct: SharedDirect, lost: Lost) -> ReadPage:
        return lambda after: self._database.read(held_store.direct_page, direct, lost, after)

    def _group_pages(self, group: SharedGroup, lost: Lost | None) -> ReadPage:
        async def read(after: int) -> HeldPage:
            page = await self._database.read(held_store.group_page, group, lost, after)
            if lost is None or not any(isinstance(each, HeldMessage) for each in page.entries):
                return page
            return await self._database.run(self._forwarder.sign_earlier, group, lost, after)

        return read

    # Parcels of directs

    def _of_direct(self, direct: SharedDirect, entry: HeldEntry) -> Returned:
        assert isinstance(entry, HeldMessage | HeldChange)  # noqa: S101 - of a direct
        people = (direct.name, direct.peer) if entry.ours else (direct.peer, direct.name)
        if isinstance(entry, HeldChange):
            return self._returned(entry, self._change(people, entry))
        parcel, by, first = self._message(people, entry), 0, b""
        if entry.changed_by is not None and not entry.ours:
            by, seal = entry.changed_by
            first = parcel.seal
            parcel = msgspec.structs.replace(parcel, seal=seal or b"")
        return self._returned(entry, parcel, by, first)

    def _returned(
        self, entry: HeldMessage | HeldChange, parcel: Parcel, by: int = 0, first: bytes = b""
    ) -> Returned:
        data = parcels.encode(parcel)
        if entry.ours:
            sealed = self.seals.add(entry.number, data, "")  # no realm is in the seals of directs
            return Returned(entry.number, msgspec.Raw(sealed))
        return Returned(entry.number, msgspec.Raw(data), theirs=True, by=by, first=first)

    def _message(self, people: tuple[str, str], held: HeldMessage) -> Direct:
        ours = held.ours
        return Direct(
            *people,
            held.at,
            held.text,
            None if held.file is None else FileNote(*held.file),
            None if held.reply is None else _ref(held.reply, ours),
            None if held.forwarded is None else self._address(held.forwarded),
            tuple(map(self._address, held.mentions)),
            held.media,
            held.body,
            b"" if ours else held.seal or b"",
        )

    def _change(self, people: tuple[str, str], held: HeldChange) -> DirectChange:
        change = _made(held)
        if isinstance(change, Edit):
            change = Edit(change.text, tuple(map(self._address, change.mentions)))
        parcel = change_parcel(people, held.at, _ref(held.target, held.ours), change)
        return parcel if held.ours else msgspec.structs.replace(parcel, seal=held.seal or b"")

    def _address(self, address: str) -> str:
        """An address as it is written here, for any realm."""
        return address if "@" in address else f"{address}@{self._name}"


def _is_within(lost: Lost, number: int) -> bool:
    """Whether a parcel of the realm has a number that it may not know."""
    return any(first <= number <= last for first, last in lost.gaps)


def _made(held: HeldChange) -> MessageChange:
    data = {} if held.data is None else _data.decode(held.data)
    match held.kind:
        case "edited":
            return Edit(held.text or "", held.mentions)
        case "deleted":
            return Deletion()
        case "reaction":
            return React(str(data["emoji"]), bool(data["on"]))
        case _:
            return Pin(bool(data["on"]))


def _ref(entry: EntryRef, ours: bool) -> Ref:
    """The name of an entry in a parcel of this realm, or of the other one."""
    return Ref((entry.realm is None) is ours, entry.number)


# Parcels of groups


def _relay(group: SharedGroup, entry: HeldEntry) -> Parcel:
    """The parcel with which this realm has sent an entry of a group."""
    assert isinstance(entry, HeldSigned)  # noqa: S101 - of a group
    return Relay(entry_of(entry), group.name, group.ident, entry.seq)


def entry_of(held: HeldSigned) -> SignedEntry:
    proof = _proofs.decode(held.proof)
    if not held.salt:
        return SignedEntry(held.statement, proof, b"", b"")
    return SignedEntry(held.statement, proof, held.salt, held.attributes, held.body)


def _raw(parcel: Parcel) -> msgspec.Raw:
    return msgspec.Raw(parcels.encode(parcel))
