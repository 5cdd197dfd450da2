"""A service without threads: each job is committed at once, so that a test drives it step by step."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
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
from chatd.simulate.databases import DATABASE, connect_without_sync, provide_schema
from chatd.simulate.stepped import InstantPasswords, SteppedDatabase
from chatd.store import nodes
from chatd.store.backend import WriterTurns
from chatd.store.database import Database
from chatd.store.jobs import Job
from tests.support.common import make_config
from tests.support.no_realms import NoRealms
from tests.support.signing import SigningRealm


class InlineDatabase(SteppedDatabase):
    """Commits each job, and answers each query, at once.

    While `held`, jobs wait for `settle`, and while `held_reads`, the results of reads for `answer`, so that a
    test decides what comes first.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.held = False
        self.held_reads = False
        self._held_reads: list[tuple[Deferred[Any], Deferred[Any]]] = []

    def be_node(self, name: str, turns: WriterTurns) -> None:
        """Write in turns with other nodes. `turns` is for a database that has none of its own."""
        if self._writer.turns is None:
            self._writer.turns = turns
            return
        with self._engine.begin() as connection:
            node = nodes.join(connection, name, "localhost", 0)
        assert node is not None, "a node has that name"
        self.join(node.id)

    def _submit(self, job: Job) -> Deferred[Any]:
        done = super()._submit(job)
        if not self.held:
            self.settle()
        return done

    def run_apart(self, job: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done = super().run_apart(job, *args)
        if not self.held:
            self._settle_apart()
        return done

    def _settle_apart(self) -> None:
        while self.step_apart():
            pass

    def read(self, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        answer = maybeDeferred(self.now, query, *args)
        if not self.held_reads:
            return answer
        done: Deferred[Any] = Deferred()
        self._held_reads.append((answer, done))
        return done

    def stop(self) -> Deferred[None]:
        """End at once. What is held is lost, as when the daemon is killed."""
        self.close()
        return succeed(None)

    def settle(self, count: int | None = None) -> None:
        """Commit the first `count` waiting jobs (or all) together, and fire their Deferreds."""
        self.step(count)
        if count is None:
            self._settle_apart()

    def answer(self) -> None:
        """Fire the reads that were held, with the results that they had when they were made."""
        held, self._held_reads = self._held_reads, []
        for answer, done in held:
            answer.chainDeferred(done)


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

    def renew(self) -> None:
        """There are no links."""

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
        cast(Passwords, InstantPasswords()),
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
