"""The doors of a realm: what serves each endpoint of `[listen]`, and how the ports open and close."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
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

from chatd.app.control import ControlSocket
from chatd.app.realm import Realm
from chatd.app.reload import Reloads
from chatd.app.state import StartError
from chatd.base.config import DATA_DOOR, Config
from chatd.base.isolation import guarded
from chatd.base.sources import Networks
from chatd.base.timers import Timer
from chatd.federation.amp.endpoint import TLSEndpoint
from chatd.lines.connections import Connections
from chatd.lines.control import ControlFactory
from chatd.lines.data_claims import DataClaims
from chatd.lines.data_door import DataFactory
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.registry import DIALECTS
from chatd.lines.factory import ChatLineFactory
from chatd.net.eager import FlushQueue, make_eager
from chatd.net.listening import is_proxied, is_tls, listen, use_segments
from chatd.net.tls import DoorTLS
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


class DoorContext(msgspec.Struct):
    """What the factories of a realm's doors share. `claims` are of those who use the door of data
    connections, and are replaced when it is closed."""

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
        cast(TLSEndpoint, realm.keys.endpoint).factory(realm.directory.manager), "port {port}"
    )


PLANS: Mapping[str, Callable[[DoorContext, bool], DoorPlan]] = {
    **{name: partial(_lines, dialect) for name, dialect in DIALECTS.items()},
    DATA_DOOR: _data,
    "web": _web,
    "metrics": _metrics,
    "peers": _peers,
}


class DoorSetting(msgspec.Struct, frozen=True):
    """Where a door listens. `trusted` are the proxies that may connect; none if it is not for proxies."""

    endpoint: str
    trusted: Networks


class OpenDoor(msgspec.Struct):
    """A door that listens. `plan` is kept when it begins to listen elsewhere, so its connections stay."""

    setting: DoorSetting
    plan: DoorPlan
    port: IListeningPort


def settings_of(config: Config) -> dict[str, DoorSetting]:
    """The doors of the configuration."""
    return {
        name: DoorSetting(endpoint, config.trusted if is_proxied(endpoint) else Networks())
        for name, endpoint in config.listen.items()
    }


def check_doors(config: Config) -> None:
    """Raises StartError if the doors of the configuration contradict each other."""
    if DATA_DOOR in config.listen:
        _check_data_door(config)
    if is_tls(endpoint := config.listen.get("peers", "")):
        raise StartError(
            f"[listen] peers is {endpoint!r}; expected a tcp: endpoint, because links between "
            "realms use TLS in any case"
        )


def _check_data_door(config: Config) -> None:
    """The data connections of tugas4's client are matched to its requests by network address, so both doors
    have to see the address of the client itself. Raises StartError."""
    for name in (DATA_DOOR, "tugas4"):
        endpoint = config.listen.get(name, "")
        if not endpoint.startswith(("tcp:", "tcp6:")):
            found = f"is {endpoint!r}" if endpoint else "is closed"
            raise StartError(
                f"[listen] {name} {found}; expected a tcp: endpoint without a proxy for both tugas4 "
                f"and {DATA_DOOR}, because files are matched to their requests by network address"
            )


class Doors:
    """The open ports of a realm."""

    def __init__(self, realm: Realm, reloads: Reloads) -> None:
        self._realm = realm
        self._reactor = realm.environment.reactor
        self._reloads = reloads
        self._open: dict[str, OpenDoor] = {}
        # Of doors that were closed, until their connections have ended
        self._retiring: dict[ClientFactory, Deferred[Any]] = {}
        self._context: DoorContext
        self._control = ControlSocket(realm)
        self._operators: ControlFactory | None = None  # their connections

    @property
    def names(self) -> Collection[str]:
        """The doors that listen."""
        return self._open.keys()

    def open(self) -> None:
        """Open all doors of the configuration, and the control socket. Raises StartError."""
        flush_queue = FlushQueue(self._reactor)
        self._realm.database.on_settled(flush_queue.flush)
        claims = DataClaims(self._realm.service.clock)
        self._context = DoorContext(self._realm, Connections(), flush_queue, claims)
        check_doors(self._realm.config)
        for name, setting in settings_of(self._realm.config).items():
            self._add(name, setting)
        self._operators = self._control.open(flush_queue)
        self._realm.service.access_bans.on_network(self._close_banned)

    async def change(self, config: Config) -> list[str]:
        """Open, move and close doors, so that they are those of `config`, for which `check_doors` was called.
        A door that moves keeps its connections; those of a door that is closed are finished. Returns
        sentences about doors that could not be opened; one that can't move stays where it was."""
        wanted = settings_of(config)
        moved = {
            name: door for name, door in self._open.items() if wanted.get(name) != door.setting
        }
        # All of them are closed first, because doors may swap their ports.
        await all_of("a door was not closed", (door.port.stopListening for door in moved.values()))
        for name, door in moved.items():
            self._closed(name, door, for_good=name not in wanted)
        failed = []
        for name, setting in wanted.items():
            if name not in self._open:
                try:
                    self._add(name, setting, moved.get(name))
                except StartError as error:
                    log.error("{error}", error=str(error))
                    failed.append(str(error))
        failed += self._put_back({name: moved[name] for name in moved if name in wanted})
        self._share_claims()
        return failed

    def _put_back(self, moved: Mapping[str, OpenDoor]) -> list[str]:
        """Open the doors that could not move where they were. Returns sentences about those that can't be."""
        failed = []
        for name, door in moved.items():
            if name not in self._open:
                try:
                    self._add(name, door.setting, door)
                except StartError as error:
                    failed.append(f"{error}, so {name} is closed")
                    self._retire(name, door)
        return failed

    def _add(self, name: str, setting: DoorSetting, before: OpenDoor | None = None) -> None:
        """Open a door. Raises StartError."""
        endpoint = setting.endpoint
        if is_proxied(endpoint) and not setting.trusted:
            log.warn(
                "[listen] {door} is for proxies and [listen] trusted is empty, so it accepts no connection",
                door=name,
            )
        plan = before.plan if before else PLANS[name](self._context, is_tls(endpoint))
        port = self._listen(name, setting, plan.factory)
        self._open[name] = OpenDoor(setting, plan, port)
        if isinstance(plan.factory, ClientFactory):
            make_eager(port)
        if plan.segment:
            use_segments(port, plan.segment)
        _log_hint(name, endpoint, plan.hint, port)

    def _closed(self, name: str, door: OpenDoor, *, for_good: bool) -> None:
        del self._open[name]
        self._reloads.remove(_certificate_of(name))
        if for_good:
            self._retire(name, door)

    def _retire(self, name: str, door: OpenDoor) -> None:
        """Finish the connections of a door that is closed. Those that take too long are dropped."""
        log.info("{door} is closed", door=name)
        factory = door.plan.factory
        if not isinstance(factory, ClientFactory):
            return  # the links of other realms stay, and a page of metrics ends by itself
        dropping = Timer(self._reactor, lambda: guarded("connections stay open", factory.abort))
        dropping.start(PATIENCE)

        def done(_result: Any) -> None:
            dropping.cancel()
            self._retiring.pop(factory, None)

        finishing = all_of("a closed door's connections were not finished", [factory.finish])
        self._retiring[factory] = finishing
        finishing.addCallback(done)
        if name == DATA_DOOR:
            self._context.claims = DataClaims(self._realm.service.clock)

    def _close_banned(self) -> None:
        """Close the connections from banned addresses at all doors."""
        factories = [*(door.plan.factory for door in self._open.values()), *self._retiring]
        for factory in factories:
            if isinstance(factory, ClientFactory):
                guarded("banned connections were not closed", factory.close_banned)

    def _share_claims(self) -> None:
        """Let the requests for files wait for data connections only while their door is open."""
        for door in self._open.values():
            if isinstance(door.plan.factory, ChatLineFactory):
                claims = self._context.claims if DATA_DOOR in self._open else None
                door.plan.factory.claims = claims

    async def close(self) -> None:
        """Stop listening, and finish the connections of clients. Those that take too long are dropped."""
        doors = list(self._open.values())
        self._open.clear()
        closing = [self._control.close, *(door.port.stopListening for door in doors)]
        await all_of("a door was not closed", closing)
        factories = (self._operators, *(door.plan.factory for door in doors))
        clients = [each for each in factories if isinstance(each, ClientFactory)]
        finished = all_of(
            "a door's connections were not finished", (each.finish for each in clients)
        )
        dropping = Timer(self._reactor, lambda: _abort(clients))
        dropping.start(PATIENCE)
        await finished
        for retiring in list(self._retiring.values()):
            await retiring
        dropping.cancel()

    def _listen(self, name: str, setting: DoorSetting, factory: Factory[Any]) -> IListeningPort:
        endpoint = setting.endpoint

        def watch(tls: DoorTLS) -> None:
            self._reloads.add(_certificate_of(name), tls.reload, lambda: tls.files)

        try:
            listening = listen(self._reactor, name, endpoint, factory, setting.trusted, watch)
        except Exception as error:
            raise StartError(
                f"[listen] {name} is {endpoint!r}; expected a Twisted endpoint that works ({error})"
            ) from None
        results: list[Any] = []
        listening.addBoth(results.append)
        assert results  # noqa: S101 - server endpoints for sockets of this machine answer at once
        if isinstance(results[0], Failure):
            self._reloads.remove(_certificate_of(name))
            raise StartError(
                f"[listen] {name} is {endpoint!r} and can't be opened: {_reason_of(results[0])}; "
                "expected an address of this machine and a port that is free"
            )
        return cast(IListeningPort, results[0])


def _abort(clients: Iterable[ClientFactory]) -> None:
    for factory in clients:
        guarded("a door's connections were not dropped", factory.abort)


def _certificate_of(door: str) -> str:
    return f"the certificate of [listen] {door}"


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
