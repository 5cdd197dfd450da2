"""Sends messages on whose recipients have moved, as their old realm answers: each once, and in order.

A message that the old realm has not taken gets a new parcel, with a new number, for the new realm, in the
transaction that removes the old one. So it never waits for both. Those that the old realm has taken are not
answered so.

The answers of one realm have their effects one after the other, in the order in which they came. The
transactions may follow each other closely: the writer runs them in the order in which they were begun.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredLock

from chatd.base.background import in_background
from chatd.base.errors import AccountMoved, ChatError, PeerFailed, StorageFailed, UnknownRealm
from chatd.base.names import key_of
from chatd.federation import parcels
from chatd.federation.links import ILinks
from chatd.federation.move_receiver import MoveReceiver
from chatd.federation.parcels import Direct, DirectChange, Ref
from chatd.service.chat_service import ChatService
from chatd.service.move_follower import Followed
from chatd.store import account_moves, resending
from chatd.store import outbox as outbox_store
from chatd.store.account_moves import OVER, WAITS, Move, note_earlier
from chatd.store.following import refuses
from chatd.store.outbox import NewParcel, QueuedParcel
from chatd.store.outcomes import SentEntry
from chatd.store.resending import SentDirect

MAX_HELD = 10_000  # parcels that wait for the key of a new realm
UNSENT = "messages were not sent on"

_Sent: TypeAlias = Direct | DirectChange


class Resent(msgspec.Struct, frozen=True):
    """A parcel to the new realm, if that is another, and what has followed."""

    followed: Followed
    realm: str | None = None
    number: int = 0
    parcel: bytes = b""
    file: int | None = None
    entry: SentEntry | None = None


#: Refuses the parcel with a number to a realm, for a reason.
Refuse: TypeAlias = Callable[[str, int, ChatError], Coroutine[Any, Any, bool]]

#: A transaction that sends a message on, or why it is refused, or None if it waits.
_Begun: TypeAlias = Deferred[Resent | ChatError] | ChatError | None


class MovedMessages:
    """`refuse` is called for messages that have waited for a key and then can't be sent on."""

    def __init__(
        self, service: ChatService, links: ILinks, moves: MoveReceiver, refuse: Refuse
    ) -> None:
        self._database = service.database
        self._parcels = service.context.writers.parcels
        self._follower = service.follower
        self._links = links
        self._moves = moves
        self._refuse = refuse
        # key of a new realm -> the parcels that wait for its key: realm and number, and the proof
        self._held: defaultdict[str, dict[tuple[str, int], bytes]] = defaultdict(dict)
        # The answers of each old realm. A realm that keeps one waiting delays only its own.
        self._turns: dict[str, DeferredLock] = {}

    async def moved(self, realm: str, number: int, proof: object) -> ChatError | None:
        """A realm answers a parcel with the proof that its recipient has moved. Returns the error for which
        the message is refused; None if it is sent to the new address, or is once that is known. Raises
        StorageFailed."""
        async with self._turn(realm):
            sent = await self._answered(realm, number, proof)
        return await self._finish(sent)

    @asynccontextmanager
    async def _turn(self, realm: str) -> AsyncIterator[None]:
        """A context in which no other answer of the realm has its effect. They wait."""
        turn = self._turns.setdefault(realm, DeferredLock())
        try:
            async with turn:
                yield
        finally:
            if not turn.locked:
                self._turns.pop(realm, None)

    async def _answered(self, realm: str, number: int, proof: object) -> _Begun:
        """Begin to send a message on, in its turn. Returns the transaction, or else what `moved` returns.
        Raises StorageFailed."""
        name = self._name_of(realm)
        if not isinstance(proof, bytes):
            return PeerFailed(realm=name)
        try:
            move = await self._moves.take(proof, realm)
            known = await self._database.read(account_moves.find_move, move.old.key)
        except StorageFailed:
            raise
        except ChatError:
            return PeerFailed(realm=name)
        if known is None or known.move.number != move.number or known.state == OVER:
            return PeerFailed(realm=name)  # it is not the newest that is known
        if known.state == WAITS or self._holds(known.move, realm):
            return await self._hold(realm, number, known.move)
        # Not awaited: the turn does not wait for the commit.
        return self._database.run(self._send_on, realm, number, known.move)

    async def _finish(self, begun: _Begun) -> ChatError | None:
        if not isinstance(begun, Deferred):
            return begun
        done = await begun
        if isinstance(done, ChatError):
            return done
        self._follower.followed(done.followed)
        if done.realm is not None:
            self._links.post(done.realm, done.number, done.parcel, done.file, done.entry)
        return None

    def _send_on(
        self, connection: Connection, realm: str, number: int, move: Move
    ) -> Resent | ChatError:
        """Runs in the writer's thread."""
        waiting = outbox_store.get(connection, realm, number)
        if waiting is None:
            return Resent(self._follower.follow_in(connection, move.old.key))
        parcel = parcels.try_decode(waiting.parcel)
        if not isinstance(parcel, _Sent) or move.old.realm != realm:
            return AccountMoved(name=move.old.name, to=move.new.name)
        if key_of(f"{parcel.to}@{realm}") != move.old.key:
            return PeerFailed(realm=realm)  # it answers with the move of somebody else
        sent = resending.find_sent(connection, number)
        if sent is None or refuses(connection, sent.entry.account_id, move):
            return AccountMoved(name=move.old.name, to=move.new.name)
        outbox_store.remove(connection, realm, number)
        resent = self._store(connection, move, waiting, parcel, sent)
        followed = self._follower.follow_in(connection, move.old.key)
        return msgspec.structs.replace(resent, followed=followed)

    def _store(
        self,
        connection: Connection,
        move: Move,
        waiting: QueuedParcel,
        parcel: _Sent,
        sent: SentDirect,
    ) -> Resent:
        entry, new = sent.entry, move.new
        if sent.is_message:
            note_earlier(connection, entry.conversation, entry.seq - 1, move.old)
        if new.realm is None:
            resending.renumber(connection, sent, None)
            return Resent(Followed([], []))
        data = parcels.encode(self._readdressed(connection, parcel, sent, new.name))
        file = waiting.attachment_id
        item = NewParcel(new.realm, data, waiting.created_at, waiting.sender_id, file)
        [number] = self._parcels.store(connection, [item])
        resending.renumber(connection, sent, number)
        told = entry if sent.is_message else None
        return Resent(Followed([], []), new.realm, number, data, file, told)

    def _readdressed(
        self, connection: Connection, parcel: _Sent, sent: SentDirect, to: str
    ) -> _Sent:
        """The parcel for the new address. Other messages that were sent on have new numbers; the new realm
        does not know those from before."""
        name, place = to.partition("@")[0], sent.entry.conversation
        about = sent.reply if isinstance(parcel, Direct) else sent.target
        number = None
        if about is not None and account_moves.address_at(connection, place, about) is None:
            number = resending.number_at(connection, place, about)
        ref = None if number is None else Ref(True, number)
        if isinstance(parcel, Direct):
            return msgspec.structs.replace(parcel, to=name, reply=ref, seal=b"")
        return msgspec.structs.replace(parcel, to=name, target=ref or parcel.target, seal=b"")

    # New realms whose keys are not known

    async def _hold(self, realm: str, number: int, move: Move) -> ChatError | None:
        """Wait for the key of the new realm: it comes with the first link. The parcel stays in the outbox
        meanwhile."""
        there = move.new.realm or ""
        try:
            self._links.name_of(there)
        except UnknownRealm:
            waiting = await self._database.read(outbox_store.get, realm, number)
            account = None if waiting is None else waiting.sender_id
            if account is None:
                return AccountMoved(name=move.old.name, to=move.new.name)
            try:
                await self._links.look_up(there, account)
            except ChatError:
                return AccountMoved(name=move.old.name, to=move.new.name)
        held = self._held[there]
        if len(held) >= MAX_HELD:
            return AccountMoved(name=move.old.name, to=move.new.name)
        held[realm, number] = move.proof
        self._links.wake((there,))
        return None

    def _holds(self, move: Move, realm: str) -> bool:
        """Whether earlier messages still wait for the key that this move has waited for."""
        return any(each == realm for each, _number in self._held.get(move.new.realm or "", ()))

    def verified(self, realm: str) -> None:
        """The keys of that realm are known, and its moves are verified."""
        if realm in self._held:
            in_background(UNSENT, self._send_held(realm))

    async def _send_held(self, there: str) -> None:
        for realm in dict.fromkeys(each for each, _number in self._held[there]):
            await in_background(UNSENT, self._send_held_of(realm, there))

    async def _send_held_of(self, realm: str, there: str) -> None:
        """Send on what an old realm has answered. If that fails, the rest is answered again over the next
        link, so that the order stays."""
        async with self._turn(realm):
            held = self._held[there]
            due = {key: held.pop(key) for key in list(held) if key[0] == realm}
            if not held:
                del self._held[there]
            for (_realm, number), proof in due.items():
                begun = await self._answered(realm, number, proof)
                in_background(UNSENT, self._finish_held(realm, number, begun))

    async def _finish_held(self, realm: str, number: int, begun: _Begun) -> None:
        error = await self._finish(begun)
        if error is not None:
            await self._refuse(realm, number, error)

    def _name_of(self, realm: str) -> str:
        try:
            return self._links.name_of(realm)
        except UnknownRealm:
            return realm
