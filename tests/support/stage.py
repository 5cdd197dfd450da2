"""What the realms of tests.support.play are made of where others are made of threads and sockets."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from sqlalchemy import Engine
from twisted.internet import error as net
from twisted.internet.defer import Deferred, fail, succeed
from twisted.protocols import amp
from twisted.python.failure import Failure

from chatd.base.clocks import Wall
from chatd.base.counters import Counters
from chatd.base.errors import StorageFailed
from chatd.files.folder import Uploads
from chatd.store.writer import Job, Writer

if TYPE_CHECKING:
    from tests.support.play import House

# What a realm is made of


class PlayDatabase:
    """As chatd.store.database.Database, in this thread: jobs are committed, and reads answered, by `step`.

    `full` says that the disk is; `failing` is asked before each transaction whether it can't be committed.
    """

    def __init__(self, engine: Engine, *_: object) -> None:
        self._engine = engine
        self._writer = Writer(engine)
        self._settled: list[Callable[[], None]] = []
        self._jobs: list[Job] = []
        self._reads: deque[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._stopped: Deferred[None] | None = None
        self.full = False
        self.failing: Callable[[], bool] = lambda: self.full

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]:
        self._stopped = Deferred()
        return self._stopped

    def run(self, job: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return self._submit(Job(Deferred(), job, args))

    def batch(self, job: Callable[..., Any], item: Any) -> Deferred[Any]:
        return self._submit(Job(Deferred(), job, (item,), True))

    def submit(self, job: Callable[..., Any], item: Any, done: Any) -> None:
        self._submit(Job(done, job, (item,), True))

    def _submit(self, job: Job) -> Deferred[Any]:
        if self._stopped is not None:
            job.done.errback(StorageFailed())
            return job.done
        self._jobs.append(job)
        return job.done

    def read(self, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if self._stopped is not None:
            return fail(StorageFailed())
        done: Deferred[Any] = Deferred()
        self._reads.append((done, query, args))
        return done

    def search(self, _account_id: int, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Searches wait for no other account's here."""
        return self.read(query, *args)

    def on_rollback(self, forget: Callable[[], None]) -> None:
        self._writer.on_rollback(forget)

    def on_refused(self, then: Callable[[], None]) -> None:
        self._writer.on_refused(then)

    def on_settled(self, then: Callable[[], None]) -> None:
        self._settled.append(then)

    def step(self, count: int | None = None) -> bool:
        """Commit the first `count` jobs, or all; whether there was anything to do."""
        jobs, self._jobs = self._jobs[:count], self._jobs[len(self._jobs[:count]) :]
        if not jobs:
            return self._end()
        if self.failing():
            for then in self._writer._refused:
                then()
            for job in jobs:
                job.done.errback(Failure(StorageFailed()))
            return True
        for outcome in self._writer.commit(jobs):
            outcome.tell()
        for then in self._settled:
            then()
        return True

    def step_read(self) -> bool:
        if not self._reads:
            return False
        done, query, args = self._reads.popleft()
        try:
            value = self.now(query, *args)
        except Exception:
            done.errback(Failure())
        else:
            done.callback(value)
        return True

    def now(self, query: Callable[..., Any], *args: Any) -> Any:
        """What a query finds, without waiting."""
        with self._engine.connect() as connection, connection.begin():
            return query(connection, *args)

    def _end(self) -> bool:
        if self._stopped is None or self._stopped.called or self._reads:
            return False
        self.close()
        self._stopped.callback(None)
        return True

    def close(self) -> None:
        self._writer.close()
        self._engine.dispose()


class PlayPasswords:
    """As chatd.service.passwords.Passwords, without the cost."""

    def __init__(self, *_: object) -> None: ...

    def start(self) -> None: ...

    stop = start

    def hash(self, password: str, *_: object) -> Deferred[str]:
        done: Deferred[str] = Deferred()
        done.callback(password)
        return done


class PlayUploads(Uploads):
    """As Uploads; what a thread would do is done by `step`."""

    def __init__(
        self, clock: Any, folder: Path, counters: Counters | None = None, wall: Wall = time.time
    ) -> None:
        super().__init__(clock, folder, counters, wall)
        self._work: deque[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = deque()

    def start(self) -> None:
        for folder in (self.folder, self._incoming):
            folder.mkdir(mode=0o700, exist_ok=True)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def clean(self, known: Any, keep_parts: float = math.inf) -> int:
        return super().clean(known, keep_parts)

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self._work.append((done, work, args))
        return done

    def step(self) -> bool:
        if not self._work:
            return False
        done, work, args = self._work.popleft()
        try:
            value = work(*args)
        except Exception:
            done.errback(Failure())
        else:
            done.callback(value)
        return True

    @property
    def parts(self) -> list[Path]:
        """The files of which something has come."""
        return sorted(self._incoming.glob("*.part"))


# Cables


BUFFER = 64 << 10  # bytes that a transport takes before it pauses its producer, as Twisted's do


class End:
    """One end of a cable: the transport of the protocol there.

    What is written waits in `out` until the world delivers it, box by box. `held` keeps all of it there;
    `holding` and `losing` are kinds of boxes (see `kind_of`) that stop it, and that are lost on the way.
    `lost` counts those, and `log` tells the kinds of all that was delivered.
    """

    def __init__(self, protocol: Any, certificate: x509.Certificate) -> None:
        self.protocol = protocol
        self.certificate = certificate
        self.other: End
        self.out: deque[bytes] = deque()
        self.held = False
        self.holding: set[str] = set()
        self.losing: set[str] = set()
        self.lost = 0
        self.log: list[str] = []
        self.boxes: list[dict[bytes, bytes]] = []
        self.paused = False
        self.pauses = 0
        self.closed = False
        self.closing = False
        self.aborting = False
        self._asked: dict[bytes, str] = {}
        self._producer: Any = None
        self._full = False  # the producer is paused

    def write(self, data: bytes) -> None:
        if not self.closed and not self.closing:
            self.out.append(data)
            if self._producer is not None and not self._full and self.waiting_bytes > BUFFER:
                self._full = True
                self._producer.pauseProducing()

    @property
    def waiting_bytes(self) -> int:
        return sum(map(len, self.out))

    def registerProducer(self, producer: Any, _streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer, self._full = None, False

    def loseConnection(self) -> None:
        self.closing = True

    def abortConnection(self) -> None:
        self.aborting = True

    def pauseProducing(self) -> None:
        self.paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        self.paused = False

    def kind_of(self, data: bytes) -> str:
        """`Deliver`, `Deliver answer`, `Deliver error` ..., of a box that is written here."""
        box = amp.parseString(data)[0]
        for key, suffix in ((b"_answer", "answer"), (b"_error", "error")):
            if key in box:
                return f"{self.other._asked.get(box[key], '?')} {suffix}"
        return str(box[b"_command"].decode())

    @property
    def waiting(self) -> list[str]:
        """The kinds of what was written and is not delivered."""
        return [self.kind_of(data) for data in self.out]

    def deliver(self) -> bool:
        """One box, to the other end, if nothing keeps it back."""
        if not self.out or self.held or self.closed or self.other.paused or self.other.closed:
            return False
        kind = self.kind_of(self.out[0])
        if kind in self.holding:
            return False
        data = self.out.popleft()
        box = amp.parseString(data)[0]
        if b"_ask" in box:
            self._asked[box[b"_ask"]] = kind
        if kind in self.losing:
            self.lost += 1
        else:
            self.log.append(kind)
            self.boxes.append(box)
            self.other.protocol.dataReceived(data)
        if self._full and not self.out:
            self._full = False
            self._producer.resumeProducing()
        return True

    def lose(self, reason: Exception) -> None:
        if not self.closed:
            self.closed = True
            self.out.clear()
            self.protocol.connectionLost(Failure(reason))


class Cable:
    """A connection. `near` is the end of who dialled."""

    def __init__(self, near: End, far: End) -> None:
        self.near, self.far = near, far
        near.other, far.other = far, near
        self._shaken: list[End] = []

    @property
    def ends(self) -> tuple[End, End]:
        return self.near, self.far

    @property
    def is_open(self) -> bool:
        return not (self.near.closed or self.far.closed)

    def end_of(self, house: House) -> End:
        """The end in that house."""
        return next(end for end in self.ends if getattr(end.protocol, "host", None) is house.host)

    def step(self, end: End) -> bool:
        if end.closed:
            return False
        if end not in self._shaken:
            self._shaken.append(end)
            if hasattr(end.protocol, "handshakeCompleted"):
                end.protocol.handshakeCompleted()
            return True
        if len(self._shaken) < 2:
            return False
        if end.aborting:
            self.cut(net.ConnectionAborted())
            return True
        if end.deliver():
            return True
        if end.closing and not end.out:
            self.cut(net.ConnectionDone())
            return True
        return False

    def cut(self, reason: Exception | None = None) -> None:
        """The connection is gone, and all that was under way on it."""
        for end in self.ends:
            end.lose(reason or net.ConnectionLost())

    def split(self) -> None:
        """As `cut`, after half of each first box has come through."""
        for end in self.ends:
            if end.out and not end.closed and not end.other.closed:
                end.other.protocol.dataReceived(end.out[0][: len(end.out[0]) // 2])
        self.cut()

    def darken(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        for end in self.ends:
            end.held = True
