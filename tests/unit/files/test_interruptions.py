"""Random sequences of writes, suspensions and crashes."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.attachments import StoredFile
from chatd.files.folder import Uploads
from chatd.files.incoming import Incoming
from tests.unit.files.cases import crash, sha256


class ByHand(Uploads):
    """Runs jobs when the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Clock(), folder)
        self.jobs: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.jobs.append((done, work, args))
        return done

    def step(self) -> bool:
        """Run one job. Returns False if there is none."""
        if not self.jobs:
            return False
        done, work, args = self.jobs.pop(0)
        try:
            result = work(*args)
        except Exception:
            done.errback(Failure())
        else:
            done.callback(result)
        return True

    def run(self) -> None:
        while self.step():
            pass


class Journey:
    """The transfer of one file with many interruptions, which `random` chooses."""

    def __init__(self, folder: Path, data: bytes, random: random.Random) -> None:
        self.folder = folder
        self.data = data
        self.random = random
        self.accepted = 0
        self.uploads = self.start()
        self.incoming = self.resume()

    def start(self) -> ByHand:
        uploads = ByHand(self.folder)
        for each in (self.folder, self.folder / "incoming"):
            each.mkdir(exist_ok=True)
        uploads.thumbnails.start()
        return uploads

    def resume(self) -> Incoming:
        """Resume the file, perhaps after another caller that cancels."""
        resumed = self.uploads.resume("k", "x", len(self.data))
        if self.random.random() < 0.2:
            for _ in range(self.random.randrange(3)):
                self.uploads.step()
            resumed.cancel()
            resumed.addCallbacks(
                lambda incoming: incoming.suspend(), lambda failure: failure.trap(CancelledError)
            )
            resumed = self.uploads.resume("k", "x", len(self.data))
        self.uploads.run()
        incoming: Incoming = resumed.result  # type: ignore[assignment]
        assert incoming.offset <= self.accepted
        self.accepted = incoming.offset
        return incoming

    def write(self) -> None:
        size = self.random.choice((1, 10, 1000, 20_000))
        chunk = self.data[self.accepted : self.accepted + size]
        self.accepted += len(chunk)
        self.incoming.write(chunk)

    def step(self) -> None:
        self.uploads.step()

    def suspend(self) -> None:
        """The link breaks. No accepted byte is lost."""
        accepted = self.accepted
        self.incoming.suspend()
        self.incoming = self.resume()
        assert self.incoming.offset == accepted

    def crash(self) -> None:
        """The daemon crashes, and perhaps the machine, too."""
        crash(self.incoming)
        part = self.folder / "incoming" / "k.part"
        if self.random.random() < 0.3:
            os.truncate(part, self.random.randint(0, part.stat().st_size))
        self.uploads = self.start()
        self.uploads.clean(())
        self.incoming = self.resume()

    def travel(self) -> StoredFile:
        while self.accepted < len(self.data):
            weights = (10, 10, 2, 1)
            (act,) = self.random.choices((self.write, self.step, self.suspend, self.crash), weights)
            act()
        finished = self.incoming.finish(sha256(self.data))
        self.uploads.run()
        stored: StoredFile = finished.result  # type: ignore[assignment]
        return stored


class AnyJourney(SynchronousTestCase):
    @given(st.binary(max_size=200), st.integers(1, 300), st.randoms(use_true_random=False))
    @example(b"", 1, random.Random(0))  # noqa: S311
    def test_same_bytes(self, seed: bytes, times: int, chance: random.Random) -> None:
        """A file arrives intact, however often it is suspended, resumed and truncated."""
        data = seed * times
        with tempfile.TemporaryDirectory() as folder:
            stored = Journey(Path(folder), data, chance).travel()
            self.assertEqual(stored.sha256, sha256(data))
            self.assertEqual((Path(folder) / stored.stored).read_bytes(), data)
            self.assertEqual(list((Path(folder) / "incoming").iterdir()), [])
