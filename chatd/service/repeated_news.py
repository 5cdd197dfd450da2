"""News that nodes tell each other again if they were lost on the bus.

Each node keeps its last values for a while, and numbers them. A node that has missed some of another one asks
for them. What comes later from that node waits meanwhile, so that the order stays, but not for long. What a
node has told before it died, or what it does not keep any more, is lost. A part of the service may ask to be
called then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.service.node_news import NodeNews

T = TypeVar("T")

MAX_KEPT = 4 << 20  # bytes that a node keeps of what it has told
KEPT_FOR = 60.0  # seconds
ANSWER = 256 << 10  # bytes that a node tells again at once
ASK_EVERY = 0.5  # seconds between questions for the same
ON_ITS_WAY = 5.0  # seconds that a question may take
ASKS = 10  # then what is missing counts as lost
UNUSED = "what another node tells was not used"
MAX_WAITING = 2000  # values of a node that wait for earlier ones
FIRST = 1  # number
UNKNOWN = 0  # the number that comes next of a node that was not heard before

_encode = msgspec.msgpack.Encoder().encode


class NumberedNews(msgspec.Struct, frozen=True, array_like=True):
    """A value of a start of a node."""

    start: int
    number: int
    value: msgspec.Raw


class AskedAgain(msgspec.Struct, frozen=True, array_like=True):
    """A question for the values from the number `first` on; UNKNOWN: for those of the last `age` seconds."""

    start: int
    first: int
    age: float = 0.0


class ToldAgain(msgspec.Struct, frozen=True, array_like=True):
    """The end of an answer: the first number that is kept, and that of the value that will be told next."""

    start: int
    oldest: int
    next: int


class KeptNews(msgspec.Struct, frozen=True):
    """`at` is when it was told, in monotonic seconds."""

    at: float
    number: int
    value: msgspec.Raw


class HeardNews(msgspec.Struct):
    """What this node has heard of a start of another one: the number that comes next, and what waits for it.
    `asks` counts the questions for the same. Until the monotonic time `sure` nothing was missing."""

    start: int
    next: int
    timer: Timer
    sure: float
    waiting: dict[int, msgspec.Raw] = msgspec.field(default_factory=dict)
    asks: int = 0


class RepeatedTopic(Generic[T]):
    """As a topic of `news`: `apply` gets the values of the other nodes, in the order of each, and once.
    `lost` is called when some of them may be lost, with the monotonic time since which they may be."""

    def __init__(
        self,
        news: NodeNews,
        name: str,
        kind: type[T],
        apply: Callable[[T], object],
        lost: Callable[[float], object] = lambda _since: None,
    ) -> None:
        self._news = news
        self._clock = news.clock
        self._apply = apply
        self._on_lost = lost
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._began = self._clock.seconds()
        self._next = FIRST
        self._kept: deque[KeptNews] = deque()
        self._size = 0  # bytes that are kept
        self._nodes: dict[str, HeardNews] = {}
        self._is_alone = news.is_alone
        self._publish = news.topic_by_node(name, NumberedNews, self._told)
        self._repeat = news.direct_topic(f"{name} again", NumberedNews, self._told)
        self._ask = news.direct_topic(f"{name} missing", AskedAgain, self._asked)
        self._answer = news.direct_topic(f"{name} end", ToldAgain, self._answered)
        news.on_doubt(self._doubt)
        news.on_gone(self._gone)
        news.on_end(self._end)

    def tell(self, value: T) -> None:
        """Tell the other nodes a value."""
        if self._is_alone:
            return
        now = self._clock.seconds()
        kept = KeptNews(now, self._next, msgspec.Raw(_encode(value)))
        self._next += 1
        self._kept.append(kept)
        self._size += len(kept.value)
        while self._size > MAX_KEPT or self._kept[0].at < now - KEPT_FOR:
            self._size -= len(self._kept.popleft().value)
            if not self._kept:
                break
        self._publish(NumberedNews(self._news.start, kept.number, kept.value))

    def _told(self, node: str, news: NumberedNews) -> None:
        heard = self._nodes.get(node)
        if heard is None or news.start > heard.start:
            # Of a node that is heard for the first time, what it has told before this one has begun was told
            # to others. It says where that ends.
            heard = self._begin_again(node, news.start)
        if news.start < heard.start or news.number < heard.next:
            return
        if news.number == heard.next and not heard.waiting:  # as nearly always
            heard.next += 1
            heard.asks = 0
            heard.sure = self._clock.seconds()
            self._pass(news.value)
            return
        heard.waiting[news.number] = news.value
        if len(heard.waiting) > MAX_WAITING:
            heard.next = min(heard.waiting)
            self._lost(heard.sure)
        self._pass_on(heard)
        if heard.waiting:
            self._ask_soon(node, heard)

    def _begin(self, node: str, start: int, first: int) -> HeardNews:
        earlier = self._nodes.get(node)
        if earlier is not None:
            earlier.timer.cancel()
        timer = Timer(self._clock, lambda: self._ask_again(node))
        now = self._clock.seconds()
        sure = now if earlier is None else earlier.sure
        heard = self._nodes[node] = HeardNews(start, first, timer, sure)
        return heard

    def _begin_again(self, node: str, start: int) -> HeardNews:
        """A node is heard for the first time, or has started again since."""
        heard = self._nodes.get(node)
        is_new = heard is None or heard.next == UNKNOWN
        return self._begin(node, start, UNKNOWN if is_new else FIRST)

    def _pass_on(self, heard: HeardNews) -> None:
        """Apply what has waited, up to the next number that is missing."""
        while (value := heard.waiting.pop(heard.next, None)) is not None:
            heard.next += 1
            heard.asks = 0
            self._pass(value)

    def _pass(self, value: msgspec.Raw) -> None:
        """Apply a value. One that can't be used does not stop those that wait behind it."""
        guarded(UNUSED, lambda: self._apply(self._decode(value)))

    def _doubt(self, node: str) -> None:
        """Something that the node has told may be lost, or nothing was heard of it yet."""
        self._ask_soon(node, self._nodes.get(node) or self._begin(node, 0, UNKNOWN))

    def _ask_soon(self, node: str, heard: HeardNews) -> None:
        if heard.timer.due is None:
            heard.asks = 0
            self._ask_again(node)

    def _ask_again(self, node: str) -> None:
        if self._news.stopped:
            return
        heard = self._nodes[node]
        heard.asks += 1
        if heard.asks > ASKS:
            if heard.waiting:
                heard.next = min(heard.waiting)
                self._lost(heard.sure)
                self._pass_on(heard)
            if not heard.waiting:
                return
        heard.timer.start(ASK_EVERY)
        self._ask(node, AskedAgain(heard.start, heard.next, self._age))

    @property
    def _age(self) -> float:
        """For how many seconds this node has listened."""
        return self._clock.seconds() - self._began

    def _asked(self, node: str, question: AskedAgain) -> None:
        first = FIRST if question.start < self._news.start else question.first
        if question.first == UNKNOWN:
            since = self._clock.seconds() - question.age - ON_ITS_WAY
            first = next((kept.number for kept in self._kept if kept.at >= since), self._next)
        size = 0
        for kept in self._kept:
            if kept.number >= first and size <= ANSWER:
                size += len(kept.value)
                self._repeat(node, NumberedNews(self._news.start, kept.number, kept.value))
        oldest = self._kept[0].number if self._kept else self._next
        if question.first == UNKNOWN:
            oldest = first
        self._answer(node, ToldAgain(self._news.start, oldest, self._next))

    def _answered(self, node: str, answer: ToldAgain) -> None:
        heard = self._nodes.get(node)
        if heard is None or answer.start > heard.start:
            heard = self._begin_again(node, answer.start)
        if answer.start < heard.start:
            return
        if heard.next < answer.oldest:
            if heard.next != UNKNOWN:
                self._lost(heard.sure)
            heard.next = answer.oldest
            for number in [each for each in heard.waiting if each < answer.oldest]:
                del heard.waiting[number]
            self._pass_on(heard)
        if heard.next >= answer.next:
            heard.sure = self._clock.seconds()
            heard.timer.cancel()
        elif not heard.asks:  # there is more
            heard.timer.cancel()
            self._ask_again(node)

    def _gone(self, node: str) -> None:
        """A node has gone. What waits for what it has told before comes no more."""
        heard = self._nodes.pop(node, None)
        if heard is None:
            self._lost(self._clock.seconds())
            return
        heard.timer.cancel()
        for number in sorted(heard.waiting):
            heard.next = number
            self._pass_on(heard)
        self._lost(heard.sure)

    def _lost(self, since: float) -> None:
        """Some of what a node has told may be lost."""
        guarded("what other nodes have told is not looked for", self._on_lost, since)

    def _end(self) -> None:
        """Ask for nothing any more."""
        for heard in self._nodes.values():
            heard.timer.cancel()
