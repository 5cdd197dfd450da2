"""Receives parcels that are no messages: changes of messages, read marks, and changes of membership."""

from __future__ import annotations

from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.federation.change_receiver import ChangeReceiver
from chatd.federation.membership import MembershipNews
from chatd.federation.parcels import (
    KEPT,
    DirectChange,
    DirectMark,
    GroupMark,
    Joined,
    Left,
    Mark,
    Removed,
    Verdict,
)
from chatd.store.parcel_stream import ParcelStream

News: TypeAlias = DirectChange | Mark | Joined | Removed | Left

log = Logger()


class NewsReceiver:
    """Passes them on."""

    def __init__(self, membership: MembershipNews, changes: ChangeReceiver) -> None:
        self._membership = membership
        self._changes = changes

    async def receive(
        self, realm: str, number: int, parcel: News, stream: ParcelStream
    ) -> Verdict | Deferred[Verdict]:
        """Apply a parcel. A Deferred that it returns fires with the verdict once that is on disk; the parcels
        that follow need not wait for it. Raises what ChangeReceiver and MembershipNews do."""
        if isinstance(parcel, Joined | Removed | Left):
            await self._membership.receive(realm, number, parcel)
            return KEPT
        if isinstance(parcel, DirectMark | GroupMark):
            return KEPT  # nobody is told of marks yet
        return self._changes.receive(realm, number, parcel, stream)

    async def typing(self, realm: str, sender: str, to: str) -> None:
        """A person of the realm is writing: nobody is told yet."""
