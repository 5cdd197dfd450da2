"""Makes the bus that the configuration names."""

from __future__ import annotations

from sqlalchemy.engine import make_url

from chatd.base.clocks import IReactor
from chatd.base.config import POSTGRES_BUS, Config
from chatd.cluster.bus import IBus
from chatd.cluster.local_bus import LocalBus
from chatd.store.engine import is_pooled


class BusUnusable(Exception):
    """The bus that is configured can't be used. `str()` is a sentence for the operator."""


def has_cluster(config: Config) -> bool:
    """Whether several nodes may serve the realm: its database is on a PostgreSQL server. Raises ArgumentError
    for a URL that is none."""
    url = config.database_url
    return bool(url) and make_url(url).get_backend_name() == "postgresql"


def make_bus(config: Config, reactor: IReactor) -> IBus:
    """The bus of the realm. Raises BusUnusable."""
    if not has_cluster(config):
        return LocalBus()
    # A realm with one node has none of these in memory.
    from chatd.cluster.numbered_bus import NumberedBus
    from chatd.cluster.threaded_wire import BusServer, ThreadedWire

    server: BusServer
    bus = config.cluster.bus
    if bus == POSTGRES_BUS or bus.startswith("postgresql"):
        from chatd.cluster.postgres_bus import PostgresBusServer

        url = config.database_url if bus == POSTGRES_BUS else bus
        if is_pooled(url):
            raise BusUnusable(
                "[database] url leads to a connection pooler, which passes on no notifications; set "
                "[cluster] bus to the URL of the database without the pooler, or of a Redis server"
            )
        server = PostgresBusServer(url)
    else:
        try:
            from chatd.cluster.redis_bus import RedisBusServer
        except ImportError:
            raise BusUnusable(
                "[cluster] bus is on a Redis server, and the package redis is not installed; install "
                "chatd[redis]"
            ) from None
        server = RedisBusServer(bus, config.realm)
    return NumberedBus(ThreadedWire(reactor, server), reactor)
