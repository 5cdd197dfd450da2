"""What goes wrong in a simulation."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from chatd.simulate.servers import Server
from chatd.simulate.world import World

KINDS = (
    "cut",
    "delay",
    "hold",
    "lose",
    "kill",
    "stop",
    "unreachable",
    "full",
    "fail",
    "clock",
    "restore",
)


class Faults:
    """Each call lets one thing go wrong. Only those of `kinds` do; with None, chance chooses the kinds."""

    def __init__(self, world: World, kinds: Collection[str] | None) -> None:
        self._world = world
        self._random = world.random
        chosen = [each for each in KINDS if self._random.random() < 0.6]
        self.kinds = chosen if kinds is None else [each for each in KINDS if each in kinds]
        world.network.slow = "delay" in self.kinds
        world.trace.say(f"faults: {', '.join(self.kinds)}")
        self._copies: dict[str, Path] = {}
        if "restore" in self.kinds:
            for server in world.servers:
                self._back_up(server)

    def act(self) -> None:
        kinds = [each for each in self.kinds if each != "delay"]
        if not kinds:
            return
        kind = self._random.choice(kinds)
        server = self._random.choice(self._world.servers)
        self._say(f"{kind}: {server.name}")
        self._world.counts[kind] += 1
        getattr(self, kind)(server)

    def _say(self, what: str) -> None:
        self._world.trace.say(f"fault {what}")

    # Cables

    def cut(self, server: Server) -> None:
        """End connections, also in the middle of a box."""
        everywhere, half = self._random.random() < 0.5, self._random.random() < 0.5
        for end in self._world.network.ends_of(server):
            if everywhere or self._random.random() < 0.5:
                connection = end.connection
                connection.split() if half else connection.cut()

    def lose(self, server: Server) -> None:
        """Lose acknowledgements that this realm writes, until the connection ends."""
        for end in self._world.network.ends_of(server):
            end.losing = {"Deliver answer"}

    def hold(self, server: Server) -> None:
        """Deliver nothing in one direction, or go on with it."""
        for end in self._world.network.ends_of(server):
            end.held = not end.held

    def unreachable(self, server: Server) -> None:
        """Nobody can connect to a realm, or they can again."""
        refusing = self._world.network.refusing
        if refusing.pop(server.where, None) is None:
            refusing[server.where] = OSError("unreachable")

    # Realms

    def kill(self, server: Server) -> None:
        """End a realm as a crash does, and start it again at once or later; or start it."""
        if not server.is_open:
            self._open(server)
            return
        server.kill()
        if self._random.random() < 0.6:
            self._open(server)

    def stop(self, server: Server) -> None:
        """Stop a realm in order, and start it again."""
        if not server.is_open:
            self._open(server)
            return
        database = server.realm.database
        if database.full:
            return
        database.failing = lambda: False
        for end in self._world.network.ends_of(server):
            end.held = False
        server.close()
        self._open(server)

    def _open(self, server: Server) -> None:
        server.open()
        self._say(f"{server.name} starts")

    def clock(self, server: Server) -> None:
        """The wall clock of a realm steps."""
        server.stepped += self._random.choice((-3600.0, -60.0, -1.0, 1.0, 60.0, 3600.0))

    # Disks

    def full(self, server: Server) -> None:
        """A disk is full, or has room again."""
        if server.is_open:
            database = server.realm.database
            database.full = not database.full

    def fail(self, server: Server) -> None:
        """One of the next transactions fails to commit."""
        if server.is_open:
            database = server.realm.database
            coming = iter((*[False] * self._random.randrange(4), True))
            database.failing = lambda: next(coming, False) or database.full

    # Backups

    def restore(self, server: Server) -> None:
        """Make a backup of a realm, or restore the last one."""
        if self._random.random() < 0.5:
            self._back_up(server)
            return
        self._say(f"{server.name} is restored")
        if server.is_open:
            server.kill()
        shutil.rmtree(server.config.state)
        shutil.copytree(self._copies[server.name], server.config.state)
        self._world.restored = True
        self._world.counts["restored"] += 1
        for request in self._world.requests:
            request.doubtful = True
        self._world.network.advance(60)  # longer than the starts since the backup have taken
        server.open()

    def _back_up(self, server: Server) -> None:
        if server.is_open:
            server.kill()
        copy = self._copies[server.name] = self._world.folder / f"backup of {server.name}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(server.config.state, copy)
        server.open()

    # The end

    def end(self) -> None:
        """Let nothing fail any more, and begin with new links."""
        self._say("nothing fails any more")
        network = self._world.network
        network.slow = False
        network.refusing.clear()
        for server in self._world.servers:
            if not server.is_open:
                self._open(server)
            server.realm.database.full = False
            server.realm.database.failing = lambda: False
        for connection in network.connections:
            for end in connection.ends:
                end.held = False
                end.losing = set()
        network.cut()
