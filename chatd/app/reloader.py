"""Reads the configuration and all files again while the realm runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.logger import Logger

from chatd.app.doors import Doors, check_doors
from chatd.app.logs import LogOutput
from chatd.app.realm import Realm
from chatd.app.reload import Reloads
from chatd.app.state import StartError
from chatd.base.background import in_background
from chatd.base.config import Config
from chatd.base.config_changes import AT_START, ReloadReport, changed_keys, reloaded
from chatd.base.config_file import ConfigError
from chatd.base.isolation import guarded
from chatd.federation.amp.identity import IdentityError
from chatd.federation.amp.trust import AUTHORITIES

PEER_FILES = "the certificate for other realms"
# The keys of [peers] whose files have to be readable before they are used
IDENTITY = frozenset(f"[peers] {key}" for key in ("trust", "ca_file", "certificate", "private_key"))
STOPPING = ReloadReport(error="chatd is shutting down")
INTERNAL = ReloadReport(error="an internal error, which is in the log")

log = Logger()


class Reloader:
    """Reloads `realm`, `doors` and `output`, one reload at a time. `load` reads the configuration; it raises
    ConfigError."""

    def __init__(
        self,
        realm: Realm,
        doors: Doors,
        reloads: Reloads,
        output: LogOutput | None,
        load: Callable[[], Config],
    ) -> None:
        self._realm = realm
        self._doors = doors
        self._reloads = reloads
        self._output = output
        self._load = load
        self._lock = DeferredLock()
        self._waiting: list[Deferred[ReloadReport]] = []  # for a reload that has not begun
        self._stopped = False
        self._on_begin: Callable[[], None] = lambda: None
        self._on_end: Callable[[ReloadReport], None] = lambda _report: None

    def watch(self, on_begin: Callable[[], None], on_end: Callable[[ReloadReport], None]) -> None:
        """Call these when a reload begins and ends."""
        self._on_begin, self._on_end = on_begin, on_end

    def start(self) -> None:
        """Offer reloads to the commands of operators."""
        self._watch_peers()
        self._realm.service.reload = self.reload

    async def stop(self) -> None:
        """Wait for the reload under way. None begins any more."""
        self._stopped = True
        await self._lock.acquire()
        self._tell(STOPPING)

    def reload(self) -> Deferred[ReloadReport]:
        """Reload everything. Fires with what was done, and does not fail. Those who ask before a reload has
        begun share it."""
        if self._stopped:
            return succeed(STOPPING)
        waiter: Deferred[ReloadReport] = Deferred()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            running = self._lock.run(lambda: Deferred.fromCoroutine(self._run()))
            in_background("the configuration was not reloaded", running)
        return waiter

    async def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        guarded("nobody was told that a reload begins", self._on_begin)
        try:
            report = await self._reload()
        except Exception:
            log.failure("the configuration was not reloaded")
            report = INTERNAL
        guarded("nobody was told that a reload has ended", self._on_end, report)
        self._tell(report, waiting)

    def _tell(
        self, report: ReloadReport, waiting: Sequence[Deferred[ReloadReport]] | None = None
    ) -> None:
        for waiter in self._waiting if waiting is None else waiting:
            if not waiter.called:  # it may have been cancelled
                waiter.callback(report)

    async def _reload(self) -> ReloadReport:
        report = await self._configure()
        renewed, failed = self._reloads.reload()
        log_report(report)
        return msgspec.structs.replace(
            report, renewed=tuple(renewed), failed=(*report.failed, *failed)
        )

    async def _configure(self) -> ReloadReport:
        """Read the configuration and use it. If it is not accepted, nothing changes."""
        old = self._realm.config
        try:
            read = self._load()
            changed = changed_keys(old, read)
            new = reloaded(old, read)
            check_doors(new)
            shown = self._realm.keys.identify(new) if IDENTITY & {*changed} else None
        except (ConfigError, StartError, IdentityError) as error:
            return ReloadReport(error=str(error))
        if shown is None:
            self._realm.keys.restrict(new.peers.block)
        else:
            self._realm.keys.show(*shown)
        self._realm.use(new)
        if self._output is not None:
            self._output.use(new.log)
        failed = await self._doors.change(new)
        self._watch_peers()
        return ReloadReport(
            changed=tuple(key for key in changed if key not in AT_START),
            restart=tuple(key for key in changed if key in AT_START),
            failed=tuple(failed),
        )

    def _watch_peers(self) -> None:
        """Read the files that `[peers]` names again with the others. What chatd itself has made does not
        change while it runs."""
        if self._files() or self._realm.config.peers.trust in AUTHORITIES:
            self._reloads.add(PEER_FILES, self._realm.keys.reload, self._files)
        else:
            self._reloads.remove(PEER_FILES)

    def _files(self) -> Sequence[Path]:
        peers = self._realm.config.peers
        named = (peers.certificate, peers.private_key, peers.ca_file)
        return [each for each in named if each is not None]


def log_report(report: ReloadReport) -> None:
    """Log what a reload has changed, and what needs a restart."""
    if report.error:
        log.error(
            "the configuration was not accepted, and nothing of it is used: {error}",
            error=report.error,
        )
        return
    log.info(
        "the configuration was read again; changed: {changed}",
        changed=", ".join(report.changed) or "nothing",
    )
    if report.restart:
        log.warn("a restart is needed to change {keys}", keys=", ".join(report.restart))
