"""Assembles a realm without its doors: state folder, database, service, and federation on top of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.app.demo_realms import add_demo_accounts
from chatd.app.file_cleaning import clean_files
from chatd.app.file_store import OpenedStore, StoreParts, open_store
from chatd.app.marker import MarkKeeper
from chatd.app.nodes import Nodes, join_nodes
from chatd.app.operator_code import offer_operator_code
from chatd.app.realm_keys import RealmKeys
from chatd.app.shared_key_watch import SharedKeyWatch
from chatd.app.state import StartError, StateFolder
from chatd.app.stored_state import StoredState, read_state
from chatd.app.upkeep import Upkeep
from chatd.base.clocks import IReactor, Wall
from chatd.base.config import SEVERAL_NODES, Argon2, Config
from chatd.base.counters import Counters
from chatd.base.names import key_of
from chatd.cluster.bus import IBus
from chatd.cluster.bus_choice import BusUnusable
from chatd.cluster.local_bus import LocalBus
from chatd.commands.handlers import HANDLERS
from chatd.commands.idleness import Idleness
from chatd.commands.sessions import Sessions
from chatd.federation.amp.dialer import Endpoint
from chatd.federation.amp.finding import make_finder
from chatd.federation.amp.links import AmpLinks
from chatd.federation.amp.name_servers import DNSResolver
from chatd.federation.archived_entries import ArchivedEntries
from chatd.federation.federation import Federation
from chatd.federation.forwarder import Forwarder
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.version_one import OldParcels
from chatd.files.folder import Uploads
from chatd.files.shared_folder import SharedFolder
from chatd.files.store import IFileStore
from chatd.media.scaler import PictureScaler
from chatd.service.chat_service import ChatService
from chatd.service.context import Context
from chatd.service.indexing import LEASE as INDEXING
from chatd.service.judged_messages import tell_judged
from chatd.service.node_work import LEASE as WORK
from chatd.service.object_sweep import ObjectSweep
from chatd.service.passwords import Passwords
from chatd.store.database import Database
from chatd.store.database_identity import quick_check
from chatd.store.engine import alone, connect
from chatd.store.macs import begin_macs
from chatd.store.nodes import ClusterNode

log = Logger()


@dataclass(frozen=True)
class Threads:
    """The parts of a realm that have threads of their own. A simulation has others, without threads."""

    connect: Callable[[str], Engine] = connect
    database: Callable[[Engine, IReactor, Counters], Database] = Database
    passwords: Callable[[IReactor, Argon2], Passwords] = Passwords
    uploads: Callable[[IReactor, Path, Counters, Wall], Uploads] = Uploads
    shared_folder: Callable[..., SharedFolder] = SharedFolder


@dataclass(frozen=True)
class Environment:
    """What a realm gets from outside. `reactor` has the network and runs the callbacks of threads, `clock`
    has the timers and measures durations, `wall` tells the date. `endpoint`, if given, makes the links to
    other realms instead of TLS; `resolver`, if given, is asked for realms instead of the name servers. `bus`
    makes the bus to the other nodes; without it, this process alone uses the database. `pause` waits for
    seconds at the start."""

    reactor: IReactor
    random_bytes: Callable[[int], bytes]
    clock: IReactorTime
    wall: Wall = time.time
    endpoint: Endpoint | None = None
    threads: Threads = Threads()
    resolver: Callable[[], DNSResolver] | None = None
    bus: Callable[[Config], IBus] | None = None
    pause: Callable[[float], None] = time.sleep


class StartOptions(msgspec.Struct, frozen=True):
    """`demo`: create the demo accounts. `accept_loss`: start on a database that has lost something.
    `undo_move`: start on one that was moved to another."""

    demo: bool = False
    accept_loss: bool = False
    undo_move: bool = False


DEFAULTS = StartOptions()


class RealmPart(Protocol):
    """Something that is to be stopped when the realm closes."""

    def stop(self) -> object:
        """Begin nothing any more. A Deferred that is returned fires when what is under way has ended."""


class Realm:
    """A realm without its doors. Call `open`, then `start`, and in the end `close`."""

    passwords: Passwords
    scaler: PictureScaler
    directory: AmpLinks
    service: ChatService
    federation: Federation
    sessions: Sessions
    idleness: Idleness
    keeper: MarkKeeper
    nodes: Nodes
    upkeep: Upkeep
    sweep: ObjectSweep | None = None
    key_watch: SharedKeyWatch | None = None
    operator_code: str | None = None  # makes the first operator, if the realm never had one

    def __init__(
        self, config: Config, environment: Environment, options: StartOptions = DEFAULTS
    ) -> None:
        self.config = config
        self.environment = environment
        self.options = options
        self.state = StateFolder(config.state, environment.threads.connect, config.files.folder)
        self.keys = RealmKeys(config, self.state, environment.random_bytes, environment.wall)

    @property
    def database(self) -> Database:
        return self.service.database

    @property
    def uploads(self) -> IFileStore:
        return self.service.uploads

    def open(self) -> None:
        """Claim the state, bring it into order, and create the service. Raises StartError."""
        try:
            self._open()
        except (OSError, DBAPIError) as error:
            if isinstance(error, DBAPIError) and self.config.database_url:
                raise StartError(
                    f"[database] url: {error.orig}; start chatd again once the database can be reached"
                ) from None
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise StartError(
                f"[realm] state is {self.config.state} and can't be used: {reason}; "
                "expected a folder that chatd may write to, with room in it"
            ) from None

    def _open(self) -> None:
        environment, random_bytes = self.environment, self.environment.random_bytes
        self.state.claim()
        engine = self.state.open_database(
            self.config.database_url,
            self.options.accept_loss,
            random_bytes,
            self.options.undo_move,
        )
        node = None
        if environment.bus is not None:
            node = join_nodes(engine, self.config, environment.wall, environment.pause)
        threads, counters = environment.threads, Counters()
        self.passwords = threads.passwords(environment.reactor, self.config.accounts.argon2)
        uploads, swept = self._open_store(node, counters)
        with alone(engine):
            self.keys.load(engine, environment.reactor, environment.endpoint)
            stored = self._prepare(engine, uploads)
        self.passwords.start()
        database = threads.database(engine, environment.reactor, counters)
        clock, wall, bus = environment.clock, environment.wall, self._bus(node)
        context = Context(self.config, clock, wall, database, random_bytes, counters, bus)
        self._assemble(context, uploads, stored)
        if swept is not None:
            self.sweep = ObjectSweep(context, swept, self.state.is_lossy)
        self.operator_code = offer_operator_code(
            engine, self.state.path, self.service.operators, random_bytes, stored.has_operator
        )
        self._join(context, node)
        database.start()
        self._watch_database()
        self._resume(stored)

    def _open_store(self, node: ClusterNode | None, counters: Counters) -> OpenedStore:
        """The store of files. Raises StartError."""
        environment = self.environment
        parts = StoreParts(
            environment.reactor,
            counters,
            environment.wall,
            environment.random_bytes,
            environment.threads.uploads,
            node is not None and self.config.cluster.nodes == SEVERAL_NODES,
            environment.threads.shared_folder,
        )
        return open_store(self.config.files, self.state.path, self.state.uploads, parts)

    def _bus(self, node: ClusterNode | None) -> IBus:
        """The bus to the other nodes. Raises StartError."""
        make = self.environment.bus
        if node is None or make is None:
            return LocalBus()
        try:
            return make(self.config)
        except BusUnusable as error:
            raise StartError(str(error)) from None

    def _join(self, context: Context, node: ClusterNode | None) -> None:
        """Take part in the cluster, if the database is one for several nodes."""
        self.nodes = Nodes(context, node)
        self.nodes.watch(self.service.presence.set_elsewhere)
        self.nodes.on_return(self.service.presence.drop_listeners)
        if (leases := self.nodes.leases) is not None:
            self.directory.share(leases, lambda: self.nodes.id)
            if self.keys.secrets is not None:
                self.key_watch = SharedKeyWatch(
                    context, self.keys.secrets, self.uploads.in_thread, self._renew_keys
                )
        self.nodes.start()

    def _prepare(self, engine: Engine, uploads: IFileStore) -> StoredState:
        """Bring what is stored into order, and read what the parts begin with."""
        random_bytes, wall = self.environment.random_bytes, self.environment.wall
        if self.options.demo:
            add_demo_accounts(engine, self.passwords)
        with engine.begin() as connection:
            if isinstance(uploads, Uploads):
                clean_files(connection, uploads, self.state.is_lossy, self.options.accept_loss)
            OldParcels(connection, key_of(self.config.realm), self.keys.signer).rewrite()
            begin_macs(connection, random_bytes)
            expire = self.config.peers.expire
            return read_state(connection, self.keys.signing_key, wall(), expire, random_bytes)

    def _resume(self, stored: StoredState) -> None:
        """Start the work in the background, and continue what was interrupted."""
        self.service.disk.start()
        indexing = self.service.indexing
        self.nodes.run_alone(INDEXING, indexing.start, indexing.suspend)
        if self.key_watch is not None:
            self.key_watch.start()
        work = self.service.context.work
        self.nodes.run_alone(WORK, work.start, work.suspend)
        self.service.receipts.start()

    def _assemble(self, context: Context, uploads: IFileStore, stored: StoredState) -> None:
        """Create the service, and on top of it the federation and the sessions."""
        environment = self.environment
        finder = make_finder(
            context, environment.reactor, lambda: self.keys.authorities, environment.resolver
        )
        self.directory = AmpLinks(context, self.keys.endpoint, finder)
        forwarder = Forwarder(context, self.directory, self.keys.signer)
        self.scaler = PictureScaler(self.environment.reactor, context.clock)
        self.service = ChatService(
            context, self.passwords, uploads, self.directory, forwarder, self.scaler
        )
        self.service.quotas.load(stored.day, stored.used)
        self.service.blocks.load(stored.blocks)
        context.file_quotas.load(stored.file_quotas)
        self.service.follower.load(stored.moves)
        on_judged = partial(tell_judged, self.service.presence)
        keys = KeyBook(context, stored.keys, on_judged, stored.unsigned_until)
        self.service.imports.signed = ArchivedEntries(keys)
        self.federation = Federation(self.service, forwarder, self.directory, keys, stored.marks)
        self.directory.attach(self.federation)
        self.upkeep = Upkeep(self.config, self.state, environment.reactor, environment.wall)
        self.service.upkeep = self.upkeep
        self.directory.peers.load(stored.peers)
        self.service.presence.hide(stored.hidden)
        self.service.access_bans.load(stored.bans)
        self.service.mutes.load(stored.mutes)
        self.sessions = Sessions(self.service, HANDLERS)
        self.service.imports.on_profile(self.sessions.renew)
        self.idleness = Idleness(self.sessions)

    def _watch_database(self) -> None:
        """Keep the marker up to date, and check the database after an unclean end."""
        state, database = self.state, self.database
        assert state.marker is not None  # noqa: S101 - made when it was opened
        self.keeper = MarkKeeper(
            state.path,
            state.marker,
            state.database_file,
            database,
            self.environment.clock,
            self.uploads.in_thread,
        )
        database.on_settled(self.keeper.settled)
        if state.unchecked:
            checking = database.read(quick_check)
            checking.addCallbacks(self._checked, lambda _failure: None)

    def _checked(self, problems: Sequence[str]) -> None:
        if problems:
            self.database.found_damage("; ".join(problems))

    async def _renew_keys(self) -> None:
        """Use the keys in the state folder from now on, and make all links anew, if they are others. Raises
        StartError, IdentityError, StorageFailed."""
        if await self.keys.reread(self.federation.keys.use_own):
            log.info("the realm's keys were renewed at another node, and this node uses them now")
            self.directory.renew()

    def use(self, config: Config) -> None:
        """Use another configuration, which has the same realm, state and database."""
        self.config = config
        self.keys.use(config)
        self.service.context.use(config)
        self.passwords.use(config.accounts.argon2)

    def start(self) -> None:
        """Begin to link with other realms."""
        self.directory.start()
        self.idleness.start()
        self.service.started = True

    def refuse(self) -> None:
        """Refuse commands from now on, because the realm is about to close."""
        self.service.stopping = True

    async def close(self) -> None:
        """Close the links, and store everything."""
        stopped = []
        for part in self._parts():
            try:
                await maybeDeferred(part.stop)
                stopped.append(part)
            except Exception:
                log.failure("{part} did not stop", part=type(part).__name__)
        if self.database in stopped:
            self.state.close(self.keeper.marker)
        self.state.release()

    def _parts(self) -> tuple[RealmPart, ...]:
        """What is to be stopped, in this order: the database after all that store something."""
        service = self.service
        return (
            service.context.work,
            self.upkeep,
            *(part for part in (self.sweep, self.key_watch) if part is not None),
            service.disk,
            service.access_bans,
            service.receipts,
            service.departures,
            service.imports,
            service.moving_out,
            service.follower,
            self.idleness,
            service.room_watch,
            service.presence_news,
            service.presence_nodes,
            service.rooms,
            service.room_files,
            service.files.under_way,
            service.avatars,
            self.directory,
            service.remote_presence,
            service.quotas,
            self.keeper,
            service.indexing,
            service.retention,
            service.ended_invitations,
            service.announcements,
            service.group_removals,
            self.nodes,
            self.database,
            self.passwords,
            self.scaler,
            self.uploads,
        )

    def release(self) -> None:
        """Release the state folder of a realm that could not be opened."""
        self.state.release()
