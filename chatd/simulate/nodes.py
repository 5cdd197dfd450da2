"""A realm on several nodes, in a simulated network: they share a database, files and a bus."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from sqlalchemy import Engine, event
from twisted.internet.defer import Deferred

from chatd.app.key_file import make_key_file
from chatd.app.realm import Environment
from chatd.base.config import SEVERAL_NODES, ClusterConfig, FilesConfig
from chatd.cluster.numbered_bus import NumberedBus
from chatd.simulate.bus import GOOD, SimulatedBus, SimulatedWire
from chatd.simulate.clocks import TimerClock
from chatd.simulate.databases import DATABASE, empty_database
from chatd.simulate.network import Network
from chatd.simulate.servers import Server, SimulatedRealm
from chatd.simulate.shared_sqlite import SCHEME, TIME

RETRY = 1.0  # seconds between attempts of a node to start


class StillListed(Exception):
    """The last run of a node has not ended yet for the others."""


class SharedServer:
    """What the nodes of a realm share: the folder `path` with the database and the files, a key and a bus."""

    def __init__(self, network: Network, realm: str, folder: Path, random: Random) -> None:
        self.realm = realm
        self.path = folder / realm
        self.path.mkdir(mode=0o700)
        self.key_file = folder / f"{realm}.key"
        self.bus = SimulatedBus(network.clock, random)
        self.bus.faults = GOOD
        self.nodes: list[SimulatedNode] = []
        self.people: list[Any] = []  # of chatd.simulate.roaming.RoamingPerson
        shutil.copyfile(empty_database(), self.path / DATABASE)
        make_key_file(self.key_file, lambda size: realm.encode().ljust(size, b"."))

    @property
    def url(self) -> str:
        return f"{SCHEME}:///{self.path / DATABASE}"

    @property
    def files(self) -> Path:
        return self.path / "uploads"


class SimulatedNode(Server):
    """One node of a realm. Other realms find all of them in the same place, behind a proxy."""

    def __init__(
        self, network: Network, shared: SharedServer, folder: Path, **settings: Any
    ) -> None:
        self.shared = shared
        self.node = f"node{len(shared.nodes) + 1}"
        shared.nodes.append(self)
        self.wire: SimulatedWire | None = None
        self.on_open: Callable[[], object] = lambda: None
        self._folder = folder
        self._resumed: list[Callable[[], object]] = []
        self._retrying = False
        self._engine: Engine
        super().__init__(network, shared.realm, folder, **settings)

    def _begin(self) -> None:
        self.label = f"{self.name} {self.node}"
        state = self._folder / self.label
        self.config = msgspec.structs.replace(
            self.config,
            state=state,
            database_url=self.shared.url,
            files=FilesConfig(folder=self.shared.files),
            # It is not read: the network of the simulation shows one that it has made.
            peers=msgspec.structs.replace(self.config.peers, certificate=state / "unused.pem"),
            cluster=ClusterConfig(SEVERAL_NODES, self.node, key_file=self.shared.key_file),
        )

    @property
    def folders(self) -> list[Path]:
        return [self.config.state, self.shared.path]

    def environment(self, clock: TimerClock) -> Environment:
        threads = self.network.threads
        self.wire = wire = self.shared.bus.wire()
        return dataclasses.replace(
            super().environment(clock),
            threads=dataclasses.replace(threads, connect=self._connect),
            bus=lambda _config: NumberedBus(wire, clock),
            pause=self._pause,
        )

    def _connect(self, url: str) -> Engine:
        engine = self._engine = self.network.threads.connect(url)
        event.listen(engine, "connect", self._add_time)
        return engine

    def _add_time(self, connection: Any, _record: object) -> None:
        connection.create_function(TIME, 0, lambda: int(self.network.now * 1000))

    def _pause(self, _seconds: float) -> None:
        raise StillListed

    # Its life

    def start(self, life: SimulatedRealm) -> bool:
        try:
            return super().start(life)
        except StillListed:
            life.release()
            self._engine.dispose()
            self._unplug()
            if not self._retrying:
                self._retrying = True
                self.network.clock.callLater(RETRY, self._try_again)
            return False

    def _try_again(self) -> None:
        self._retrying = False
        if not self.is_open:
            self.open()

    def open(self) -> None:
        super().open()
        if self.is_open:
            self.on_open()

    def kill(self) -> None:
        self._resumed.clear()
        uploads: Any = self.realm.uploads
        super().kill()
        uploads.kill()
        self._unplug()
        self._send_away()

    def close(self) -> None:
        self._send_away()
        super().close()
        self._send_away()  # those who have come meanwhile
        self.wire = None

    @property
    def is_offline(self) -> bool:
        """Whether the node does not reach the bus, or does nothing."""
        return self.is_stopped or (self.wire is not None and self.wire.is_cut)

    def _send_away(self) -> None:
        """The connections of clients end."""
        for person in self.shared.people:
            person.node_ended(self)

    def _unplug(self) -> None:
        wire, self.wire = self.wire, None
        if wire is not None:
            with suppress(ValueError):
                wire.stop()

    def stop_process(self) -> None:
        super().stop_process()
        if self.wire is not None:
            self.wire.stop_process()

    def continue_process(self) -> None:
        if not self.is_open:
            return
        was_stopped = self.is_stopped
        super().continue_process()
        if was_stopped and self.wire is not None:
            self.wire.continue_process()
            resumed, self._resumed = self._resumed, []
            for then in resumed:
                then()

    def soon(self, call: Callable[[], object]) -> None:
        """Call `call` now, or when the process goes on. It is lost if the node is killed until then."""
        if self.is_stopped:
            self._resumed.append(call)
        else:
            call()

    def ask_soon(self, begin: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """As `soon`. Returns what will have the answer."""
        if not self.is_stopped:
            return begin()
        done: Deferred[Any] = Deferred()
        self._resumed.append(lambda: begin().chainDeferred(done))
        return done
