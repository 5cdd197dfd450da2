"""The HTTP site of the `metrics` door. chatd.web.metrics answers its requests."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.web.resource import Resource

from chatd.commands.sessions import Sessions
from chatd.lines.connections import Connections
from chatd.service.chat_service import ChatService
from chatd.web.channel import QuietSite
from chatd.web.lazy_resource import LazyResource

IDLE = 30.0  # seconds after which a silent connection is closed


class MetricsSite(QuietSite):
    """The connections of those who read the metrics."""

    def __init__(
        self, reactor: Any, service: ChatService, sessions: Sessions, connections: Connections
    ) -> None:
        resource = LazyResource(partial(_metrics, service, sessions, connections))
        super().__init__(resource, timeout=IDLE, reactor=reactor)


def _metrics(service: ChatService, sessions: Sessions, connections: Connections) -> Resource:
    from chatd.web.metrics import MetricsResource

    return MetricsResource(service, sessions, connections)
