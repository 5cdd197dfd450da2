"""Bounces: tells senders about messages that another realm has refused or not taken in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection
from twisted.logger import Logger

from chatd.base.errors import (
    ChatError,
    Expired,
    StorageFailed,
    TooManyGroups,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.isolation import guarded
from chatd.base.model import Account, Party
from chatd.base.names import SYSTEM, Address
from chatd.federation import parcels
from chatd.federation.links import ILinks
from chatd.federation.outbox import Outbox
from chatd.federation.parcels import Parcel
from chatd.service.chat_service import ChatService
from chatd.service.targets import Target
from chatd.store import accounts as account_store
from chatd.store import conversations as conversation_store
from chatd.store import outbox as store
from chatd.store.messages import NewMessage, Stored
from chatd.store.outbox import QueuedParcel

MAX_EXPIRED = 500  # parcels in one transaction
MAX_QUOTED = 60  # characters of a message that its sender is shown
UNTOLD = "a sender's connections were not told that a message was not delivered"

log = Logger()


class BounceMessage(msgspec.Struct, frozen=True):
    """A message from the realm itself to one account, and its place."""

    account: Account
    new: NewMessage
    stored: Stored


class Bounces:
    """Removes undeliverable parcels from the outbox, and sends a notice to each sender's inbox."""

    def __init__(self, service: ChatService, links: ILinks, outbox: Outbox) -> None:
        self._context = service.context
        self._database = service.database
        self._homes = service.homes
        self._fan_out = service.messages.fan_out
        self._links = links
        self._outbox = outbox

    async def refuse(self, realm: str, number: int, error: ChatError) -> None:
        """Remove a parcel from the outbox, and tell its sender why it was not delivered."""
        waiting = await self._database.read(store.get, realm, number)
        if waiting is None:
            return
        parcel = parcels.try_decode(waiting.parcel)
        await self._tell([(realm, waiting, parcel, error)])
        await self._put_right(realm, parcel, error)

    async def expire(self, before: int) -> int:
        """As `refuse`, for parcels that were stored before `before` (ms since 1970 UTC). Returns how many
        there were.

        A parcel whose sender can't be told is removed, so that it does not block the others.
        """
        old = await self._database.read(store.too_old, before, MAX_EXPIRED)
        try:
            await self._tell_expired(old)
        except StorageFailed:
            raise
        except Exception:
            log.failure("expired parcels are returned one by one")
            for each in old:
                await self._expire_one(each)
        return len(old)

    async def _tell_expired(self, old: Sequence[tuple[str, QueuedParcel]]) -> None:
        await self._tell(
            [
                (realm, each, parcels.try_decode(each.parcel), Expired(realm=self._name_of(realm)))
                for realm, each in old
            ]
        )

    async def _expire_one(self, old: tuple[str, QueuedParcel]) -> None:
        try:
            await self._tell_expired([old])
        except StorageFailed:
            raise
        except Exception:
            realm, waiting = old
            log.failure(
                "parcel {number} to {realm} is removed, and its sender is not told",
                number=waiting.id,
                realm=realm,
            )
            await self._database.run(store.remove, realm, waiting.id)
            self._outbox.removed(realm, waiting.id)

    async def _tell(
        self, undelivered: Sequence[tuple[str, QueuedParcel, Parcel | None, ChatError]]
    ) -> None:
        now = self._context.now()
        notices = [
            (realm, each.id, each.sender_id, self._sentence(realm, parcel, error))
            for realm, each, parcel, error in undelivered
        ]

        def job(connection: Connection) -> list[BounceMessage]:
            told = []
            for realm, number, sender_id, sentence in notices:
                if store.remove(connection, realm, number) and sender_id is not None:
                    told.append(self._note(connection, sender_id, sentence, now))
            return told

        told = await self._database.run(job)
        for realm, each, _, _ in undelivered:
            self._outbox.removed(realm, each.id)
        for notice in told:
            target = Target(notice.new.conversation, (notice.account.id,), to=notice.account.name)
            guarded(UNTOLD, self._fan_out.tell, notice.stored, notice.new, target, None, None)

    def _note(
        self, connection: Connection, account_id: int, sentence: str, now: int
    ) -> BounceMessage:
        account = account_store.get_accounts(connection, [account_id])[0]
        conversation = conversation_store.open_system(connection, account_id, now)
        new = NewMessage(conversation, None, SYSTEM, now, sentence)
        return BounceMessage(
            account, new, self._context.writers.messages.store(connection, [new])[0]
        )

    def _sentence(self, realm: str, parcel: Parcel | None, error: ChatError) -> str:
        name = self._name_of(realm)
        match parcel:
            case parcels.Direct(to=to):
                whom = f"{to}@{name}"
            case parcels.Post(group=group):
                whom = f"the group {group}@{name}"
            case _:
                return f"{name} was not told: {error}"
        if parcel.file is not None:
            what = f"file {parcel.file.name}"
        elif parcel.text is None:
            what = "message"
        else:
            text = (parcel.text or "").replace("\n", " ")
            what = f'message "{text[:MAX_QUOTED]}{"…" if len(text) > MAX_QUOTED else ""}"'
        sent = datetime.fromtimestamp(parcel.at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"Your {what} of {sent} to {whom} was not delivered: {error}"

    def _name_of(self, realm: str) -> str:
        try:
            return self._links.name_of(realm)
        except UnknownRealm:
            return realm

    async def _put_right(self, realm: str, parcel: Parcel | None, error: ChatError) -> None:
        """Remove from a group of this realm what the other realm does not know: its user, or the group."""
        if not isinstance(error, UnknownUser | UnknownGroup | TooManyGroups):
            return
        match parcel:
            case parcels.Joined(group, group_id, user):
                guest = Address(user, realm)
                party = Party(guest.key, str(guest), realm=realm)
                await self._homes.drop_guest(Address(group), group_id, party)
            case parcels.Relay(group=group, group_id=group_id):
                await self._homes.drop_realm(Address(group), group_id, realm)
            case _:
                return
