"""One realm put together, but for its doors: state, database, threads, service, the way to other realms."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from chatd.app.demo_realms import add_demo_accounts
from chatd.app.marker import MarkKeeper
from chatd.app.state import StartError, StateFolder
from chatd.base.clocks import Wall, date_of
from chatd.base.config import Config
from chatd.base.counters import Counters
from chatd.base.names import key_of
from chatd.commands.handlers import HANDLERS
from chatd.commands.sessions import Sessions
from chatd.federation.amp.dialer import Endpoint
from chatd.federation.amp.endpoint import TLSEndpoint
from chatd.federation.amp.identity import Identity, IdentityError, load_identity, read_policy
from chatd.federation.amp.link_manager import Directory
from chatd.federation.amp.trust import Policy
from chatd.federation.federation import Federation
from chatd.federation.forwarder import Forwarder
from chatd.files.folder import Uploads
from chatd.service.chat_service import ChatService
from chatd.service.context import Context
from chatd.service.operators import CodeFile
from chatd.service.passwords import Passwords
from chatd.service.quotas import DAY
from chatd.store.database import Database
from chatd.store.files import all_stored
from chatd.store.identity import quick_check
from chatd.store.operators import has_had_operator
from chatd.store.outbox import setting
from chatd.store.peers import all_peers
from chatd.store.usage import used_on

log = Logger()


class Realm:
    """Call `open`, then `start`, and in the end `close`.

    `clock` has the timers and measures durations; `wall` tells the date; `reactor` has the network and runs
    the callbacks of threads. `door`, if given, replaces TLS.
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        random_bytes: Callable[[int], bytes],
        clock: Any = None,
        door: Endpoint | None = None,
        demo: bool = False,
        wall: Wall = time.time,
        accept_loss: bool = False,
    ) -> None:
        self._accept_loss = accept_loss
        self.config = config
        self.random_bytes = random_bytes
        self.clock = clock or reactor
        self.wall = wall
        self._reactor = reactor
        self._door = door
        self._demo = demo
        self.state = StateFolder(config.state)
        self.service: ChatService
        self.operator_code: str | None = (
            None  # what makes the first operator, if there was none yet
        )

    def open(self) -> None:
        """Claim the state, bring it into order, and make the service. Raises StartError."""
        try:
            self._open()
        except (OSError, DBAPIError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise StartError(
                f"[realm] state is {self.config.state} and can't be used: {reason}; "
                "expected a folder that chatd may write to, with room in it"
            ) from None

    def _open(self) -> None:
        self.state.claim()
        config = self.config
        self.engine = engine = self.state.open_database(
            config.database_url, self._accept_loss, self.random_bytes
        )
        self.gate = self._door or self._tls()
        self.passwords = Passwords(self._reactor, config.accounts.argon2)
        counters = Counters()
        self.uploads = Uploads(self._reactor, self.state.uploads, counters, self.wall)
        self.uploads.start()
        with engine.begin() as connection:
            unclaimed = self._clean_uploads(connection)
            secret = setting(connection, "secret", self.random_bytes(32).hex())
            known = all_peers(connection)
            today = int(self.wall() * 1000) // DAY
            used = used_on(connection, today)
        if unclaimed:
            log.warn("{count} files that no message carries are now in unclaimed/", count=unclaimed)
        if self._demo:
            add_demo_accounts(engine, self.passwords)
        with engine.begin() as connection:
            claimed = has_had_operator(connection)
        self.passwords.start()
        self.database = Database(engine, self._reactor, counters)
        self.directory = Directory(config, self.clock, self.gate, self.uploads, self.random_bytes)
        context = Context(config, self.clock, self.wall, self.database, self.random_bytes, counters)
        forwarder = Forwarder(context, self.directory, bytes.fromhex(secret))
        self.service = ChatService(context, self.passwords, self.uploads, self.directory, forwarder)
        self.federation = Federation(self.service, forwarder, self.directory)
        self.service.quotas.load(today, used)
        self._offer_code(claimed)
        self.sessions = Sessions(self.service, HANDLERS)
        self.directory.attach(self.service, self.federation)
        self.directory.load(known)
        self.database.start()
        self._watch_database()
        self.service.disk.start()

    def _clean_uploads(self, connection: Connection) -> int:
        """Set aside the files that no message carries. Returns their number. After an accepted loss none is
        set aside, because files that the database does not know may be all that is left of their messages."""
        marker = self.state.marker
        if marker is not None and marker.lossy:
            return 0
        return self.uploads.clean(all_stored(connection))

    def _watch_database(self) -> None:
        """Keep the marker up to date, and check the database after an unclean end."""
        state, database = self.state, self.database
        assert state.marker is not None  # noqa: S101 - made when it was opened
        self.keeper = MarkKeeper(
            state.path,
            state.marker,
            state.database_file,
            database,
            self.clock,
            self.uploads.in_thread,
        )
        database.on_settled(self.keeper.settled)
        if state.unchecked:
            checking = database.read(quick_check)
            checking.addCallbacks(self._checked, lambda _failure: None)

    def _checked(self, problems: Sequence[str]) -> None:
        if problems:
            self.database.found_damage("; ".join(problems))

    def _identify(self) -> tuple[Identity, Policy]:
        """The realm's identity and whom it trusts. Raises IdentityError."""
        peers = self.config.peers
        identity = load_identity(self.config.realm, self.state.path, peers, date_of(self.wall))
        return identity, read_policy(key_of(self.config.realm), peers)

    def reload(self) -> None:
        """Read the files of `[peers]` again. Raises IdentityError; then nothing has changed."""
        if isinstance(self.gate, TLSEndpoint):
            identity, policy = self._identify()
            self.gate.show(identity, policy)

    def _offer_code(self, claimed: bool) -> None:
        """Offer a code to become the first operator, if the realm never had one. Raises StartError."""
        file = CodeFile(self.state.path / "operator-code")
        try:
            if claimed:
                file.remove()  # left by a process that was killed after the claim
                return
            self.operator_code = file.offer(self.random_bytes)
        except OSError as error:
            raise StartError(
                f"{file.path} can't be written or removed: {error.strerror}; "
                "expected a file that belongs to whoever runs chatd"
            ) from None
        self.service.operators.offer(file, self.operator_code)
        log.info(
            "this realm has no operator yet: log in and send claim with the code in {path}",
            path=str(file.path),
        )

    def _tls(self) -> TLSEndpoint:
        try:
            identity, policy = self._identify()
        except IdentityError as error:
            raise StartError(str(error)) from None
        log.info(
            "realm {realm}, certificate {fingerprint}",
            realm=self.config.realm,
            fingerprint=identity.fingerprint,
        )
        return TLSEndpoint(self._reactor, identity, policy, self.wall)

    def start(self) -> None:
        """Look for the other realms."""
        self.directory.start()

    def refuse(self) -> None:
        """Refuse commands from now on, because the realm is about to close."""
        self.service.stopping = True

    async def close(self) -> None:
        """Let the links go, and bring everything to the disk."""
        quotas, keeper, database = self.service.quotas, self.keeper, self.database
        self.service.disk.stop()
        stopped = []
        for part in (self.directory, quotas, keeper, database, self.passwords, self.uploads):
            try:
                await maybeDeferred(part.stop)
                stopped.append(part)
            except Exception:
                log.failure("{part} did not stop", part=type(part).__name__)
        if database in stopped:
            self.state.close(keeper.marker)
        self.state.release()

    def release(self) -> None:
        """Let go of the state of a realm that could not be opened."""
        self.state.release()
