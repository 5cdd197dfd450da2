"""`GET /metrics`: metrics for Prometheus, on an endpoint of their own.

chatd.web.metric_families has one row for each metric. Counters are in chatd.base.counters, and all other
values are read at each request. The number of labels is bounded: doors, kinds, error codes, and at most
MAX_REALMS realms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from chatd.base.errors import ChatError
from chatd.commands.sessions import Sessions
from chatd.lines.connections import Connections
from chatd.service.chat_service import ChatService
from chatd.web.answers import status_of
from chatd.web.hosts import Hosts
from chatd.web.metric_families import DATABASE_TIME, FAMILIES, View
from chatd.web.shared_query import SharedQuery
from chatd.web.store_sizes import SizeMeasure, StoreSizes

T = TypeVar("T")

log = Logger()


class ChatCollector(Collector):
    """Passes FAMILIES to prometheus_client, with the values of `view`."""

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
        self._hosts = Hosts(service.config.realm, lambda: service.config.web.hosts)
        self._realms = SharedQuery(service.clock, service.realms.all)
        self._sizes: SharedQuery[StoreSizes] = SharedQuery(
            service.clock, SizeMeasure(service).measure
        )
        self._chatd = ChatCollector()
        self._registry = CollectorRegistry()
        self._registry.register(self._chatd)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def render(self, request: Request) -> int | bytes:
        """Start to answer."""
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
        realms = await _answer_of(self._realms, "what waits for other realms is not known")
        sizes = await _answer_of(self._sizes, "the sizes are not known")
        self._chatd.view = View(
            self._service, self._sessions, self._connections, realms, sizes or StoreSizes()
        )
        encode, content_type = _encoder(request.getHeader("accept"))
        data = encode(self._registry)
        request.setHeader(b"Content-Type", content_type.encode())
        request.setHeader(b"Content-Length", str(len(data)).encode())
        if request.method != b"HEAD":
            request.write(data)
        request.finish()

    def _failed(self, failure: Any, request: Request) -> None:
        if failure.check(CancelledError):
            return  # the connection is gone
        log.failure("the metrics can't be shown", failure)
        request.setResponseCode(500)
        request.finish()


async def _answer_of(query: SharedQuery[T], unknown: str) -> T | None:
    """The answer to a query; None, and `unknown` in the log, if there is none in time."""
    try:
        return await query.ask(DATABASE_TIME)
    except CancelledError:
        raise
    except (defer.TimeoutError, ChatError) as error:
        log.debug("{unknown}: {error!r}", unknown=unknown, error=error)
    except Exception:
        log.failure("{unknown}", unknown=unknown)
    return None


def _encoder(accept: str | None) -> tuple[Callable[[Collector], bytes], str]:
    """The encoder for an Accept header, and its content type."""
    try:
        return choose_encoder(accept or "")
    except (TypeError, ValueError):
        return choose_encoder("")  # the header has a malformed version
