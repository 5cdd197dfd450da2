"""The sessions that connections are using at the moment.

A `Session` is what a login opens. It outlives its connections, and several connections may use it at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf
from typing import TYPE_CHECKING

from chatd.base.events import SessionEnded
from chatd.base.isolation import drop_failed
from chatd.base.model import Account
from chatd.base.throttle import Budget, TokenBucket
from chatd.commands.values import Command
from chatd.service.accounts import Login
from chatd.service.chat_service import ChatService
from chatd.service.reading import MAX_PAGE

if TYPE_CHECKING:
    from chatd.commands.client import Client, Handler

MIN_UNREAD = 32 << 20  # bytes that an account may at least leave unread on all its connections
# Bytes of a reply for each byte of its texts, at most: an end of a line in plain, or a brace for pychat's
# client, takes six. The rest is for what stands around the texts.
MAX_GROWTH = 7


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
            if (session := self._by_token.get(token_hash)) is not None:
                session.end("There are newer sessions; log in again")

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
