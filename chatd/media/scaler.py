"""Scales pictures one after another, and starts the process for it when there is something to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base.errors import Busy, ShuttingDown
from chatd.base.fair_queue import FairQueue
from chatd.base.timers import Signal, Timer
from chatd.files.outgoing import Outgoing
from chatd.media.process import Form, PictureProcess, PictureTooHard, ProcessGone, ScaledPicture

IDLE = 60.0  # seconds without work after which the process is ended, because it takes memory
MAX_SCALED = 500  # pictures until the process is replaced, in case that decoders leak
MAX_WAITING = 500
MAX_WAITING_OF_ONE = 50  # of one owner

log = Logger()


class PictureTask(msgspec.Struct, frozen=True):
    """A picture that waits for its turn."""

    owner: Hashable
    open: Callable[[], Awaitable[Outgoing]]
    form: Form
    done: Deferred[ScaledPicture]


class PictureScaler:
    """Scales the pictures of all owners in turns. `reactor` starts the process."""

    def __init__(self, reactor: Any, clock: IReactorTime) -> None:
        self._reactor = reactor
        self._clock = clock
        self._process: PictureProcess | None = None
        self._alive: set[PictureProcess] = set()  # with those that were killed and are not gone yet
        self._waiting: FairQueue[PictureTask] = FairQueue(MAX_WAITING)
        self._waits: Counter[Hashable] = Counter()
        self._working = False
        self._stopped = False
        self._idle = Timer(clock, self._end_process)
        self._ended = Signal()

    def scale(
        self, owner: Hashable, open_: Callable[[], Awaitable[Outgoing]], form: Form
    ) -> Deferred[ScaledPicture]:
        """Scale the picture that `open_` opens when its turn has come.

        Fails with PictureRefused; with PictureTooHard if the process did not survive the picture; with Busy
        if too much waits; with ShuttingDown; and with what `open_` raises.
        """
        done: Deferred[ScaledPicture] = Deferred()
        if self._stopped:
            done.errback(ShuttingDown())
        elif self._waits[owner] >= MAX_WAITING_OF_ONE:
            done.errback(Busy())
        else:
            self._waits[owner] += 1
            dropped = self._waiting.put((owner,), PictureTask(owner, open_, form, done))
            if dropped is not None:
                self._forget(dropped)
                dropped.done.errback(Busy())
            self._work()
        return done

    def stop(self) -> Deferred[None]:
        """Refuse what waits, and end the process. Fires when it is gone."""
        self._stopped = True
        while self._waiting:
            task = self._take()
            task.done.errback(ShuttingDown())
        self._end_process()
        self._idle.cancel()
        return self._ended.wait() if self._alive else succeed(None)

    def _end_process(self) -> None:
        """End the process. The next picture gets another one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _take(self) -> PictureTask:
        task = self._waiting.take()
        self._forget(task)
        return task

    def _forget(self, task: PictureTask) -> None:
        """A task no longer waits."""
        self._waits[task.owner] -= 1
        if not self._waits[task.owner]:
            del self._waits[task.owner]

    def _work(self) -> None:
        """Begin the next task, unless one is under way."""
        if self._working or not self._waiting:
            return
        self._working = True
        self._idle.cancel()
        task = self._take()
        working = Deferred.fromCoroutine(self._do(task))
        working.addBoth(self._done, task.done)

    def _done(self, result: Any, done: Deferred[ScaledPicture]) -> None:
        self._working = False
        process = self._process
        if process is not None and process.scaled >= MAX_SCALED:
            self._end_process()
        if not self._stopped:
            self._idle.restart(IDLE)
        self._work()
        done.callback(result)  # a Failure goes to the errbacks

    async def _do(self, task: PictureTask) -> ScaledPicture:
        source = await task.open()
        try:
            process = self._running()
            was_used = process.scaled > 0
            try:
                return await process.scale(source, task.form)
            except ProcessGone:
                self._end_process()
                if not was_used:
                    raise
            # Earlier pictures may have exhausted the process: a fresh one decides.
            await source.seek(0)
            return await self._running().scale(source, task.form)
        except ProcessGone:
            self._end_process()
            if self._stopped:
                raise ShuttingDown from None
            raise PictureTooHard from None
        finally:
            await source.close()

    def _running(self) -> PictureProcess:
        """The process, which is started if there is none. Raises Busy if that fails, and ShuttingDown."""
        if self._stopped:
            raise ShuttingDown
        if self._process is None:
            process = PictureProcess(self._clock, self._process_ended)
            try:
                process.start(self._reactor)
            except OSError as error:
                log.error("no process for pictures can be started: {error}", error=str(error))
                raise Busy from None
            self._process = process
            self._alive.add(process)
        return self._process

    def _process_ended(self, process: PictureProcess) -> None:
        self._alive.discard(process)
        if self._process is process:
            self._process = None
        if not self._alive:
            self._ended.notify()
