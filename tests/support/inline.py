"""A service without threads: each job is committed at once, so that a test drives it step by step."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.counters import Counters
from chatd.base.errors import ChatError, RealmDown, UnknownRealm
from chatd.federation.forwarder import Forwarder
from chatd.federation.links import ILinks
from chatd.federation.signing.drafts import EntrySigner
from chatd.files.folder import Uploads
from chatd.media.scaler import PictureScaler
from chatd.service.chat_service import ChatService
from chatd.service.context import Context
from chatd.service.passwords import Passwords
from chatd.service.remote import QUEUED, OnOutcome
from chatd.simulate.databases import DATABASE, connect_without_sync, provide_schema, tell
from chatd.store.database import Database
from chatd.store.writer import Job, Writer
from tests.support.common import make_config
from tests.support.no_realms import NoRealms
from tests.support.signing import SigningRealm


class InlineDatabase:
    """As chatd.store.database.Database, in this thread: each job is committed at once.

    While `held`, jobs wait for `settle`, and reads for `answer`, so that a test decides what comes first.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = Writer(engine)
        self._settled: list[Callable[[], None]] = []
        self.held = False
        self.held_reads = False
        self._jobs: list[Job] = []
        self._reads: list[tuple[Deferred[Any], Any]] = []

    def run(self, job: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return self._submit(Job(Deferred(), job, args))

    def batch(self, job: Callable[..., Any], item: Any) -> Deferred[Any]:
        return self._submit(Job(Deferred(), job, (item,), True))

    def read(self, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        with self._engine.connect() as connection, connection.begin():
            try:
                value = query(connection, *args)
            except ChatError:
                return fail(Failure())
        if not self.held_reads:
            return succeed(value)
        done: Deferred[Any] = Deferred()
        self._reads.append((done, value))
        return done

    def search(self, _account_id: int, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return self.read(query, *args)

    def on_rollback(self, forget: Callable[[], None]) -> None:
        self._writer.on_rollback(forget)

    def on_refused(self, then: Callable[[], None]) -> None:
        self._writer.on_refused(then)

    def on_settled(self, then: Callable[[], None]) -> None:
        self._settled.append(then)

    def stop(self) -> Deferred[None]:
        self._writer.close()
        self._engine.dispose()
        return succeed(None)

    def _submit(self, job: Job) -> Deferred[Any]:
        self._jobs.append(job)
        if not self.held:
            self.settle()
        return job.done

    def settle(self, count: int | None = None) -> None:
        """Commit the first `count` waiting jobs (or all) together, and fire their Deferreds."""
        jobs = self._jobs[:count]
        self._jobs = self._jobs[len(jobs) :]
        for outcome in self._writer.commit(jobs):
            tell(outcome)
        for then in self._settled:
            then()

    def answer(self) -> None:
        """Fire the reads that were held, with the results that they had when they were made."""
        reads, self._reads = self._reads, []
        for done, value in reads:
            done.callback(value)


class NoUploads:
    """Accepts no files, and does at once what a thread would do."""

    folder = Path()

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return succeed(work(*args))


@implementer(ILinks)
class NoLinks(NoRealms):
    """No other realm can be reached."""

    def dispatch(
        self,
        _realm: str,
        _number: int,
        _parcel: bytes,
        _file: int | None,
        _entry: object,
        on_outcome: OnOutcome,
    ) -> None:
        on_outcome(QUEUED)

    def post(
        self, _realm: str, _number: int, _parcel: bytes, _file: int | None, _entry: object = None
    ) -> bool:
        return False

    def handover(self, realm: str, _group: int, _have: int, _start: int) -> Deferred[Any]:
        return fail(UnknownRealm(realm=realm))

    def blanked(self, realm: str, number: int, parcel: bytes) -> None:
        """Nothing waits in memory."""

    def file(
        self, realm: str, _origin: str, _number: int, _offset: int, _size: int
    ) -> Deferred[bytes]:
        return fail(RealmDown(realm=realm))

    def file_ready(self, realm: str, origin: str, number: int) -> None:
        """No realm waits for a file."""

    def file_taken(self, realm: str, number: int) -> None:
        """No sender waits for that."""

    def type(self, realm: str, sender: str, to: str) -> None:
        """Tell nobody."""

    def past(self, realm: str, _group_id: int, _before: int, _after: int) -> Deferred[Any]:
        return fail(RealmDown(realm=realm))

    def rosters_changed(self, realm: str, numbers: Sequence[tuple[int, int]]) -> None:
        """Tell nobody."""

    def roster(self, realm: str, _group_id: int, _offset: int) -> Deferred[Any]:
        return fail(RealmDown(realm=realm))

    def rescue(self, realm: str, _rescue: object) -> Deferred[Any]:
        return fail(RealmDown(realm=realm))

    def follow(self, realm: str, _asked: object) -> Deferred[Any]:
        return fail(RealmDown(realm=realm))

    def lineage(self, realm: str, _home: str, _group_id: int) -> Deferred[Any]:
        return fail(RealmDown(realm=realm))

    def hand_over(self, realm: str, _items: object) -> Deferred[Any]:
        return fail(RealmDown(realm=realm))

    def lacks(self, _realm: str, _capability: str) -> bool:
        return False

    def source_of(self, _realm: str) -> str:
        return ""


class InlinePasswords:
    """As chatd.service.passwords.Passwords, without hashing."""

    def hash(self, password: str, *_owner: Any) -> Deferred[str]:
        return succeed(f"hash of {password}")

    def verify(self, password: str, hashed: str | None, *_owner: Any) -> Deferred[bool]:
        return succeed(hashed == f"hash of {password}")

    def is_outdated(self, hashed: str, password: str) -> bool:
        return False


def open_inline(
    folder: Path, clock: Clock, random_bytes: Any
) -> tuple[ChatService, InlineDatabase]:
    """A service on the database in `folder`, without threads. It accepts no files."""
    config = make_config(folder)
    provide_schema(config)
    database = InlineDatabase(connect_without_sync(f"sqlite:///{folder / DATABASE}"))
    context = Context(
        config, clock, clock.seconds, cast(Database, database), random_bytes, Counters()
    )
    service = ChatService(
        context,
        cast(Passwords, InlinePasswords()),
        cast(Uploads, NoUploads()),
        NoRealms(),
        Forwarder(
            context, NoLinks(), EntrySigner("realm1", SigningRealm("realm1").key, random_bytes)
        ),
        PictureScaler(None, clock),
    )
    return service, database


def result_of(done: Coroutine[Any, Any, Any] | Deferred[Any]) -> Any:
    """The result of a fired Deferred. Raises the exception that it failed with."""
    waiting = done if isinstance(done, Deferred) else Deferred.fromCoroutine(done)
    found: list[Any] = []
    waiting.addBoth(found.append)
    assert found, "it is still waiting"
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]


def outcome_of(done: Coroutine[Any, Any, Any] | Deferred[Any]) -> Any:
    """As `result_of`, but returns the type of a ChatError."""
    try:
        return result_of(done)
    except ChatError as error:
        return type(error)
