"""Receives everything but messages: changes of messages, read marks, typing, lost files, accepted
requests, and changes of membership."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.errors import ChatError, StorageFailed
from chatd.federation.change_receiver import ChangeReceiver
from chatd.federation.fact_reader import RelayedFact
from chatd.federation.file_losses import FileLosses
from chatd.federation.group_changes import EntryChange, GroupChanges
from chatd.federation.membership import MembershipNews
from chatd.federation.move_receiver import MoveReceiver
from chatd.federation.news import news_of, typing_in
from chatd.federation.parcels import (
    KEPT,
    Accepted,
    DirectChange,
    DirectMark,
    FileLoss,
    GroupMark,
    GroupMoveNews,
    GroupNews,
    Mark,
    MoveParcel,
    Verdict,
)
from chatd.federation.refusals import verdict_of
from chatd.service.realm_news import ReadNews, TypingNews
from chatd.store.acceptances import Acceptance
from chatd.store.parcel_stream import ParcelStream

News: TypeAlias = DirectChange | Mark | GroupNews | GroupMoveNews | FileLoss | Accepted | MoveParcel

# Called with the key of a realm and its news: a read mark, or that a person is writing
OnRead: TypeAlias = Callable[[str, ReadNews], Awaitable[None]]
OnTyping: TypeAlias = Callable[[str, TypingNews], Awaitable[None]]
# Called with the key of a realm and a number: a message request was accepted there
OnAccepted: TypeAlias = Callable[[str, Acceptance], Awaitable[None]]
# Called with the key of a realm and news of a group that moves
OnGroupMoved: TypeAlias = Callable[[str, GroupMoveNews], Awaitable[None]]

log = Logger()


async def ignore(_realm: str, _news: object) -> None:
    """Do nothing with the news."""


class NewsReceiver:
    """Passes news on. Marks and typing that can't be used are forgotten: others follow."""

    def __init__(
        self,
        membership: MembershipNews,
        changes: ChangeReceiver,
        entries: GroupChanges,
        losses: FileLosses,
        moves: MoveReceiver,
        then: tuple[OnRead, OnTyping, OnAccepted] = (ignore, ignore, ignore),
    ) -> None:
        self._membership = membership
        self._changes = changes
        self._entries = entries
        self._losses = losses
        self._moves = moves
        self._on_read, self._on_typing, self._on_accepted = then
        self._on_group: OnGroupMoved = ignore

    def on_group_moved(self, receive: OnGroupMoved) -> None:
        """Call `receive` with the news of groups that move."""
        self._on_group = receive

    async def receive(
        self, realm: str, number: int, parcel: News, stream: ParcelStream
    ) -> Verdict | Deferred[Verdict]:
        """Apply a parcel. A Deferred that it returns fires with the verdict once that is on disk; the parcels
        that follow need not wait for it. Raises what ChangeReceiver and MembershipNews do."""
        if isinstance(parcel, GroupNews):
            await self._membership.receive(realm, number, parcel)
            return KEPT
        if isinstance(parcel, GroupMoveNews):
            await self._on_group(realm, parcel)
            return KEPT
        if isinstance(parcel, FileLoss):
            return Deferred.fromCoroutine(self._losses.receive(realm, parcel))
        if isinstance(parcel, Accepted):
            await self._on_accepted(realm, Acceptance(parcel.number, number, parcel.seal))
            return KEPT
        if isinstance(parcel, MoveParcel):
            return await self._moves.receive(realm, parcel)
        if isinstance(parcel, DirectMark | GroupMark):
            return Deferred.fromCoroutine(self._mark(realm, parcel))
        return self._changes.receive(realm, number, parcel, stream)

    def change(self, realm: str, change: EntryChange, stream: ParcelStream) -> Deferred[Verdict]:
        """Make a change of a message in a group. Fires and raises as GroupChanges.make."""
        return self._entries.make(realm, change, stream)

    async def fact(self, realm: str, fact: RelayedFact) -> Verdict:
        """Store an entry about a group. Raises as MembershipNews.fact."""
        await self._membership.fact(realm, fact)
        return KEPT

    async def _mark(self, realm: str, mark: Mark) -> Verdict:
        """Note how far a person of the realm has read."""
        try:
            await self._on_read(realm, news_of(mark))
        except StorageFailed:
            raise
        except ChatError as error:
            return verdict_of(error)
        return KEPT

    async def typing(self, realm: str, sender: str, to: str) -> None:
        """A person of the realm is writing. Never raises: the other realm wants no answer."""
        try:
            await self._on_typing(realm, typing_in(sender, to))
        except ChatError:
            return
        except Exception:
            log.failure("members were not told that a person of {realm} is writing", realm=realm)
