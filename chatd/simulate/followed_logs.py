"""What a client knows of the logs of its conversations: it reads them once, and then hears of new entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec

from chatd.base.errors import ChatError, StorageFailed
from chatd.base.events import (
    AddressChange,
    ConversationChange,
    Deleted,
    Edited,
    Event,
    GroupChange,
    MemberChange,
    Pinned,
    Reaction,
)
from chatd.base.model import Message
from chatd.commands import values as ask
from chatd.commands.client import Client

ENTRIES = (
    Message,
    Edited,
    Deleted,
    Reaction,
    Pinned,
    MemberChange,
    GroupChange,
    AddressChange,
)


class FollowedLog(msgspec.Struct):
    """The numbers of the entries that were read or heard. All that the client may read up to `upto` are among
    them."""

    seqs: set[int] = msgspec.field(default_factory=set)
    upto: int = 0


class FollowedLogs:
    """Those of one client. When a number is missing, `on_gap` is called with the conversation, which has to
    be read again."""

    def __init__(self, on_gap: Callable[[int], object]) -> None:
        self.logs: defaultdict[int, FollowedLog] = defaultdict(FollowedLog)
        self._on_gap = on_gap

    def hear(self, event: Event) -> None:
        """Note an event."""
        if isinstance(event, ConversationChange):
            self._on_gap(event.conversation)
        if not isinstance(event, ENTRIES) or not event.seq or not event.conversation:
            return
        log = self.logs[event.conversation]
        log.seqs.add(event.seq)
        if event.seq == log.upto + 1:
            log.upto = event.seq
        elif event.seq > log.upto:
            self._on_gap(event.conversation)

    async def read_all(self, client: Client) -> None:
        """Read what is new in all conversations, as after a connection was made. Raises ChatError."""
        after, more = 0, True
        while more:
            reply: Any = await client.reply_to(ask.SyncLog(None, after))
            for end in reply.items:
                if end.seq > self.logs[end.conversation].upto:
                    await self.read(client, end.conversation)
            after = max([after, *(end.conversation for end in reply.items)])
            more = reply.data["more"]

    async def read(self, client: Client, conversation: int) -> None:
        """Read what is new in a conversation. Raises StorageFailed."""
        log, after, more = self.logs[conversation], self.logs[conversation].upto, True
        while more:
            try:
                reply: Any = await client.reply_to(ask.SyncLog(conversation, after))
            except StorageFailed:
                raise
            except ChatError:
                return  # the person is no member any more
            seqs = [each.entry.seq for each in reply.items]
            log.seqs.update(seqs)
            after = max([after, *seqs])
            more = reply.data["more"]
        log.upto = max(log.upto, after)
