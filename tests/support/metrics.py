"""Scrapes of /metrics: as an HTTP request to a real port, and as a render without a socket."""

from __future__ import annotations

import http.client
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from chatd.lines.dialect import Dialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.web.metrics_site import MetricsSite
from tests.support.common import Realm, RealmTestCase, Wire

PATIENCE = 10.0  # seconds that an answer may take


Values = dict[str, float]


class Answer(msgspec.Struct, frozen=True):
    """A response. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def fetch(port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    """Send a request on a connection of its own. Blocks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        names = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, names, reply.read().decode())
    finally:
        connection.close()


class Served:
    """`site` on a port that is closed when the test ends."""

    def __init__(self, test: Any, site: Any) -> None:
        net: Any = reactor
        listening = net.listenTCP(0, site, interface="127.0.0.1")
        test.addCleanup(listening.stopListening)
        self.port: int = listening.getHost().port

    def ask(self, path: str, method: str = "GET", **headers: str) -> Deferred[Answer]:
        return deferToThread(fetch, self.port, path, method, **headers)


def read(text: str) -> Values:
    """The samples, by their names with sorted labels."""
    return {
        _shown(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _shown(name: str, labels: dict[str, str]) -> str:
    inner = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
    return f"{name}{{{inner}}}" if inner else name


def site_of(realm: Realm) -> MetricsSite:
    return MetricsSite(realm.environment.reactor, realm.service, realm.sessions, realm.connections)


class MetricsTestCase(RealmTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.served = Served(self, site_of(self.realm))

    def connect(self, dialect: Dialect, host: str = "127.0.0.1") -> Wire:
        wire = super().connect(dialect, host)

        def leave() -> None:
            if wire.transport.connected:
                wire.lose(Failure(ConnectionDone()))

        self.addCleanup(leave)
        return wire

    async def values(self) -> Values:
        answer = await self.served.ask("/metrics")
        self.assertEqual(answer.status, 200, answer)
        return read(answer.body)

    async def register(self, name: str) -> Wire:
        wire = self.connect(JsonDialect())
        reply = await wire.ask(command="register", username=name, password=f"{name}-password")
        self.assertEqual(reply["status"], "OK", reply)
        return wire

    def check(self, values: Values, **expected: float) -> None:
        """Check the values of these metrics, whose names are given without `chatd_`."""
        found = {name: values[f"chatd_{name}"] for name in expected}
        self.assertEqual(found, expected)
