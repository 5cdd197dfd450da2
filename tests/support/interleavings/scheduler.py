"""Lets the threads of gates make steps in an order that a seed decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.support.interleavings.gates import COMMIT, ROLLBACK, Gate, State

LOOK_AFTER = 0.001  # seconds without news after which a thread may be waiting for a lock
PATIENCE = 30.0  # seconds

FREEING = (COMMIT, ROLLBACK)  # what frees locks begins so

_WAITING = "SELECT DISTINCT pid FROM pg_locks WHERE NOT granted"
_TERMINATE = "SELECT pg_terminate_backend(%s)"
# Its own wait looks every 100 ms only.
_IS_THERE = "SELECT FROM pg_stat_activity WHERE pid = %s"


class Stuck(Exception):
    """The threads neither stop nor wait for a lock."""


class Scheduler:
    """Steps the threads of `gates`. Before each step, all others have stopped, or wait for a lock that one of
    the stopped ones has. So the seed alone decides what the server does, and in which order.

    `control` is a connection that commits each statement. `mishap`, if given, is called before each step.
    """

    def __init__(self, random: Random, control: Any) -> None:
        self.changed = threading.Condition()
        self.gates: list[Gate] = []
        self.trace: list[str] = []
        self.steps = 0
        self.waits = 0  # for locks
        self._random = random
        self._control = control
        self._waiting: list[Gate] = []  # for locks, as was seen last
        # How often the thread that made the last step makes the next one as well
        self._stickiness = random.choice((0.0, 0.5, 0.8, 0.95))
        self._last: Gate | None = None

    def run(self, before_step: Callable[[], object]) -> None:
        """Step until all threads have ended. Raises Stuck."""
        self._settle()
        while True:
            if all(gate.state is State.ENDED for gate in self.gates):
                return
            before_step()
            self._settle()
            stopped = self.stopped()
            if stopped:
                self._step(stopped)
            else:
                # A deadlock, which the server resolves
                self._waiting = []
                self._await(lambda: bool(self.stopped()))

    def stopped(self) -> list[Gate]:
        return [gate for gate in self.gates if gate.state is State.STOPPED]

    def running(self) -> list[Gate]:
        """Those that neither have stopped nor are known to wait."""
        return [
            gate for gate in self.gates if gate.state is State.RUNNING and gate not in self._waiting
        ]

    def note(self, line: str) -> None:
        self.trace.append(line)

    def terminate(self, gate: Gate) -> None:
        """Cut the connection of a thread that has stopped or waits. Returns once its locks are free."""
        self.note(f"{gate.name}: -- its connection is cut")
        self._control.execute(_TERMINATE, (gate.pid,))
        while self._control.execute(_IS_THERE, (gate.pid,)).rowcount:
            time.sleep(0.0005)
        self._look()

    def lose_answer(self) -> None:
        """If some thread is about to commit, let it lose the answer."""
        committing = [gate for gate in self.stopped() if gate.label == COMMIT]
        if committing:
            gate = self._random.choice(committing)
            gate.unanswered = True
            self.note(f"{gate.name}: -- its next commit has no answer")

    def _step(self, stopped: Sequence[Gate]) -> None:
        gate = self._last
        if gate not in stopped or self._random.random() >= self._stickiness:
            gate = self._random.choice(stopped)
        assert gate is not None
        self._last = gate
        self.steps += 1
        self.note(f"{gate.name}: {gate.label}")
        frees = gate.dead or gate.label.startswith(FREEING)
        gate.go()
        self._settle()
        if frees and self._waiting:
            # The server has given the locks to others before it has answered.
            self._look()
            self._settle()

    def _settle(self) -> None:
        """Wait until each thread has stopped, has ended, or waits for a lock."""
        deadline = time.monotonic() + PATIENCE
        while self._await(lambda: not self.running(), LOOK_AFTER):
            self._look()
            if time.monotonic() > deadline:
                raise Stuck("\n".join([*self.trace[-30:], *map(_describe, self.gates)]))

    def _look(self) -> None:
        """Look which threads wait for locks."""
        with self.changed:
            running = [gate for gate in self.gates if gate.state is State.RUNNING]
        if not running:
            self._waiting = []
            return
        waiting = {pid for (pid,) in self._control.execute(_WAITING).fetchall()}
        known = self._waiting
        self._waiting = [gate for gate in running if gate.pid in waiting]
        self.waits += sum(gate not in known for gate in self._waiting)

    def _await(self, ready: Callable[[], bool], timeout: float = PATIENCE) -> list[Gate]:
        """Wait for `ready`. Returns the gates that are running then."""
        with self.changed:
            if not self.changed.wait_for(ready, timeout) and timeout == PATIENCE:
                raise Stuck("\n".join([*self.trace[-30:], *map(_describe, self.gates)]))
            return self.running()


def _describe(gate: Gate) -> str:
    return f"{gate.name} ({gate.pid}): {gate.state.name} {gate.label}"
