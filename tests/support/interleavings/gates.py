"""Connections of psycopg that stop before each statement, until a scheduler lets them go on."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event

COMMIT, ROLLBACK = "COMMIT", "ROLLBACK"
DEADLOCK = (
    "40P01"  # deadlock_detected (https://www.postgresql.org/docs/current/errcodes-appendix.html)
)


class State(Enum):
    """What the thread of a gate does."""

    RUNNING = auto()  # or it waits for the server
    STOPPED = auto()  # before a statement, or before something else that others notice
    ENDED = auto()


class Gate:
    """The gate of one thread. `go` is called in the scheduler's thread, everything else in its own."""

    def __init__(self, name: str, changed: threading.Condition) -> None:
        self.name = name
        self.state = State.RUNNING
        self.label = ""  # what comes next
        self.pid: int | None = None  # the server's process that executes it
        self.dead = False  # the node was killed: no statement reaches the server
        self.unanswered = False  # the next commit is made, and its answer is lost
        self.lost_answers = 0
        self.failure: str | None = None  # with which the thread has ended
        self.deadlocks: list[str] = []
        self._changed = changed
        self._go = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def run(self, target: Any) -> threading.Thread:
        """Return the thread of this gate, which is started and runs `target`."""

        def run() -> None:
            try:
                self.stop("start")
                target()
            except Exception:
                self.failure = f"{self.name}: {traceback.format_exc()}"
            finally:
                self._note(State.ENDED)

        self._thread = threading.Thread(target=run, name=self.name, daemon=True)
        self._thread.start()
        return self._thread

    def stop(self, label: str, pid: int | None = None) -> None:
        """Wait until the scheduler lets the thread go on. Other threads pass."""
        if threading.current_thread() is not self._thread:
            return
        self.label, self.pid = label, pid
        self._note(State.STOPPED)
        self._go.acquire()

    def go(self) -> None:
        self.state = State.RUNNING
        self._go.release()

    def _note(self, state: State) -> None:
        with self._changed:
            self.state = state
            self._changed.notify_all()


class GatedConnection(psycopg.Connection[Any]):
    """A connection that was made as an ordinary one, and belongs to `gate` now.

    psycopg passes each statement to `wait`. In a pipeline, others can write between two statements of it, as
    they can without one. So there are no pipelines here, and each statement is a step.
    """

    gate: Gate

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        label = _label_of(gen)
        if label is None and self.gate.dead:
            return None  # SQLAlchemy resets the connection
        if label is not None and not self._stop(label):
            return None
        try:
            return super().wait(gen, *args, **options)
        except psycopg.Error as error:
            if error.sqlstate == DEADLOCK:
                self.gate.deadlocks.append(f"{self.gate.name}: {label}: {error}")
            raise

    @contextmanager
    def pipeline(self) -> Iterator[Any]:
        yield None

    def commit(self) -> None:
        super().commit()
        if self.gate.unanswered:
            self.gate.unanswered = False
            self.gate.lost_answers += 1
            self.close()
            raise psycopg.OperationalError("the answer to COMMIT was lost")

    def _stop(self, label: str) -> bool:
        """Stop before a statement. Returns False if it is not to be executed."""
        ends = label in (COMMIT, ROLLBACK)
        if ends and self.pgconn.transaction_status == TransactionStatus.IDLE:
            return True  # nothing reaches the server
        self.gate.stop(label, None if self.closed else self.info.backend_pid)
        if self.gate.dead and label == ROLLBACK:
            return False  # the server has done it
        if self.gate.dead:
            self.close()
            raise psycopg.OperationalError("the node was killed")
        return True


def _label_of(gen: Any) -> str | None:
    """What a generator of psycopg will do. None: it does not reach the server."""
    name = gen.gi_code.co_name
    if name in ("_commit_gen", "_rollback_gen"):
        return COMMIT if name == "_commit_gen" else ROLLBACK
    if name.startswith("_set_"):
        return None
    return " ".join(str(gen.gi_frame.f_locals.get("query", name)).split())


def guard(engine: Engine, gate: Gate) -> None:
    """Let all statements of `engine` pass through `gate`."""

    def connected(connection: Any, _record: object) -> None:
        connection.__class__ = GatedConnection
        connection.gate = gate

    event.listen(engine, "connect", connected)
