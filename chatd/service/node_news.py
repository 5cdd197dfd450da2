"""What the parts of the service tell the same parts on the other nodes of the realm, over the bus.

A part registers a topic, and gets a function that tells the others. What it tells is a hint: the database has
it too. If something may have been lost, the part is told to forget what it keeps in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.cluster.bus import IBus
from chatd.cluster.local_bus import LocalBus

# Seconds without a sign of another node after which its changes may not be known here
QUIET = 0.5
WATCH = 0.25  # seconds between two looks whether all nodes are heard

T = TypeVar("T")

log = Logger()

_encode = msgspec.msgpack.Encoder().encode


class _Topic(msgspec.Struct, frozen=True):
    """`apply` takes the name of another node and what it tells, which `decode` reads. `reset`
    forgets what may have changed."""

    decode: Callable[[msgspec.Raw], Any]
    apply: Callable[[str, Any], object]
    reset: Callable[[], object]


_decode_news = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw]).decode


def _tell_nobody(_value: object) -> None:
    """There are no other nodes."""


def _tell_no_node(_node: str, _value: object) -> None:
    """There are no other nodes."""


class NodeNews:
    """Topics over `bus`. Nodes of different versions may run beside each other for a while, so a topic that
    is not known here is skipped."""

    def __init__(self, bus: IBus, clock: IReactorTime) -> None:
        self._bus = bus
        self.clock = clock
        self._topics: dict[str, _Topic] = {}
        self._resetting = False
        self.stopped = False  # nothing is to be read from the database any more
        self.name = ""  # of this node; empty until it has joined
        self.start = 0  # of this node: a higher number at each start
        self._on_doubt: list[Callable[[str], object]] = []
        self._on_gone: list[Callable[[str], object]] = []
        self._on_end: list[Callable[[], object]] = []
        self._looking = Timer(clock, self._look)
        bus.on_message(self._arrived)
        bus.on_gap(self.missed)

    def watch(self) -> None:
        """Notice it if other nodes are not heard."""
        if not self.is_alone:
            self._looking.start(WATCH)

    def end(self) -> None:
        """Notice nothing any more, and let nothing be read again."""
        self.stopped = True
        self._looking.cancel()
        for then in self._on_end:
            guarded("something is still to be read from the database", then)

    def on_end(self, then: Callable[[], object]) -> None:
        """Call `then` when nothing is to be read any more, to cancel its timers."""
        self._on_end.append(then)

    @property
    def is_quiet(self) -> bool:
        """Whether another node was not heard for so long that what it has changed may not be known here."""
        return self._bus.quiet_for() > QUIET

    def _look(self) -> None:
        """While a node is not heard, what it changes is looked for in the database again and again."""
        self._looking.start(WATCH)
        if self.is_quiet:
            self.reset_soon()

    @property
    def is_alone(self) -> bool:
        """Whether no other node can serve the realm."""
        return isinstance(self._bus, LocalBus)

    def topic(
        self,
        name: str,
        kind: type[T],
        apply: Callable[[T], object],
        reset: Callable[[], object],
    ) -> Callable[[T], None]:
        """Return a function that tells the other nodes a value of `kind`, once the transaction that it is
        about is committed. There, `apply` is called with it. `reset` is called when values may have been
        lost: at each loss, and several times a second while a node is not heard. So it does little at once,
        and leaves the rest to a PacedRead."""
        return self._add(name, kind, lambda _node, value: apply(value), reset)

    def topic_by_node(
        self, name: str, kind: type[T], apply: Callable[[str, T], object]
    ) -> Callable[[T], None]:
        """As `topic`, for what only its node knows. `apply` also gets the name of that node. `on_doubt` tells
        what may have been lost."""
        return self._add(name, kind, apply, lambda: None)

    def direct_topic(
        self, name: str, kind: type[T], apply: Callable[[str, T], object]
    ) -> Callable[[str, T], None]:
        """Return a function that tells a value of `kind` to the node of that name alone. There, `apply` gets
        the name of this node and the value. Nobody learns that a value is lost."""
        decoder = self._register(name, kind, apply, lambda: None)

        def tell(node: str, value: T) -> None:
            self._bus.send(node, _encode((name, value)))

        return _tell_no_node if decoder is None else tell

    def on_doubt(self, then: Callable[[str], object]) -> None:
        """Call `then` with the name of a node when something that it told may have been lost."""
        self._on_doubt.append(then)

    def on_gone(self, then: Callable[[str], object]) -> None:
        """Call `then` with the name of a node that has gone."""
        self._on_gone.append(then)

    def came(self, node: str) -> None:
        """A node has joined. An earlier one may have had its name."""
        self._tell_node(self._on_doubt, node)

    def gone(self, node: str) -> None:
        """A node has left, or was removed because it is dead."""
        self._tell_node(self._on_gone, node)

    def missed(self, node: str) -> None:
        """Something that a node has told may be lost."""
        self.reset_soon()
        self._tell_node(self._on_doubt, node)

    def _tell_node(self, whom: list[Callable[[str], object]], node: str) -> None:
        for then in whom:
            guarded("a change of the nodes was not handled", then, node)

    def _add(
        self,
        name: str,
        kind: type[T],
        apply: Callable[[str, T], object],
        reset: Callable[[], object],
    ) -> Callable[[T], None]:
        decoder = self._register(name, kind, apply, reset)

        def tell(value: T) -> None:
            self._bus.publish(_encode((name, value)))

        return _tell_nobody if decoder is None else tell

    def _register(
        self,
        name: str,
        kind: type[T],
        apply: Callable[[str, T], object],
        reset: Callable[[], object],
    ) -> msgspec.msgpack.Decoder[T] | None:
        """Note a topic. Returns None if there are no other nodes."""
        if name in self._topics:
            raise ValueError(f"there is a topic {name} already")
        if self.is_alone:
            return None
        decoder = msgspec.msgpack.Decoder(kind)
        self._topics[name] = _Topic(decoder.decode, apply, reset)
        return decoder

    def reset_soon(self) -> None:
        """Let all parts forget what they keep in memory, in the next turn of the reactor."""
        if not self._resetting:
            self._resetting = True
            self.clock.callLater(0, self._reset)

    def _reset(self) -> None:
        self._resetting = False
        for topic in self._topics.values():
            guarded("a part of the realm keeps what may be out of date", topic.reset)

    def _arrived(self, node: str, message: bytes) -> None:
        try:
            name, raw = _decode_news(message)
            topic = self._topics.get(name)
            if topic is None:
                return
            value = topic.decode(raw)
        except msgspec.MsgspecError as error:
            # Perhaps of another version of chatd. What it is about is read again.
            log.warn("the node {node} tells what can't be read: {error}", node=node, error=error)
            self.missed(node)
            return
        guarded("what another node tells was not handled", topic.apply, node, value)
