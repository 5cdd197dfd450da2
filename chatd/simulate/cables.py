"""The network of a simulation: its cables are slow, and what they carry stands in the trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from chatd.app.realm import Threads
from chatd.simulate.connections import FakeConnection, Pace, PeerTransport
from chatd.simulate.hostile import HostileRealm
from chatd.simulate.network import Network
from chatd.simulate.servers import Server
from chatd.simulate.stepped import STEPPED
from chatd.simulate.trace import Trace

DELAYS = ((0.0, 0.0), (0.0, 0.02), (0.01, 0.4), (0.5, 3.0))  # seconds: ranges of one-way delays


class Cable(Pace):
    """One direction of a connection. Each box takes a time of its own, and none overtakes another."""

    def __init__(self, network: CabledNetwork, name: str, delays: tuple[float, float]) -> None:
        self._network = network
        self._name = name
        self._delays = delays

    def ready(self) -> bool:
        if not self._network.slow:
            return True
        if self.due is None:
            self.due = self._network.now + self._network.random.uniform(*self._delays)
        return self.due <= self._network.now

    def passed(self, kind: str, size: int) -> None:
        self.due = None
        self._network.trace.say(f"{self._name}: {kind}, {size} bytes")


class CabledNetwork(Network):
    """While it is `slow`, boxes are delayed."""

    def __init__(
        self, folder: Path, random: Random, trace: Trace, threads: Threads = STEPPED
    ) -> None:
        super().__init__(folder, None, threads)
        self.random = random
        self.trace = trace
        self.slow = False
        self.hostile: HostileRealm | None = None
        self.after_steps: list[Callable[[], None]] = []
        self.on_connection = self._lay

    def step(self) -> bool:
        done = super().step()
        for then in self.after_steps:
            then()
        return done

    def mix(self) -> None:
        """From now on, chance decides which of several events happens first."""
        self._random = self.random

    def name_of(self, end: PeerTransport) -> str:
        server = self.server_of(end)
        return "?" if server is None else server.name

    def server_of(self, end: PeerTransport) -> Server | None:
        """The server that writes there."""
        host = getattr(end.protocol, "host", None)
        for server in self.servers.values():
            if server.is_open and server.host is host:
                return server
        return None

    def ends_of(self, server: Server) -> list[PeerTransport]:
        """The open ends of connections that this server writes to."""
        return [
            end
            for connection in self.connections
            if connection.is_open
            for end in connection.ends
            if self.server_of(end) is server
        ]

    def _lay(self, connection: FakeConnection) -> None:
        near, far = map(self.name_of, connection.ends)
        delays = self.random.choice(DELAYS)
        connection.near.pace = Cable(self, f"{near} to {far}", delays)
        connection.far.pace = Cable(self, f"{far} to {near}", delays)
        if self.hostile is not None:
            self.hostile.meet(connection, near, far)
        self.trace.say(f"{near} is connected to {far}")
