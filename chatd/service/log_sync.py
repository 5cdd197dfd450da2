"""Catching up: what a client has missed of the logs of its account's conversations."""

from __future__ import annotations

import msgspec

from chatd.base.model import Account, Message
from chatd.base.replies import SyncedLog
from chatd.service.context import Context
from chatd.service.past_reading import PastWait
from chatd.service.reading import MAX_PAGE
from chatd.service.remote import IForwarder, IRealms
from chatd.store import sync as store
from chatd.store.pasts import Past, past_for
from chatd.store.sync import Cursor, SyncPage


class LogSync:
    """Reads logs for clients that have read them up to a cursor."""

    def __init__(self, context: Context, forwarder: IForwarder, realms: IRealms) -> None:
        self._context = context
        self._realms = realms
        self._database = context.database
        self._parcels = context.writers.parcels
        self._forwarder = forwarder

    async def one(
        self, account: Account, conversation: int, cursor: Cursor, count: int
    ) -> SyncPage:
        """At most `count` entries of a conversation after a cursor, and what has changed without an entry.
        What is still to come of them from another realm is waited for, but not longer than PATIENCE.

        Raises UnknownConversation.
        """
        term = self._parcels.stored_term
        if term is None:
            term = await self._database.run(self._parcels.term)
        limit = min(count, MAX_PAGE)
        wait = PastWait(self._context, self._realms)
        past = await self._database.read(past_for, account.id, conversation)
        while await wait.has_more(past, cursor.after + 1):
            past = await self._database.read(past_for, account.id, conversation)
        with self._forwarder.watch() as settled:
            page = await self._database.read(store.sync, account, conversation, cursor, limit, term)
        return msgspec.structs.replace(
            page,
            entries=[
                settled.fresh(each) if isinstance(each, Message) else each for each in page.entries
            ],
            states=list(map(settled.fresh, page.states)),
            pending=list(map(settled.fresh, page.pending)),
            missing=_missing(past, cursor.after if page.reset is None else page.reset),
        )

    async def all(
        self, account: Account, after: int = 0, count: int = MAX_PAGE
    ) -> tuple[list[SyncedLog], bool]:
        """Where the logs of at most `count` conversations of the account end, from the first one above
        `after`. Also returns whether there are more."""
        return await self._database.read(store.logs, account, after, min(count, MAX_PAGE))


def _missing(past: Past | None, after: int) -> tuple[int, int] | None:
    """What is missing of a log after the seq `after`."""
    if past is None or past.upto <= after:
        return None
    return max(past.after, after), past.upto
