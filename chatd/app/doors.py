"""The doors of a realm: what serves each endpoint of `[listen]`, and how the ports open and close."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, cast

import msgspec
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.app.realm import Realm
from chatd.app.reload import Reloads
from chatd.app.state import StartError
from chatd.base.config import DATA_DOOR
from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.federation.amp.endpoint import TLSEndpoint
from chatd.lines.connections import Connections
from chatd.lines.data_claims import DataClaims
from chatd.lines.data_door import DataFactory
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.registry import DIALECTS
from chatd.lines.factory import ChatLineFactory
from chatd.net.eager import FlushQueue, make_eager
from chatd.net.listening import is_proxied, is_tls, listen, use_segments
from chatd.web.metrics_site import MetricsSite
from chatd.web.site import ChatSite, make_site
from chatd.web.web_dialect import WebDialect

PATIENCE = 10.0  # seconds that clients have at a shutdown to read the replies to their requests

TLS_HINT = "openssl s_client -quiet -crlf -connect {host}:{port}"

# The factories whose connections are those of clients.
ClientFactory: TypeAlias = ChatLineFactory | ChatSite | DataFactory

log = Logger()


class DoorPlan(msgspec.Struct, frozen=True):
    """What a door serves. `hint` says how to connect, with {host} and {port}. `segment`: bytes in a TCP
    segment, or 0 for what the system takes."""

    factory: Factory[Any]
    hint: str
    segment: int = 0


class DoorContext(msgspec.Struct, frozen=True):
    """What the factories of a realm's doors share."""

    realm: Realm
    connections: Connections
    flush_queue: FlushQueue
    claims: DataClaims


def _lines(dialect: type[Dialect], context: DoorContext, tls: bool) -> DoorPlan:
    realm = context.realm
    factory = ChatLineFactory(
        realm.service,
        realm.sessions,
        context.connections,
        context.flush_queue,
        dialect(),
        context.claims if DATA_DOOR in realm.config.listen else None,
    )
    return DoorPlan(factory, TLS_HINT if tls else dialect.hint, dialect.segment)


def _data(context: DoorContext, _tls: bool) -> DoorPlan:
    factory = DataFactory(context.realm.service, context.connections, context.claims)
    return DoorPlan(factory, "port {port}")


def _web(context: DoorContext, tls: bool) -> DoorPlan:
    realm = context.realm
    site = make_site(realm.service, realm.sessions, context.connections, context.flush_queue)
    return DoorPlan(site, WebDialect.hint.replace("http:", "https:") if tls else WebDialect.hint)


def _metrics(context: DoorContext, tls: bool) -> DoorPlan:
    realm = context.realm
    site = MetricsSite(
        realm.environment.reactor, realm.service, realm.sessions, context.connections
    )
    return DoorPlan(site, f"{'https' if tls else 'http'}://{{host}}:{{port}}/metrics")


def _peers(context: DoorContext, _tls: bool) -> DoorPlan:
    realm = context.realm
    return DoorPlan(
        cast(TLSEndpoint, realm.endpoint).factory(realm.directory.manager), "port {port}"
    )


PLANS: Mapping[str, Callable[[DoorContext, bool], DoorPlan]] = {
    **{name: partial(_lines, dialect) for name, dialect in DIALECTS.items()},
    DATA_DOOR: _data,
    "web": _web,
    "metrics": _metrics,
    "peers": _peers,
}


class Doors:
    """The open ports of a realm."""

    def __init__(self, realm: Realm, reloads: Reloads) -> None:
        self._realm = realm
        self._reactor = realm.environment.reactor
        self._reloads = reloads
        self._ports: dict[str, IListeningPort] = {}
        self._clients: list[ClientFactory] = []

    def open(self) -> None:
        """Open all doors of the configuration. Raises StartError."""
        flush_queue = FlushQueue(self._reactor)
        self._realm.database.on_settled(flush_queue.flush)
        claims = DataClaims(self._realm.service.clock)
        context = DoorContext(self._realm, Connections(), flush_queue, claims)
        for name, endpoint in self._realm.config.listen.items():
            self._check(name, endpoint)
            plan = PLANS[name](context, is_tls(endpoint))
            port = self._ports[name] = self._listen(name, endpoint, plan.factory)
            if isinstance(plan.factory, ClientFactory):
                make_eager(port)
                self._clients.append(plan.factory)
            if plan.segment:
                use_segments(port, plan.segment)
            _log_hint(name, endpoint, plan.hint, port)

    async def close(self) -> None:
        """Stop listening, and finish the connections of clients. Those that take too long are dropped."""
        await all_of("a door was not closed", (port.stopListening for port in self._ports.values()))
        finished = all_of(
            "a door's connections were not finished", (each.finish for each in self._clients)
        )
        dropping = Timer(self._reactor, self._abort)
        dropping.start(PATIENCE)
        await finished
        dropping.cancel()

    def _abort(self) -> None:
        for factory in self._clients:
            guarded("a door's connections were not dropped", factory.abort)

    def _check(self, name: str, endpoint: str) -> None:
        """Raises StartError."""
        if is_proxied(endpoint) and not self._realm.config.trusted:
            log.warn(
                "[listen] {door} is for proxies and [listen] trusted is empty, so it accepts no connection",
                door=name,
            )
        if name == DATA_DOOR:
            self._check_data_door()
        if name == "peers" and is_tls(endpoint):
            raise StartError(
                f"[listen] {name} is {endpoint!r}; expected a tcp: endpoint, because links between "
                "realms use TLS in any case"
            )

    def _check_data_door(self) -> None:
        """The data connections of tugas4's client are matched to its requests by network address, so both
        doors have to see the address of the client itself. Raises StartError."""
        for name in (DATA_DOOR, "tugas4"):
            endpoint = self._realm.config.listen.get(name, "")
            if not endpoint.startswith(("tcp:", "tcp6:")):
                found = f"is {endpoint!r}" if endpoint else "is closed"
                raise StartError(
                    f"[listen] {name} {found}; expected a tcp: endpoint without a proxy for both tugas4 "
                    f"and {DATA_DOOR}, because files are matched to their requests by network address"
                )

    def _listen(self, name: str, endpoint: str, factory: Factory[Any]) -> IListeningPort:
        try:
            listening = listen(
                self._reactor,
                name,
                endpoint,
                factory,
                self._realm.config.trusted,
                lambda tls: self._reloads.add(f"the certificate of [listen] {name}", tls.reload),
            )
        except Exception as error:
            raise StartError(
                f"[listen] {name} is {endpoint!r}; expected a Twisted endpoint that works ({error})"
            ) from None
        results: list[Any] = []
        listening.addBoth(results.append)
        assert results  # noqa: S101 - server endpoints for sockets of this machine answer at once
        if isinstance(results[0], Failure):
            raise StartError(
                f"[listen] {name} is {endpoint!r} and can't be opened: {_reason_of(results[0])}; "
                "expected an address of this machine and a port that is free"
            )
        return cast(IListeningPort, results[0])


def _reason_of(failure: Failure) -> str:
    """Why an endpoint can't be opened, in the system's words if it was the system that refused."""
    error = failure.value
    refused = error.socketError if isinstance(error, CannotListenError) else None
    if isinstance(refused, OSError) and refused.errno:
        return os.strerror(refused.errno)
    return failure.getErrorMessage()


def _log_hint(name: str, endpoint: str, hint: str, port: IListeningPort) -> None:
    """Log how to connect: `hint` with the port's address, or the path of its Unix socket."""
    address: Any = port.getHost()
    if isinstance(address, UNIXAddress):
        shown = f"Unix socket {os.fsdecode(address.name or b'')}"
    else:
        local = address.host in ("127.0.0.1", "0.0.0.0", "::", "::1")  # noqa: S104
        shown = hint.format(host="localhost" if local else address.host, port=address.port)
    proxied = " (through a proxy)" if is_proxied(endpoint) else ""
    log.info("{door}: {hint}{proxied}", door=name, hint=shown, proxied=proxied)


def all_of(failed: str, calls: Iterable[Callable[[], Any]]) -> Deferred[Any]:
    """Make all `calls`. Fires when all of their results have fired. Failures are logged with `failed`."""

    def note(failure: Failure) -> None:
        log.failure("{failed}", failure, failed=failed)

    return DeferredList([maybeDeferred(call).addErrback(note) for call in calls])
