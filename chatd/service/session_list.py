"""Lists the sessions of an account, with the device that has used each last, and ends single ones."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from chatd.base.background import in_background
from chatd.base.errors import UnknownSession
from chatd.base.model import Account, Device
from chatd.base.replies import SessionInfo
from chatd.base.throttle import Quota
from chatd.service.accounts import Accounts, Login
from chatd.service.context import Context
from chatd.service.node_limits import share_quota
from chatd.store import accounts as store

CHANGES_PER_HOUR = 20  # of the device that a session is used with


class SessionList:
    """The sessions of each account, as the account sees them."""

    def __init__(self, context: Context, accounts: Accounts) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._changes = Quota(CHANGES_PER_HOUR)
        share_quota(self._changes, context.news, context.clock, "device-changes")

    def used(self, login: Login, device: Device) -> None:
        """A connection uses the session of `login`, with this device. It is stored if it is another one than
        before, but not if the session changes devices too often, as with alternating requests over HTTP. This
        does not wait for the database, so that a session can be used while the disk is full."""
        if login.device == device:
            return
        if self._changes.take(login.token_hash.hex(), self._context.clock.seconds()):
            return
        now = self._context.now()
        noting = self._database.run(store.note_device, login.token_hash, device, now)
        in_background("the use of a session was not noted", noting)

    async def all(
        self, account: Account, current: bytes, in_use: Collection[bytes]
    ) -> tuple[SessionInfo, ...]:
        """The account's sessions, the one used last first. `current` is the hash of the token of the session
        that asks, and `in_use` has those that connections use."""
        # In the order of the jobs, so that the device of a login just before is in the list.
        found = await self._database.run(store.sessions_of, account.id, self._context.now())
        return tuple(
            msgspec.structs.replace(
                info, online=token_hash in in_use, current=token_hash == current
            )
            for token_hash, info in found
        )

    async def revoke(self, account: Account, session: int) -> bytes:
        """End one of the account's sessions. Returns the hash of its token; the caller tells its clients.
        Raises UnknownSession."""
        found = await self._database.read(store.sessions_of, account.id, self._context.now())
        for token_hash, info in found:
            if info.session == session:
                await self._accounts.end_session(token_hash)
                return token_hash
        raise UnknownSession(session=session)
