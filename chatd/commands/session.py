"""Who is logged in on a connection, and what becomes of the commands that arrive there.

A `Session` is what a login opens; it outlives its connections, and several may use it at once. A
`Connection` is one connection's side of the service, and a `Client` one session on one connection: who asks.
Most connections have one, their own; where requests name their sessions, there may be several.

Read marks move when the client has proved that it got what it read: by its next command with that session
on that connection, by logging out, or by closing the connection cleanly. A command that was sent along with
the inbox itself proves nothing yet, but is not given the same messages again. Nor does one on another
connection of the session: who comes back on a new one may have lost what was on its way on the old.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from types import CoroutineType
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from chatd.base.errors import BadToken, NotLoggedIn, TokenInText
from chatd.base.isolation import drop_failed, guarded
from chatd.base.model import Account, Message, Reply, SessionEnded
from chatd.base.throttle import Budget, TokenBucket
from chatd.base.tokens import candidates, hash_token, is_token, may_hold_token
from chatd.commands import values as ask
from chatd.commands.rows import Row
from chatd.commands.table import BY_COMMAND
from chatd.service.accounts import Login
from chatd.service.attachments import Download, Upload
from chatd.service.chat_service import ChatService
from chatd.service.presence import IListener
from chatd.service.reading import MAX_PAGE

MAX_CLIENTS = 1000  # sessions on one connection: with more, the eldest has to be looked up again
MIN_UNREAD = 32 << 20  # bytes that an account may at least leave unread, on all its connections
NOBODY = 0  # stands for an account where nobody is logged in
CANDIDATES_PER_COMMAND = 100  # of what could be a token, for which the rate counts one command

log = Logger()


class Session:
    """A login. `number` stands for it in the log, since the token must not."""

    def __init__(self, service: ChatService, login: Login, number: int) -> None:
        self.account: Account = service.accounts.current(login.account)
        self.token_hash = login.token_hash
        self.expires_at = login.expires_at
        self.number = number
        self.bucket = TokenBucket.of(service.config.limits.commands_per_second)
        self.clients: list[Client] = []


class Sessions:
    """The sessions that some connection uses now."""

    def __init__(self, service: ChatService, handlers: Mapping[type[ask.Command], Handler]) -> None:
        self.handlers = handlers
        self.inline = Budget(service.config.limits.inline_total)  # for lines that carry files
        # What waits for readers who are behind. An account may hold two of the largest replies, in their
        # largest form.
        self.unread = Budget(10 * max(MIN_UNREAD, 4 * MAX_PAGE * service.config.limits.message))
        self._service = service
        self._by_token: dict[bytes, Session] = {}
        self._by_account: dict[int, set[bytes]] = {}
        self._opened = 0
        service.accounts.watch(self)

    def in_use(self, account_id: int) -> frozenset[bytes]:
        """The hashes of the account's tokens that some connection uses."""
        return frozenset(self._by_account.get(account_id, ()))

    def ended(self, hashes: Collection[bytes]) -> None:
        """Tell those who use them that these sessions were ended to make room for newer ones."""
        for token_hash in hashes:
            session = self._by_token.get(token_hash)
            for client in list(session.clients) if session is not None else ():
                client.detach()
                client.listener.deliver((SessionEnded("There are newer sessions; log in again"),))

    def attach(self, login: Login, client: Client) -> Session:
        session = self._by_token.get(login.token_hash)
        if session is None:
            self._opened += 1
            session = Session(self._service, login, self._opened)
            self._by_token[login.token_hash] = session
            self._by_account.setdefault(session.account.id, set()).add(login.token_hash)
        session.clients.append(client)
        return session

    def detach(self, session: Session, client: Client) -> None:
        if client in session.clients:
            session.clients.remove(client)
        if not session.clients:
            self._by_token.pop(session.token_hash, None)
            tokens = self._by_account.get(session.account.id, set())
            tokens.discard(session.token_hash)
            if not tokens:
                self._by_account.pop(session.account.id, None)

    @property
    def attached(self) -> int:
        """How many there are."""
        return len(self._by_token)

    def of_account(self, account: Account) -> list[Session]:
        return [each for each in self._by_token.values() if each.account.id == account.id]

    def renew(self, account: Account) -> None:
        """An account's profile was changed: all its sessions, and the rooms that they are in, know it so."""
        for session in self.of_account(account):
            session.account = account
            self._service.rooms.renew(session, account)


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


class Connection:
    """One connection's side of the service. `source` is its network address and `number` its own, for the
    log.

    `shared`: its requests may name other sessions than its own, and a login does not end an earlier one
    here. `detailed`: replies bring display names, groups' codes and when files were sent. `passing`: it is
    there for one request only, and nobody is online by it.
    """

    def __init__(
        self,
        service: ChatService,
        sessions: Sessions,
        listener: IListener,
        source: str,
        number: int,
        shared: bool = False,
        detailed: bool = False,
        passing: bool = False,
    ) -> None:
        self.service = service
        self.sessions = sessions
        self.listener = listener
        self.source = source
        self.number = number
        self.shared = shared
        self.detailed = detailed
        self.passing = passing
        # Counts what arrives on the connection; the protocol moves it on.
        self.moment = 0
        # Held while it is found out whether there is a token in a command; later ones wait for it.
        self.turn = DeferredLock()
        self.gone = False
        self.own = Client(self)
        # Those with a session, by its token's hash, in the order in which they came.
        self._clients: dict[bytes, Client] = {}

    @property
    def in_use(self) -> bool:
        """Whether somebody is logged in on it."""
        return bool(self._clients)

    def payer(self) -> int:
        """The account that answers for what waits to be read on the connection."""
        return next((each.account.id for each in self._clients.values()), NOBODY)

    def attach(self, login: Login) -> None:
        """Make the login's session the connection's own."""
        before = self.own
        if before.session is not None and not self.shared:
            before.let_go(clean=True)
        if (
            not self.gone
        ):  # else it ended while the password was checked; the session waits to be resumed
            self.own = self._join(login)

    def _join(self, login: Login) -> Client:
        """The client of the login's session here."""
        client = self._clients.get(login.token_hash)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS:
                self._make_room()
            client = Client(self)
            client.join(login)
            self._clients[login.token_hash] = client
        return client

    def _make_room(self) -> None:
        eldest = next(each for each in self._clients.values() if each is not self.own)
        eldest.let_go(clean=False)

    def find(self, token: str | None) -> Client | None:
        """The client here whose session has that token."""
        return None if token is None else self._clients.get(hash_token(token))

    def must_look_up(self, token: str | None) -> bool:
        """Whether only the database knows if there is a live session with that token."""
        if token is None or not is_token(token):
            return False
        client = self.find(token)
        return client is None or client.logged_in.expires_at <= self.service.accounts.now()

    async def look_up(self, token: str) -> Client | None:
        """The client of the live session with that token, from now on here, too."""
        try:
            login = await self.service.accounts.resume(token)
        except BadToken:
            return None
        if self.gone:
            return None  # nobody will read the answer
        client = self._join(login)
        client.logged_in.expires_at = login.expires_at
        return client

    def forget(self, client: Client, session: Session) -> None:
        """The client's session is not here any more."""
        self._clients.pop(session.token_hash, None)
        if client is self.own:
            self.own = Client(self)
        # Another session of the same account may still be here.
        if not any(each.account.id == session.account.id for each in self._clients.values()):
            self.service.presence.leave(session.account.id, self.listener)

    def leave(self, clean: bool) -> None:
        """The connection is gone. What was handed out on it counts as read only if it was closed cleanly."""
        self.gone = True
        for client in list(self._clients.values()):
            guarded("a session was not detached", client.let_go, clean)

    def stay(self) -> None:
        """Extend the connection's sessions, because it is in use."""
        for client in list(self._clients.values()):
            session = client.session
            if session is not None:
                session.expires_at = self.service.accounts.extend(
                    session.token_hash, session.expires_at
                )


class Client:
    """Who asks: a session on a connection, or somebody on a connection who is not logged in."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.service = connection.service
        self.sessions = connection.sessions
        self.listener = connection.listener
        self.session: Session | None = None
        # conversation -> seq: handed out here and not yet proved to have arrived, and the moment of it.
        self.given: dict[int, int] = {}
        self._given_at = 0

    def admit(self, row: Row) -> None:
        """The preconditions of a command. Raises NotLoggedIn."""
        if self.session is None and row.login:
            raise NotLoggedIn

    def execute(self, command: ask.Command) -> Any:
        """Carry out `command`: a Result, or a Deferred of one. Raises ChatError, or errs with it."""
        if self.session is None:
            self.admit(BY_COMMAND[type(command)])
            return self._begin(command)
        if self.given and self._given_at != self.connection.moment:
            self.prove()
        if may_hold_token(command) or self.connection.turn.locked:
            return Deferred.fromCoroutine(self._execute_in_turn(command))
        result = self.sessions.handlers[type(command)](self, command)
        return Deferred.fromCoroutine(result) if type(result) is CoroutineType else result

    def _begin(self, command: ask.Command) -> Any:
        result = self.sessions.handlers[type(command)](self, command)
        if type(result) is CoroutineType:
            return Deferred.fromCoroutine(result)
        return result

    async def _execute_in_turn(self, command: ask.Command) -> Any:
        """As `execute`, once it is known that there is no token in the command, and after all before it have
        begun: what was sent first arrives first."""
        turn = self.connection.turn
        await turn.acquire()
        try:
            self.admit(BY_COMMAND[type(command)])
            if may_hold_token(command):
                await self.refuse_tokens(command)
                self.admit(BY_COMMAND[type(command)])
            result = self._begin(command)
        finally:
            turn.release()
        return await result if isinstance(result, Deferred) else result

    async def refuse_tokens(self, value: Any) -> None:
        """Raises TokenInText if there is the token of one of the account's sessions in `value`, a text or a
        command: it would be stored and shown to others."""
        session = self.session
        if session is None or not (words := candidates(value)):
            return
        # Each takes about a microsecond: much of it counts as several commands.
        session.bucket.take(self.service.clock.seconds(), len(words) // CANDIDATES_PER_COMMAND)
        if await self.service.accounts.is_token_among(session.account, words):
            raise TokenInText

    @property
    def account(self) -> Account:
        return self.logged_in.account

    @property
    def logged_in(self) -> Session:
        if self.session is None:
            raise NotLoggedIn
        return self.session

    @property
    def source(self) -> str:
        """The network address that asks."""
        return self.connection.source

    def attach(self, login: Login) -> None:
        self.connection.attach(login)

    def join(self, login: Login) -> None:
        """Begin to speak for the login's session."""
        session = self.session = self.sessions.attach(login, self)
        connection = self.connection
        if connection.passing:
            return
        log.info(
            "session {session} of {account} on connection {connection} from {source}",
            session=session.number,
            account=login.account.name,
            connection=connection.number,
            source=connection.source,
        )
        self.service.presence.arrive(login.account.id, self.listener)

    def let_go(self, clean: bool) -> None:
        if clean:
            self.prove()
        self.detach()

    def detach(self) -> None:
        """The session speaks here no more."""
        session, self.session = self.session, None
        self.given = {}
        if session is not None:
            self.service.rooms.leave(session, self.listener)
            self.sessions.detach(session, self)
            self.connection.forget(self, session)

    def give(self, session: Session, messages: Sequence[Message]) -> None:
        """These are being handed out to `session`, if that is still the one here."""
        if self.session is not session:
            return
        for message in messages:
            conversation = message.conversation
            self.given[conversation] = max(message.seq, self.given.get(conversation, 0))
        self._given_at = self.connection.moment

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
                    try:
                        client.detach()
                        client.listener.deliver((SessionEnded(reason),))
                    except Exception:
                        drop_failed(client.listener)
