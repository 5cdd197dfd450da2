"""The nodes of a realm on a database server: joining them at the start, and the bus between them."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine
from twisted.logger import Logger

from chatd.app.state import StartError
from chatd.base.clocks import Wall
from chatd.base.config import SEVERAL_NODES, Config
from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.cluster.cluster import Cluster
from chatd.cluster.lease_keeper import LeaseKeeper
from chatd.cluster.membership import BEAT, JOINS_WITHIN
from chatd.service.context import Context
from chatd.store import nodes
from chatd.store.engine import backend_of
from chatd.store.nodes import ClusterNode

# Seconds after which the others have learned of a node that has joined: they read who is there at each beat.
KNOWN_AFTER = 2 * BEAT

log = Logger()


def name_of_node(config: Config) -> str:
    """The name of this node."""
    return config.cluster.node or socket.gethostname()


def join_nodes(
    engine: Engine,
    config: Config,
    wall: Wall,
    pause: Callable[[float], None] = time.sleep,
) -> ClusterNode | None:
    """Join the nodes that serve the realm; None on a database for one process. It waits some seconds for a
    node of this name that was killed a moment ago. Raises StartError if another one with this name lives, and
    if any other lives unless the configuration allows several."""
    if not backend_of(engine).is_shared:
        return None
    name, several = name_of_node(config), config.cluster.nodes == SEVERAL_NODES
    for attempt in range(math.ceil(JOINS_WITHIN / BEAT)):
        with engine.begin() as connection:
            now = int(wall() * 1000)
            joined = nodes.join(connection, name, socket.gethostname(), now)
            if joined is not None:
                if several or _is_alone(connection, joined, now):
                    return joined
                nodes.leave(connection, joined.id)
        if attempt == 0:
            log.info(
                "waiting up to {seconds:g} s for {stay} to end",
                seconds=JOINS_WITHIN,
                stay="the last run of this node" if joined is None else "another node's run",
            )
        pause(BEAT)
    if several:
        raise StartError(
            f"[cluster] node is {name}, and another node with this name is running; give each node a name of "
            "its own"
        )
    raise StartError(
        "another process is serving this realm on the same database, and [cluster] nodes is one; stop it, or "
        "use a database of its own"
    )


def _is_alone(connection: Connection, me: ClusterNode, now: int) -> bool:
    """Whether no other node is alive."""
    return not any(each.is_alive for each in nodes.list_nodes(connection, now) if each.id != me.id)


class Nodes:
    """This node among those that serve the realm. If `me` is None, this process is the only one."""

    def __init__(self, context: Context, me: ClusterNode | None) -> None:
        self.me = me
        self._news = context.news
        self._on_return: list[Callable[[], object]] = []
        self._known = Timer(context.clock, self._is_known)
        self._cluster: Cluster | None = None
        if me is not None:
            self._cluster = Cluster(
                context.database, context.clock, context.wall, context.bus, me.name, me.address
            )
            context.cluster_figures = self._cluster.figures
            news, membership = context.news, self._cluster.membership
            news.name, news.start = me.name, me.id
            membership.on_came(lambda node: news.came(node.name))
            membership.on_gone(lambda node: news.gone(node.name))
            membership.on_rejoined(lambda _me: self._known.restart(KNOWN_AFTER))

    def start(self) -> None:
        """Begin to tell the others that this node lives. Call it before the first job of the database."""
        if self._cluster is not None and self.me is not None:
            self._cluster.start(self.me)
            self._news.watch()

    async def stop(self) -> None:
        """Leave. Nothing can be stored afterwards."""
        self._news.end()
        self._known.cancel()
        if self._cluster is not None:
            await self._cluster.stop()

    def run_alone(
        self, lease: str, start: Callable[[], object], stop: Callable[[], object]
    ) -> None:
        """Call `start` when this node gets the lease, and `stop` when it loses it. Without other nodes, call
        `start` at once."""
        if self._cluster is None:
            start()
        else:
            self._cluster.leases.want(lease, lambda _epoch: start(), stop)

    @property
    def leases(self) -> LeaseKeeper | None:
        """The leases of this node; None if this process is the only one."""
        return None if self._cluster is None else self._cluster.leases

    @property
    def id(self) -> int:
        """The id of this node, which changes when it joins again; 0 if this process is the only one."""
        me = None if self._cluster is None else self._cluster.membership.me
        return 0 if me is None else me.id

    def watch(self, changed: Callable[[bool], None]) -> None:
        """Call `changed` with whether there are other nodes, whenever one has come or gone. It is called as
        soon as a node is heard on the bus, before that is in the list."""
        if self._cluster is None:
            return
        membership, bus = self._cluster.membership, self._cluster.bus
        bus.on_gap(lambda _node: changed(True))
        membership.on_came(lambda _node: changed(True))
        membership.on_gone(lambda _node: changed(bool(membership.others)))

    def on_return(self, then: Callable[[], object]) -> None:
        """Call `then` when this node is in the list again from which others had removed it, and they know
        that: what they have told meanwhile was perhaps not for it."""
        self._on_return.append(then)

    def _is_known(self) -> None:
        """The others know of this node again. What they keep in memory only is asked for."""
        others = {} if self._cluster is None else self._cluster.membership.others
        for other in list(others.values()):
            self._news.missed(other.name)
        for then in self._on_return:
            guarded("the return of this node was not handled", then)
