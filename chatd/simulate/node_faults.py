"""What goes wrong with several nodes of a realm: with their processes, the bus, and the database server."""

from __future__ import annotations

from chatd.simulate.bus import GOOD, BusFaults
from chatd.simulate.faults import BREAKDOWNS, Faults
from chatd.simulate.nodes import SharedServer, SimulatedNode
from chatd.simulate.servers import Server

NODE_BREAKDOWNS = ("pause", "bus", "part", "offline", "doubt", "failover")
# A realm of several nodes is not restored here, nor is it hostile.
NODE_KINDS = (*(each for each in BREAKDOWNS if each != "restore"), *NODE_BREAKDOWNS)
PAUSES = (0.3, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
BUSES = (
    BusFaults(delay=0.3, ordered=True),
    BusFaults(lost=0.1, delay=0.05, ordered=True),
    BusFaults(lost=0.3, doubled=0.3, delay=1.0),
    BusFaults(lost=1.0),
    BusFaults(doubled=0.5, delay=3.0),
)


class NodeFaults(Faults):
    """As Faults, for worlds in which realms have several nodes."""

    possible = NODE_KINDS

    def _shared_by(self, server: Server) -> SharedServer | None:
        return self._world.shared.get(server.name)

    # Processes

    def pause(self, server: Server) -> None:
        """A process does nothing for some time, and goes on."""
        if not server.is_open:
            return
        if server.is_stopped:
            server.continue_process()
            return
        server.stop_process()
        life, seconds = server.realm, self._random.choice(PAUSES)

        def go_on() -> None:
            if server.is_open and server.realm is life and server.is_stopped:
                self._say(f"{server.label} goes on")
                server.continue_process()

        self._world.network.clock.callLater(seconds, go_on)

    # The bus

    def bus(self, server: Server) -> None:
        """The bus of a realm loses, delays and doubles what it carries, in another way than before."""
        shared = self._shared_by(server)
        if shared is not None:
            shared.bus.faults = self._random.choice((GOOD, *BUSES))
            self._say(f"{shared.realm}: {shared.bus.faults}")

    def part(self, server: Server) -> None:
        """A node hears nothing of another one any more; or all hear each other again."""
        shared = self._shared_by(server)
        if shared is None:
            return
        wires = [node.wire for node in shared.nodes if node.wire is not None]
        if len(wires) < 2 or (shared.bus.parted and self._random.random() < 0.5):
            shared.bus.parted.clear()
            return
        one, two = self._random.sample(wires, 2)
        shared.bus.parted.add((one, two))
        if self._random.random() < 0.5:
            shared.bus.parted.add((two, one))

    def offline(self, server: Server) -> None:
        """A node does not reach the bus, or reaches it again."""
        if isinstance(server, SimulatedNode) and server.wire is not None:
            server.wire.mend() if server.wire.is_cut else server.wire.cut()

    # The server of the database

    def doubt(self, server: Server) -> None:
        """A node loses its connection to the server, and does not learn at once whether its next transaction
        was committed."""
        if self._shared_by(server) is not None and server.is_open:
            server.realm.database.doubtful.append(self._random.random() < 0.5)

    def failover(self, server: Server) -> None:
        """All nodes have new connections, as after another server has taken over."""
        shared = self._shared_by(server)
        for node in () if shared is None else shared.nodes:
            if node.is_open:
                node.realm.database.reconnect()

    # The end

    def end(self) -> None:
        for shared in self._world.shared.values():
            shared.bus.faults = GOOD
            shared.bus.parted.clear()
            for node in shared.nodes:
                node.continue_process()
                if node.wire is not None:
                    node.wire.mend()
        super().end()

    def _network_works(self) -> None:
        servers = self._world.servers
        self._world.network.until(lambda: all(server.is_open for server in servers), 60.0)
