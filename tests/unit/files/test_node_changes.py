"""Random sequences of writes, suspensions, crashes and changes of the node, in a folder that nodes share."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from contextlib import suppress as without
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.attachments import StoredFile
from chatd.files.incoming import Incoming
from chatd.files.shared_folder import SharedFolder
from tests.unit.files.cases import crash, sha256


class NodeByHand(SharedFolder):
    """A node that does its jobs when the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Clock(), folder)
        self.jobs: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def start(self) -> None:
        super().start()
        self._pool.stop()

    def in_thread(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.jobs.append((done, work, args))
        return done

    def step(self) -> None:
        """Do one job, if there is one."""
        if not self.jobs:
            return
        done, work, args = self.jobs.pop(0)
        try:
            result = work(*args)
        except Exception:
            done.errback(Failure())
        else:
            done.callback(result)

    def run(self) -> None:
        while self.jobs:
            self.step()


class Transfer:
    """An upload at one node, of which `accepted` bytes were accepted."""

    def __init__(self, node: NodeByHand, size: int) -> None:
        self.node = node
        resumed = node.resume("k", "x", size)
        node.run()
        self.incoming: Incoming = resumed.result  # type: ignore[assignment]
        self.accepted = self.incoming.offset


class Wandering:
    """One file on its way to two nodes, chosen by `random`. Transfers that were left are not closed: their
    connections may be dead without the node knowing it."""

    def __init__(self, folder: Path, data: bytes, random: random.Random) -> None:
        self.folder = folder
        self.data = data
        self.random = random
        self.nodes = [self.start(), self.start()]
        self.left: list[Transfer] = []
        self.now = Transfer(self.nodes[0], len(data))

    def start(self) -> NodeByHand:
        node = NodeByHand(self.folder)
        node.start()
        return node

    def write(self, transfer: Transfer | None = None) -> None:
        transfer = transfer or self.now
        size = self.random.choice((1, 1000, 20_000))
        chunk = self.data[transfer.accepted : transfer.accepted + size]
        transfer.accepted += len(chunk)
        transfer.incoming.write(chunk)

    def step(self) -> None:
        self.random.choice(self.nodes).step()

    def suspend(self) -> None:
        """Nothing that was accepted is lost, whichever node goes on."""
        accepted = self.now.accepted
        self.now.incoming.suspend()
        self.now.node.run()
        self.now = Transfer(self.random.choice(self.free()), len(self.data))
        assert self.now.accepted == accepted, (self.now.accepted, accepted)

    def change(self) -> None:
        """The client goes to the other node. The first one does not know it."""
        others = [each for each in self.free() if each is not self.now.node]
        if others:
            self.left.append(self.now)
            self.now = Transfer(others[0], len(self.data))

    def free(self) -> list[NodeByHand]:
        """The nodes at which no transfer was left."""
        return [node for node in self.nodes if all(node is not each.node for each in self.left)]

    def awake(self) -> None:
        """A transfer that was left goes on, and ends: complete, or refused."""
        if not self.left:
            return
        transfer = self.left.pop()
        while transfer.accepted < len(self.data):
            self.write(transfer)
        self.end(transfer)

    def crash(self) -> None:
        """A node is killed, and another one starts."""
        node = self.random.choice(self.nodes)
        dead = [each for each in (*self.left, self.now) if each.node is node]
        for each in dead:
            with without(OSError, AttributeError):
                crash(each.incoming)
        self.left = [each for each in self.left if each.node is not node]
        node.jobs.clear()
        lock, node._lock = node._lock, None
        assert lock is not None

        os.close(lock)
        self.nodes.remove(node)
        self.nodes.append(self.start())
        self.nodes[-1].clean(())
        if self.now in dead:
            self.now = Transfer(self.random.choice(self.free()), len(self.data))

    def end(self, transfer: Transfer) -> StoredFile | None:
        """Finish a transfer. Returns the file, or None if it is refused."""
        found: list[Any] = []
        transfer.incoming.finish(sha256(self.data)).addBoth(found.append)
        transfer.node.run()
        if isinstance(found[0], Failure):
            assert found[0].check(OSError), found[0]
            return None
        stored: StoredFile = found[0]
        assert (self.folder / stored.stored).read_bytes() == self.data
        return stored

    def travel(self) -> StoredFile:
        """Send the file, until a transfer is complete."""
        acts = (self.write, self.step, self.suspend, self.change, self.crash, self.awake)
        for _ in range(10_000):
            while self.now.accepted < len(self.data):
                (act,) = self.random.choices(acts, (20, 20, 3, 3, 2, 1))
                act()
            stored = self.end(self.now)
            if stored is not None:
                return stored
            self.now = Transfer(self.now.node, len(self.data))
        raise AssertionError("the file never arrives")

    def close(self) -> None:
        for node in self.nodes:
            node._leave()


class NodeChanges(SynchronousTestCase):
    @given(st.integers(0, 60_000), st.randoms(use_true_random=False))
    def test_same_bytes(self, size: int, chance: random.Random) -> None:
        """A file arrives intact, however often the client changes the node and nodes are killed."""
        data = random.Random(size).randbytes(size)  # noqa: S311
        with tempfile.TemporaryDirectory() as folder:
            wandering = Wandering(Path(folder), data, chance)
            stored = wandering.travel()
            self.assertEqual((stored.size, stored.sha256), (size, sha256(data)))
            wandering.close()
