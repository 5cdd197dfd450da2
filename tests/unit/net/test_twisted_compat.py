"""Private names of Twisted: where they are used, and the fallbacks for releases that lack them."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.amp import AMP, AmpBox
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

import chatd
from chatd.net import eager, sockets, twisted_compat
from chatd.net.eager import make_eager
from chatd.web.websocket_frames import FREE, PIECE, TOO_BIG, FrameReader, FrameTransport

ROOT = Path(chatd.__file__).parent
COMPAT = "net/twisted_compat.py"
DATA = bytes(range(256)) * 20_000


class MissingTests(SynchronousTestCase):
    def test_this_release_has_all_names(self) -> None:
        self.assertEqual(twisted_compat.missing(), ())

    def test_absent_names_are_reported(self) -> None:
        found: list[str] = []
        with mock.patch.object(twisted_compat, "_missing", found):
            self.assertFalse(twisted_compat._has(object(), "object", "_gone", "__class__"))
            self.assertEqual(twisted_compat.missing(), ("object._gone",))


class Sender(Protocol):
    """Sends DATA in pieces as soon as it is connected."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        for start in range(0, len(DATA), 100_000):
            transport.write(DATA[start : start + 100_000])
        transport.loseConnection()


class Collector(Protocol):
    def __init__(self) -> None:
        self.data = bytearray()
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.done.callback(bytes(self.data))


class WritingTests(TestCase):
    async def check_transfer(self) -> None:
        """All bytes arrive, in order."""
        net: Any = reactor
        port = net.listenTCP(0, Factory.forProtocol(Sender), interface="127.0.0.1")
        make_eager(port)
        self.addCleanup(port.stopListening)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        collector: Collector = await connectProtocol(endpoint, Collector())
        self.assertEqual(await collector.done, DATA)

    async def test_at_once(self) -> None:
        self.assertIs(twisted_compat.send_at_once, twisted_compat._send_at_once)
        await self.check_transfer()

    async def test_fallback(self) -> None:
        self.patch(eager, "send_at_once", twisted_compat._send_later)
        self.patch(sockets, "forget_unsent", twisted_compat._keep_unsent)
        await self.check_transfer()


class AmpTests(SynchronousTestCase):
    def check_keys(self, kind: type[AMP]) -> None:
        """Complete boxes leave no keys; those of an incomplete box are counted."""
        link: Any = kind()
        boxes: list[AmpBox] = []
        link.makeConnection(StringTransport())
        link.boxReceiver = mock.Mock(ampBoxReceived=boxes.append)
        box = AmpBox({b"a": b"1", b"b": b"2"})
        link.dataReceived(box.serialize())
        self.assertEqual((boxes, link.unfinished_keys), ([box], 0))
        for number in range(1, 40):
            link.dataReceived(b"\0\2%02d\0\1x" % number)
            self.assertEqual(link.unfinished_keys, number)
        link.dataReceived(b"\0\0")
        self.assertEqual((len(boxes[1]), link.unfinished_keys), (39, 0))

    def test_incomplete_box(self) -> None:
        self.check_keys(twisted_compat.BoundedAMP)

    def test_fallback(self) -> None:
        self.check_keys(twisted_compat._CountsKeys)


class WebSocketTests(SynchronousTestCase):
    LIMIT = 100_000

    def reader(self, wire: object) -> FrameReader:
        self.frames = mock.Mock(spec=FrameTransport, wire=wire, paused=False, closed=False)
        self.charged = 0

        def charge(commands: int) -> None:
            self.charged += commands

        return FrameReader(self.frames, lambda _data: None, charge, self.LIMIT)

    def test_message_without_end(self) -> None:
        """Without Twisted's private buffers, all bytes since the last message count as the next message."""
        reader = self.reader(object())
        reader.received(bytes(self.LIMIT))
        self.frames.refuse.assert_not_called()
        reader.received(bytes(FREE + PIECE + 1))
        self.frames.refuse.assert_called_with(TOO_BIG)

    def test_complete_messages_are_not_counted(self) -> None:
        reader = self.reader(object())
        for _ in range(10):
            reader.received(bytes(self.LIMIT // 2))
            reader.message_complete(self.LIMIT // 2)
        self.frames.refuse.assert_not_called()


def modules() -> Iterator[tuple[str, ast.Module]]:
    """The daemon's modules by path, without migrations and the terminal client."""
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(("client/", "store/migrations/")):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


class PrivateNamesTests(SynchronousTestCase):
    def test_of_other_objects(self) -> None:
        """Outside twisted_compat, private attributes belong to the object whose method uses them, or to
        another object of its own module."""
        found = []
        for name, tree in modules():
            own = {
                node.attr if isinstance(node, ast.Attribute) else node.name
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
            }
            found += [
                f"{name}:{node.lineno} {ast.unparse(node)}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                and is_private(node.attr)
                and ast.unparse(node.value) not in ("self", "cls", "super()")
                and node.attr not in own
            ]
        self.assertEqual([each for each in found if not each.startswith(COMPAT)], [])

    def test_of_base_classes(self) -> None:
        """No class uses or overrides a private name of a base class that is not ours."""
        found = []
        for name, tree in modules():
            if name == COMPAT:
                continue
            module = importlib.import_module(f"chatd.{name[:-3].replace('/', '.')}")
            for node in ast.walk(tree):
                if not isinstance(node, ast.ClassDef):
                    continue
                kind = getattr(module, node.name, None)
                if isinstance(kind, type):
                    shared = private_of_bases(kind) & set(used_names(node))
                    found += [f"{name} {kind.__name__}.{each}" for each in shared]
        self.assertEqual(found, [])


def private_of_bases(kind: type) -> set[str]:
    """The private names that foreign base classes define or assign to `self`."""
    found: set[str] = set()
    for base in kind.__mro__[1:]:
        if base.__module__.startswith("twisted."):
            found |= {name for name in vars(base) if is_private(name)}
            functions: list[Callable[..., Any]] = [
                each for each in vars(base).values() if hasattr(each, "__code__")
            ]
            for function in functions:
                found |= {name for name in function.__code__.co_names if is_private(name)}
    return found


def used_names(node: ast.ClassDef) -> Iterator[str]:
    """The names that a class defines, and the attributes of `self` and `super()` that it uses."""
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each.name
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id
        elif isinstance(each, ast.Attribute) and ast.unparse(each.value) in ("self", "super()"):
            yield each.attr
