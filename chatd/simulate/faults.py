"""What goes wrong in a simulation."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from chatd.app.state import StartError
from chatd.simulate.records import Violation
from chatd.simulate.servers import Server
from chatd.simulate.world import World

BREAKDOWNS = (
    *("cut", "delay", "hold", "lose", "unreachable"),
    *("kill", "stop", "clock", "restore"),
    *("full", "fail", "errors", "power"),
)
HOSTILE = "hostile"
KINDS = (*BREAKDOWNS, HOSTILE)
SELDOM_HOSTILE = (
    0.15  # of the seeds whose kinds are chosen, because little is promised to a hostile realm
)


class Faults:
    """Each call lets one thing go wrong. Only those of `kinds` do; with None, chance chooses the kinds."""

    possible: tuple[str, ...] = KINDS

    def __init__(self, world: World, kinds: Collection[str] | None) -> None:
        self._world = world
        self._random = world.random
        breakdowns = [each for each in self.possible if each != HOSTILE]
        chosen = [each for each in breakdowns if self._random.random() < 0.6]
        if HOSTILE in self.possible and self._random.random() < SELDOM_HOSTILE:
            chosen.append(HOSTILE)
        self.kinds = chosen if kinds is None else [each for each in self.possible if each in kinds]
        world.network.slow = "delay" in self.kinds
        world.trace.say(f"faults: {', '.join(self.kinds)}")
        self._copies: dict[str, Path] = {}
        world.network.after_steps.append(self._bury)
        if HOSTILE in self.kinds:
            world.let_in(self._random.choice(world.servers).name)
        if "restore" in self.kinds:
            for server in world.servers:
                self._back_up(server)

    def act(self) -> None:
        kinds = [each for each in self.kinds if each != "delay"]
        if not kinds:
            return
        kind = self._random.choice(kinds)
        server = self._random.choice(self._world.servers)
        self._say(f"{kind}: {server.label}")
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
        self._world.kill(server)
        if self._random.random() < 0.6:
            self._open(server)

    def stop(self, server: Server) -> None:
        """Stop a realm in order, and start it again."""
        if not server.is_open:
            self._open(server)
            return
        if server.is_stopped:
            return
        database = server.realm.database
        disk = self._world.disk_of(server)
        if database.full:
            return
        if disk is not None and (disk.full or disk.dead or disk.countdown is not None):
            return
        if disk is not None:
            disk.failing = 0
        database.failing = lambda: False
        for end in self._world.network.ends_of(server):
            end.held = False
        server.close()
        self._open(server)

    def _open(self, server: Server) -> None:
        """Start a realm, on a disk that works."""
        disk = self._world.disk_of(server)
        if disk is not None:
            disk.repair()
        try:
            server.open()
        except StartError as error:
            raise Violation(f"a realm starts after a crash: {error}") from error
        self._say(f"{server.label} starts")

    def clock(self, server: Server) -> None:
        """The wall clock of a realm steps."""
        server.stepped += self._random.choice((-3600.0, -60.0, -1.0, 1.0, 60.0, 3600.0))

    def hostile(self, _server: Server) -> None:
        """The hostile realm does something else from now on."""
        hostile = self._world.network.hostile
        assert hostile is not None  # noqa: S101 - it is let in at first
        hostile.turn()

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

    def power(self, server: Server) -> None:
        """The power of a machine fails, at once or in the middle of one of the next writes."""
        disk = self._world.disk_of(server)
        if disk is None or not server.is_open:
            return
        if self._random.random() < 0.3:
            disk.dead = True
        else:
            disk.countdown = self._random.choice((0, 1, 3, 10, 30))

    def errors(self, server: Server) -> None:
        """The disk is full, or has room again, or some of the next writes fail."""
        disk = self._world.disk_of(server)
        if disk is None or not server.is_open:
            return
        if self._random.random() < 0.5:
            disk.full = not disk.full
        else:
            disk.failing = self._random.randint(1, 4)

    def _bury(self) -> None:
        """End the realms whose machines have lost their power, and start them again, at once or later."""
        disks = self._world.disks
        if disks is None or not any(disk.dead for disk in disks.disks.values()):
            return
        for server in self._world.servers:
            disk = self._world.disk_of(server)
            if disk is not None and disk.dead and server.is_open:
                server.kill()
                lost = disk.lost
                self._say(f"{server.name} has lost its power: {disk.lose_power(self._random)}")
                self._world.counts["lost writes"] += disk.lost - lost
                self._world.counts["power lost"] += 1
                if self._random.random() < 0.6:
                    self._open(server)

    # Backups

    def restore(self, server: Server) -> None:
        """Make a backup of a realm, or restore the last one."""
        if self._random.random() < 0.5:
            self._back_up(server)
            return
        self._say(f"{server.name} is restored")
        if server.is_open:
            self._world.kill(server)
        shutil.rmtree(server.config.state)
        shutil.copytree(self._copies[server.name], server.config.state)
        self._forget(server)
        self._world.restored = True
        self._world.counts["restored"] += 1
        for request in self._world.requests:
            request.doubtful = True
        self._world.network.advance(60)  # longer than the starts since the backup have taken
        server.open()

    def _back_up(self, server: Server) -> None:
        """Copy the state between two transactions, as a snapshot of the file system does."""
        copy = self._copies[server.name] = self._world.folder / f"backup of {server.name}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(server.config.state, copy, ignore=shutil.ignore_patterns("*-shm"))

    def _forget(self, server: Server) -> None:
        """The files of a realm that does not run are on its disk."""
        disk = self._world.disk_of(server)
        if disk is not None:
            disk.repair()
            disk.forget()

    # The end

    def end(self) -> None:
        """Let nothing fail any more, and begin with new links."""
        self._say("nothing fails any more")
        self._bury()
        network = self._world.network
        network.slow = False
        network.refusing.clear()
        for server in self._world.servers:
            disk = self._world.disk_of(server)
            if disk is not None:
                disk.repair()
            if not server.is_open:
                self._open(server)
        self._network_works()
        for server in self._world.servers:
            database = server.realm.database
            database.full, database.failing = False, lambda: False
            database.doubtful.clear()
        for connection in network.connections:
            for end in connection.ends:
                end.held = False
                end.losing = set()
        network.cut()

    def _network_works(self) -> None:
        """Wait until all processes run."""
