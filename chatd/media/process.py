"""One process that scales pictures (chatd.media.worker), as the daemon sees it."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.timers import Signal, Timer
from chatd.files.outgoing import Outgoing, ReaderGone, send_chunks

# The same structs as in chatd.media.worker, which the daemon does not import: it would load the decoders.
_REQUEST = struct.Struct(">?HII")
_RESULT = struct.Struct(">?HHI")
TIME = 30.0  # seconds for one picture, until the process is killed
MAX_REASON = 200  # bytes of the reason for which a picture can't be scaled
MAX_COMPLAINT = 1000  # bytes of the process's standard error that are logged
WORKER = str(Path(__file__).with_name("worker.py"))

log = Logger()


class Form(msgspec.Struct, frozen=True):
    """What becomes of a picture: a square or the whole picture, with at most `side` pixels on the longer
    side and at most `most` bytes."""

    square: bool
    side: int
    most: int


class ScaledPicture(msgspec.Struct, frozen=True):
    """A small WebP."""

    width: int
    height: int
    body: bytes


class PictureRefused(Exception):
    """The picture can't be scaled. `str()` is the reason, as the end of a sentence."""


class PictureTooHard(PictureRefused):
    """The process did not survive the picture. It may also have been ended by something else."""

    def __init__(self) -> None:
        super().__init__("it takes too much time or memory")


class ProcessGone(Exception):
    """The process ended before it gave its result."""


@implementer(IPushProducer)
class PictureProcess(ProcessProtocol):
    """A running process. It scales one picture at a time. `ended` is called when it is gone."""

    transport: Any

    def __init__(self, clock: IReactorTime, ended: Callable[[PictureProcess], None]) -> None:
        self._ended = ended
        self._timer = Timer(clock, self.kill)
        self._room = Signal()
        self._paused = False
        self._received = bytearray()
        self._complaint = b""
        self._result: Deferred[ScaledPicture] | None = None
        self._most = 0
        self.gone = False
        self.scaled = 0  # pictures

    def start(self, reactor: Any) -> None:
        """Start the process. Raises OSError."""
        # It gets no variables of the environment, where secrets may be.
        reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-I", WORKER],
            env={},
            childFDs={0: "w", 1: "r", 2: "r"},
        )

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    async def scale(self, source: Outgoing, form: Form) -> ScaledPicture:
        """Scale a picture. Raises PictureRefused, ProcessGone, and OSError if the source can't be read. After
        the last two the process is gone, or will be soon."""
        result: Deferred[ScaledPicture] = Deferred()
        self._result, self._most = result, form.most
        self._timer.start(TIME)
        try:
            self.transport.write(_REQUEST.pack(form.square, form.side, form.most, source.size))
            await send_chunks(source, self._ready, self.transport.write)
            return await result
        except (ReaderGone, OSError) as error:
            result.addErrback(lambda _failure: None)
            self.kill()
            if isinstance(error, ReaderGone):
                raise ProcessGone from None
            raise
        finally:
            self._result = None
            self._timer.cancel()
            self.scaled += 1

    async def _ready(self) -> None:
        if self._paused and not self.gone:
            await self._room.wait()
        if self.gone:
            raise ReaderGone

    def kill(self) -> None:
        """End the process at once."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    # The producer of its standard input

    def pauseProducing(self) -> None:
        """The process is behind with reading."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The process has caught up."""
        self._paused = False
        self._room.notify()

    def stopProducing(self) -> None:
        """The process has stopped reading."""
        self.resumeProducing()

    # What comes from it

    def outReceived(self, data: bytes) -> None:
        if self._result is None:
            log.warn("the process that scales pictures wrote without a request, and is killed")
            self.kill()
            return
        self._received += data
        if len(self._received) < _RESULT.size:
            return
        good, width, height, size = _RESULT.unpack_from(self._received)
        most, end = self._most if good else MAX_REASON, _RESULT.size + size
        if size > most or len(self._received) > end:
            self.kill()
        elif len(self._received) == end:
            body = bytes(self._received[_RESULT.size :])
            self._received.clear()
            result, self._result = self._result, None
            if good:
                result.callback(ScaledPicture(width, height, body))
            else:
                result.errback(PictureRefused(body.decode(errors="replace")))

    def errReceived(self, data: bytes) -> None:
        self._complaint = (self._complaint + data)[:MAX_COMPLAINT]

    def processEnded(self, reason: Failure) -> None:
        self.gone = True
        if self._complaint or self._result is not None:
            log.warn(
                "the process that scales pictures ended: {reason} {complaint}",
                reason=reason.getErrorMessage(),
                complaint=self._complaint.decode(errors="replace"),
            )
        self._room.notify()
        result, self._result = self._result, None
        if result is not None:
            result.errback(ProcessGone())
        self._ended(self)
