"""What all parts of the service share: configuration, clocks, database, randomness and counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from twisted.internet.interfaces import IReactorTime

from chatd.base.clocks import Wall
from chatd.base.config import SEVERAL_NODES, Config
from chatd.base.counters import Counters
from chatd.base.isolation import guarded
from chatd.base.names import Address, key_of
from chatd.cluster.bus import IBus
from chatd.cluster.figures import ClusterFigures
from chatd.cluster.local_bus import LocalBus
from chatd.service.file_quotas import FileQuotas
from chatd.service.node_news import NodeNews
from chatd.service.node_work import NodeWork
from chatd.service.rechecks import Rechecks
from chatd.store.database import Database
from chatd.store.idempotent_sends import SendsWriter
from chatd.store.jobs import Beside
from chatd.store.members import Bounds
from chatd.store.message_changes import ChangeWriter
from chatd.store.messages import MessageWriter
from chatd.store.outbox import OutboxWriter
from chatd.store.pending import PendingWriter
from chatd.store.versions import VersionWriter


class Writers:
    """The jobs that number and store messages, posts, sends, parcels and versions, in the writer's thread of
    `database`."""

    def __init__(
        self, database: Database, now: Callable[[], int], random_bytes: Callable[[int], bytes]
    ) -> None:
        self.parcels = OutboxWriter(now, random_bytes)
        self.messages = MessageWriter(self.parcels)
        self.posts = PendingWriter(self.messages, self.parcels)
        self.sends = SendsWriter(self.messages, self.posts)
        self.versions = VersionWriter(self.parcels.term)
        self.changes = ChangeWriter(self.messages)
        database.on_rollback(self.parcels.forget)
        database.on_rollback(self.messages.forget)
        database.on_rollback(self.messages.locks.forget)
        database.on_rollback(self.versions.forget)
        database.on_refused(self.messages.refused)
        database.on_turns(self.parcels.renew)
        database.on_others(lambda *_: self.messages.forget())
        database.on_others(lambda *_: self.versions.renew())
        database.before_commit(self.parcels.store_last)
        beside = Beside(self.messages.may_be_beside, self.messages.lock_logs)
        database.allow_beside(self.messages.send, beside)
        database.allow_beside(self.sends.store, beside)


@dataclass(eq=False)
class Context:
    """`clock` has the timers and measures durations, `wall` tells the date, and `random_bytes(n)` makes
    tokens and codes.

    A reload replaces `config`. So read values from it when they are needed, and keep none of them; what has
    to be told about a change asks with `on_config`.
    """

    config: Config
    clock: IReactorTime
    wall: Wall
    database: Database
    random_bytes: Callable[[int], bytes]
    counters: Counters
    bus: IBus = field(default_factory=LocalBus)  # to the other nodes of the realm
    # Of this node among them; it returns None in a realm with one process
    cluster_figures: Callable[[], ClusterFigures | None] = lambda: None
    _on_config: list[Callable[[], object]] = field(default_factory=list, init=False)
    _on_banned: list[Callable[[], object]] = field(default_factory=list, init=False)
    # Keys of the realms that operators have banned for now
    banned_realms: frozenset[str] = field(default=frozenset(), init=False)

    def on_config(self, then: Callable[[], object]) -> None:
        """Call `then` after each change of the configuration."""
        self._on_config.append(then)

    def use(self, config: Config) -> None:
        """Replace the configuration, and tell those who have asked."""
        self.config = config
        for then in self._on_config:
            guarded("a part of the realm keeps its earlier settings", then)

    @property
    def is_alone(self) -> bool:
        """Whether this is the only node that may serve the realm."""
        return isinstance(self.bus, LocalBus) or self.config.cluster.nodes != SEVERAL_NODES

    @property
    def blocked_realms(self) -> frozenset[str]:
        """The keys of the realms with which there is no link: blocked by the configuration, or banned."""
        return self.config.peers.block | self.banned_realms

    def on_banned(self, then: Callable[[], object]) -> None:
        """Call `then` after each change of `banned_realms`."""
        self._on_banned.append(then)

    def ban_realms(self, realms: frozenset[str]) -> None:
        """Ban these realms and no others, and tell those who have asked."""
        if realms != self.banned_realms:
            self.banned_realms = realms
            for then in self._on_banned:
                guarded("links with banned realms were not changed", then)

    @cached_property
    def news(self) -> NodeNews:
        """What the parts of the service tell each other from node to node."""
        return NodeNews(self.bus, self.clock)

    @cached_property
    def work(self) -> NodeWork:
        """What one of the nodes does for all."""
        return NodeWork(self.news)

    @cached_property
    def rechecks(self) -> Rechecks:
        """What is read again before commands while this node does not hear the others."""
        return Rechecks(self.news)

    @cached_property
    def writers(self) -> Writers:
        """The writers of `database`, one set for all who store something."""
        return Writers(self.database, self.now, self.random_bytes)

    @cached_property
    def file_quotas(self) -> FileQuotas:
        """How many bytes the files of each account may have."""
        return FileQuotas(lambda: self.config.limits.account_files)

    @cached_property
    def realm_key(self) -> str:
        """The key of this realm's name."""
        return key_of(self.config.realm)

    @property
    def bounds(self) -> Bounds:
        """The limits of groups."""
        limits, peers = self.config.limits, self.config.peers
        return Bounds(limits.group_members, peers.group_members, limits.account_groups)

    def now(self) -> int:
        """The time in milliseconds since 1970 UTC."""
        return int(self.wall() * 1000)

    def new_reference(self) -> str:
        """A reference by which an internal error is found in the log."""
        return self.random_bytes(4).hex()

    def localize(self, address: Address) -> Address:
        """Return `address` without its realm if that is this one."""
        if address.realm is None or key_of(address.realm) != self.realm_key:
            return address
        return Address(address.name)
