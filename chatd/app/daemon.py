"""The daemon: one realm, from its configuration to its open doors, and its shutdown in order."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from chatd.app import memory
from chatd.app.certificate_watch import CertificateWatch
from chatd.app.console import say, stop
from chatd.app.demo_realms import ACCOUNTS, PASSWORD
from chatd.app.doors import Doors
from chatd.app.logs import LogOutput
from chatd.app.realm import Environment, Realm, StartOptions
from chatd.app.reload import Reloads, install_signals
from chatd.app.reloader import Reloader
from chatd.app.service_manager import ServiceManager, Supervision
from chatd.app.state import StartError
from chatd.base.clocks import IReactor
from chatd.base.config import Config
from chatd.base.config_changes import ReloadReport
from chatd.cluster.bus_choice import make_bus
from chatd.store.probe import ping_transaction

log = Logger()


class Surroundings(msgspec.Struct, frozen=True):
    """What is around the daemon. `foreground`: it runs on a terminal or under a supervisor. `load` reads
    the configuration again, and raises ConfigError. `supervision` is what systemd asks for."""

    foreground: bool = True
    load: Callable[[], Config] | None = None
    supervision: Supervision = Supervision()


class ChatDaemon(Service):
    """One realm as a Twisted service."""

    name = "chatd"

    def __init__(
        self,
        config: Config,
        reactor: IReactor,
        random_bytes: Callable[[int], bytes],
        options: StartOptions,
        output: LogOutput | None = None,
        outside: Surroundings = Surroundings(),  # noqa: B008 - it is frozen
    ) -> None:
        self.config = config
        self._reactor = reactor
        self._options = options
        self._output = output
        self._foreground = foreground = outside.foreground
        # A background daemon's standard error leads nowhere, and twistd shows only 100 bytes of an error.
        # This leads to the terminal that started it.
        self._terminal = None if foreground else os.fdopen(os.dup(2), "w")
        self._reloads = reloads = Reloads()
        if output is not None and output.file is not None:
            reloads.add("the log file", output.file.reopen)
        environment = Environment(
            reactor, random_bytes, reactor, bus=partial(make_bus, reactor=reactor)
        )
        self._realm = Realm(config, environment, options)
        self._doors = Doors(self._realm, reloads)
        load = outside.load or (lambda: config)
        self._reloader = Reloader(self._realm, self._doors, reloads, output, load)
        self._watch = CertificateWatch(reactor, self._in_thread, reloads)
        self._manager = ServiceManager(
            outside.supervision, reactor, lambda: time.monotonic_ns() // 1000, self._probe
        )
        self._reloader.watch(self._manager.reloading, self._reloaded)

    def _probe(self) -> Deferred[None]:
        """Fires when the thread that writes to the database has answered."""
        return self._realm.database.run(ping_transaction)

    def _reloaded(self, report: ReloadReport) -> None:
        trouble = "; ".join(each for each in (report.error, *report.failed) if each)
        self._manager.ready(trouble or self._doors_open)

    @property
    def _doors_open(self) -> str:
        return f"Open: {', '.join(self._doors.names)}"

    def _in_thread(self, *call: Any) -> Deferred[Any]:
        return self._realm.uploads.in_thread(*call)

    def setServiceParent(self, parent: Any) -> None:
        """twistd takes its log observer from the application that it starts."""
        observer = None if self._output is None else self._output.observer
        if isinstance(parent, Componentized) and observer is not None:
            parent.setComponent(ILogObserver, observer)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Open the state, then the doors. A mistake in the configuration or the state ends the process with
        a sentence."""
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
        self._doors.open()
        self._realm.start()
        self._handle_signals()
        self._show_code(sys.__stdout__)
        memory.settle()
        self._manager.ready(self._doors_open)
        if self._options.demo:
            names = ", ".join(name for name, _, _ in ACCOUNTS)
            log.info("accounts: {names}; password {password}", names=names, password=PASSWORD)

    def _handle_signals(self) -> None:
        """Make SIGHUP read all files again that may have changed."""
        self._reloader.start()
        self._watch.start()
        install_signals(self._reactor, self._reloader.reload)

    def _show_code(self, out: TextIO | None) -> None:
        """Print the code for the first operator, on a terminal only: output to a file may be kept."""
        code = self._realm.operator_code
        if code is not None and self._foreground and out is not None and out.isatty():
            say(f"to become this realm's operator, log in and type: claim {code}", out)

    def stopService(self) -> Deferred[None]:
        """Stop listening, answer the requests that were accepted, store everything, close."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        log.info("shutting down")
        self._manager.stopping()
        self._watch.stop()
        await self._reloader.stop()
        self._realm.refuse()
        await self._doors.close()
        await self._realm.close()
        self._manager.stopped()
        log.info("everything is on disk; goodbye")
