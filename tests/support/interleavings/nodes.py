"""A node whose service runs in a thread of its own, on a database that is reached through a gate."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatd.base.counters import Counters
from chatd.base.errors import StorageFailed
from chatd.cluster.bus import IBus
from chatd.federation.forwarder import Forwarder
from chatd.federation.signing.drafts import EntrySigner
from chatd.files.folder import Uploads
from chatd.media.scaler import PictureScaler
from chatd.service.chat_service import ChatService
from chatd.service.context import Context
from chatd.service.passwords import Passwords
from chatd.simulate.databases import tell
from chatd.simulate.stepped import InstantPasswords
from chatd.store import nodes
from chatd.store.database import Database
from chatd.store.engine import backend_of
from tests.support.common import START, make_config
from tests.support.inline import InlineDatabase, NoLinks, NoUploads
from tests.support.interleavings.gates import Gate, guard
from tests.support.interleavings.queued_bus import QueuedBus
from tests.support.no_realms import NoRealms
from tests.support.signing import SigningRealm

REALM = "realm1"


class WaitingForever(Exception):
    """A call has no outcome although everything that it can wait for was done."""


MOST_LOOKS = 50  # for the answer to a commit


class NodeDatabase(InlineDatabase):
    """Reads as chatd.store.readers does, and looks for lost answers as chatd.store.writer_thread."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._readers = backend_of(engine).reading(engine)
        self._looks = True  # `settle` looks, without a timer

    def now(self, query: Callable[..., Any], *args: Any) -> Any:
        try:
            with self._readers.connect() as connection, connection.begin():
                return query(connection, *args)
        except DBAPIError:
            raise StorageFailed from None

    def settle(self, count: int | None = None) -> None:
        super().settle(count)
        for _ in range(MOST_LOOKS):
            if self._writer.looks_after is None:
                return
            for outcome in self._writer.commit([]):
                tell(outcome)


class SteppedNode:
    """A node that has joined. Its methods run in the thread of its gate."""

    def __init__(
        self, name: str, engine: Engine, gate: Gate, buses: list[Any], folder: Path
    ) -> None:
        self.name = name
        self.gate = gate
        guard(engine, gate)
        self.clock = Clock()
        self.clock.advance(START)
        self.bus = QueuedBus(name, buses)
        self.database = NodeDatabase(engine)
        self.service = self._make_service(folder)
        self.id = 0
        self.join()

    def _make_service(self, folder: Path) -> ChatService:
        random_bytes = bytes_of(self.name)
        context = Context(
            make_config(folder),
            self.clock,
            self.clock.seconds,
            cast(Database, self.database),
            random_bytes,
            Counters(),
            cast(IBus, self.bus),
        )
        signer = EntrySigner(REALM, SigningRealm(REALM).key, random_bytes)
        return ChatService(
            context,
            cast(Passwords, InstantPasswords()),
            cast(Uploads, NoUploads()),
            NoRealms(),
            Forwarder(context, NoLinks(), signer),
            PictureScaler(None, self.clock),
        )

    def join(self) -> None:
        """Join the cluster, for the first time or after the others have removed this node."""
        self.database.join(0)
        [joined] = self.outcomes(
            [lambda: self.database.run_apart(nodes.join, self.name, "host", 0)]
        )
        joined = _value(joined)
        if joined is not None:
            self.id = joined.id
            self.database.join(joined.id)

    def rejoin(self) -> None:
        """Join again if the others have removed this node."""
        if not self.database.now(nodes.is_listed, self.id):
            self.join()

    def run(self, job: Callable[..., Any], *args: Any) -> Any:
        """Run a job, and return its result. Raises what it failed with."""
        return _value(self.outcomes([lambda: self.database.run(job, *args)])[0])

    def outcomes(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Make calls in one turn of the reactor: their jobs share a transaction. Returns the outcomes, of
        which some are Failures."""
        self.database.held = True
        waiting: list[Deferred[Any]] = []
        for call in calls:
            made = call()
            waiting.append(made if isinstance(made, Deferred) else Deferred.fromCoroutine(made))
        found: list[Any] = [WaitingForever()] * len(waiting)
        for index, each in enumerate(waiting):
            each.addBoth(partial(found.__setitem__, index))
        self.database.settle()
        self.database.held = False
        self.database.settle()
        self.clock.advance(0)
        return found

    def hear(self, lost: bool) -> None:
        """Take what the other nodes have told, or lose it."""
        self.gate.stop("-- the bus is heard" if not lost else "-- the bus has lost something")
        if lost:
            self.bus.lose()
        else:
            self.bus.deliver()
        self.clock.advance(0.001)

    def close(self) -> None:
        self.bus.stop()
        self.database.close()


def bytes_of(name: str) -> Callable[[int], bytes]:
    """A `random_bytes` that returns the same sequence in each run, another one for each name."""
    count = itertools.count(1)
    return lambda size: hashlib.shake_256(f"{name} {next(count)}".encode()).digest(size)


def _value(outcome: Any) -> Any:
    if isinstance(outcome, Failure):
        outcome.raiseException()
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
