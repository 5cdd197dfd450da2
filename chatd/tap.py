"""`twistd chatd`: the options, and the one place where everything is put together."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import msgspec
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from chatd.config import Config, ConfigError, Peers, find_config, load_config
from chatd.demo import ACCOUNTS, PASSWORD, add_demo_accounts
from chatd.handlers import HANDLERS
from chatd.lines.bagan import BaganDialect
from chatd.lines.dialect import Dialect
from chatd.lines.eager import Outbox, make_eager
from chatd.lines.factory import ChatLineFactory, Connections
from chatd.lines.jsonlines import JsonDialect
from chatd.lines.kelompok3 import Kelompok3Dialect
from chatd.lines.plain import PlainDialect
from chatd.lines.pychat import PychatDialect
from chatd.lines.tugas4 import Tugas4Dialect
from chatd.lines.urlencoded import UrlencodedDialect
from chatd.logs import make_observer
from chatd.passwords import Passwords
from chatd.service import ChatService
from chatd.session import Sessions
from chatd.state import StartError, StateFolder
from chatd.store.database import Database
from chatd.store.files import all_stored
from chatd.uploads import Uploads

DEMO_FOLDER = Path("var/demo")
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


class Options(usage.Options):
    """Command line options of `twistd chatd`."""

    synopsis = "[--config FILE] [--demo]"
    longdesc = "A federated chat daemon. Reads ./etc/chatd.ini, else /etc/chatd.ini, else defaults."
    optParameters = [["config", "c", None, "Read this configuration instead."]]
    optFlags = [
        ["demo", None, "Try it out: three accounts, everything on loopback, state in var/demo."]
    ]

    def postOptions(self) -> None:
        """Read and check the configuration."""
        try:
            self["settings"] = self._settings(Path.cwd())
        except ConfigError as error:
            stop(str(error))

    def _settings(self, here: Path) -> Config:
        if self["demo"]:
            config = load_config(Path(self["config"])) if self["config"] else Config()
            return msgspec.structs.replace(
                config,
                state=(here / DEMO_FOLDER).resolve(),
                listen=Config().listen,
                peers=Peers(add="anyone"),
            )
        path = Path(self["config"]) if self["config"] else find_config(here)
        if path is None:
            return msgspec.structs.replace(Config(), state=here / Config().state)
        return load_config(path)


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


def makeService(options: Options) -> IService:
    """The daemon, not started."""
    from twisted.internet import reactor

    config: Config = options["settings"]
    twistd: Any = options.parent or {}
    return ChatDaemon(
        config,
        reactor,
        os.urandom,
        demo=bool(options["demo"]),
        observer=make_observer(config.log, twistd),
        foreground=bool(twistd.get("nodaemon", True)),
    )


class ChatDaemon(Service):
    """One realm: from its configuration to its open doors, and back down again in order."""

    name = "chatd"

    def __init__(
        self,
        config: Config,
        reactor: Any,
        random_bytes: Callable[[int], bytes],
        demo: bool = False,
        observer: ILogObserver | None = None,
        foreground: bool = True,
    ) -> None:
        self.config = config
        self.service: ChatService | None = None
        self.ports: dict[str, IListeningPort] = {}
        self._reactor = reactor
        self._random_bytes = random_bytes
        self._demo = demo
        self._observer = observer
        self._foreground = foreground
        # A daemon's own standard error leads nowhere, and of what went wrong twistd tells the first 100
        # bytes: this leads to whoever started it.
        self._terminal = None if foreground else os.fdopen(os.dup(2), "w")
        self._factories: list[ChatLineFactory] = []
        self._state = StateFolder(config.state)
        self._database: Database | None = None
        self._passwords: Passwords | None = None
        self._uploads: Uploads | None = None

    def setServiceParent(self, parent: Any) -> None:
        """twistd takes its log observer from the application that it starts."""
        if isinstance(parent, Componentized) and self._observer is not None:
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)

    # Up

    def startService(self) -> None:
        """Open the state, then the doors. A mistake ends the process with a sentence."""
        try:
            self._start()
        except StartError as error:
            self._state.release()
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
        config = self.config
        self._state.claim()
        engine = self._state.open_database(config.database_url)
        passwords = self._passwords = Passwords(self._reactor, config.accounts.argon2)
        uploads = self._uploads = Uploads(self._reactor, self._state.uploads)
        uploads.start()
        with engine.connect() as connection:
            unclaimed = uploads.clean(all_stored(connection))
        if unclaimed:
            log.warn("{count} files that no message carries are now in unclaimed/", count=unclaimed)
        if self._demo:
            add_demo_accounts(engine, passwords)
        passwords.start()
        database = self._database = Database(engine, self._reactor)
        service = self.service = ChatService(
            config, self._reactor, database, passwords, uploads, self._random_bytes
        )
        database.start()
        self._open_doors(service)
        _settle_memory()
        if self._demo:
            names = ", ".join(name for name, _, _ in ACCOUNTS)
            log.info("accounts: {names}; password {password}", names=names, password=PASSWORD)

    def _open_doors(self, service: ChatService) -> None:
        sessions = Sessions(service, HANDLERS)
        connections = Connections()
        outbox = Outbox(self._reactor)
        service.database.on_settled(outbox.flush)
        log.info(
            "realm {realm}, state in {state}", realm=self.config.realm, state=str(self._state.path)
        )
        dialects = {dialect.name: dialect for dialect in DIALECTS}
        for door, endpoint in self.config.listen.items():
            if door not in dialects:
                log.warn("[listen] {door}: this version has no such door", door=door)
                continue
            factory = ChatLineFactory(
                service, sessions, connections, outbox, dialects[door](), self._random_bytes
            )
            self.ports[door] = self._listen(door, endpoint, factory)
            make_eager(self.ports[door])
            self._factories.append(factory)
            address: Any = self.ports[door].getHost()
            where = getattr(address, "host", "localhost")
            host = "localhost" if where in ("127.0.0.1", "0.0.0.0", "::", "::1") else where  # noqa: S104
            form = TLS_HINT if endpoint.startswith("ssl:") else dialects[door].hint
            hint = form.format(host=host, port=getattr(address, "port", address))
            log.info("{door}: {hint}", door=door, hint=hint)

    def _listen(self, door: str, endpoint: str, factory: ChatLineFactory) -> IListeningPort:
        try:
            listening = serverFromString(self._reactor, endpoint).listen(factory)
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
        await DeferredList(
            [Deferred.fromCoroutine(_stop_listening(port)) for port in self.ports.values()]
        )
        impatient = self._reactor.callLater(PATIENCE, self._abort)
        await DeferredList([factory.finish() for factory in self._factories])
        if impatient.active():
            impatient.cancel()
        if self._database is not None:
            await self._database.stop()
        for pool in (self._passwords, self._uploads):
            if pool is not None:
                pool.stop()
        self._state.release()
        log.info("everything is on disk; goodbye")

    def _abort(self) -> None:
        for factory in self._factories:
            factory.abort()


def _settle_memory() -> None:
    """What was made up to here stays: the garbage collector need not look at it again and again.

    Messages make many objects that live for one transaction and hardly any cycles, so collecting is
    worth its while more rarely than Python assumes (docs/performance.md has the figures).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _stop_listening(port: IListeningPort) -> None:
    stopped = port.stopListening()
    if stopped is not None:
        await stopped
