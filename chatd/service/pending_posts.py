"""An account's messages to groups of other realms that have no number yet."""

from __future__ import annotations

from chatd.base.errors import NotPending
from chatd.base.model import Account, Message
from chatd.service.context import Context
from chatd.service.erased_files import ErasedFiles
from chatd.service.remote import IForwarder
from chatd.store import pending as store


class PendingPosts:
    """Lists them, and dismisses those that were refused."""

    def __init__(self, context: Context, forwarder: IForwarder, erased: ErasedFiles) -> None:
        self._database = context.database
        self._forwarder = forwarder
        self._erased = erased

    async def of(self, account: Account, conversation: int | None = None) -> tuple[Message, ...]:
        """Those of a conversation, or all, oldest first."""
        with self._forwarder.watch() as settled:
            found = await self._database.read(store.pending_of, account, conversation)
        return tuple(map(settled.fresh, found))

    async def dismiss(self, account: Account, ident: int) -> None:
        """Remove one that was refused, or that was delivered and did not come back, with its file if no other
        message carries it. Raises NotPending."""
        self._forwarder.flush()
        erased = await self._database.run(store.dismiss, account.id, ident)
        if erased is None:
            raise NotPending(id=ident)
        self._erased.remove(erased)
