"""The sessions that one connection uses: logs them in and out, and finds them by token.

Most connections have one session, their own. Where requests name their sessions, one connection may use
several: there is a `Client` for each.
"""

from __future__ import annotations

from math import inf

import msgspec
from twisted.internet.defer import DeferredLock

from chatd.base.errors import BadToken
from chatd.base.isolation import guarded
from chatd.base.model import Device
from chatd.base.principals import Principal
from chatd.base.tokens import hash_token, is_token
from chatd.commands.client import Client
from chatd.commands.sessions import Session, Sessions
from chatd.service.accounts import Login
from chatd.service.presence import IListener

# Sessions on one connection; beyond that, the oldest is looked up again when needed
MAX_CLIENTS = 1000
NOBODY = 0  # an account id that no account has


class Origin(msgspec.Struct, frozen=True):
    """Where a connection comes from: the source that it counts under (chatd.base.sources), its number for the
    log, its network address, to which other connections from there are matched (chatd.lines.data_claims), and
    the name of the client program or of its dialect.
    """

    source: str
    number: int
    address: str = ""
    client: str = ""

    @property
    def device(self) -> Device:
        """What a session is used with."""
        return Device(self.client, self.address or self.source)


class Traits(msgspec.Struct, frozen=True):
    """What kind of connection it is.

    `shared`: requests may name other sessions than the connection's own, and a login does not end an earlier
    one. `detailed`: replies carry display names, the codes of groups, and when files were sent. `transient`:
    the connection lasts for one request, and does not make its account appear online. `live`: events are
    passed on from the login on. `waits`: replies to sends wait for the outcome at other realms.
    """

    shared: bool = False
    detailed: bool = False
    transient: bool = False
    live: bool = False
    waits: bool = True


ORDINARY = Traits()


class Connection:
    """The sessions of one connection. `own` is the client of requests that name no session.

    `listener` is told events. `actor` is somebody at the control socket, who needs no login.
    """

    actor: Principal | None = None

    def __init__(
        self, sessions: Sessions, listener: IListener, origin: Origin, traits: Traits = ORDINARY
    ) -> None:
        self.service = sessions.service
        self.sessions = sessions
        self.listener = listener
        self.origin = origin
        self.traits = traits
        # It is incremented whenever bytes arrive.
        self.moment = 0
        # Held while a command is searched for tokens; later commands wait for it.
        self.turn = DeferredLock()
        self.gone = False
        # When the client has sent the last line or raw bytes, as the clock counts. A connection for one
        # request is never idle.
        self.heard = inf
        self.own = Client(self)
        # Clients with a session, by the hash of its token, oldest first.
        self._clients: dict[bytes, Client] = {}

    @property
    def in_use(self) -> bool:
        """Whether any session is attached to the connection."""
        return bool(self._clients)

    @property
    def names(self) -> set[str]:
        """The names of the accounts whose sessions are attached."""
        return {each.account.name for each in self._clients.values()}

    def payer(self) -> int:
        """The id of the account whose budget pays for output that waits on the connection, or NOBODY."""
        return next((each.account.id for each in self._clients.values()), NOBODY)

    def attach(self, login: Login) -> None:
        """Make the login's session the connection's own."""
        before = self.own
        if before.session is not None and not self.traits.shared:
            before.leave(clean=True)
        # If the connection was lost while the password was checked, the session stays and can be resumed.
        if not self.gone:
            self.own = self._join(login)

    def _join(self, login: Login) -> Client:
        """The client of the login's session on this connection."""
        client = self._clients.get(login.token_hash)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS:
                oldest = next(each for each in self._clients.values() if each is not self.own)
                oldest.leave(clean=False)
            client = Client(self)
            client.join(login)
            self._clients[login.token_hash] = client
        return client

    def find(self, token: str | None) -> Client | None:
        """The client on this connection whose session has that token."""
        return None if token is None else self._clients.get(hash_token(token))

    def must_look_up(self, token: str | None) -> bool:
        """Whether only the database can tell if there is a live session with that token."""
        if token is None or not is_token(token):
            return False
        client = self.find(token)
        return client is None or client.logged_in.expires_at <= self.service.context.now()

    async def look_up(self, token: str) -> Client | None:
        """Attach the live session with that token to this connection. Returns its client, or None."""
        try:
            login = await self.service.accounts.resume(token)
        except BadToken:
            return None
        if self.gone:
            return None
        client = self._join(login)
        client.logged_in.expires_at = login.expires_at
        return client

    def forget(self, client: Client, session: Session) -> None:
        """`session`, the session of `client`, was detached."""
        self._clients.pop(session.token_hash, None)
        if client is self.own:
            self.own = Client(self)
        # Another session of the same account may still be attached.
        if not any(each.account.id == session.account.id for each in self._clients.values()):
            self.service.presence.leave(session.account.id, self.listener)

    def leave(self, clean: bool) -> None:
        """The connection is lost. Only if it was closed cleanly, delivered messages count as read."""
        self.gone = True
        for client in list(self._clients.values()):
            guarded("a session was not detached", client.leave, clean)

    def extend(self) -> None:
        """Extend the connection's sessions, because it is in use."""
        for client in list(self._clients.values()):
            session = client.session
            if session is not None:
                session.expires_at = self.service.accounts.extend(
                    session.token_hash, session.expires_at
                )
