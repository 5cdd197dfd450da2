"""A file that is arriving, as a state machine. The disk does one job at a time, in a thread.

A resumable transfer may be suspended and continued later, even after a restart. Then the bytes on disk count,
not the bytes that were accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any, NamedTuple, assert_never

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.attachments import StoredFile
from chatd.base.timers import Signal
from chatd.files.partial_file import ChangedBytes, PartTakenOver
from chatd.files.store import IFileThreads, IPart

MAX_PENDING = 256 << 10  # bytes of one transfer that may wait for the disk before its sender pauses

log = Logger()


class State(Enum):
    """What becomes of the file."""

    READING = auto()  # the bytes of an earlier transfer are being read back
    RECEIVING = auto()
    FAILED = auto()  # the disk refused some bytes; the sender does not know it yet
    FINISHING = auto()
    SUSPENDING = auto()
    DISCARDING = auto()
    CLOSED = auto()


class Event(Enum):
    """What moves a file from state to state."""

    READ_BACK = auto()
    DISK_ERROR = auto()
    FINISH = auto()
    SUSPEND = auto()
    ABORT = auto()
    CLOSE = auto()


# Any other event leaves the state as it is.
_TRANSITIONS = {
    (State.READING, Event.READ_BACK): State.RECEIVING,
    (State.READING, Event.DISK_ERROR): State.SUSPENDING,
    (State.READING, Event.SUSPEND): State.SUSPENDING,
    (State.READING, Event.ABORT): State.DISCARDING,
    (State.RECEIVING, Event.DISK_ERROR): State.FAILED,
    (State.RECEIVING, Event.FINISH): State.FINISHING,
    (State.RECEIVING, Event.SUSPEND): State.SUSPENDING,
    (State.RECEIVING, Event.ABORT): State.DISCARDING,
    (State.FAILED, Event.FINISH): State.DISCARDING,
    (State.FAILED, Event.SUSPEND): State.SUSPENDING,
    (State.FAILED, Event.ABORT): State.DISCARDING,
    (State.FINISHING, Event.DISK_ERROR): State.DISCARDING,
    (State.FINISHING, Event.ABORT): State.DISCARDING,
    (State.FINISHING, Event.CLOSE): State.CLOSED,
    (State.SUSPENDING, Event.CLOSE): State.CLOSED,
    (State.DISCARDING, Event.CLOSE): State.CLOSED,
}


class _Job(NamedTuple):
    """Work for a thread, and what its result or error leads to."""

    work: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[Failure], None]


class Incoming:
    """A file that is arriving. `write` its bytes, then `finish`; or `abort`; or `suspend` a resumable one.

    After an error of the disk (`error`) further bytes are accepted and dropped, so that the sender stays in
    step, and `finish` fails with that error. `offset` is the number of bytes that were there at the start,
    `missing` the number that are still to come. `on_close` gets what IPart.leave has returned
    of a suspended file, else None.
    """

    def __init__(
        self,
        uploads: IFileThreads,
        part: IPart,
        on_close: Callable[[object], None] | None = None,
    ) -> None:
        self.offset = 0
        self.missing = part.size
        self.error: Exception | None = None
        self._uploads = uploads
        self._part = part
        self._state = State.RECEIVING
        self._chunks: list[bytes] = []
        self._pending = 0  # bytes in them
        self._busy = False  # a thread works on the file
        self._result: Deferred[Any] | None = None  # of `read_back`, later of `finish`
        self._on_close = on_close
        self._waiting = Signal()

    @property
    def name(self) -> str:
        """The safe name."""
        return self._part.name

    @property
    def is_ending(self) -> bool:
        """Whether it was suspended or aborted."""
        return self._state in (State.SUSPENDING, State.DISCARDING, State.CLOSED)

    def read_back(self) -> Deferred[None]:
        """Before anything else with a resumable file: find the bytes that an earlier transfer left.

        Fails with OSError. Then the file is closed, and its bytes stay.
        """
        self._state = State.READING
        result: Deferred[None] = Deferred()
        self._result = result
        self._start_job()
        return result

    def expect(self, size: int) -> None:
        """The file has `size` bytes more than was known."""
        self._part.size += size
        self.missing += size

    def write(self, data: bytes) -> bool:
        """Accept the next bytes. False asks for a pause until `room` fires."""
        self.missing -= len(data)
        self._uploads.counters.received += len(data)
        if self._state is not State.RECEIVING:
            return True
        self._chunks.append(data)
        self._pending += len(data)
        if self.missing or self._pending >= MAX_PENDING:
            self._start_job()
        # Otherwise `finish` follows, and the last bytes are written by the same job.
        return self._pending < MAX_PENDING

    def room(self) -> Deferred[None]:
        """Fires when the disk has caught up, or when the file is closed."""
        if self._pending < MAX_PENDING:
            return succeed(None)
        return self._waiting.wait()

    def finish(self, sha256: str | None = None, sent_at: int | None = None) -> Deferred[StoredFile]:
        """Store the complete file. Fires once it is on disk under its final name.

        `sent_at` (ms since 1970 UTC) is when it was sent; None means now.

        Fails with ChangedBytes if its SHA-256 (lower-case hex) is not `sha256`, and with other OSErrors. Then
        nothing is left of the file.
        """
        if self._state in (State.SUSPENDING, State.CLOSED):
            return fail(OSError("the upload was given up"))
        self._part.sha256 = sha256
        self._part.sent_at = sent_at
        result: Deferred[StoredFile] = Deferred()
        self._result = result
        self._move(Event.FINISH)
        return result

    def abort(self) -> None:
        """Remove the file. Does nothing after `suspend`."""
        if self._state is not State.SUSPENDING:
            self._clear()
        self._move(Event.ABORT)

    def suspend(self) -> Deferred[None]:
        """Write what was accepted, and keep the file for IFileStore.resume. Fires when the file is closed.

        Never fails: if the disk refuses bytes, `error` is set, and they are missing when the file is resumed.
        After `finish` or `abort` it only waits.
        """
        assert self._part.resumable, "only a resumable file can be suspended"  # noqa: S101
        if self._state is State.CLOSED:
            return succeed(None)
        if self._state is State.READING:
            self._result = None
        self._move(Event.SUSPEND)
        return self._waiting.wait()

    def _move(self, event: Event) -> None:
        self._state = _TRANSITIONS.get((self._state, event), self._state)
        self._start_job()

    def _start_job(self) -> None:
        """Give the next job to a thread, if none is under way."""
        if self._busy:
            return
        job = self._next_job()
        if job is not None:
            self._busy = True
            working = self._uploads.in_thread(job.work)
            working.addCallbacks(job.done, job.failed).addCallback(self._job_done)

    def _next_job(self) -> _Job | None:
        part = self._part
        chunks = self._chunks
        if self._state is State.FINISHING:
            self._clear()
            complete = partial(part.complete, chunks)
            return _Job(complete, self._stored, self._disk_failed)
        if chunks:  # accepted in RECEIVING, and still to be written in SUSPENDING
            self._clear()
            return _Job(partial(part.append, chunks), lambda _result: None, self._disk_failed)
        match self._state:
            case State.READING:
                return _Job(part.read_back, self._was_read, self._disk_failed)
            case State.SUSPENDING:
                return _Job(part.leave, self._close, self._not_left)
            case State.DISCARDING:
                return _Job(part.discard, self._close, self._not_discarded)
            case State.RECEIVING | State.FAILED | State.CLOSED:
                return None
            case _:
                assert_never(self._state)

    def _job_done(self, _result: object) -> None:
        self._busy = False
        self._start_job()
        # While an end is near, all wait for that.
        if self._state in (State.RECEIVING, State.FAILED, State.CLOSED):
            self._waiting.notify()

    def _clear(self) -> None:
        self._chunks = []
        self._pending = 0

    def _was_read(self, found: tuple[int, bool]) -> None:
        size, more = found
        self.offset += size
        self.missing -= size
        if not more and self._state is State.READING:
            result, self._result = self._result, None
            self._move(Event.READ_BACK)
            if result is not None:
                result.callback(None)

    def _disk_failed(self, failure: Failure) -> None:
        self.error = failure.value  # type: ignore[assignment]
        if not failure.check(ChangedBytes, PartTakenOver):
            self._uploads.trouble = str(failure.value)
        self._clear()
        self._move(Event.DISK_ERROR)

    def _not_left(self, failure: Failure) -> None:
        self.error = failure.value  # type: ignore[assignment]
        log.error(
            "the end of {path} was not written: {error}",
            path=self._part.label,
            error=str(failure.value),
        )
        self._close()

    def _not_discarded(self, failure: Failure) -> None:
        log.failure("an upload was not removed", failure)
        self._close()

    def _stored(self, stored: StoredFile) -> None:
        self._uploads.trouble = None
        self._close(stored=stored)

    def _close(self, digest: object = None, stored: StoredFile | None = None) -> None:
        """Nothing more is done with the file."""
        self._move(Event.CLOSE)
        if self._on_close is not None:
            self._on_close(digest)
        result, self._result = self._result, None
        if result is not None and stored is not None:
            result.callback(stored)
        elif result is not None:
            result.errback(self.error or OSError("the upload was given up"))
