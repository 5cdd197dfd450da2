"""Sends messages on whose recipients have moved, as their old realm answers: each once, and in order.

A message that the old realm has not taken gets a new parcel for the new realm (chatd.federation.sending_on).
Those that the old realm has taken are not answered so.

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
from chatd.federation.sending_on import Readdressable, WaitingDirect, send_on
from chatd.service.chat_service import ChatService
from chatd.service.move_follower import Followed
from chatd.service.remote import ResentParcel
from chatd.store import account_moves, resending
from chatd.store import outbox as outbox_store
from chatd.store.account_moves import OVER, WAITS, Move
from chatd.store.following import refuses, stays

MAX_HELD = 10_000  # parcels that wait for the key of a new realm
UNSENT = "messages were not sent on"


class Resent(msgspec.Struct, frozen=True):
    """A parcel to the new realm, if that is another, and what has followed."""

    followed: Followed
    sent: ResentParcel | None = None


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
        if done.sent is not None:
            sent = done.sent
            self._links.post(sent.realm, sent.number, sent.parcel, sent.file, sent.entry)
        return None

    def _send_on(
        self, connection: Connection, realm: str, number: int, move: Move
    ) -> Resent | ChatError:
        """Runs in the writer's thread."""
        waiting = outbox_store.get(connection, realm, number)
        if waiting is None:
            return Resent(self._follower.follow_in(connection, move.old.key))
        parcel = parcels.try_decode(waiting.parcel)
        if not isinstance(parcel, Readdressable) or move.old.realm != realm:
            return AccountMoved(name=move.old.name, to=move.new.name)
        if key_of(f"{parcel.to}@{realm}") != move.old.key:
            return PeerFailed(realm=realm)  # it answers with the move of somebody else
        sent = resending.find_sent(connection, number)
        if sent is None or refuses(connection, sent.entry.account_id, move):
            return AccountMoved(name=move.old.name, to=move.new.name)
        if move.new.realm is None and stays(connection, sent.entry.account_id, move.new):
            # The new address would not see it: it is in another conversation of this realm.
            return AccountMoved(name=move.old.name, to=move.new.name)
        found = WaitingDirect(waiting, parcel, sent)
        resent = send_on(connection, self._parcels, move.old, move.new, found)
        return Resent(self._follower.follow_in(connection, move.old.key), resent)

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
