"""The sessions that connections are using at the moment.

A `Session` is what a login opens. It outlives its connections, and several connections may use it at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection

from chatd.base.errors import Banned
from chatd.base.events import SessionEnded
from chatd.base.isolation import drop_failed
from chatd.base.model import Account
from chatd.base.throttle import Budget, TokenBucket
from chatd.commands.values import Command
from chatd.service.accounts import Login
from chatd.service.chat_service import ChatService
from chatd.service.node_caches import NodeTable
from chatd.service.paced_read import PacedRead
from chatd.service.reading import MAX_PAGE
from chatd.store.access_bans import AccessBan
from chatd.store.accounts import get_accounts, stored_sessions

if TYPE_CHECKING:
    from chatd.commands.client import Client, Handler

MIN_UNREAD = 32 << 20  # bytes that an account may at least leave unread on all its connections
# Bytes of a reply for each byte of its texts, at most: an end of a line in plain, or a brace for pychat's
# client, takes six. The rest is for what stands around the texts.
MAX_GROWTH = 7
NEWER = "There are newer sessions; log in again"
ENDED = "This session has ended; log in again"  # while this node did not hear the others
PAGE = 500  # accounts or sessions that are read at a time


class SessionsEnd(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Sessions have ended: all of an account except `kept`, or if `token` is given, only the one with that
    hash."""

    account: int
    reason: str
    token: bytes | None = None
    kept: bytes | None = None


class Session:
    """A login. Logs show its `number`, because they must not show its token."""

    def __init__(self, service: ChatService, login: Login, number: int) -> None:
        self.account: Account = service.accounts.current(login.account)
        self.token_hash = login.token_hash
        self.expires_at = login.expires_at
        self.number = number
        self.bucket = TokenBucket.of(service.config.limits.commands_per_second)
        self.clients: list[Client] = []

    def end(self, reason: str, but: Client | None = None) -> None:
        """Detach all clients except `but`, and tell them why."""
        for client in list(self.clients):
            if client is not but:
                try:
                    client.detach()
                    client.listener.deliver((SessionEnded(reason),))
                except Exception:
                    drop_failed(client.listener)


class Sessions:
    """All sessions in use, and what they share: the command handlers and two memory budgets."""

    def __init__(self, service: ChatService, handlers: Mapping[type[Command], Handler]) -> None:
        self.service = service
        self.handlers = handlers
        self.inline = Budget(0)  # lines that carry files
        self.unread = Budget(0)  # output that waits for slow readers
        self._change_limits()
        service.context.on_config(self._change_limits)
        self._by_token: dict[bytes, Session] = {}
        # Tuples, which are small: most accounts have one session.
        self._by_account: dict[int, tuple[bytes, ...]] = {}
        self._opened = 0
        service.accounts.watch(self)
        service.accounts.on_changed_elsewhere(self._changed_elsewhere)
        service.access_bans.on_account(self._banned_elsewhere)
        context = service.context
        self._is_shared = not context.news.is_alone
        unchecked = "sessions that have ended may still be in use here"
        self._checking = PacedRead(context.news, context.clock, unchecked, self._check_pages)
        self._tell_end = context.news.topic(
            "session ends", SessionsEnd, self._ended_elsewhere, self._check_all
        )
        self._accounts: NodeTable[int, list[Account]] = NodeTable(
            context, "accounts in use", int, self._read_accounts, self._take_accounts
        )

    def _change_limits(self) -> None:
        limits = self.service.config.limits
        self.inline.resize(limits.inline_total)
        # An account may hold the largest reply.
        self.unread.resize(10 * max(MIN_UNREAD, MAX_GROWTH * MAX_PAGE * limits.message))

    def in_use(self, account_id: int) -> frozenset[bytes]:
        """The hashes of the account's tokens that connections are using."""
        return frozenset(self._by_account.get(account_id, ()))

    def ended(self, hashes: Collection[bytes]) -> None:
        """Detach the clients of sessions that were ended to make room for newer ones, and tell them."""
        for token_hash in hashes:
            self.end_one(token_hash, NEWER)

    def end_all(
        self, account: Account, reason: str, but: Client | None = None, kept: bytes | None = None
    ) -> None:
        """Detach the clients of an account, whose sessions have ended in the database, on all nodes, and tell
        them why; except `but`, and those of the session with the token hash `kept`."""
        self._end(SessionsEnd(account.id, reason, kept=kept), but)

    def end_one(self, token_hash: bytes, reason: str, but: Client | None = None) -> None:
        """As `end_all`, for one session."""
        self._end(SessionsEnd(0, reason, token_hash), but)

    def _end(self, end: SessionsEnd, but: Client | None) -> None:
        for session in self._of(end):
            session.end(end.reason, but)
        self._tell_end(end)

    def _of(self, end: SessionsEnd) -> list[Session]:
        hashes = self.in_use(end.account) if end.token is None else (end.token,)
        return [
            self._by_token[each] for each in hashes if each in self._by_token and each != end.kept
        ]

    # What other nodes have changed

    def _ended_elsewhere(self, end: SessionsEnd) -> None:
        self.service.accounts.sessions_ended()
        for session in self._of(end):
            session.end(end.reason)

    @property
    def are_doubted(self) -> bool:
        """Whether this node does not hear all others, which may have ended sessions."""
        return self._is_shared and self.service.context.rechecks.are_due

    async def verify(self, session: Session) -> None:
        """End a session if it is not in the database any more, or if its account is banned, and read again
        what else decides about its commands. Raises StorageFailed."""
        if not await self.service.database.read(stored_sessions, [session.token_hash]):
            session.end(ENDED)
        await self.service.context.rechecks.run()

    def _check_all(self) -> None:
        """End the sessions that are not in the database any more, before long."""
        self.service.accounts.sessions_ended()
        self._checking.wake()

    async def _check_pages(self) -> None:
        hashes = list(self._by_token)
        for start in range(0, len(hashes), PAGE):
            page = hashes[start : start + PAGE]
            stored = await self.service.database.read(stored_sessions, page)
            for each in page:
                if each not in stored and (session := self._by_token.get(each)) is not None:
                    session.end(ENDED)

    def _changed_elsewhere(self, account_id: int | None) -> None:
        if account_id is None:
            return  # the table is told, too
        if account_id in self._by_account:
            self._accounts.renew(account_id)

    def _read_accounts(self, connection: Connection, ids: Sequence[int] | None) -> list[Account]:
        wanted = list(self._by_account) if ids is None else ids  # a copy: this is another thread
        pages = (wanted[start : start + PAGE] for start in range(0, len(wanted), PAGE))
        return [each for page in pages for each in get_accounts(connection, page)]

    def _take_accounts(self, _ids: object, found: Sequence[Account]) -> None:
        for account in found:
            for session in self.of_account(account):
                if session.account != account:
                    self.renew(account)
                    break

    def _banned_elsewhere(self, ban: AccessBan) -> None:
        for session in list(self._by_token.values()):
            if session.account.key == ban.target.key:
                self.refuse(session.account, self.service.access_bans.error(ban))

    def refuse(self, account: Account, error: Banned) -> None:
        """Detach the clients of a banned account here, and tell them why. Their connections are closed unless
        other accounts use them too."""
        for session in self.of_account(account):
            for each in list(session.clients):
                try:
                    each.detach()
                    if each.connection.in_use:
                        each.listener.deliver((SessionEnded(str(error)),))
                    else:
                        each.listener.refuse(error)
                except Exception:
                    drop_failed(each.listener)

    def find(self, token_hash: bytes) -> Session | None:
        """The session whose token has this hash, if a connection uses it."""
        return self._by_token.get(token_hash)

    def attach(self, login: Login, client: Client) -> Session:
        """Add `client` to the clients of the login's session. Returns the session."""
        session = self._by_token.get(login.token_hash)
        if session is None:
            self._opened += 1
            session = Session(self.service, login, self._opened)
            self._by_token[login.token_hash] = session
            account_id = session.account.id
            others = self._by_account.get(account_id, ())
            self._by_account[account_id] = (*others, login.token_hash)
        session.clients.append(client)
        return session

    def detach(self, session: Session, client: Client) -> None:
        """Remove `client` from the session's clients. A session without clients is not in use any more."""
        if client in session.clients:
            session.clients.remove(client)
        if not session.clients:
            self._by_token.pop(session.token_hash, None)
            account_id = session.account.id
            tokens = self._by_account.get(account_id, ())
            others = tuple([each for each in tokens if each != session.token_hash])
            if others:
                self._by_account[account_id] = others
            else:
                self._by_account.pop(account_id, None)

    def last_heard(self, account_id: int) -> float:
        """When a client of the account has sent something last, as the clock counts. Infinite for one without
        sessions in use."""
        tokens = self._by_account.get(account_id)
        if not tokens:
            return inf
        last = -inf
        for token_hash in tokens:
            for client in self._by_token[token_hash].clients:
                heard = client.connection.heard
                if heard > last:
                    last = heard
        return last

    @property
    def attached(self) -> int:
        """The number of sessions in use."""
        return len(self._by_token)

    def of_account(self, account: Account) -> list[Session]:
        """The account's sessions that are in use."""
        return [self._by_token[each] for each in self.in_use(account.id)]

    def renew(self, account: Account) -> None:
        """Give the account's sessions, and the rooms they are in, its changed profile."""
        for session in self.of_account(account):
            session.account = account
            self.service.rooms.renew(session, account)
