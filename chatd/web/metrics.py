"""`GET /metrics`: what operators measure, for Prometheus, on an endpoint of its own.

`FAMILIES` has one row for each metric, from which docs/operating.md is checked, too. What is counted is in
chatd.base.counters; all else is asked for when somebody looks. Labels are bounded: doors, kinds, codes of
errors, and no more than MAX_REALMS realms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from chatd import __version__
from chatd.base.counters import Counters, Histogram
from chatd.base.errors import ChatError, every_error
from chatd.base.model import RealmInfo
from chatd.commands.sessions import Sessions
from chatd.lines.connections import Connections
from chatd.service.chat_service import ChatService
from chatd.web.answers import status_of
from chatd.web.hosts import Hosts
from chatd.web.shared_query import SharedQuery

PATIENCE = 2.0  # seconds in which the database has to say what waits for other realms
MAX_REALMS = 100  # that have labels of their own; anybody may come by and be remembered
OTHERS = "(others)"  # what stands for the rest: no realm can be called so
STATES = ("up", "connecting", "down")

log = Logger()


class View(msgspec.Struct, frozen=True):
    """What is there to be looked at. `realms` is None if the database did not say what waits for them."""

    service: ChatService
    sessions: Sessions
    connections: Connections
    realms: Sequence[RealmInfo] | None

    @property
    def counters(self) -> Counters:
        return self.service.counters

    def by_realm(self) -> list[tuple[str, list[RealmInfo]]]:
        """The realms by the label that they go under: those that somebody here has added come first."""
        realms = sorted(self.realms or (), key=lambda realm: realm.address is None)
        found = [(realm.realm, [realm]) for realm in realms[:MAX_REALMS]]
        rest = list(realms[MAX_REALMS:])
        return [*found, (OTHERS, rest)] if rest else found

    def age(self, realms: Sequence[RealmInfo]) -> float:
        """For how many seconds the oldest parcel to one of them has waited."""
        now = self.service.context.now() / 1000
        return max(max(0.0, now - (each.oldest or now * 1000) / 1000) for each in realms)


Sample = tuple[tuple[str, ...], float]


class Family(msgspec.Struct, frozen=True):
    """A metric: `read` gives its values by those of its labels, or a histogram."""

    name: str
    kind: str
    help: str
    read: Callable[[View], float | Histogram | Iterable[Sample]]
    labels: tuple[str, ...] = ()

    def metric(self, view: View) -> Metric:
        """As it is now."""
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
    """Of all that there are, so that the first of its kind is seen as a rise."""
    return [((error.code,), view.counters.errors[error.code]) for error in every_error()]


def _states(view: View) -> Iterable[Sample]:
    return [
        ((label, state), sum(realm.state == state for realm in realms))
        for label, realms in view.by_realm()
        for state in STATES
    ]


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
        "Connections of clients, by the door that they came in by",
        lambda view: [((door,), count) for door, count in view.connections.by_door.items()],
        ("door",),
    ),
    Family(
        "chatd_connections_opened_total",
        "counter",
        "Connections of clients that there ever were; one that becomes a WebSocket counts again",
        lambda view: [((door,), count) for door, count in view.connections.opened.items()],
        ("door",),
    ),
    Family(
        "chatd_sessions",
        "gauge",
        "Logins that some connection uses now",
        lambda view: view.sessions.attached,
    ),
    Family(
        "chatd_accounts_online",
        "gauge",
        "Accounts that are logged in on some connection",
        lambda view: len(view.service.presence.online()),
    ),
    Family(
        "chatd_listeners",
        "gauge",
        "Connections to which messages are pushed as they come",
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
        "Refusals that clients were told, by their codes, in all dialects and over HTTP",
        _errors,
        ("code",),
    ),
    Family(
        "chatd_files_received_bytes_total",
        "counter",
        "Bytes of files that came from clients and other realms, also of those that came to nothing",
        lambda view: view.counters.received,
    ),
    Family(
        "chatd_files_given_bytes_total",
        "counter",
        "Bytes of files that were read for clients and other realms",
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
        "Transactions of which nothing was kept; whoever waited for them was told storage-failed",
        lambda view: view.counters.failed,
    ),
    Family(
        "chatd_database_queue_jobs",
        "gauge",
        "Jobs that wait for the database, those of the transaction under way included",
        lambda view: view.service.database.queued,
    ),
    Family(
        "chatd_database_answers",
        "gauge",
        f"1 if the database said within {PATIENCE:g} s what waits for other realms, else 0; then the "
        "metrics by realm are missing",
        lambda view: int(view.realms is not None),
    ),
    Family(
        "chatd_outbox_parcels",
        "gauge",
        "What waits for another realm: messages, and news of groups",
        lambda view: [
            ((label,), sum(each.queued for each in realms)) for label, realms in view.by_realm()
        ],
        ("realm",),
    ),
    Family(
        "chatd_outbox_oldest_seconds",
        "gauge",
        "For how long the oldest of these has waited; 0 if nothing does",
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
)


class ChatCollector(Collector):
    """FAMILIES as prometheus_client asks for them, of `view`."""

    view: View

    def collect(self) -> Iterable[Metric]:
        return [family.metric(self.view) for family in FAMILIES]


class MetricsResource(Resource):
    """Answers `GET /metrics` and nothing else."""

    def __init__(self, service: ChatService, sessions: Sessions, connections: Connections) -> None:
        super().__init__()
        self.isLeaf = True
        self._service = service
        self._sessions = sessions
        self._connections = connections
        self._hosts = Hosts(service.config.realm, service.config.web.hosts)
        self._realms = SharedQuery(service.clock, service.realms.all)
        self._chatd = ChatCollector()
        self._registry = CollectorRegistry()
        self._registry.register(self._chatd)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def render(self, request: Request) -> int | bytes:
        """Begin to answer."""
        try:
            self._hosts.check(request)
        except ChatError as error:
            request.setResponseCode(status_of(error))
            request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            return f"{error.code}: {error}\n".encode()
        if request.path != b"/metrics" or request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(404)
            request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            return b"Only GET /metrics is here\n"
        answering = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _gone: answering.cancel())
        answering.addErrback(self._failed, request)
        return int(NOT_DONE_YET)

    async def _answer(self, request: Request) -> None:
        realms: Sequence[RealmInfo] | None = None
        try:
            realms = await self._realms.ask(PATIENCE)
        except CancelledError:
            raise
        except Exception as error:
            log.debug("what waits for other realms is not known: {error!r}", error=error)
        self._chatd.view = View(self._service, self._sessions, self._connections, realms)
        encode, content_type = _encoder(request.getHeader("accept"))
        data = encode(self._registry)
        request.setHeader(b"Content-Type", content_type.encode())
        request.setHeader(b"Content-Length", str(len(data)).encode())
        if request.method != b"HEAD":
            request.write(data)
        request.finish()

    def _failed(self, failure: Any, request: Request) -> None:
        if failure.check(CancelledError):
            return  # who asked is gone
        log.failure("the metrics can't be shown", failure)
        request.setResponseCode(500)
        request.finish()


def _encoder(accept: str | None) -> tuple[Callable[[Collector], bytes], str]:
    """How to write metrics for who accepts that, and what that is called."""
    try:
        return choose_encoder(accept or "")
    except (TypeError, ValueError):
        return choose_encoder("")  # it asks for a version that is none
