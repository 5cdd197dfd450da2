"""Executes commands for one session on one connection, and moves its read marks.

A read mark moves once the client has proved that it received the messages: by its next command with that
session on that connection, by logging out, or by closing the connection cleanly. A command that arrived
together with the request for the inbox proves nothing yet, but gets none of these messages again. A command
on another connection proves nothing either: a client that reconnects may have lost what was still on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.errors import NotLoggedIn, TokenInText
from chatd.base.model import Account
from chatd.base.principals import Principal
from chatd.base.read_marks import ReadMark, join_marks
from chatd.base.replies import Reply
from chatd.base.tokens import candidates, may_hold_token
from chatd.commands.away import ALLOWED
from chatd.commands.results import Result
from chatd.commands.rows import Row
from chatd.commands.table import BY_COMMAND
from chatd.commands.values import Command
from chatd.service.accounts import Login

if TYPE_CHECKING:
    from chatd.commands.connection import Connection
    from chatd.commands.sessions import Session

CANDIDATES_PER_COMMAND = 100  # possible tokens in a text that count as one more command of the rate

log = Logger()


class Client:
    """A session on a connection, or the connection's requests without a session."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.service = connection.service
        self.sessions = connection.sessions
        self.listener = connection.listener
        self.session: Session | None = None
        # conversation -> the mark of what was delivered here and is not acknowledged yet
        self.given: dict[int, ReadMark] = {}
        self._given_at = 0  # the connection's `moment` at that delivery

    def admit(self, row: Row) -> None:
        """Check the preconditions of a command, except its role. Raises NotLoggedIn."""
        if (
            self.session is None
            and row.login
            and (row.role is None or self.connection.actor is None)
        ):
            raise NotLoggedIn

    def execute(self, command: Command) -> Result | Deferred[Result]:
        """Execute `command`. Raises ChatError, or the Deferred fails with one."""
        if self.session is None:
            self.admit(BY_COMMAND[type(command)])
        else:
            if self.service.follower.moved.anyone_away:
                self._check_away(command)
            if self.given and self._given_at != self.connection.moment:
                self.acknowledge()
            sessions = self.sessions
            if may_hold_token(command) or self.connection.turn.locked or sessions.are_doubted:
                return Deferred.fromCoroutine(self._execute_in_turn(command))
        answer = self.sessions.handlers[type(command)](self, command)
        return answer if isinstance(answer, Deferred) else _started(answer)

    def _check_away(self, command: Command) -> None:
        """Raises MovedAway for what an account that has moved may not do."""
        if type(command) not in ALLOWED:
            self.service.follower.moved.check(self.account)

    async def reply_to(self, command: Command) -> Reply:
        """Execute a command whose result is a reply alone. Raises ChatError."""
        result = self.execute(command)
        if isinstance(result, Deferred):
            result = await result
        if not isinstance(result, Reply):
            raise TypeError(f"{type(command).__name__} needs more than a reply")
        return result

    async def _execute_in_turn(self, command: Command) -> Result:
        """Execute `command` after it was searched for tokens, and after all earlier commands have begun. If
        this node does not hear the others, the session is looked up first."""
        turn = self.connection.turn
        await turn.acquire()
        try:
            if self.session is not None and self.sessions.are_doubted:
                await self.sessions.verify(self.session)
            self.admit(BY_COMMAND[type(command)])
            if self.service.follower.moved.anyone_away:
                self._check_away(command)
            if may_hold_token(command):
                await self.refuse_tokens(command)
                self.admit(BY_COMMAND[type(command)])
            result = _started(self.sessions.handlers[type(command)](self, command))
        finally:
            turn.release()
        return await result if isinstance(result, Deferred) else result

    async def refuse_tokens(self, value: str | tuple[Any, ...] | Command) -> None:
        """Raises TokenInText if `value` contains the token of one of the account's sessions.

        A token in a message or a name would be stored and shown to others.
        """
        session = self.session
        if session is None or not (words := candidates(value)):
            return
        # Each candidate takes about a microsecond, so that many of them count as several commands.
        session.bucket.take(self.service.clock.seconds(), len(words) // CANDIDATES_PER_COMMAND)
        if await self.service.accounts.is_token_among(session.account, words):
            raise TokenInText

    def waits(self, asked: bool) -> bool:
        """Whether the reply waits until other realms have accepted or refused what is sent."""
        return asked or self.connection.traits.waits

    @property
    def account(self) -> Account:
        """The account that is logged in. Raises NotLoggedIn."""
        session = self.session  # not `logged_in`, because this is done for each message
        if session is None:
            raise NotLoggedIn
        return session.account

    @property
    def actor(self) -> Principal:
        """Who acts with a role, or without one: the account that is logged in, or somebody at the control
        socket. Raises NotLoggedIn."""
        if self.session is None and self.connection.actor is not None:
            return self.connection.actor
        account = self.account
        return Principal(account.name, account.role, account=account.id)

    @property
    def logged_in(self) -> Session:
        """The session. Raises NotLoggedIn."""
        if self.session is None:
            raise NotLoggedIn
        return self.session

    def check_session(self, session: Session) -> None:
        """Raises NotLoggedIn if the client's session was ended elsewhere. If only the connection is gone, a
        file that is complete is still kept."""
        if self.session is not session and not self.connection.gone:
            raise NotLoggedIn

    @property
    def source(self) -> str:
        """The network address that the requests come from."""
        return self.connection.origin.source

    def join(self, login: Login) -> None:
        """Attach the login's session to this client."""
        session = self.session = self.sessions.attach(login, self)
        connection = self.connection
        self.service.session_list.used(login, connection.origin.device)
        if connection.traits.transient:
            return
        log.info(
            "session {session} of {account} on connection {connection} from {source}",
            session=session.number,
            account=login.account.name,
            connection=connection.origin.number,
            source=connection.origin.source,
        )
        self.service.presence.arrive(login.account.id, self.listener)
        if connection.traits.live:
            self.service.presence.listen(login.account.id, self.listener, True)

    def leave(self, clean: bool) -> None:
        """Detach the session; if `clean`, acknowledge delivered messages first."""
        if clean:
            self.acknowledge()
        self.detach()

    def detach(self) -> None:
        """Detach the session from this client, without acknowledging anything."""
        session, self.session = self.session, None
        self.given = {}
        if session is not None:
            self.service.rooms.leave(session, self.listener)
            self.service.room_watch.watch(self.listener, on=False)
            self.sessions.detach(session, self)
            self.connection.forget(self, session)

    def give(self, session: Session, marks: Mapping[int, ReadMark]) -> None:
        """Note that messages are delivered to `session`, unless another session is attached by now. `marks`
        (by conversation) have what is read with them."""
        if self.session is not session or not marks:
            return
        join_marks(self.given, marks)
        self._given_at = self.connection.moment

    def acknowledge(self) -> None:
        """Move the read marks: the messages that were delivered here have arrived."""
        session = self.session
        marks, self.given = self.given, {}
        if session is None or not marks:
            return
        moving = self.service.reading.move_marks(session.account, marks, self.listener)
        in_background("read marks were not moved; they stay unread", moving)


Answer: TypeAlias = Result | Deferred[Result] | Coroutine[Any, Any, Result]
Handler: TypeAlias = Callable[[Client, Any], Answer]
C = TypeVar("C", bound=Command)
A = TypeVar("A", bound=Answer)


def _started(answer: Answer) -> Result | Deferred[Result]:
    return Deferred.fromCoroutine(answer) if isinstance(answer, Coroutine) else answer


class Handlers(dict[type[Command], Handler]):
    """Handlers by the kind of command that they execute."""

    def of(
        self, command: type[C]
    ) -> Callable[[Callable[[Client, C], A]], Callable[[Client, C], A]]:
        """Decorator: makes a function the handler of `command`."""

        def register(handler: Callable[[Client, C], A]) -> Callable[[Client, C], A]:
            self[command] = handler
            return handler

        return register
