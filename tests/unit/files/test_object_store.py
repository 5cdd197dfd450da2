"""The store of files in a bucket keeps the promises of all stores. Its requests are real."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, cast
from unittest import mock

import msgspec
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it has no types
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.thread_pools import stop_pool
from chatd.cluster.local_bus import LocalBus
from chatd.files import bucket as buckets
from chatd.files import object_part, object_store
from chatd.files.bucket import MIN_PART, PART, Bucket, ListedObject, ObjectClient, connect
from chatd.files.incoming import MAX_PENDING, Incoming
from chatd.files.object_part import ObjectPart, chain_of
from chatd.files.object_reader import AHEAD
from chatd.files.object_store import ObjectStore
from chatd.files.store import ABOUT_TO_BE_STORED, KEEP_PARTS, IFileStore
from chatd.service import object_sweep
from chatd.service.node_news import NodeNews
from chatd.service.node_work import NodeWork
from chatd.service.object_sweep import ERASE, FIRST, ObjectSweep
from chatd.store import content
from tests.support.common import sleep
from tests.support.object_storage import BUCKET, CREDENTIALS, environment, object_service
from tests.unit.files import store_cases
from tests.unit.files.cases import noted, sha256

SMALLEST = 10_000  # bytes of a part of a multipart upload, in these tests

_numbers = count(1)


class KnownFiles:
    """A database that knows these files only."""

    def __init__(self, *known: str) -> None:
        self.known = known

    def read(self, query: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if query is content.files_to_erase:
            return succeed([])
        return succeed([each for each in args[0] if each not in self.known])


async def swept(store: ObjectStore, *known: str, lossy: bool = False) -> None:
    """Let the store be looked through once."""
    clock = Clock()
    node_work = NodeWork(NodeNews(LocalBus(), clock))
    context: Any = mock.Mock(clock=clock, database=KnownFiles(*known), work=node_work)
    sweep = ObjectSweep(context, store, lossy)
    node_work.start()
    clock.advance(0)
    clock.advance(FIRST)
    while sweep._work._working is not None:
        await sleep(0.001)
        clock.advance(1)
    await sweep.stop()


class ObjectsCase(store_cases.StoreCase):
    part, smallest = 2 * SMALLEST, SMALLEST

    def setUp(self) -> None:
        self.service = object_service()
        self.prefix = f"test{next(_numbers)}/"
        self.running: list[ObjectStore] = []
        for patch in (
            environment(),
            mock.patch.object(buckets, "PART", self.part),
            mock.patch.object(object_part, "MIN_PART", self.smallest),
            mock.patch("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", self.smallest),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        self.bucket = self.bucket_of(self.service.client)
        super().setUp()
        self.addCleanup(self.stop_all)

    def bucket_of(self, client: ObjectClient) -> Bucket:
        return Bucket(client, BUCKET, self.prefix)

    def start(self) -> ObjectStore:
        folder = Path(self.mktemp())
        store = ObjectStore(reactor, self.bucket, folder)
        store.start()
        self.running.append(store)
        return store

    async def stop_all(self) -> None:
        for each in [*self.running]:
            await self.end(each)

    async def end(self, store: IFileStore) -> None:
        assert isinstance(store, ObjectStore)
        self.running.remove(store)
        await store.stop()

    async def kill(self, store: IFileStore, *incoming: Incoming) -> None:
        assert isinstance(store, ObjectStore)
        for each in incoming:
            assert isinstance(each._part, ObjectPart)
            each._part._close()
        self.running.remove(store)
        await store._remote.stop()
        await stop_pool(reactor, store._local)  # type: ignore[arg-type] # trial's reactor has it

    def replace(self, stored: str, data: bytes) -> None:
        self.bucket.put(stored, io.BytesIO(data))

    def names(self) -> list[str]:
        return [each for each in self.service.keys(self.prefix) if not each.endswith("/probe")]

    def grow_old(self) -> None:
        self.service.grow_old(2 * ABOUT_TO_BE_STORED)

    def aside(self) -> int:
        return len(self.service.keys(f"{self.prefix}unclaimed/"))

    async def clean(self, store: IFileStore, *known: str) -> int:
        before = self.aside()
        await swept(cast(ObjectStore, store), *known)
        return self.aside() - before

    def oldest(self, found: dict[str, int]) -> str:
        return min(found)  # times of objects are in seconds


class Objects(ObjectsCase, store_cases.StoreTests, store_cases.NodesTests):
    """What all stores promise."""


class SweepAtNodes(SynchronousTestCase):
    def test_one_node(self) -> None:
        """Only the node that does the work looks through the store. One that has lost it in the middle looks
        through all of it when it has the work again."""
        clock, files = Clock(), mock.Mock()
        page: Deferred[Any] = Deferred()
        for name in ("tidy", "set_aside", "drop_thumbnails", "erase"):
            setattr(files, name, mock.Mock(side_effect=lambda *_: succeed(None)))
        files.stored_names.side_effect = lambda _after: page
        files.thumbnail_names.side_effect = lambda _after: succeed(([], None))
        node_work = NodeWork(NodeNews(LocalBus(), clock))
        context: Any = mock.Mock(clock=clock, database=KnownFiles(), work=node_work)
        sweep = ObjectSweep(context, files, is_lossy=False)
        clock.advance(2 * ERASE)
        self.assertEqual(files.tidy.call_count, 0)
        for times in (1, 2):
            node_work.start()
            clock.advance(0)
            clock.pump([FIRST] + 10 * [1.0])
            self.assertEqual(files.tidy.call_count, times)
            if times == 1:
                node_work.suspend()
                interrupted, page = page, succeed(([], None))
                interrupted.callback(([], "next"))
                self.assertFalse(sweep.is_complete)
        self.assertTrue(sweep.is_complete)
        self.successResultOf(sweep.stop())
        self.assertEqual(clock.getDelayedCalls(), [])


class Watched:
    """A client whose calls are counted, and may fail: `failing` has an error for each call by name."""

    def __init__(self, client: ObjectClient) -> None:
        self.calls: Counter[str] = Counter()
        self.failing: dict[str, Exception] = {}
        self._client = client

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.calls[name] += 1
            if name in self.failing:
                raise self.failing[name]
            return getattr(self._client, name)(**arguments)

        return call


def refused(code: str) -> ClientError:
    """What boto3 raises when the service refuses a request with this code."""
    return ClientError({"Error": {"Code": code, "Message": "secret"}}, "Operation")


class InBucket(ObjectsCase):
    """What is particular to a bucket."""

    def setUp(self) -> None:
        super().setUp()
        self.store: ObjectStore = self.running[0]
        self.watched = Watched(self.service.client)
        self.store._bucket = self.bucket_of(self.watched)

    async def halved(self) -> Incoming:
        """Half of the file has arrived, in several pieces."""
        incoming = await self.resume(self.store)
        for start in range(0, self.size // 2, SMALLEST):
            incoming.write(self.data[start : start + SMALLEST])
            await self.written(incoming)
        return incoming

    async def test_pieces(self) -> None:
        """Bytes are stored while others arrive, so that a killed node loses a piece at most."""
        incoming = await self.halved()
        self.assertEqual(len(self.names()), self.size // 2 // self.part)
        await self.kill(self.store, incoming)
        other = self.start()
        self.assertEqual(await other.suspended("k"), {"k": self.size // 2 // self.part * self.part})
        await self.goes_on(other, self.size // 2)

    async def test_known_pieces_are_not_read_again(self) -> None:
        """Only the last one, if it is small, when a file is resumed where it was suspended."""
        size = self.size // 2 + self.part
        incoming = await self.halved()
        incoming.write(self.data[self.size // 2 : size])
        await self.written(incoming)
        incoming.write(self.data[size : size + 9])
        await incoming.suspend()
        for _ in range(2):
            incoming = await self.resume(self.store)
            self.assertEqual(incoming.offset, size + 9)
            await incoming.suspend()
        self.assertEqual(self.watched.calls["get_object"], 2)
        self.store._claims.digests.pop("k")
        await (await self.resume(self.store)).suspend()
        self.assertEqual(self.watched.calls["get_object"], 2 + len(self.names()))

    async def test_killed_before_the_pieces_are_removed(self) -> None:
        """The complete object is there, and its message is not. The file is sent again without its bytes; the
        first object is set aside later."""
        incoming = await self.resume(self.store)
        incoming.write(self.data)
        with mock.patch.object(ObjectPart, "discard"):
            first = await incoming.finish()
        self.assertGreater(len(self.names()), 1)
        other = self.start()
        incoming = await self.resume(other)
        self.assertEqual(incoming.offset, len(self.data))
        second = await incoming.finish()
        self.assertNotEqual(first.stored, second.stored)
        self.assertEqual(self.names(), sorted([first.stored, second.stored]))
        self.grow_old()
        await swept(other, second.stored)
        self.assertEqual(self.names(), sorted([second.stored, f"unclaimed/{first.stored}"]))
        self.assertEqual(await self.read(other, second), self.data)

    async def test_killed_while_the_object_is_made(self) -> None:
        """The pieces are there. The multipart upload is aborted after a week."""
        incoming = await self.resume(self.store)
        incoming.write(self.data)
        self.watched.failing = {
            "complete_multipart_upload": refused("SlowDown"),
            "abort_multipart_upload": refused("SlowDown"),
        }
        with mock.patch.object(ObjectPart, "discard"), self.assertRaises(OSError):
            await incoming.finish()
        self.assertIn("SlowDown", str(self.store.trouble))
        self.watched.failing = {}
        self.assertEqual(self.service.uploads(self.prefix), 1)
        await self.goes_on(self.store, len(self.data))
        self.assertEqual(self.bucket.abort_uploads(0), 0)
        await swept(self.store)
        self.assertEqual(self.service.uploads(self.prefix), 0)

    async def test_completed_twice(self) -> None:
        """The answer to the request that completes the object may get lost."""
        real = self.service.client.complete_multipart_upload

        def twice(**arguments: Any) -> Any:
            real(**arguments)
            raise refused("NoSuchUpload")

        self.watched.complete_multipart_upload = twice  # type: ignore[attr-defined]
        stored = await self.whole(self.store, self.data)
        self.assertEqual(await self.read(self.store, stored), self.data)

    async def test_service_refuses(self) -> None:
        """What a user sees is what a disk that fails shows. Neither the log nor the error has a secret."""
        stored = await self.whole(self.store, self.data)
        for code in ("AccessDenied", "NoSuchBucket", "SlowDown"):
            self.watched.failing = dict.fromkeys(
                ("head_object", "put_object", "list_objects_v2", "create_multipart_upload"),
                refused(code),
            )
            for call in (
                lambda: self.store.open(noted(stored)),
                lambda: self.whole(self.store, b"x"),
                lambda: self.resume(self.store),
                lambda: self.store.suspended("k"),
                self.store.probe,
            ):
                with self.assertRaises(OSError) as caught:
                    await call()
                self.assertIn(code, str(caught.exception))
                self.assertNotIn("secret", str(caught.exception))
            self.assertIn(code, str(self.store.trouble))
            await self.store.forget("k")
            self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)
            self.watched.failing = {}
        await self.store.probe()
        self.assertIsNone(self.store.trouble)

    async def test_no_bucket(self) -> None:
        """A file is missing only if its bucket is there. Other realms are told what is missing for good."""
        stored = await self.whole(self.store, self.data)
        self.store._bucket = Bucket(self.service.client, "another-bucket", self.prefix)
        with self.assertRaises(OSError) as caught:
            await self.store.open(noted(stored))
        self.assertIn("NoSuchBucket", str(caught.exception))

    async def test_service_is_down(self) -> None:
        """The realm starts, and its health page tells why files can't be stored."""
        gone = msgspec.structs.replace(self.service.files(), endpoint="http://127.0.0.1:9")
        with mock.patch.object(buckets, "ATTEMPTS", 1):
            client = connect(gone, 4)
        store = ObjectStore(reactor, self.bucket_of(client), Path(self.mktemp()))
        with mock.patch.object(object_store.log, "error") as error:
            store.start()
            self.running.append(store)
            while not error.called:
                await sleep(0.002)
        told = f"{error.call_args} {store.trouble}"
        self.assertIn("EndpointConnectionError", told)
        for secret in CREDENTIALS.values():
            self.assertNotIn(secret, told.replace("true", ""))

    async def test_replaced_while_it_is_read(self) -> None:
        """The bytes of two objects are never mixed."""
        data = os.urandom(AHEAD + 100)
        stored = await self.whole(self.store, data)
        file = await self.store.open(noted(stored))
        self.assertEqual(await file.read(50), data[:50])
        self.replace(stored.stored, os.urandom(len(data)))
        with self.assertRaises(OSError):
            await file.read(50)
        await file.close()

    async def test_reading_takes_few_requests(self) -> None:
        """A file that is read from front to back is asked for in large blocks, and a piece alone."""
        data = os.urandom(2 * AHEAD)
        stored = await self.whole(self.store, data)
        self.assertTrue(await self.store.is_whole(noted(stored)))
        self.watched.calls.clear()
        self.assertEqual(await self.read(self.store, stored), data)
        self.assertLessEqual(self.watched.calls["get_object"], 4)
        with mock.patch.object(Bucket, "get", autospec=True, side_effect=Bucket.get) as get:
            self.assertEqual(await self.store.read_piece(noted(stored), 7, 5), data[7:12])
        self.assertEqual([call.args[3] for call in get.call_args_list], [5])

    async def test_answer_is_cut_off(self) -> None:
        """A range is asked for again."""
        stored = await self.whole(self.store, self.data)
        real, cut = self.service.client.get_object, [b"", b"x"]

        def get(**arguments: Any) -> Any:
            return {"Body": io.BytesIO(cut.pop())} if cut else real(**arguments)

        self.watched.get_object = get  # type: ignore[attr-defined]
        self.assertEqual(await self.read(self.store, stored), self.data)
        cut[:] = [b""] * 3
        self.assertIsNone(await self.store.thumbnail(stored.stored))
        with self.assertRaises(OSError):
            await self.store.read_piece(noted(stored), 0, 5)

    async def test_left_for_a_week(self) -> None:
        """What was left is removed a week after the last change, and not piece by piece before."""
        await (await self.halved()).suspend()
        room = self.store.receive_temporary("x", 3)
        room.write(b"abc")
        stored = await room.finish()
        self.bucket.put("transfers/of-a-killed-node/x", io.BytesIO(b"x"))
        left = self.names()
        self.service.grow_old(KEEP_PARTS - 60)
        await swept(self.store)
        self.assertEqual(self.names(), left)
        incoming = await self.resume(self.store)
        self.service.grow_old(KEEP_PARTS + 60)
        incoming.write(self.data[incoming.offset : incoming.offset + self.part])
        await incoming.suspend()
        await swept(self.store)
        self.assertEqual(await self.store.suspended("k"), {"k": self.size // 2 + self.part})
        self.assertNotIn(stored.stored, self.names())
        self.service.grow_old(KEEP_PARTS + 60)
        await swept(self.store)
        self.assertEqual(self.names(), [])

    async def test_looked_through_page_by_page(self) -> None:
        """Unknown files are set aside, and empty ones and thumbnails of missing files removed. After a loss
        nothing is."""
        files = [await self.whole(self.store, data, "x") for data in (b"a", b"b", b"c", b"")]
        kept, *lost, empty = [each.stored for each in files]
        await self.store.keep_thumbnail(kept, b"RIFF\4\0\0\0WEBP")
        self.bucket.put("thumbnails/gone", io.BytesIO(b"x"))
        before = self.names()
        with mock.patch.object(object_store, "PAGE", 1):
            await swept(self.store, kept)
            self.grow_old()
            await swept(self.store, kept, lossy=True)
            self.assertEqual(self.names(), before)
            await swept(self.store, kept)
        aside = [f"unclaimed/{each}" for each in lost]
        self.assertEqual(self.names(), sorted([kept, f"thumbnails/{kept}", *aside]))
        self.assertNotIn(empty, self.names())

    async def test_sweep_fails(self) -> None:
        """It is tried again later."""
        self.watched.failing = {"list_objects_v2": refused("SlowDown")}
        with mock.patch.object(object_sweep.log, "error") as error:
            await swept(self.store)
        self.assertIn("SlowDown", str(error.call_args))

    async def test_large_object_is_moved(self) -> None:
        """An object beyond the 5 GiB that one request copies is copied in ranges."""
        self.bucket.put("a", io.BytesIO(self.data))
        with mock.patch.object(buckets, "COPIED", 3 * SMALLEST):
            self.bucket.move("a", "b")
        self.assertEqual(self.names(), ["b"])
        self.assertEqual(self.bucket.get("b", 0, len(self.data)), self.data)

    async def test_scratch_of_a_killed_node(self) -> None:
        folder = self.store.folder
        (folder / "1-1").write_bytes(b"x")
        again = ObjectStore(reactor, self.bucket, folder)
        again.start()
        self.running.append(again)
        self.assertEqual(list(folder.iterdir()), [])


class RealSizes(ObjectsCase):
    """With parts as large as services ask for."""

    part, smallest = PART, MIN_PART
    size = 2 * PART + 100

    async def test_whole(self) -> None:
        incoming = await self.resume(self.store)
        for start in range(0, len(self.data), MAX_PENDING):
            incoming.write(self.data[start : start + MAX_PENDING])
            await incoming.room()
        stored = await incoming.finish(sha256(self.data))
        self.assertEqual(self.names(), [stored.stored])
        self.assertTrue(await self.store.is_whole(noted(stored)))


class Chains(SynchronousTestCase):
    """Which pieces follow each other."""

    def chain(self, *pieces: tuple[int, int, str], short: int = 0) -> list[tuple[int, int]]:
        listed = [
            ListedObject(f"incoming/k/{start:015d}-{end:015d}-{writer}", end - start - short, 0)
            for start, end, writer in pieces
        ]
        return [(each.start, each.end) for each in chain_of(listed)]

    def test_chains(self) -> None:
        mib = 1 << 20
        a, b, c = 8 * mib, 16 * mib, 17 * mib
        self.assertEqual(self.chain(), [])
        self.assertEqual(self.chain((0, a, "1"), (a, b, "2")), [(0, a), (a, b)])
        self.assertEqual(self.chain((a, b, "1")), [])
        self.assertEqual(self.chain((0, a, "1"), (b, c, "1")), [(0, a)])
        # Of two with one beginning the longer one counts, and after a small one there is none.
        self.assertEqual(self.chain((0, mib, "1"), (0, a, "2"), (a, b, "2")), [(0, a), (a, b)])
        self.assertEqual(self.chain((0, mib, "1"), (mib, b, "2")), [(0, mib)])
        self.assertEqual(self.chain((0, a, "1"), short=1), [])
        self.assertEqual(chain_of([ListedObject("incoming/k/probe", 5, 0)]), [])
