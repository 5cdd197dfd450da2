"""The daemon: one realm, from its configuration to its open doors, and its shutdown in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

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
from chatd.app.state import StartError
from chatd.base.clocks import IReactor
from chatd.base.config import Config

log = Logger()


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
        foreground: bool = True,
        load: Callable[[], Config] | None = None,
    ) -> None:
        """`load` reads the configuration again. It raises ConfigError."""
        self.config = config
        self._reactor = reactor
        self._options = options
        self._output = output
        self._foreground = foreground
        # A background daemon's standard error leads nowhere, and twistd shows only 100 bytes of an error.
        # This leads to the terminal that started it.
        self._terminal = None if foreground else os.fdopen(os.dup(2), "w")
        self._reloads = reloads = Reloads()
        if output is not None and output.file is not None:
            reloads.add("the log file", output.file.reopen)
        self._realm = Realm(config, Environment(reactor, random_bytes, reactor), options)
        self._doors = Doors(self._realm, reloads)
        self._reloader = Reloader(
            self._realm, self._doors, reloads, output, load or (lambda: config)
        )
        self._watch = CertificateWatch(reactor, self._in_thread, reloads)

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
        self._watch.stop()
        await self._reloader.stop()
        self._realm.refuse()
        await self._doors.close()
        await self._realm.close()
        log.info("everything is on disk; goodbye")
