"""The processes of a run: nodes, the daemon of the other realm, PostgreSQL servers, and Redis."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.nodes.network import Faulty, Wire
from tests.nodes.operations import History
from tests.nodes.people import HERE, THERE, Size
from tests.nodes.sessions import Person
from tests.support.postgres import USER, find_programs
from tests.support.postgres_pair import PostgresPair
from tests.support.processes import Home, is_running
from tests.support.redis import RedisServer
from tests.support.talker import answers

DATABASE = "nodes"
NODES = 3
LOOK_EVERY = 0.2  # seconds after which a process that has ended by itself is started again
SOCKET = ".s.PGSQL.5432"

_PEERS = "\n[peers]\nadd = anyone\nprivate = yes\nstrangers = welcome\n"
_NODE = """
[database]
url = {url}
[cluster]
nodes = several
node = {node}
bus = {bus}
key_file = {root}/cluster.key
[files]
folder = {root}/files
"""
KEY = "11" * 32  # in hexadecimal digits
#: What the log of a daemon must not have.
TROUBLE = re.compile(r"Traceback|Unhandled|internal error")


class Node:
    """A daemon that is started again whenever it ends, as a service manager does it, unless it is `held`."""

    def __init__(self, home: Home, history: History) -> None:
        self.home = home
        self.ended = 0  # how often it has ended by itself
        self.held = True
        self.lock = threading.Lock()
        self._history = history

    @property
    def port(self) -> int:
        return self.home.ports["json"]

    def start(self) -> None:
        with self.lock:
            self.home.launch()
            self.held = False

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it, and do not start it again until `start`."""
        with self.lock:
            self.held = True
            process = self.home.daemon.process
            process.send_signal(number)
        try:
            process.wait(20)
        except Exception as error:
            self._history.note("slow", node=self.home.folder.parent.name, error=repr(error))
            process.kill()
            process.wait(20)

    def signal(self, number: int) -> None:
        self.home.daemon.process.send_signal(number)

    def look(self) -> None:
        """Start it again if it has ended."""
        with self.lock:
            if not self.held and not is_running(self.home.daemon.process.pid):
                self.home.daemon.process.wait(20)
                self.ended += 1
                self._history.note("ended", node=self.home.folder.parent.name)
                self.home.launch()

    def troubles(self) -> Counter[str]:
        """What its logs have that they must not have, and how often: the line before a traceback, and the
        exception, and one place where that is found."""
        found: Counter[str] = Counter()
        places: dict[str, str] = {}
        for path in sorted((self.home.folder / "logs").iterdir()):
            lines = path.read_text(errors="replace").splitlines()
            for number, line in enumerate(lines):
                if not TROUBLE.search(line):
                    continue
                head = line if "Traceback" not in line else lines[max(number - 1, 0)]
                what = f"{_without_time(head)} {_exception_after(lines, number)}".strip()
                found[what] += 1
                places.setdefault(what, f"{path}:{number + 1}")
        return Counter({f"{what} ({places[what]})": count for what, count in found.items()})


def _without_time(line: str) -> str:
    return re.sub(r"^\S+ \[", "[", line)


def _exception_after(lines: Sequence[str], number: int) -> str:
    """The last line of the traceback that begins at this line, or nothing if there is none."""
    for line in lines[number + 1 : number + 200]:
        if re.match(r"\t[A-Za-z_][\w.]*(:|$)", line):
            return line.strip()
        if not line.startswith("\t"):
            break
    return ""


class Cluster:
    """All processes, and the wires between them."""

    def __init__(self, root: Path, history: History, seed: object, bus: str = "redis") -> None:
        self.root = root
        self.history = history
        self.random = random.Random(f"{seed} cluster")  # noqa: S311 - repeatable, not secret
        self.nodes: list[Node] = []
        self.to_database: list[Faulty] = []  # by node
        self.to_bus: list[Faulty] = []
        self._closing: list[Callable[[], None]] = []
        self._watching = threading.Event()
        programs = find_programs()
        assert programs is not None
        self._programs = programs
        self.servers = PostgresPair(programs)
        self._closing.append(self.servers.remove)
        self.servers.database(DATABASE)
        self.redis: RedisServer | None = None
        if bus == "redis":
            self.redis = RedisServer()
            self._closing.append(self.redis.remove)
            self.redis.start()
        key_file = root / "cluster.key"
        key_file.write_text(KEY)
        key_file.chmod(0o600)
        for number in range(NODES):
            self._add_node(number)
        self.peer = Node(Home(root / THERE, THERE, _PEERS), history)
        self._closing.append(self.peer.home.close)
        self.to_peer = self._faulty(lambda: self.peer.home.ports["peers"])
        self.from_peer = self._faulty(self._any_node)
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def _faulty(self, *targets: Callable[[], int | str]) -> Faulty:
        wires = [Wire(target) for target in targets]
        self._closing += [wire.close for wire in wires]
        return Faulty(wires)

    def _add_node(self, number: int) -> None:
        folders = [server.folder for server in (self.servers.primary, self.servers.standby)]
        first, second = (str(folder / SOCKET) for folder in folders)
        to_database = self._faulty(lambda: first, lambda: second)
        self.to_database.append(to_database)
        hosts = "&".join(f"host=127.0.0.1:{wire.port}" for wire in to_database.wires)
        url = f"postgresql+psycopg://{USER}@/{DATABASE}?{hosts}&sslmode=disable&gssencmode=disable"
        bus = "postgres"
        if self.redis is not None:
            path = self.redis.url.removeprefix("unix://")
            to_bus = self._faulty(lambda: path)
            self.to_bus.append(to_bus)
            bus = f"redis://127.0.0.1:{to_bus.wires[0].port}"
        name = f"node{number + 1}"
        more = _PEERS + _NODE.format(url=url, node=name, bus=bus, root=self.root)
        self.nodes.append(Node(Home(self.root / name, HERE, more), self.history))
        self._closing.append(self.nodes[-1].home.close)

    def _any_node(self) -> int:
        """The port for other realms of a node that runs, as a proxy chooses it."""
        running = [node for node in self.nodes if not node.held] or self.nodes
        return self.random.choice(running).home.ports["peers"]

    def start(self) -> None:
        """Start all daemons, and wait until they answer."""
        (self.root / "files").mkdir()
        for node in (*self.nodes, self.peer):
            node.start()
        for node in (*self.nodes, self.peer):
            node.home.daemon.listening()
        self._watcher.start()

    def _watch(self) -> None:
        while not self._watching.wait(LOOK_EVERY):
            self.history.now()
            for node in (*self.nodes, self.peer):
                node.look()

    def answer(self, within: float) -> bool:
        """Wait until all daemons answer."""
        until = self.history.running() + within
        while not all(answers(node.port) for node in (*self.nodes, self.peer)):
            if self.history.running() > until:
                return False
            time.sleep(0.1)
        return True

    def save(self, path: Path) -> None:
        """Save the database of the realm in the format of pg_dump."""
        where = f"host={self.servers.primary.folder} user={USER} dbname={DATABASE}"
        command = [str(self._programs / "pg_dump"), "-Fc", "-f", str(path), where]
        subprocess.run(command, check=True)

    def close(self) -> None:
        """End everything."""
        self._watching.set()
        if self._watcher.ident is not None:
            self._watcher.join()
        for close in reversed(self._closing):
            with contextlib.suppress(Exception):
                close()

    def register(self, size: Size) -> dict[str, Person]:
        """Make the accounts. Returns the people by their addresses."""
        people: dict[str, Person] = {}
        for realm, names in ((HERE, size.here), (THERE, size.there)):
            nodes = self.nodes if realm == HERE else [self.peer]
            ports = [node.port for node in nodes]
            for number, name in enumerate(names):
                with nodes[number % len(nodes)].home.daemon.talk() as talker:
                    secret = f"{name}-secret"
                    reply = talker.must(command="register", username=name, password=secret)
                    people[f"{name}@{realm}"] = Person(name, realm, reply["tokenId"], ports)
        return people
