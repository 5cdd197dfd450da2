"""The faults of a run: which part fails, when, how, and for how long. All of it follows from the seed."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.nodes.daemons import DATABASE, Cluster, Node
from tests.nodes.network import LOST, WAYS, Faulty
from tests.nodes.operations import History
from tests.support.talker import answers

REST = (0.3, 2.2)  # seconds between the beginnings of faults
SHORT = (0.2, 2.0)  # how long something fails
LONG = (1.0, 15.0)
AT_ONCE = 4  # faults under way
#: Seconds without an acknowledgement after which no fault is begun until there is one, and after which it is
#: wrong that there is none.
BREATH = 5.0
RECOVERS_WITHIN = 60.0
ANSWERS_WITHIN = 30.0  # seconds that a node has after it was started
MAX_NODES = 2  # nodes that are down or stopped at a time, except where all are

#: The faults, and how often one is chosen among the others.
WEIGHTS = {
    "kill node": 14,
    "stop node": 3,
    "pause node": 10,
    "lose all nodes": 2,
    "kill peer": 4,
    "kill bus": 6,
    "cut bus": 5,
    "fail bus": 7,
    "cut database": 6,
    "fail database": 8,
    "terminate backends": 10,
    "fail over": 5,
    "pause standby": 4,
    "partition node": 7,
    "cut link": 5,
    "fail link": 5,
}


class Faults:
    """Makes faults as many faults as asked for. `counts` is by kind. With a `pace` below 1, all of them are
    shorter and follow each other more closely."""

    def __init__(self, cluster: Cluster, history: History, seed: object, pace: float = 1.0) -> None:
        self._pace = pace
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.moments: list[tuple[float, str]] = []  # when each began
        self._cluster = cluster
        self._history = history
        self._random = random.Random(f"{seed} faults")  # noqa: S311 - repeatable, not secret
        self._lock = threading.Lock()
        self._busy: set[object] = set()  # parts with which a fault is under way
        self._under_way: list[threading.Thread] = []
        self.longest_recovery = 0.0  # seconds without new faults until something was acknowledged

    def run(self, count: int) -> None:
        """Make that many faults, then let all of them end."""
        while sum(self.counts.values()) < count and not self.problems:
            time.sleep(self._time(*REST))
            self._let_recover()
            self._under_way = [each for each in self._under_way if each.is_alive()]
            if len(self._under_way) < AT_ONCE:
                self._begin()
        for each in self._under_way:
            each.join()

    def _let_recover(self) -> None:
        """Wait until something is acknowledged, if nothing was for a while."""
        began = self._history.running()
        while self._history.now() - self._history.acknowledged > BREATH:
            waited = self._history.running() - began
            self.longest_recovery = max(self.longest_recovery, waited)
            if waited > RECOVERS_WITHIN:
                under_way = [each.name for each in self._under_way if each.is_alive()]
                self.problems.append(f"nothing was acknowledged for {waited:.0f} s; {under_way}")
                return
            time.sleep(0.05)

    def _begin(self) -> None:
        kind = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        fault = getattr(self, "_" + kind.replace(" ", "_"))()
        if fault is None:
            return  # what it is about fails already
        self.counts[kind] += 1
        self.moments.append((self._history.now(), kind))
        thread = threading.Thread(target=self._make, name=kind, args=(kind, *fault), daemon=True)
        self._under_way.append(thread)
        thread.start()

    def _make(self, kind: str, parts: list[object], about: str, fault: Callable[[], None]) -> None:
        self._history.note("fault", kind=kind, about=about)
        try:
            fault()
        except Exception as error:  # the run ends, and reports it
            self.problems.append(f"fault {kind!r} ({about}): {error!r}")
        finally:
            self._history.note("healed", kind=kind, about=about)
            with self._lock:
                self._busy.difference_update(parts)

    def _time(self, least: float, most: float) -> float:
        """A random number of seconds."""
        return self._pace * self._random.uniform(least, most)

    def _take(self, *parts: object) -> bool:
        """Whether no fault is under way with any of these parts. From now on one is."""
        with self._lock:
            if self._busy.intersection(parts):
                return False
            self._busy.update(parts)
            return True

    def _a_node(self) -> tuple[int, Node] | None:
        nodes = self._cluster.nodes
        number = self._random.randrange(len(nodes))
        with self._lock:
            down = sum(node in self._busy for node in nodes)
        if down >= MAX_NODES or not self._take(nodes[number]):
            return None
        return number, nodes[number]

    def _kill_node(self) -> Any:
        return self._end_node(signal.SIGKILL)

    def _stop_node(self) -> Any:
        return self._end_node(signal.SIGTERM)

    def _end_node(self, number: int) -> Any:
        if (chosen := self._a_node()) is None:
            return None
        index, node = chosen
        down = self._time(0, 3)

        def fault() -> None:
            node.kill(number)
            time.sleep(down)
            node.start()
            _wait_for(node)

        return [node], f"node{index + 1} for {down:.1f} s", fault

    def _pause_node(self) -> Any:
        if (chosen := self._a_node()) is None:
            return None
        index, node = chosen
        seconds = self._time(*LONG)

        def fault() -> None:
            node.signal(signal.SIGSTOP)
            time.sleep(seconds)
            node.signal(signal.SIGCONT)
            _wait_for(node)

        return [node], f"node{index + 1} for {seconds:.1f} s", fault

    def _lose_all_nodes(self) -> Any:
        nodes = self._cluster.nodes
        if not self._take(*nodes):
            return None
        number = self._random.choice((signal.SIGKILL, signal.SIGTERM))

        def fault() -> None:
            threads = [threading.Thread(target=node.kill, args=(number,)) for node in nodes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for node in nodes:
                node.start()
            _wait_for(*nodes)

        return list(nodes), number.name, fault

    def _kill_peer(self) -> Any:
        peer = self._cluster.peer
        if not self._take(peer):
            return None
        down = self._time(0, 3)

        def fault() -> None:
            peer.kill()
            time.sleep(down)
            peer.start()
            _wait_for(peer)

        return [peer], f"for {down:.1f} s", fault

    def _kill_bus(self) -> Any:
        redis = self._cluster.redis
        if redis is None or not self._take(redis):
            return None
        down = self._time(0, 4)

        def fault() -> None:
            redis.kill()
            time.sleep(down)
            redis.start()

        return [redis], f"for {down:.1f} s", fault

    def _cut(self, name: str, choices: list[Faulty]) -> Any:
        if not choices:
            return None
        number = self._random.randrange(len(choices))
        return [], f"{name} {number + 1}", choices[number].cut

    def _fail(self, name: str, choices: list[Faulty]) -> Any:
        if not choices:
            return None
        number = self._random.randrange(len(choices))
        wires = choices[number]
        way = self._random.choice(WAYS)
        seconds = self._time(*(LONG if self._random.random() < 0.4 else SHORT))
        if not self._take(wires):
            return None

        def fault() -> None:
            wires.fail(way)
            time.sleep(seconds)
            wires.heal()

        return [wires], f"{name} {number + 1} {way} for {seconds:.1f} s", fault

    def _cut_bus(self) -> Any:
        return self._cut("bus", self._cluster.to_bus)

    def _fail_bus(self) -> Any:
        return self._fail("bus", self._cluster.to_bus)

    def _cut_database(self) -> Any:
        return self._cut("database", self._cluster.to_database)

    def _fail_database(self) -> Any:
        return self._fail("database", self._cluster.to_database)

    def _cut_link(self) -> Any:
        return self._cut("link", [self._cluster.to_peer, self._cluster.from_peer])

    def _fail_link(self) -> Any:
        return self._fail("link", [self._cluster.to_peer, self._cluster.from_peer])

    def _partition_node(self) -> Any:
        """A node reaches neither the database nor the bus; clients and the other realm reach it."""
        cluster = self._cluster
        number = self._random.randrange(len(cluster.nodes))
        wires = [each[number] for each in (cluster.to_database, cluster.to_bus) if each]
        way = self._random.choice((*WAYS, LOST))
        seconds = self._time(*LONG)
        if not self._take(*wires):
            return None

        def fault() -> None:
            for each in wires:
                each.fail(way)
            time.sleep(seconds)
            for each in wires:
                each.heal()

        return list(wires), f"node{number + 1} {way} for {seconds:.1f} s", fault

    def _terminate_backends(self) -> Any:
        servers = self._cluster.servers
        if not self._take(servers):
            return None
        share = self._random.choice((0.2, 0.5, 1.0))
        salt = self._random.random()
        statement = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608 - of constants
            f"WHERE datname = '{DATABASE}' AND application_name LIKE 'chatd%' "
            f"AND abs(hashfloat8((pid + {salt})::float8)) % 1000 < {share * 1000}"
        )
        return [servers], f"{share:.0%}", lambda: servers.primary.execute(statement) and None

    def _fail_over(self) -> Any:
        servers = self._cluster.servers
        if not self._take(servers):
            return None
        before, after = self._time(0, 2), self._time(0, 1)

        def fault() -> None:
            servers.kill()
            time.sleep(before)
            servers.promote()
            time.sleep(after)
            servers.rebuild()

        return [servers], f"primary lost for {before:.1f} s", fault

    def _pause_standby(self) -> Any:
        servers = self._cluster.servers
        if not self._take(servers):
            return None
        seconds = self._time(0.5, 4)

        def fault() -> None:
            servers.pause()
            time.sleep(seconds)
            servers.resume()

        return [servers], f"for {seconds:.1f} s", fault


def _wait_for(*nodes: Node) -> None:
    """Wait until they answer, but not for ever: the database may fail."""
    until = time.monotonic() + ANSWERS_WITHIN
    while time.monotonic() < until and not all(answers(node.port) for node in nodes):
        time.sleep(0.1)
