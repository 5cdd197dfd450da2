"""What becomes of messages at other realms: keeps refusals with the messages, and tells the senders.

A parcel leaves the outbox in the transaction that keeps its refusal. If the disk is full, it stays there and
the refusal is kept later; if the link or this realm goes down before that, the parcel is sent again, and the
other realm judges it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.errors import (
    ChatError,
    Expired,
    GroupMoved,
    NotRequested,
    NotSupportedThere,
    StorageFailed,
    TooManyGroups,
    TooManyInvitations,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.events import StateChange
from chatd.base.isolation import guarded
from chatd.base.model import DELIVERED, REFUSED, REQUESTED, Party
from chatd.base.names import Address
from chatd.base.timers import Timer
from chatd.federation import parcels
from chatd.federation.bounces import Bounces
from chatd.federation.links import ILinks
from chatd.federation.outbox import Outbox
from chatd.federation.parcels import Parcel
from chatd.service.chat_service import ChatService
from chatd.service.lost_guests import LostGuests
from chatd.service.system_messages import SystemMessage
from chatd.store import change_requests
from chatd.store import outbox as outbox_store
from chatd.store import outcomes as store
from chatd.store import pending as pending_store
from chatd.store.acceptances import Acceptance
from chatd.store.leases import LeaseLost
from chatd.store.outbox import QueuedParcel
from chatd.store.outcomes import SentEntry

MAX_EXPIRED = 500  # parcels in one transaction
MAX_UNKEPT = (
    1000  # refusals that wait for the disk; more are forgotten, and their parcels sent again
)
TRY_AGAIN = 10.0  # seconds until refusals are kept that the disk has not taken
AT_ONCE = 5000  # ms within which a sender can be told by an event alone
# Refusals after which this realm and the other one do not agree about a group
PUT_RIGHT = (UnknownUser, UnknownGroup, TooManyGroups, TooManyInvitations, NotRequested)
# See Outcomes.on_moved
OnMoved: TypeAlias = Callable[[str, int, object], Awaitable[ChatError | None]]
UNTOLD = "a sender's connections were not told the outcome of a message"

log = Logger()


# Called with the key of a realm and a parcel: returns whether it goes to the new home of its group
OnMovedPost: TypeAlias = Callable[[str, Parcel | None], Awaitable[bool]]


class DeliveredParcel(msgspec.Struct, frozen=True):
    """A parcel that was delivered: its number, the account that sent it, and the message if it is known.
    `seq` is what the home of a group has given to the message, or 0."""

    number: int
    sender_id: int
    entry: SentEntry | None = None
    seq: int = 0


class Undelivered(msgspec.Struct, frozen=True):
    """A parcel that will not be delivered, and why. `bounces`: its sender gets a message from `system`."""

    realm: str
    waiting: QueuedParcel
    parcel: Parcel | None
    error: ChatError
    bounces: bool


class Outcomes:
    """Settles the parcels of the outbox that are not simply delivered."""

    def __init__(self, service: ChatService, links: ILinks, outbox: Outbox) -> None:
        self._service = service
        self._context = service.context
        self._database = service.database
        self._versions = service.context.writers.versions
        self._presence = service.presence
        self._lost = LostGuests(service.rosters)
        self._links = links
        self._outbox = outbox
        self._bounces = Bounces(service, links)
        # Refusals that the disk has not taken: (realm, number of the parcel) -> why
        self._unkept: dict[tuple[str, int], ChatError] = {}
        self._keeping = Timer(service.context.clock, self._keep_again)
        self._on_moved: OnMoved
        self._group_moved: OnMovedPost
        self._moving_out = service.moving_out

    def on_moved(self, then: OnMoved) -> None:
        """Call `then` with the key of a realm, the number of a parcel and a proof: its recipient has moved.
        It returns the error for which the message is refused, or None if it goes to the new address."""
        self._on_moved = then

    async def moved(self, realm: str, number: int, proof: object) -> ChatError | None:
        """The recipient of a parcel has moved, as the realm says. Returns as the function of `on_moved`.
        Raises StorageFailed."""
        return await self._on_moved(realm, number, proof)

    def on_group_moved(self, moved: OnMovedPost) -> None:
        """Ask `moved` about parcels that are refused because their group has moved."""
        self._group_moved = moved

    # Delivered

    @property
    def heard(self) -> bool:
        """Whether any sender hears of the delivery of a message."""
        return self._presence.anyone_follows

    def delivered(self, sent: Sequence[DeliveredParcel]) -> None:
        """Tell the senders of these that their messages are delivered."""
        unknown: dict[int, int] = {}
        for each in sent:
            if not self._presence.follows((each.sender_id,)):
                continue
            if each.entry is None:
                unknown[each.number] = each.seq
            else:
                self._tell_delivered(each.entry, each.seq)
        if unknown:
            looking = self._database.read(store.sent_entries, list(unknown))
            looking.addCallback(self._looked_up, unknown)
            in_background(UNTOLD, looking)

    def _looked_up(self, entries: Mapping[int, SentEntry], seqs: Mapping[int, int]) -> None:
        for number, entry in entries.items():
            self._tell_delivered(entry, seqs[number])

    def _tell_delivered(self, entry: SentEntry, numbered: int) -> None:
        """`numbered` is the seq that the home of a group has given to a post. A post of a member comes back,
        and its delivery is told then (ParcelWriter): before that, histories do not have the number."""
        if not (numbered and entry.conversation):
            self._tell(entry, DELIVERED, seq=numbered)

    def _tell(
        self, entry: SentEntry, state: str, error: ChatError | None = None, seq: int = 0
    ) -> None:
        reason, code = (None, None) if error is None else (str(error), error.code)
        event = StateChange(entry.conversation, entry.seq or seq, entry.id, state, reason, code)
        self._presence.tell_followers((entry.account_id,), event, None)

    async def requested(self, realm: str, number: int, waits: bool) -> bool:
        """A message to that realm waits until its recipient accepts it: keep that, and tell its sender,
        unless that `waits` for the reply. Returns False if it was accepted meanwhile.

        Raises StorageFailed.
        """
        noting = self._database.run(store.note_requested, self._versions, realm, number)
        entry: SentEntry | None = await noting
        if entry is not None and not waits:
            self._tell(entry, REQUESTED)
        return entry is not None

    async def accepted(self, realm: str, acceptance: Acceptance) -> None:
        """A person of that realm has accepted a message request: it is delivered. Raises StorageFailed."""
        noting = self._database.run(store.note_accepted, self._versions, realm, acceptance)
        entry: SentEntry | None = await noting
        if entry is not None:
            self._tell(entry, DELIVERED)

    def numbered(self, number: int, seq: int) -> None:
        """The home of a group has given `seq` to the message of that parcel."""
        finishing = self._database.batch(pending_store.finish, (number, seq))
        in_background("a message stays pending", finishing)

    # Refused

    async def refuse(
        self,
        realm: str,
        number: int,
        error: ChatError,
        *,
        waits: bool = False,
        fresh: bool = False,
    ) -> bool:
        """Remove a parcel from the outbox, keep with its message why it was not delivered, and tell its
        sender. Returns whether that is done.

        `waits`: the sender is told by the reply. `fresh`: the message was sent over this link, so that an
        event can tell the sender at once. Otherwise, and for changes, there is a message from `system` too.
        """
        waiting = await self._database.read(outbox_store.get, realm, number)
        if waiting is None:
            return False
        parcel = parcels.try_decode(waiting.parcel)
        if isinstance(error, GroupMoved) and await self._group_moved(realm, parcel):
            return False  # it waits until it can go to the new home
        is_message = isinstance(parcel, parcels.Direct | parcels.Post)
        at_once = fresh and is_message and self._is_told_at_once(waiting)
        bounces = not waits and not at_once
        try:
            await self._settle(
                [Undelivered(realm, waiting, parcel, error, bounces)], self._outbox.check(realm)
            )
        except StorageFailed:
            self._keep_later(realm, number, error)
            return False
        except LeaseLost:
            return False  # another node sends it now
        await self._put_right(realm, parcel, error)
        if isinstance(error, NotSupportedThere) and isinstance(parcel, parcels.Left):
            await self._left_behind(realm, parcel)
        return True

    def _is_told_at_once(self, waiting: QueuedParcel) -> bool:
        sender, age = waiting.sender_id, self._context.now() - waiting.created_at
        return sender is not None and age < AT_ONCE and self._presence.follows((sender,))

    def _keep_later(self, realm: str, number: int, error: ChatError) -> None:
        self._unkept.pop((realm, number), None)
        if len(self._unkept) >= MAX_UNKEPT:
            del self._unkept[next(iter(self._unkept))]
        self._unkept[realm, number] = error
        self._keeping.start(TRY_AGAIN)

    def _keep_again(self) -> None:
        unkept, self._unkept = self._unkept, {}
        for (realm, number), error in unkept.items():
            in_background(UNTOLD, self.refuse(realm, number, error))

    def link_down(self, realm: str) -> None:
        """Forget the refusals of a realm that are not kept: it judges the parcels again."""
        for key in [key for key in self._unkept if key[0] == realm]:
            del self._unkept[key]
        if not self._unkept:
            self._keeping.cancel()

    async def expire(self, before: int) -> int:
        """As `refuse`, for parcels that were stored before `before` (ms since 1970 UTC). Returns how many
        there were.

        A parcel whose sender can't be told is removed, so that it does not block the others.
        """
        old = await self._database.read(outbox_store.too_old, before, MAX_EXPIRED)
        try:
            await self._settle([self._expired(*each) for each in old])
        except StorageFailed:
            raise
        except Exception:
            log.failure("expired parcels are returned one by one")
            for realm, waiting in old:
                await self._expire_one(realm, waiting)
        count = len(old) + await self._database.run(pending_store.finish_former)
        for remove in (change_requests.remove_old, pending_store.remove_unreturned):
            count += await self._database.run(remove, before)
        return count

    def _expired(self, realm: str, waiting: QueuedParcel) -> Undelivered:
        parcel = parcels.try_decode(waiting.parcel)
        return Undelivered(realm, waiting, parcel, Expired(realm=self._name_of(realm)), True)

    async def _expire_one(self, realm: str, waiting: QueuedParcel) -> None:
        expired = self._expired(realm, waiting)
        try:
            await self._settle([expired])
        except StorageFailed:
            raise
        except Exception:
            log.failure(
                "parcel {number} to {realm} is removed, and its sender is not told",
                number=waiting.id,
                realm=realm,
            )
            await self._database.run(outbox_store.remove, realm, waiting.id)
            self._outbox.removed(realm, waiting.id, str(expired.error))

    async def _settle(
        self,
        undelivered: Sequence[Undelivered],
        check: Callable[[Connection], None] | None = None,
    ) -> None:
        """Remove parcels from the outbox, and keep why, if `check` allows it in the transaction. Raises
        StorageFailed, and what `check` raises."""
        refusals = [store.refusal_of(each.error) for each in undelivered]
        notes = [
            self._bounces.sentence(each.realm, each.parcel, each.error) for each in undelivered
        ]
        now = self._context.now()

        def job(connection: Connection) -> list[tuple[SentEntry | None, SystemMessage | None]]:
            settled = []
            if check is not None:
                check(connection)
            for each, refusal, note in zip(undelivered, refusals, notes, strict=True):
                number, sender = each.waiting.id, each.waiting.sender_id
                entry = bounce = None
                if outbox_store.remove(connection, each.realm, number) and sender is not None:
                    entry = store.refuse(connection, self._versions, number, refusal)
                    if entry is not None and not entry.seq:
                        pending_store.limit_refused(connection, entry.account_id)
                    if each.bounces:
                        bounce = self._bounces.store(connection, sender, note, now)
                settled.append((entry, bounce))
            return settled

        settled = await self._database.run(job)
        for each, (entry, bounce) in zip(undelivered, settled, strict=True):
            self._outbox.removed(each.realm, each.waiting.id, str(each.error))
            if entry is not None:
                guarded(UNTOLD, self._tell, entry, REFUSED, each.error)
            if bounce is not None:
                guarded(UNTOLD, self._bounces.tell, bounce)

    def _name_of(self, realm: str) -> str:
        try:
            return self._links.name_of(realm)
        except UnknownRealm:
            return realm

    async def _left_behind(self, realm: str, left: parcels.Left) -> None:
        """The home of a group does not let members move: they leave."""
        account = await self._service.accounts.find(left.sender)
        group = f"{left.group}@{self._name_of(realm)}"
        await self._moving_out.left_behind(account.id, group)

    async def _put_right(self, realm: str, parcel: Parcel | None, error: ChatError) -> None:
        """Remove from a group of this realm what the other realm does not know: its user, or the group."""
        if not isinstance(error, PUT_RIGHT):
            return
        match parcel:
            case parcels.Joined(group, group_id, user) | parcels.Invite(group, group_id, user):
                guest = Address(user, realm)
                party = Party(guest.key, str(guest), realm=realm)
                await self._lost.drop_guest(Address(group), group_id, party)
            case parcels.Relay(group=group, group_id=group_id):
                await self._lost.drop_realm(Address(group), group_id, realm)
            case _:
                return
