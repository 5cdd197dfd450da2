"""Who is logged in on a connection, and what becomes of the commands that arrive there.

A `Session` is what a login opens; it outlives its connections, and several may use it at once. A `Client`
is one connection's side of the service: it checks a command's preconditions, once, and calls the service.

Read marks move when the client has proved that it got what it read: by its next command on that connection,
by logging out, or by closing the connection cleanly. A command that was sent along with the inbox itself
proves nothing yet, but is not given the same messages again. Nor does one on another connection of the
session: who comes back on a new one may have lost what was on its way on the old.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import CoroutineType
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd import commands as ask
from chatd.accounts import Login
from chatd.errors import NotLoggedIn
from chatd.files import Download, Upload
from chatd.model import Account, Message, Reply, SessionEnded
from chatd.presence import IListener
from chatd.service import ChatService
from chatd.table import BY_COMMAND
from chatd.throttle import TokenBucket

BURST_SECONDS = 5  # a session may save up that many seconds' worth of commands

log = Logger()


class Session:
    """A login. `number` stands for it in the log, since the token must not."""

    def __init__(self, service: ChatService, login: Login, number: int) -> None:
        rate = service.config.limits.commands_per_second
        self.account: Account = login.account
        self.token_hash = login.token_hash
        self.expires_at = login.expires_at
        self.number = number
        self.bucket = TokenBucket(rate, rate * BURST_SECONDS)
        self.clients: list[Client] = []


class Sessions:
    """The sessions that some connection uses now."""

    def __init__(self, service: ChatService, handlers: Mapping[type[ask.Command], Handler]) -> None:
        self.handlers = handlers
        self._service = service
        self._by_token: dict[bytes, Session] = {}
        self._opened = 0

    def attach(self, login: Login, client: Client) -> Session:
        session = self._by_token.get(login.token_hash)
        if session is None:
            self._opened += 1
            session = Session(self._service, login, self._opened)
            self._by_token[login.token_hash] = session
        session.clients.append(client)
        return session

    def detach(self, session: Session, client: Client) -> None:
        if client in session.clients:
            session.clients.remove(client)
        if not session.clients:
            self._by_token.pop(session.token_hash, None)

    def of_account(self, account: Account) -> list[Session]:
        return [each for each in self._by_token.values() if each.account.id == account.id]


class Receive(msgspec.Struct, frozen=True):
    """Instead of a reply: take the bytes of a file for `upload`, then ask `finish` for the reply."""

    upload: Upload
    finish: Callable[[], Coroutine[Any, Any, Reply]]


class Give(msgspec.Struct, frozen=True):
    """A reply, and the file whose bytes follow it."""

    reply: Reply
    download: Download


class Leave(msgspec.Struct, frozen=True):
    """A reply, after which the connection is to be closed."""

    reply: Reply


Result = Reply | Receive | Give | Leave
Handler = Callable[["Client", Any], Any]


class Client:
    """One connection's side of the service. `source` is its network address and `number` its own, for the
    log; `drained` is called when a paused upload may go on."""

    def __init__(
        self,
        service: ChatService,
        sessions: Sessions,
        listener: IListener,
        source: str,
        number: int,
        drained: Callable[[], None],
    ) -> None:
        self.service = service
        self.session: Session | None = None
        # Counts what arrives on the connection; the protocol moves it on.
        self.moment = 0
        # conversation -> seq: handed out here and not yet proved to have arrived, and the moment of it.
        self.given: dict[int, int] = {}
        self._given_at = 0
        self.sessions = sessions
        self.listener = listener
        self.source = source
        self._number = number
        self._gone = False
        self.drained = drained

    def execute(self, command: ask.Command) -> Any:
        """Carry out `command`: a Result, or a Deferred of one. Raises ChatError, or errs with it."""
        session = self.session
        if session is None:
            if BY_COMMAND[type(command)].login:
                raise NotLoggedIn
        elif self.given and self._given_at != self.moment:
            self.prove()
        result = self.sessions.handlers[type(command)](self, command)
        if type(result) is CoroutineType:
            return Deferred.fromCoroutine(result)
        return result

    def leave(self, clean: bool) -> None:
        """The connection is gone. What was handed out on it counts as read only if it was closed cleanly."""
        self._gone = True
        self._let_go(clean)

    def _let_go(self, clean: bool) -> None:
        if clean:
            self.prove()
        self.detach()

    async def stay(self) -> None:
        """The connection is in use: so is its session, and it lives on."""
        session = self.session
        if session is not None:
            session.expires_at = await self.service.accounts.extend(
                session.token_hash, session.expires_at
            )

    @property
    def account(self) -> Account:
        return self.logged_in.account

    @property
    def logged_in(self) -> Session:
        if self.session is None:
            raise NotLoggedIn
        return self.session

    def attach(self, login: Login) -> None:
        if self.session is not None:
            self._let_go(clean=True)
        if self._gone:
            return  # it ended while the password was checked; the session waits to be resumed
        session = self.session = self.sessions.attach(login, self)
        log.info(
            "session {session} of {account} on connection {connection} from {source}",
            session=session.number,
            account=login.account.name,
            connection=self._number,
            source=self.source,
        )
        self.service.presence.arrive(login.account.id, self.listener)

    def detach(self) -> None:
        session, self.session = self.session, None
        self.given = {}
        if session is not None:
            self.service.rooms.leave(session, self.listener)
            self.service.presence.leave(session.account.id, self.listener)
            self.sessions.detach(session, self)

    def give(self, session: Session, messages: Sequence[Message]) -> None:
        """These are being handed out to `session`, if that is still the one here."""
        if self.session is not session:
            return
        for message in messages:
            conversation = message.conversation
            self.given[conversation] = max(message.seq, self.given.get(conversation, 0))
        self._given_at = self.moment

    def prove(self) -> None:
        """What was handed out on this connection has arrived: move the marks."""
        session = self.session
        marks, self.given = self.given, {}
        if session is None or not marks:
            return
        moving = Deferred.fromCoroutine(self.service.reading.move_marks(session.account, marks))
        moving.addErrback(
            lambda failure: log.failure("read marks were not moved; they stay unread", failure)
        )

    def end_others(self, sessions: list[Session], reason: str) -> None:
        for session in sessions:
            for client in list(session.clients):
                if client is not self:
                    client.detach()
                    client.listener.deliver((SessionEnded(reason),))
