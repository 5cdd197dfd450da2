"""Which metrics there are, and how each is read. The table in docs/operating/monitoring.md is checked against
FAMILIES."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from chatd import __version__
from chatd.base.counters import Counters, Histogram
from chatd.base.errors import every_error
from chatd.base.realms import RealmInfo
from chatd.cluster.figures import ClusterFigures
from chatd.commands.sessions import Sessions
from chatd.lines.connections import Connections
from chatd.service.chat_service import ChatService
from chatd.web.store_sizes import UPLOADS_EVERY, StoreSizes

DATABASE_TIME = 2.0  # seconds in which the database has to count what waits for other realms
MAX_REALMS = 100  # that have labels of their own; any realm may link and be remembered
OTHERS = "(others)"  # the label of all other realms; no realm can have this name
STATES = ("up", "connecting", "resting", "down")


class View(msgspec.Struct, frozen=True):
    """The sources of the metrics. `realms` is None if the database did not answer in time. What has no size
    in `sizes` could not be measured."""

    service: ChatService
    sessions: Sessions
    connections: Connections
    realms: Sequence[RealmInfo] | None
    sizes: StoreSizes = StoreSizes()

    @property
    def counters(self) -> Counters:
        return self.service.counters

    def by_realm(self) -> list[tuple[str, list[RealmInfo]]]:
        """The realms of each label. Realms that somebody here has added come first."""
        realms = sorted(self.realms or (), key=lambda realm: realm.address is None)
        found = [(realm.realm, [realm]) for realm in realms[:MAX_REALMS]]
        rest = list(realms[MAX_REALMS:])
        return [*found, (OTHERS, rest)] if rest else found

    def age(self, realms: Sequence[RealmInfo]) -> float:
        """The seconds that the oldest parcel to one of these realms has waited."""
        now = self.service.context.now() / 1000
        return max(max(0.0, now - (each.oldest or now * 1000) / 1000) for each in realms)


Sample = tuple[tuple[str, ...], float]


class Family(msgspec.Struct, frozen=True):
    """A metric. `read` returns its value, its values by label values, or a histogram."""

    name: str
    kind: str
    help: str
    read: Callable[[View], float | Histogram | Iterable[Sample]]
    labels: tuple[str, ...] = ()

    def metric(self, view: View) -> Metric:
        """Its current values."""
        found = self.read(view)
        if isinstance(found, Histogram):
            buckets = [(floatToGoString(bound), count) for bound, count in found.cumulated()]
            return HistogramMetricFamily(self.name, self.help, buckets, found.total)
        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        metric = kind(self.name, self.help, labels=self.labels)
        for labels, value in [((), found)] if isinstance(found, int | float) else found:
            metric.add_metric(labels, value)
        return metric


def _errors(view: View) -> Iterable[Sample]:
    """All codes, also those with 0, so that a first error shows as an increase."""
    return [((error.code,), view.counters.errors[error.code]) for error in every_error()]


def _states(view: View) -> Iterable[Sample]:
    return [
        ((label, state), sum(realm.state == state for realm in realms))
        for label, realms in view.by_realm()
        for state in STATES
    ]


def _of_node(read: Callable[[ClusterFigures], float | None]) -> Callable[[View], Iterable[Sample]]:
    """A figure of this node; none if it is the only process of the realm."""

    def samples(view: View) -> Iterable[Sample]:
        figures = view.service.context.cluster_figures()
        value = None if figures is None else read(figures)
        return [] if value is None else [((), value)]

    return samples


def _known(size: int | None) -> Iterable[Sample]:
    return [] if size is None else [((), size)]


FAMILIES = (
    Family(
        "chatd_build_info",
        "gauge",
        "Which chatd this is; always 1",
        lambda view: [((__version__, view.service.config.realm), 1)],
        ("version", "realm"),
    ),
    Family(
        "chatd_connections",
        "gauge",
        "Connections of clients, by door",
        lambda view: [((door,), count) for door, count in view.connections.by_door.items()],
        ("door",),
    ),
    Family(
        "chatd_connections_opened_total",
        "counter",
        "Connections of clients since the start; one that becomes a WebSocket counts again",
        lambda view: [((door,), count) for door, count in view.connections.opened.items()],
        ("door",),
    ),
    Family(
        "chatd_sessions",
        "gauge",
        "Sessions that a connection uses now",
        lambda view: view.sessions.attached,
    ),
    Family(
        "chatd_accounts_online",
        "gauge",
        "Accounts that are logged in on some connection",
        lambda view: len(view.service.presence.connected()),
    ),
    Family(
        "chatd_listeners",
        "gauge",
        "Connections to which messages are pushed",
        lambda view: view.service.presence.listeners(),
    ),
    Family(
        "chatd_messages_stored_total",
        "counter",
        "Messages that are on disk: direct ones, notices of the realm included, and those to groups",
        lambda view: [(("direct",), view.counters.direct), (("group",), view.counters.group)],
        ("kind",),
    ),
    Family(
        "chatd_messages_delivered_total",
        "counter",
        "Messages pushed to listeners, one for each connection that was given one",
        lambda view: view.counters.delivered,
    ),
    Family(
        "chatd_errors_total",
        "counter",
        "Errors sent to clients, by code, in all dialects and over HTTP",
        _errors,
        ("code",),
    ),
    Family(
        "chatd_files_received_bytes_total",
        "counter",
        "Bytes of files received from clients and other realms, including incomplete files",
        lambda view: view.counters.received,
    ),
    Family(
        "chatd_files_given_bytes_total",
        "counter",
        "Bytes of files read for clients and other realms",
        lambda view: view.counters.given,
    ),
    Family(
        "chatd_transaction_jobs",
        "histogram",
        "Jobs (a message is one) that the database did in one transaction",
        lambda view: view.counters.jobs,
    ),
    Family(
        "chatd_transaction_seconds",
        "histogram",
        "How long the database's transactions took, until they were on disk",
        lambda view: view.counters.seconds,
    ),
    Family(
        "chatd_transactions_failed_total",
        "counter",
        "Transactions that failed; the requests that waited for them got storage-failed",
        lambda view: view.counters.failed,
    ),
    Family(
        "chatd_database_queue_jobs",
        "gauge",
        "Jobs that wait for the database, including those of the current transaction",
        lambda view: view.service.database.queued,
    ),
    Family(
        "chatd_database_answers",
        "gauge",
        f"1 if the database answered within {DATABASE_TIME:g} s, else 0; then the "
        "metrics by realm are missing",
        lambda view: int(view.realms is not None),
    ),
    Family(
        "chatd_database_bytes",
        "gauge",
        "Size of the database, without its log",
        lambda view: _known(view.sizes.database),
    ),
    Family(
        "chatd_database_log_bytes",
        "gauge",
        "Size of the write-ahead log beside the database",
        lambda view: _known(view.sizes.log),
    ),
    Family(
        "chatd_uploads_bytes",
        "gauge",
        "Size of all files that people have sent, including those that are arriving; measured every "
        f"{UPLOADS_EVERY / 60:g} minutes",
        lambda view: _known(view.sizes.uploads),
    ),
    Family(
        "chatd_disk_free_bytes",
        "gauge",
        "Free space of the disk that holds the state folder",
        lambda view: _known(view.sizes.disk),
    ),
    Family(
        "chatd_disk_room_bytes",
        "gauge",
        "Free space above the reserve; below 0 messages and files are refused",
        lambda view: view.service.disk.room(),
    ),
    Family(
        "chatd_password_queue_jobs",
        "gauge",
        "Logins and registrations that wait for a thread to hash their password",
        lambda view: view.service.passwords.waiting,
    ),
    Family(
        "chatd_outbox_parcels",
        "gauge",
        "Parcels that wait for another realm: messages and changes of groups",
        lambda view: [
            ((label,), sum(each.queued for each in realms)) for label, realms in view.by_realm()
        ],
        ("realm",),
    ),
    Family(
        "chatd_outbox_oldest_seconds",
        "gauge",
        "How long the oldest of these has waited; 0 if none waits",
        lambda view: [((label,), view.age(realms)) for label, realms in view.by_realm()],
        ("realm",),
    ),
    Family(
        "chatd_link_state",
        "gauge",
        f"1 at the state that the link to another realm is in, 0 at the others; of {OTHERS}, how many",
        _states,
        ("realm", "state"),
    ),
    Family(
        "chatd_nodes",
        "gauge",
        "Nodes of the realm that this one knows, itself included; only with a database on a server, as all "
        "of the following",
        _of_node(lambda node: node.nodes),
    ),
    Family(
        "chatd_node_beat_seconds",
        "gauge",
        "How long ago this node last said in the database that it is alive",
        _of_node(lambda node: node.beat),
    ),
    Family(
        "chatd_node_leases",
        "gauge",
        "Leases that this node has: links to other realms, and work that one node does",
        _of_node(lambda node: node.leases),
    ),
    Family(
        "chatd_bus_sent_total",
        "counter",
        "Messages that this node has sent to the others on the bus",
        _of_node(lambda node: node.bus.sent),
    ),
    Family(
        "chatd_bus_received_total",
        "counter",
        "Messages of other nodes that this one has received on the bus",
        _of_node(lambda node: node.bus.received),
    ),
    Family(
        "chatd_bus_gaps_total",
        "counter",
        "How often messages of another node may have been lost, so that this one reads the database again",
        _of_node(lambda node: node.bus.gaps),
    ),
    Family(
        "chatd_bus_quiet_seconds",
        "gauge",
        "How long ago the node was heard on the bus that was not heard for the longest time",
        _of_node(lambda node: node.quiet),
    ),
    Family(
        "chatd_bus_delay_seconds",
        "gauge",
        "How long the last heartbeat of this node took to come back to it over the bus",
        _of_node(lambda node: node.delay),
    ),
)
