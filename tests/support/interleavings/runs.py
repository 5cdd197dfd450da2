"""A run of a seed: nodes, what they do, what goes wrong, and what must be true in the end."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import psycopg
from sqlalchemy.engine import make_url
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from zope.interface import implementer

from chatd.base.model import Account, Party
from chatd.base.names import Address
from chatd.service.rosters import Actor
from chatd.simulate.databases import DATABASE
from chatd.store import node_turns, nodes
from chatd.store.postgres import Postgres
from tests.support.inline import result_of
from tests.support.interleavings.gates import Gate, State
from tests.support.interleavings.nodes import SteppedNode
from tests.support.interleavings.promises import Promises, broken_now
from tests.support.interleavings.scheduler import Scheduler, Stuck
from tests.support.interleavings.workload import (
    CROSSING,
    GUEST,
    HERE,
    OWNER,
    PEOPLE,
    Attempt,
    Workload,
)
from tests.support.postgres_pool import POOL

NODES = (2, 3)
ACTIONS = (3, 8)  # of each node
_BESIDE = ": " + node_turns._SHARE
NO_SILENCE = 600_000  # ms: a thread may stand at its gate for as long as the others need
_EXPIRE = (
    "UPDATE leases SET until = 0 WHERE name IN (SELECT name FROM leases FOR UPDATE SKIP LOCKED)"
)
_REMOVE = (
    "DELETE FROM nodes WHERE id IN "
    "(SELECT id FROM nodes WHERE name = %s FOR UPDATE SKIP LOCKED) RETURNING id"
)


@dataclass
class Run:
    """The result of a seed."""

    seed: int
    steps: int = 0
    waits: int = 0
    beside: int = 0
    sent: int = 0
    stored: int = 0
    in_doubt: int = 0
    faults: int = 0
    deadlocks: int = 0
    problems: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)


@implementer(ILogObserver)
class _Logged:
    """An observer of the log that keeps what no run may log."""

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems

    def __call__(self, log_event: Any) -> None:
        failure = log_event.get("log_failure")
        if failure is not None:
            self._problems.append(f"logged: {failure.type.__name__}: {failure.value}")
            self._problems.append(failure.getBriefTraceback())
        elif log_event["log_level"] is LogLevel.critical:
            self._problems.append(f"logged: {log_event.get('log_format')}")


class Interleaving:
    """One run."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.run = Run(seed)
        self._random = Random(seed)  # noqa: S311 - a test
        self._folder = folder
        self._url = _url(folder)
        self._buses: list[Any] = []
        self._nodes: list[SteppedNode] = []
        self._attempts: list[Attempt] = []
        self._trouble = self._random.choice((0.0, 0.0, 0.01, 0.04))
        self._control: Any = None
        self._scheduler: Scheduler

    def go(self) -> Run:
        beginning, people = _beginning()
        POOL.copy(beginning / DATABASE, self._folder / DATABASE)
        engine = POOL.connect(self._url)
        url = make_url(engine.url).set(drivername="postgresql")
        logged = _Logged(self.run.problems)
        globalLogPublisher.addObserver(logged)
        try:
            with (
                psycopg.connect(url.render_as_string(), autocommit=True) as self._control,
                mock.patch.object(node_turns, "LONGEST_SILENCE", NO_SILENCE),
                mock.patch.object(Postgres, "limit_waiting"),
            ):
                self._go(people)
        except Stuck as error:
            self.run.problems.append(f"stuck: {error}")
        finally:
            globalLogPublisher.removeObserver(logged)
            for node in self._nodes:
                node.close()
            engine.dispose()
        return self.run

    def _go(self, people: dict[str, Account]) -> None:
        self._scheduler = scheduler = Scheduler(self._random, self._control)
        self._nodes = [self._node(f"n{each}") for each in range(self._random.choice(NODES))]
        threads = []
        for node in self._nodes:
            workload = self._workload(node, node.name, people)
            workload.warm_up()
            actions = self._random.randint(*ACTIONS)
            scheduler.gates.append(node.gate)
            threads.append(node.gate.run(lambda work=workload, n=actions: work.run(n)))
        scheduler.run(self._before_step)
        for thread in threads:
            thread.join()
        self.run.problems += [gate.failure for gate in scheduler.gates if gate.failure is not None]
        self._finish(people)
        self._count()

    def _node(self, name: str) -> SteppedNode:
        gate = Gate(name, self._scheduler.changed)
        return SteppedNode(name, POOL.connect(self._url), gate, self._buses, self._folder)

    def _workload(self, node: SteppedNode, name: str, people: dict[str, Account]) -> Workload:
        random = Random(self._random.random())  # noqa: S311 - a test
        return Workload(name, node, people, random, self._attempts, self.run.problems)

    def _before_step(self) -> None:
        """Now and then, check the committed data, or make something fail."""
        dice = self._random.random()
        if dice > 0.97:
            self.run.problems += broken_now(self._control)
        if dice > 0.985:
            self._scheduler.note("-- leases expire")
            self._control.execute(_EXPIRE)
        if dice >= self._trouble:
            return
        self.run.faults += 1
        gates = [gate for gate in self._scheduler.gates if gate.state is not State.ENDED]
        gate = self._random.choice(gates)
        kind = self._random.randrange(8)
        if kind < 3:
            self._scheduler.lose_answer()
        elif kind < 5:
            self._scheduler.terminate(gate)
        elif kind < 7:
            self._scheduler.note(f"-- {gate.name} is removed")
            self._control.execute(_REMOVE, (gate.name,))
        elif sum(not each.dead for each in gates) > 1:
            self._scheduler.note(f"-- {gate.name} is killed")
            gate.dead = True
            self._scheduler.terminate(gate)

    def _finish(self, people: dict[str, Account]) -> None:
        """All nodes that are left hear everything. Then they agree, and go on."""
        for node in self._nodes:
            if node.gate.dead:
                continue
            node.hear(lost=False)
            workload = self._workload(node, f"{node.name} at last", people)
            if self.run.faults:
                workload.settle()
            for to in (HERE, CROSSING, PEOPLE[1]):
                attempt = workload.send_to(OWNER, to)
                if attempt.receipt is None:
                    self.run.problems.append(f"not stored in the end: {attempt}")
        self.run.problems += Promises(self._control, self._attempts).broken()

    def _count(self) -> None:
        run, scheduler = self.run, self._scheduler
        run.steps, run.waits, run.trace = scheduler.steps, scheduler.waits, scheduler.trace
        run.beside = sum(line.endswith(_BESIDE) for line in run.trace)
        run.sent = len(self._attempts)
        run.stored = sum(each.receipt is not None for each in self._attempts)
        run.in_doubt = sum(each.in_doubt for each in self._attempts)
        deadlocks = [each for gate in scheduler.gates for each in gate.deadlocks]
        run.deadlocks = len(deadlocks)
        run.problems += deadlocks


def _url(folder: Path) -> str:
    """Of a pooled database."""
    return f"sqlite:///{folder / DATABASE}"


@cache
def _beginning() -> tuple[Path, dict[str, Account]]:
    """A folder whose pooled database is how each run begins, and the accounts in it."""
    folder = Path(tempfile.mkdtemp(prefix="chatd-interleavings-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    gate = Gate("first", threading.Condition())
    node = SteppedNode("first", POOL.connect(_url(folder)), gate, [], folder)
    people = _prepare(node)
    problems: list[str] = []
    Workload("first", node, people, Random(0), [], problems).warm_up(all_pairs=True)  # noqa: S311 - a test
    assert not problems, problems
    node.run(nodes.leave, node.id)
    node.close()
    return folder, people


def _prepare(node: SteppedNode) -> dict[str, Account]:
    """Accounts, and two groups of all of them, of which one has a member elsewhere."""
    service = node.service
    people = {
        name: result_of(service.accounts.add(name, "surabaya", None, None)) for name in PEOPLE
    }
    for name in (HERE, CROSSING):
        result_of(service.groups.create(people[OWNER], name))
        others = [Address(each) for each in PEOPLE[1:]]
        result_of(service.groups.invite(people[OWNER], Address(name), others))
    guest = Party(GUEST, GUEST, realm=GUEST.partition("@")[2])
    result_of(service.homes.join(Actor(guest), Address(CROSSING)))
    return people


def run_seed(seed: int) -> Run:
    """Run a seed on a database of the server of this process."""
    with tempfile.TemporaryDirectory(prefix="chatd-interleaving-") as folder:
        return Interleaving(seed, Path(folder)).go()
