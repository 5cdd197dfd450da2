"""The daemon: one realm, from its configuration to its open doors, and back down again in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TextIO, cast

from twisted.application.service import Service
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from chatd.app import memory
from chatd.app.demo import ACCOUNTS, PASSWORD
from chatd.app.logs import Output
from chatd.app.realm import Realm
from chatd.app.reload import Reloads, install_signals
from chatd.app.state import StartError
from chatd.base.config import Config
from chatd.base.isolation import guarded
from chatd.base.timers import patiently
from chatd.federation.amp.endpoint import TLSEndpoint
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.pychat import PychatDialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from chatd.lines.factory import ChatLineFactory, Connections
from chatd.net.eager import Outbox, make_eager
from chatd.net.listening import is_proxied, is_tls, listen
from chatd.service.chat_service import ChatService
from chatd.web.metrics_site import MetricsSite
from chatd.web.site import ChatSite, make_site
from chatd.web.web_dialect import WebDialect

METRICS = "metrics"  # the door for who watches over this one
PEERS = "peers"  # the door for other realms
WEB = "web"  # the browser's door
PATIENCE = 10.0  # seconds that clients have at a shutdown to read what they asked for

DIALECTS: tuple[type[Dialect], ...] = (
    PlainDialect,
    JsonDialect,
    Kelompok3Dialect,
    BaganDialect,
    UrlencodedDialect,
    Tugas4Dialect,
    PychatDialect,
)
TLS_HINT = "openssl s_client -quiet -crlf -connect {host}:{port}"

log = Logger()


def say(sentence: str, out: TextIO | None) -> None:
    """One sentence for the operator."""
    if out is not None:
        out.write(f"chatd: {sentence}\n")
        out.flush()


def stop(sentence: str) -> NoReturn:
    """End the start with one sentence, no traceback, and an exit code that is not 0."""
    # Not sys.stderr: once twistd logs, that leads into the log.
    say(sentence, sys.__stderr__)
    raise SystemExit(1)


def finish(answer: str) -> NoReturn:
    """End with what was asked for, instead of a start."""
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()
    raise SystemExit(0)


class ChatDaemon(Service):
    """One realm: from its configuration to its open doors, and back down again in order."""

    name = "chatd"

    def __init__(
        self,
        config: Config,
        reactor: Any,
        random_bytes: Callable[[int], bytes],
        demo: bool = False,
        accept_loss: bool = False,
        output: Output | None = None,
        foreground: bool = True,
    ) -> None:
        self.config = config
        self.service: ChatService | None = None
        self.ports: dict[str, IListeningPort] = {}
        self._reactor = reactor
        self._random_bytes = random_bytes
        self._demo = demo
        self._output = output
        self._reloads = Reloads()
        if output is not None and output.file is not None:
            self._reloads.add("the log file", output.file.reopen)
        self._foreground = foreground
        # A daemon's own standard error leads nowhere, and of what went wrong twistd tells the first 100
        # bytes: this leads to whoever started it.
        self._terminal = None if foreground else os.fdopen(os.dup(2), "w")
        self._factories: list[ChatLineFactory | ChatSite] = []
        self._realm = Realm(config, reactor, random_bytes, demo=demo, accept_loss=accept_loss)

    def setServiceParent(self, parent: Any) -> None:
        """twistd takes its log observer from the application that it starts."""
        observer = None if self._output is None else self._output.observer
        if isinstance(parent, Componentized) and observer is not None:
            parent.setComponent(ILogObserver, observer)
        super().setServiceParent(parent)

    # Up

    def startService(self) -> None:
        """Open the state, then the doors. A mistake ends the process with a sentence."""
        try:
            self._start()
        except StartError as error:
            self._realm.release()
            if self._foreground:
                stop(str(error))
            log.critical("chatd can't start: {error}", error=str(error))
            say(str(error), self._terminal)
            raise
        finally:
            if self._terminal is not None:
                self._terminal.close()
        super().startService()

    def _start(self) -> None:
        log.info(
            "realm {realm}, state in {state}", realm=self.config.realm, state=str(self.config.state)
        )
        memory.return_large_blocks()
        self._realm.open()
        self.service = self._realm.service
        self._open_doors()
        self._realm.start()
        self._take_signals()
        self._show_code(sys.__stdout__)
        memory.settle()
        if self._demo:
            names = ", ".join(name for name, _, _ in ACCOUNTS)
            log.info("accounts: {names}; password {password}", names=names, password=PASSWORD)

    def _take_signals(self) -> None:
        """Make SIGHUP read everything again that may have changed."""
        if self.config.peers.certificate is not None:
            self._reloads.add("the certificate for other realms", self._realm.reload)
        install_signals(self._reactor, self._reloads.reload)

    def _show_code(self, out: TextIO | None) -> None:
        """Print the code for the first operator, on a terminal only: output to a file may be kept."""
        code = self._realm.operator_code
        if code is not None and self._foreground and out is not None and out.isatty():
            say(f"to become this realm's operator, log in and type: claim {code}", out)

    def _open_doors(self) -> None:
        realm = self._realm
        connections = Connections()
        outbox = Outbox(self._reactor)
        realm.database.on_settled(outbox.flush)
        dialects = {dialect.name: dialect for dialect in DIALECTS}
        for door, endpoint in self.config.listen.items():
            if is_proxied(endpoint) and not self.config.trusted:
                log.warn(
                    "[listen] {door} is for proxies and [listen] trusted is empty: it takes nobody",
                    door=door,
                )
            if door == PEERS:
                self._open_to_peers(endpoint)
                continue
            if door == METRICS:
                self._open_metrics(endpoint, connections)
                continue
            shared = (realm.service, realm.sessions, connections, outbox)
            factory: ChatLineFactory | ChatSite
            if door == WEB:
                factory = make_site(*shared, self._random_bytes)
                hint, tls_hint = WebDialect.hint, WebDialect.hint.replace("http:", "https:")
            else:
                factory = ChatLineFactory(*shared, dialects[door](), self._random_bytes)
                hint, tls_hint = dialects[door].hint, TLS_HINT
            self.ports[door] = self._listen(door, endpoint, factory)
            make_eager(self.ports[door])
            self._factories.append(factory)
            self._tell(door, tls_hint if is_tls(endpoint) else hint)

    def _tell(self, door: str, hint: str) -> None:
        """Log how to connect to the door: `hint` with its address, or the path of its Unix socket."""
        address: Any = self.ports[door].getHost()
        if isinstance(address, UNIXAddress):
            shown = f"Unix socket {os.fsdecode(address.name or b'')}"
        else:
            where = address.host
            local = where in ("127.0.0.1", "0.0.0.0", "::", "::1")  # noqa: S104
            shown = hint.format(host="localhost" if local else where, port=address.port)
        proxied = " (through a proxy)" if is_proxied(self.config.listen[door]) else ""
        log.info("{door}: {hint}{proxied}", door=door, hint=shown, proxied=proxied)

    def _open_to_peers(self, endpoint: str) -> None:
        if is_tls(endpoint):
            raise StartError(
                f"[listen] {PEERS} is {endpoint!r}; expected a tcp: endpoint, for TLS is there in any case"
            )
        door = cast(TLSEndpoint, self._realm.gate)
        self.ports[PEERS] = self._listen(PEERS, endpoint, door.factory(self._realm.directory))
        self._tell(PEERS, "port {port}")

    def _open_metrics(self, endpoint: str, connections: Connections) -> None:
        realm = self._realm
        site = MetricsSite(self._reactor, realm.service, realm.sessions, connections)
        self.ports[METRICS] = self._listen(METRICS, endpoint, site)
        scheme = "https" if is_tls(endpoint) else "http"
        self._tell(METRICS, f"{scheme}://{{host}}:{{port}}/metrics")

    def _listen(self, door: str, endpoint: str, factory: IProtocolFactory) -> IListeningPort:
        try:
            listening = listen(
                self._reactor,
                door,
                endpoint,
                factory,
                self.config.trusted,
                lambda tls: self._reloads.add(f"the certificate of [listen] {door}", tls.reload),
            )
        except Exception as error:
            raise StartError(
                f"[listen] {door} is {endpoint!r}; expected a Twisted endpoint that works ({error})"
            ) from None
        results: list[Any] = []
        listening.addBoth(results.append)
        result = results[0] if results else None
        if isinstance(result, Failure):
            reason = (
                os.strerror(result.value.socketError.errno)
                if isinstance(result.value, CannotListenError)
                and isinstance(result.value.socketError, OSError)
                and result.value.socketError.errno
                else result.getErrorMessage()
            )
            raise StartError(
                f"[listen] {door} is {endpoint!r} and can't be opened: {reason}; "
                "expected an address of this machine and a port that is free"
            )
        assert result is not None  # noqa: S101 - it is no failure, and all endpoints answer at once
        return cast(IListeningPort, result)

    # Down

    def stopService(self) -> Deferred[None]:
        """Stop listening, answer what was accepted, flush, close."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        log.info("shutting down")
        if self.service is not None:
            self.service.stopping = True
        await _all_of("a door was not closed", (port.stopListening for port in self.ports.values()))
        finished = _all_of(
            "a door's connections were not finished", (each.finish for each in self._factories)
        )
        await patiently(self._reactor, finished, PATIENCE, self._abort)
        if self.service is not None:
            await self._realm.close()
        log.info("everything is on disk; goodbye")

    def _abort(self) -> None:
        for factory in self._factories:
            guarded("a door's connections were not dropped", factory.abort)


def _all_of(failed: str, calls: Iterable[Callable[[], Any]]) -> Deferred[Any]:
    """Make all `calls`. Fires when all of their results have fired. Failures are logged."""

    def note(failure: Failure) -> None:
        log.failure("{failed}", failure, failed=failed)

    return DeferredList([maybeDeferred(call).addErrback(note) for call in calls])
